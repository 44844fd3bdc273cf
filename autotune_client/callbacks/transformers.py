"""transformers: ``Trainer(…, callbacks=[AutoTune("eval_loss")])`` reports what the Trainer logs."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from autotune_client.trial import Trial


class AutoTune(TrainerCallback):  # type: ignore[misc]
    """Report the metric whenever it is evaluated or logged; stop when AutoTune says so.

    Process 0 reports; the others stop with it.

    Args:
        metric: the value that decides, by its name in the Trainer's logs: eval_loss, loss.
        final: report the last one as the trial's result when the script ends, unless it does.
    """

    def __init__(self, metric: str = "eval_loss", final: bool = True) -> None:
        self.trial = Trial(metric, final)
        self._latest: dict[str, Any] = {}

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        new = dict(logs or {})
        self._latest.update(new)
        if state.is_world_process_zero and self.trial.metric in new:
            self.trial.report(self._latest, state.global_step)
        if _any_of_all(self.trial.should_stop()):
            control.should_training_stop = True


def _any_of_all(flag: bool) -> bool:
    """Whether any process says so; each of them must ask."""
    try:
        from torch import distributed, tensor
    except ImportError:
        return flag
    if not distributed.is_available() or not distributed.is_initialized():
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    told = tensor([int(flag)], device=device)
    distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
    return bool(told.item())
