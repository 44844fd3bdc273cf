"""The script of ``test_python_client``: four processes tune, and say what they do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import autotune_client as at

LOG = Path(sys.argv[1])


def say(*words: object) -> None:
    """One line of the log, whole whoever else writes."""
    with LOG.open("ab") as file:
        file.write((" ".join(map(str, words)) + "\n").encode())


def objective(trial: at.Trial) -> float:
    say("began", trial.number, trial.attempt, os.getpid())
    for step in range(4):
        trial.report(step, step)
        time.sleep(0.05)
    return (trial.parameters["x"] - 0.3) ** 2


if __name__ == "__main__":
    best = at.tune(
        objective, {"x": at.uniform(-1, 1)}, trials=int(sys.argv[2]), mode="minimize",
        tuner="Random", concurrency=4, workers="processes", name="killed", lost_after=4,
    )  # fmt: skip
    say("best", best.value, best.study.experiment.id)
