"""Boost trees on breast-cancer data and report the test log-loss of every round.

A trial of xgboost-rounds.yaml; run by hand it trains once with the defaults below.
"""

from __future__ import annotations

from typing import Any

import autotune_trial
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

ROUNDS = 60
DEFAULTS = {"eta": 0.3, "max_depth": 4, "subsample": 1.0, "min_child_weight": 1}


class Report(xgboost.callback.TrainingCallback):
    """Reports the newest test loss after each round."""

    last = float("nan")

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.last = evals_log["test"]["logloss"][-1]
        autotune_trial.report(self.last, step=epoch)
        return False  # True would end the training


def main() -> None:
    parameters = {**DEFAULTS, **autotune_trial.get_parameters()}
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.4, random_state=0)
    report = Report()
    xgboost.train(
        {
            **parameters,
            "min_child_weight": float(parameters["min_child_weight"]),
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "nthread": 1,
        },
        xgboost.DMatrix(x_train, y_train),
        num_boost_round=ROUNDS,
        evals=[(xgboost.DMatrix(x_test, y_test), "test")],
        callbacks=[report],
        verbose_eval=False,
    )
    autotune_trial.report_final(report.last)


if __name__ == "__main__":
    main()
