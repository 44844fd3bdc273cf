"""Configurations of the user come first, whatever tuner chooses the rest: over the registry."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.algorithms.registry import ADVISORS, TUNERS, Entry
from experiments.engine.session import TrialSoFar, propose
from experiments.manifest.spec import ExperimentSpec, parse_manifest
from experiments.states import TrialState
from tests.manifest.manifests import ABSENT, small

WANTED: list[dict[str, Any]] = [
    {"net": {"_name": "conv", "kernel": 3}, "n": 4},
    {"n": 2},
    {"net": {"_name": "conv"}},
]
CONV, POOL = {"_value": "conv", "_idx": 0}, {"_value": "pool", "_idx": 1}
LAYERS: list[dict[str, Any]] = [{"first": POOL, "second": POOL}, {"second": CONV}]
EVERY = [e for e in [*TUNERS.values(), *ADVISORS.values()] if e.available and e.name != "Batch"]


def spec_of(entry: Entry) -> tuple[ExperimentSpec, list[dict[str, Any]]]:
    wanted = LAYERS if entry.name == "PPOTuner" else WANTED
    kernel = {"_type": "choice", "_value": [1, 3, 5]}
    space: dict[str, Any] = {
        "net": {"_type": "choice", "_value": ["plain", {"_name": "conv", "kernel": kernel}]},
        "n": {"_type": "randint", "_value": [0, 9]},
        "x": {"_type": "quniform", "_value": [0, 1, 0.25]},
    }
    if entry.name == "PPOTuner":
        names = ("first", "second")
        space = {n: {"_type": "layer_choice", "_value": ["conv", "pool", "fc"]} for n in names}
    changes: dict[str, Any] = {"spec.searchSpace": space, "spec.initial": wanted}
    if entry.kind == "advisor":
        changes |= {"spec.tuner": ABSENT, "spec.advisor": {"builtinAdvisorName": entry.name}}
    else:
        changes["spec.tuner"] = {"builtinTunerName": entry.name}
    return parse_manifest(small(changes)).spec, wanted


def ended(number: int, suggestion: Any) -> TrialSoFar:
    return TrialSoFar(
        number, suggestion.parameters, TrialState.SUCCEEDED, value=0.1 * number,
        note=suggestion.note,
    )  # fmt: skip


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: str(entry.name))
def test_they_come_first_and_in_order_and_a_restart_changes_nothing(entry: Entry) -> None:
    spec, wanted = spec_of(entry)
    at_once = propose(spec, [], len(wanted) + 1, 5).suggestions
    trials: list[TrialSoFar] = []
    for number in range(12):
        (suggestion,) = propose(spec, trials, 1, 5).suggestions
        trials.append(ended(number, suggestion))
        if number < len(wanted):
            assert holds(suggestion.parameters, wanted[number])
            assert suggestion.origin == "initial"
            assert holds(at_once[number].parameters, wanted[number])
        else:
            assert suggestion.origin != "initial"
    assert [s.origin == "initial" for s in at_once] == [True] * len(wanted) + [False]
    assert at_once[0].parameters == trials[0].parameters


def holds(parameters: Any, wanted: Any) -> bool:
    """Whether all that is wanted stands in the parameters, branches too."""
    if isinstance(wanted, dict):
        return all(key in parameters and holds(parameters[key], wanted[key]) for key in wanted)
    return bool(parameters == wanted)


def test_what_is_left_open_is_the_tuners_choice() -> None:
    spec, _ = spec_of(TUNERS["Random"])
    first = propose(spec, [], 1, 5).suggestions[0].parameters
    alone = propose(parse_manifest(small({"spec.searchSpace": spec.space.as_json(),
        "spec.tuner": {"builtinTunerName": "Random"}})).spec, [], 1, 5)  # fmt: skip
    assert first["x"] == alone.suggestions[0].parameters["x"]
