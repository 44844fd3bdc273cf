"""XGBoost: ``xgboost.train(…, evals=[(valid, "valid")], callbacks=[AutoTune("valid-rmse")])``.

XGBoost's scikit-learn classes take it too: ``callbacks=[AutoTune("validation_0-rmse")]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xgboost
from xgboost import collective

from autotune_client.trial import Trial


class AutoTune(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Report each round; end training after the round in which AutoTune says so.

    Args:
        metric: the value that decides, as XGBoost prints it: NAME OF THE SET-METRIC.
        final: report the last one as the trial's result when the script ends, unless it does.
    """

    def __init__(self, metric: str, final: bool = True) -> None:
        super().__init__()
        self.trial = Trial(metric, final)

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        stop = False
        if collective.get_rank() == 0:
            self.trial.report(_newest(evals_log), epoch)
            stop = self.trial.should_stop()
        if collective.is_distributed():  # all of them stop, or none
            stop = bool(collective.broadcast(stop, 0))
        return stop


def _newest(evals_log: Mapping[str, Any]) -> dict[str, Any]:
    """Of each set and metric the last value; of cross-validation its mean."""
    found: dict[str, Any] = {}
    for data, metrics in evals_log.items():
        for name, values in metrics.items():
            last = values[-1]
            found[f"{data}-{name}"] = last[0] if isinstance(last, tuple) else last
    return found
