"""What a Python file says around its search space, in literals: trials, time, direction, algorithm.

Called by ``source_code``. Optuna: ``create_study``, ``study.optimize``, samplers and pruners; Ray
Tune: ``TuneConfig`` and the older ``tune.run``. What is set there and cannot be kept is told.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.convert.choosing import FALLBACK, put_algorithm
from experiments.convert.draft import Draft
from experiments.problems import Problem

_MODES = {name: mode for mode in ("minimize", "maximize") for name in (mode, mode[:3])}
_SAMPLERS = {
    "TPESampler": "TPE", "RandomSampler": "Random", "GridSampler": "GridSearch",
    "BruteForceSampler": "GridSearch", "CmaEsSampler": "CMA-ES", "GPSampler": "GPTuner",
}  # fmt: skip
_TRIALS = ("n_trials", "num_samples")
_SECONDS = ("timeout", "time_budget_s")
_AT_ONCE = ("n_jobs", "max_concurrent_trials")
_OWNERS = {
    "optimize", "create_study", "TuneConfig", "run", "Tuner",
    "OptunaSearchCV", "MaxTrialsCallback",
}  # fmt: skip


@dataclass
class Settings:
    """As far as the file says them."""

    mode: str = ""
    trials: int | None = None
    seconds: int | None = None
    at_once: int | None = None
    tuner: str = FALLBACK


def settings_of(draft: Draft, calls: list[ast.Call]) -> Settings:
    found = Settings()
    for call in calls:
        if _called(call) not in _OWNERS:
            continue
        for given in call.keywords:
            value = given.value.value if isinstance(given.value, ast.Constant) else None
            if given.arg in ("direction", "mode"):
                found.mode = found.mode or _MODES.get(str(value), "")
            elif given.arg == "directions":
                message = "The study has several objectives; an experiment has one."
                _leave(draft, call, message, "Let the script print the one that counts.")
            elif given.arg in (*_TRIALS, *_SECONDS, *_AT_ONCE):
                _limit(draft, found, given, value)
            elif given.arg == "pruner" or given.arg == "scheduler":
                message = f"{given.arg} {_word(given.value)} is not carried over."
                hint = "Take an assessor (Medianstop) or an advisor (ASHA, Hyperband, BOHB)."
                if value is None and _word(given.value) != "NopPruner":
                    _leave(draft, call, message, hint)
    for call in calls:
        if (name := _called(call)).endswith("Sampler") and found.tuner == FALLBACK:
            found.tuner = _SAMPLERS.get(name, FALLBACK)
            if name not in _SAMPLERS:
                _leave(draft, call, f"{name} is not here: the tuner is {FALLBACK}.", "")
    return found


def put_tuner(draft: Draft, found: Settings) -> None:
    put_algorithm(draft, "tuner", found.tuner, {"optimize_mode": found.mode or "maximize"}, "", "")


def conditional(tree: ast.AST) -> set[ast.AST]:
    """The nodes that run under a condition only."""
    return set(_under(tree))


def _under(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp) and not _is_main(node):
            body = [*node.body, *node.orelse] if isinstance(node, ast.If) else [
                node.body, node.orelse]  # fmt: skip
            for each in body:
                yield from ast.walk(each)


def _is_main(node: ast.If | ast.IfExp) -> bool:
    """``if __name__ == "__main__":``"""
    test = node.test
    left = test.left if isinstance(test, ast.Compare) else None
    return isinstance(left, ast.Name) and left.id == "__name__"


def _limit(draft: Draft, found: Settings, given: ast.keyword, value: Any) -> None:
    """A number of trials, seconds or trials at once; None and what is computed set none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 10**9:
        if not isinstance(given.value, ast.Constant):
            message = f"{given.arg} has a value that only running the file would tell."
            _leave(draft, given.value, message, "Set it in the manifest.")
        return
    number = int(value)
    if given.arg in _TRIALS:
        found.trials = found.trials or number
    elif given.arg in _SECONDS:
        found.seconds = found.seconds or number
    else:
        found.at_once = found.at_once or number


def _called(call: ast.Call) -> str:
    return _word(call.func)


def _word(node: ast.expr) -> str:
    """The last name of what is written: ``optuna.samplers.TPESampler(…)`` is TPESampler."""
    if isinstance(node, ast.Call):
        return _word(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _leave(draft: Draft, node: ast.AST, message: str, hint: str) -> None:
    draft.left.append(Problem("", message, hint, getattr(node, "lineno", None)))
