"""This project's assessors behind the protocol of a side-by-side early-stopping benchmark.

The harness imports this module with the repository root on ``PYTHONPATH`` and calls::

    ASSESSORS: {name: {"slow": bool, "modes": {"maximize", "minimize"}}}
    make_assessor(name, mode, max_steps, seed) -> object with
        report(curve_id, step, value) -> bool     # step counts from 1; False: stop this curve
        finish(curve_id, completed)

Assessors come from the registry with the specification's arguments; ``epoch_num`` is the length of
the harness's curves. They see what an experiment shows them: losses, and every other trial's curve.
"""

from __future__ import annotations

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.registry import ASSESSORS as ENTRIES
from experiments.algorithms.settings import parse_settings

NAMES = {"autotune_medianstop": "Medianstop", "autotune_curvefitting": "Curvefitting"}
ASSESSORS = {name: {"slow": False, "modes": {"maximize", "minimize"}} for name in NAMES}


class Assessing:
    """One experiment of the harness."""

    def __init__(self, name: str, mode: str, max_steps: int) -> None:
        entry = ENTRIES[NAMES[name]]
        raw = {"optimize_mode": mode}
        if name == "autotune_curvefitting":
            raw |= {"epoch_num": max_steps}
        args, _ = parse_settings(entry.args, raw, "classArgs")
        self.assessor = entry.load()(args)
        self.sign = -1.0 if mode == "maximize" else 1.0
        self.curves: dict[int, list[tuple[int, float]]] = {}
        self.finished: dict[int, Observation] = {}

    def report(self, curve_id: int, step: int, value: float) -> bool:
        curve = self.curves.setdefault(curve_id, [])
        curve.append((step - 1, self.sign * value))
        trial = Observation(curve_id, {}, Outcome.RUNNING, curve=tuple(curve))
        return not self.assessor.assess(trial, list(self.finished.values())).stop

    def finish(self, curve_id: int, completed: bool) -> None:
        curve = tuple(self.curves.pop(curve_id))
        self.finished[curve_id] = Observation(
            curve_id, {}, Outcome.DONE, curve[-1][1], curve, completed=completed
        )


def make_assessor(name: str, mode: str, max_steps: int, seed: int) -> Assessing:
    """Return a fresh assessor of that name; it draws nothing, so the seed has no use."""
    return Assessing(name, mode, max_steps)
