"""LightGBM: ``lightgbm.train(…, valid_sets=[valid], callbacks=[AutoTune("valid_0 l2")])``.

The scikit-learn interface takes it too: ``fit(…, callbacks=[AutoTune("valid_0 l2")])``.
"""

from __future__ import annotations

from typing import Any

from lightgbm.callback import EarlyStopException

from autotune_client.trial import Trial, is_first


class AutoTune:
    """Report each round; end training after the round in which AutoTune says so.

    Args:
        metric: the value that decides: NAME OF THE SET METRIC, e.g. "valid_0 binary_logloss".
        final: report the last one as the trial's result when the script ends, unless it does.
    """

    order = 20  # after those that record, before LightGBM's early stopping
    before_iteration = False

    def __init__(self, metric: str, final: bool = True) -> None:
        self.trial = Trial(metric, final)

    def __call__(self, env: Any) -> None:
        if not is_first() or not env.evaluation_result_list:
            return
        values: dict[str, Any] = {}
        for data, name, value, *_ in env.evaluation_result_list:
            values[f"{data} {name}"] = value
        self.trial.report(values, env.iteration)
        if self.trial.should_stop():
            raise EarlyStopException(env.iteration, env.evaluation_result_list)
