"""Lightning: ``Trainer(callbacks=[AutoTune("val_loss")])`` reports each validation or epoch.

Under DDP process 0 reports, and all of them stop together.
"""

from __future__ import annotations

from typing import Any

from autotune_client.trial import Trial

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback


class AutoTune(Callback):  # type: ignore[misc]
    """Report the metric as it is logged by ``self.log``; stop when AutoTune says so.

    Args:
        metric: the value that decides, by the name it is logged under.
        final: report the last one as the trial's result when the script ends, unless it does.
    """

    def __init__(self, metric: str = "val_loss", final: bool = True) -> None:
        super().__init__()
        self.trial = Trial(metric, final)
        self._reported_at = -1

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking and self.trial.metric in trainer.callback_metrics:
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_step != self._reported_at:  # no validation has just told it
            self._report(trainer)

    def _report(self, trainer: Any) -> None:
        self._reported_at = trainer.global_step
        if trainer.is_global_zero:
            self.trial.report(trainer.callback_metrics, trainer.global_step)
        # Every process asks; one of them alone would wait for the others for ever.
        if trainer.strategy.reduce_boolean_decision(self.trial.should_stop(), all=False):
            trainer.should_stop = True
