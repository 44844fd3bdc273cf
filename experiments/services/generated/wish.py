"""What somebody wants to be made: how many trials, how they end, over which search space.

``Wish.check`` names everything that makes no sense, each with what must hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from experiments.manifest.spec import Parsed, parse_manifest
from experiments.problems import Problem, ProblemsError, nearest

MOST_TRIALS = 1_000_000
MOST_POINTS = 1_000_000
MOST_ROWS = 100_000_000  # numbers reported, all in all
MOST_METRICS = 100
MOST_NAME = 63  # characters, as of Experiment.name
ENDED = ("done", "timeout", "error")
PHASES = (*ENDED, "running", "suspended")
SHARES = ("failed", "diverged", "stopped", "lost", "canceled", "excluded")

# After the default one; beyond these they are numbered.
_METRICS = ("loss", "train/accuracy", "学习率", "val auc", "<b>bold</b> & co")

_LR = {"_type": "loguniform", "_value": [1e-5, 0.1]}
_MOMENTUM = {"_type": "uniform", "_value": [0.0, 1.0]}
_BATCH = {"_type": "choice", "_value": [16, 32, 64, 128]}
SPACES: dict[str, dict[str, Any]] = {
    "flat": {
        "lr": _LR,
        "momentum": _MOMENTUM,
        "batch_size": _BATCH,
        "layers": {"_type": "randint", "_value": [1, 9]},
        "dropout": {"_type": "quniform", "_value": [0.0, 0.9, 0.1]},
    },
    "nested": {
        "optimizer": {
            "_type": "choice",
            "_value": [
                {"_name": "adam", "lr": _LR, "beta": {"_type": "uniform", "_value": [0.8, 0.999]}},
                {
                    "_name": "sgd",
                    "lr": _LR,
                    "momentum": _MOMENTUM,
                    "schedule": {
                        "_type": "choice",
                        "_value": [
                            {"_name": "cosine", "cycles": {"_type": "randint", "_value": [1, 5]}},
                            {"_name": "flat"},
                        ],
                    },
                },
            ],
        },
        "batch_size": _BATCH,
    },
    # Names and values that pages, files and scripts get wrong if they can.
    "odd": {
        "学习率": _LR,
        "large": {"_type": "choice", "_value": [2**53, 2**53 - 1, 2**53 - 2, 7]},
        'a "quoted", <b>name</b>': {"_type": "choice", "_value": ["=1+1", "<script>", "a,b", "é"]},
        "🎲.dots.in-it": {"_type": "choice", "_value": [True, False, 0.5, "0.5"]},
    },
    "many": {
        f"p{i:02}": _LR if i % 3 == 0 else _MOMENTUM if i % 3 == 1 else _BATCH for i in range(60)
    },
}

# What a trial runs where the loop goes on with such an experiment.
_SCRIPT = """\
import random, time
import autotune_trial as trial
trial.get_parameters()
for step in range({points}):
    trial.report(random.random(), step=step)
    time.sleep(0.02)
trial.report_final(random.random())
"""


@dataclass(frozen=True)
class Wish:
    """One experiment. Shares are of all its trials, and what is left succeeds."""

    name: str = "generated"
    trials: int = 100
    points: int = 20  # intermediate reports of a trial that goes through
    metrics: int = 1
    space: str = "flat"
    phase: str = "done"
    running: int = 0  # the last so many trials are not over
    concurrency: int = 8
    failed: float = 0.05
    diverged: float = 0.0  # report NaN or Infinity from some step on, and as their result
    stopped: float = 0.2  # early
    lost: float = 0.0
    canceled: float = 0.0
    excluded: float = 0.0
    retried: float = 0.0  # of those that failed or were lost
    minimize: bool = False
    seed: int = 0

    def check(self) -> None:
        """Raise ProblemsError with everything that makes no sense."""
        problems = [
            *self._whole("trials", 0, MOST_TRIALS),
            *self._whole("points", 0, MOST_POINTS),
            *self._whole("metrics", 1, MOST_METRICS),
            *self._whole("running", 0, MOST_TRIALS),
            *self._whole("concurrency", 1, 10_000),
            *self._whole("seed", 0, 2**31 - 1),
            *self._word("space", tuple(SPACES)),
            *self._word("phase", PHASES),
            *(p for name in (*SHARES, "retried") for p in self._share(name)),
        ]
        if not self.name.strip() or len(self.name) > MOST_NAME or "\0" in self.name:
            words = f"must have 1 to {MOST_NAME} characters, NUL not among them"
            problems.append(Problem("name", f"{words}, but got {self.name[:80]!r}."))
        problems = problems or self._together()
        if problems:
            raise ProblemsError(problems)

    def _together(self) -> list[Problem]:
        """What is wrong between values that are each right."""
        found = []
        rows = self.trials * self.points * self.metrics
        if rows > MOST_ROWS:
            words = f"trials x points x metrics must be at most {MOST_ROWS}, but is {rows}."
            found.append(Problem("points", words))
        if self.running > self.trials:
            words = f"must be at most trials ({self.trials}), but got {self.running}."
            found.append(Problem("running", words))
        if self.running > self.concurrency:
            words = f"must be at most concurrency ({self.concurrency}), but got {self.running}."
            found.append(Problem("running", words))
        if self.running and self.phase in ENDED:
            words = f"must be 0 where the phase is {self.phase}, but got {self.running}."
            found.append(Problem("running", words, "Name --phase running or suspended."))
        ends = self.failed + self.diverged + self.stopped + self.lost + self.canceled
        if ends > 1 + 1e-9:
            words = "failed, diverged, stopped, lost and canceled must be at most 1 together"
            found.append(Problem("failed", f"{words}, but are {ends:g}."))
        for name in ("stopped", "diverged"):
            if getattr(self, name) and not self.points:
                words = "must be 0 where no points are reported"
                found.append(Problem(name, f"{words}, but got {getattr(self, name):g}."))
        return found

    def _whole(self, name: str, low: int, high: int) -> list[Problem]:
        value = getattr(self, name)
        if low <= value <= high:
            return []
        return [Problem(name, f"must be a whole number from {low} to {high}, but got {value}.")]

    def _share(self, name: str) -> list[Problem]:
        value = getattr(self, name)
        if math.isfinite(value) and 0 <= value <= 1:
            return []
        return [Problem(name, f"must be a share from 0 to 1, but got {value:g}.")]

    def _word(self, name: str, known: tuple[str, ...]) -> list[Problem]:
        value = getattr(self, name)
        if value in known:
            return []
        close = nearest(value, known)
        hint = f"Did you mean {close!r}?" if close else ""
        words = f"must be one of {', '.join(known)}, but got {value[:80]!r}."
        return [Problem(name, words, hint)]

    @property
    def metric_names(self) -> list[str]:
        """Of every report, the default one first."""
        more = [*_METRICS, *(f"metric {n}" for n in range(len(_METRICS) + 1, MOST_METRICS))]
        return ["default", *more][: self.metrics]

    def manifest(self, max_trials: int) -> Parsed:
        """The experiment's manifest, parsed as any other."""
        mode = "minimize" if self.minimize else "maximize"
        command = ["python3", "-c", _SCRIPT.format(points=self.points)]
        template = {"spec": {"containers": [{"name": "pytorch", "command": command}]}}
        spec: dict[str, Any] = {
            "maxExecSeconds": 7 * 24 * 3600,
            "maxTrialNum": max_trials,
            "trialConcurrency": self.concurrency,
            "searchSpace": SPACES[self.space],
            "trainingConfig": {
                "type": "pytorch",
                "tasks": [{"type": "worker", "replicas": 1, "template": template}],
            },
            "tuner": {"builtinTunerName": "TPE", "classArgs": {"optimize_mode": mode}},
        }
        if self.stopped:
            spec["assessor"] = {
                "builtinAssessorName": "Medianstop",
                "classArgs": {"optimize_mode": mode},
            }
        return parse_manifest(
            {
                "apiVersion": "tensorstack.dev/v1beta1",
                "kind": "AutoTuneExperiment",
                "metadata": {"name": "generated"},
                "spec": spec,
            }
        )
