"""Optuna's distributions as data: what ``distribution_to_json`` writes, by parameter.

Called by ``conversion``; ``source_code`` takes ``entry_of`` for calls in Python files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.convert.choosing import fit_to_space
from experiments.convert.draft import Draft, Section, limits
from experiments.convert.source_settings import Settings, put_tuner

MOST_VALUES = 1000  # of a parameter that is written as a choice
_OLD = {
    "UniformDistribution": {}, "LogUniformDistribution": {"log": True},
    "DiscreteUniformDistribution": {}, "IntUniformDistribution": {},
    "IntLogUniformDistribution": {"log": True},
}  # fmt: skip


def convert_optuna(draft: Draft, data: Mapping[str, Any], otherwise: str) -> None:
    """Fill the draft; what runs is for the user to say."""
    space: dict[str, Any] = {}
    for name, given in data.items():
        section = Section(draft, given, name)
        kind = section.text("name")
        entry = entry_of(kind, {**_OLD.get(kind, {}), **section.section("attributes").data})
        if entry is None:
            draft.refuse(name, f"'{kind}' with these attributes is not known here.")
            continue
        space[name] = entry
        draft.note(name, given, f"spec.searchSpace.{name}", entry)
    put_space(draft, space, otherwise, "train.py", Settings())


def put_space(draft: Draft, space: dict[str, Any], name: str, script: str, said: Settings) -> None:
    """A whole manifest around a search space; ``said``: what the file says besides."""
    draft.name_it("", "", name)
    draft.put("spec.searchSpace", space)
    limits(draft, trials=(said.trials, ""), at_once=(said.at_once, ""),
           seconds=(said.seconds, ""))  # fmt: skip
    put_tuner(draft, said)
    fit_to_space(draft, "")
    words = ["python3", script, *(f"--{key}=$(params.{key})" for key in space)]
    container = {"name": "pytorch", "command": words, "workingDir": "."}
    task = {"type": "worker", "replicas": 1, "template": {"spec": {"containers": [container]}}}
    draft.put("spec.trainingConfig", {"type": "pytorch", "tasks": [task]})
    if said.mode:
        draft.leave(
            "",
            "A search space does not say what runs.",
            f"Check the command: {script} must train once, with these arguments.",
        )
        return
    draft.leave(
        "",
        "A search space says neither what runs nor which way is better.",
        f"Check the command ({script} must train once, with these arguments), and optimize_mode.",
    )


def entry_of(kind: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """A distribution as an entry of ours; None where it is not known, or makes no sense."""
    try:
        return _entry(kind, given)
    except (ArithmeticError, TypeError, ValueError):  # inf, a step that is text, …
        return None


def _entry(kind: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    if kind == "CategoricalDistribution":
        choices = given.get("choices")
        found = isinstance(choices, list | tuple) and bool(choices)
        return {"_type": "choice", "_value": list(choices or [])} if found else None
    low, high = given.get("low"), given.get("high")
    numbers = [v for v in (low, high) if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != 2:
        return None
    step, log = given.get("step", given.get("q")), bool(given.get("log"))
    if "Int" in kind:
        ends = [int(numbers[0]), int(numbers[1])]
        if log:
            return {"_type": "qloguniform", "_value": [*ends, 1]}
        if step in (None, 1):
            return {"_type": "randint", "_value": [ends[0], ends[1] + 1]}
        values = range(ends[0], ends[1] + 1, int(step))
        # Counted before it is made: a file may ask for more than there is memory for.
        is_short = values[:MOST_VALUES] == values
        return {"_type": "choice", "_value": list(values)} if is_short else None
    if not kind.endswith("Distribution"):
        return None
    if step:
        if ends_on_steps(numbers[0], step):
            return {"_type": "quniform", "_value": [*numbers, step]}
        count = int((numbers[1] - numbers[0]) / step + 1e-9) + 1
        if not 0 < count <= MOST_VALUES:
            return None
        steps = [float(f"{numbers[0] + i * step:.12g}") for i in range(count)]
        return {"_type": "choice", "_value": steps}
    return {"_type": "loguniform" if log else "uniform", "_value": numbers}


def ends_on_steps(low: float, step: float) -> bool:
    """Whether a grid of multiples of ``step`` holds ``low``."""
    ratio = low / step
    return abs(ratio - round(ratio)) < 1e-9
