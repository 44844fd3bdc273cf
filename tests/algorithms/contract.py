"""Whom the contract tests ask, and how: the lists of algorithms, their spaces and histories.

The histories are kept by process: ``over`` sends all tests of one algorithm to one process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest

from experiments.algorithms.base import Observation, Outcome, Suggestion
from experiments.algorithms.registry import ADVISORS, ASSESSORS, TUNERS, Entry, unsupported
from experiments.algorithms.space.search_space import SearchSpace
from tests.algorithms.spaces import EVERY_TYPE, FINITE_LAYERS, FINITE_TYPES, MANY_LAYERS

# whatever chooses parameters: advisors are asked as tuners are
AVAILABLE = [entry for entry in [*TUNERS.values(), *ADVISORS.values()] if entry.available]
BY_NAME = {entry.name: entry for entry in AVAILABLE}
ENUMERATING = [BY_NAME["GridSearch"], BY_NAME["Batch"]]  # these end with their space
# these try a configuration again on purpose, with more budget or from a checkpoint
REPEATING = [entry for entry in AVAILABLE if entry.adds]
# these go on for ever
ENDLESS = [entry for entry in AVAILABLE if entry not in ENUMERATING + REPEATING]
# these model an objective of numbers and choices
MODELS = [entry for entry in ENDLESS if entry.name not in ("Random", "PPOTuner")]
# these think a tenth of a second: their model begins after 10 finished trials, so fewer tell enough
EXPENSIVE = [entry for entry in MODELS if entry.name in ("Auto", "GPTuner", "MetisTuner")]
ASSESSING = [entry for entry in ASSESSORS.values() if entry.available]


def by_name(entry: Any) -> str:
    return str(entry.name)


def over(entries: Sequence[Entry]) -> pytest.MarkDecorator:
    """Run a test for each; those of one tuner in one process, where its histories are shared."""
    return pytest.mark.parametrize(
        "entry", [pytest.param(entry, id=entry.name, marks=_marks(entry)) for entry in entries]
    )


def _marks(entry: Entry) -> list[pytest.MarkDecorator]:
    group = pytest.mark.xdist_group(entry.name)
    return [group, pytest.mark.long] if entry in EXPENSIVE else [group]


every_tuner = over(AVAILABLE)
every_endless = over(ENDLESS)
every_enumerating = over(ENUMERATING)
every_model = over(MODELS)
every_assessor = over(ASSESSING)


def space_for(entry: Entry, raw: dict[str, Any]) -> SearchSpace:
    """As much of a search space as the tuner supports."""
    one_by_one = {}
    for name, parameter in raw.items():
        if not unsupported(entry, SearchSpace.parse({name: parameter})):
            one_by_one[name] = parameter
            if entry.n_parameters == 1:
                break
    if entry.types <= {"layer_choice", "input_choice"}:
        one_by_one = MANY_LAYERS if raw is EVERY_TYPE else FINITE_LAYERS
    space = SearchSpace.parse(one_by_one)
    assert unsupported(entry, space) == []
    return space


def whole_space(entry: Entry) -> SearchSpace:
    """Every type, or every finite one for those that end with their space."""
    return space_for(entry, FINITE_TYPES if entry in ENUMERATING else EVERY_TYPE)


def enough(entry: Entry) -> int:
    """How many trials show how it goes: past its start-up, with some of what comes then."""
    return 17 if entry in EXPENSIVE else 36


def tuner_of(entry: Entry, space: SearchSpace, seed: int = 0) -> Any:
    return entry.load()(space, entry.args(), seed)


def searched(entry: Entry, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the search space holds of a trial's parameters."""
    assert set(entry.adds) <= set(params)
    return {name: value for name, value in params.items() if name not in entry.adds}


def loss_of(params: dict[str, Any]) -> float:
    """Any deterministic number that depends on all parameters."""
    text = json.dumps(params, sort_keys=True)
    return sum((i + 1) * ord(c) for i, c in enumerate(text)) % 1009 / 1009


def done(number: int, suggestion: Suggestion, loss: float) -> Observation:
    return Observation(
        number, suggestion.parameters, Outcome.DONE, loss, note=suggestion.note, completed=True
    )


def failed(number: int, suggestion: Suggestion) -> Observation:
    return Observation(number, suggestion.parameters, Outcome.FAILED, note=suggestion.note)


def running(number: int, suggestion: Suggestion) -> Observation:
    return Observation(number, suggestion.parameters, Outcome.RUNNING, note=suggestion.note)


def run(
    entry: Entry,
    space: SearchSpace,
    n_trials: int,
    seed: int = 0,
    loss: Callable[[dict[str, Any]], float | None] = loss_of,
    rebuild: bool = True,
) -> list[Observation]:
    """Run an experiment of one trial after another; one without a loss fails."""
    history: list[Observation] = []
    tuner = tuner_of(entry, space, seed)
    for number in range(n_trials):
        if rebuild:
            tuner = tuner_of(entry, space, seed)
        proposal = tuner.propose(history, 1)
        if not proposal.suggestions:
            assert proposal.exhausted
            break
        (suggestion,) = proposal.suggestions
        result = loss(suggestion.parameters)
        history.append(
            failed(number, suggestion) if result is None else done(number, suggestion, result)
        )
    return history


@cache
def uninterrupted(entry: Entry) -> tuple[Observation, ...]:
    """An experiment of one tuner from its beginning to its end."""
    return tuple(run(entry, whole_space(entry), enough(entry), rebuild=False))


def mixed_history(
    entry: Entry, space: SearchSpace, n_trials: int | None = None
) -> list[Observation]:
    """A history with finished, failed and running trials in turn."""
    return list(whole_mixed_history(entry, space, n_trials or enough(entry)))


@cache
def whole_mixed_history(entry: Entry, space: SearchSpace, n_trials: int) -> tuple[Observation, ...]:
    history: list[Observation] = []
    tuner = tuner_of(entry, space)
    for number in range(n_trials):
        (suggestion, *_) = tuner.propose(history, 1).suggestions or [None]
        if suggestion is None:
            break
        if number % 5 == 3:
            history.append(Observation(number, suggestion.parameters, Outcome.FAILED))
        elif number % 7 == 5 and entry.name != "PBTTuner":  # that one waits for each
            history.append(running(number, suggestion))
        else:
            history.append(done(number, suggestion, loss_of(suggestion.parameters)))
    return tuple(history)


def assert_plain(value: Any) -> None:
    """No numpy numbers, no subclasses: what the database and the trial get is plain."""
    assert type(value) in (bool, int, float, str, list, dict, type(None))
    if isinstance(value, dict):
        for key, inner in value.items():
            assert type(key) is str
            assert_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            assert_plain(inner)
    elif isinstance(value, float):
        assert math.isfinite(value)


def parameters_of(suggestions: Sequence[Suggestion]) -> list[dict[str, Any]]:
    return [suggestion.parameters for suggestion in suggestions]


def as_json(history: Sequence[Observation]) -> str:
    return json.dumps([asdict(observation) for observation in history])


def from_json(text: str) -> list[Observation]:
    return [Observation(**row | {"outcome": Outcome(row["outcome"])}) for row in json.loads(text)]


def next_parameters(entry: Entry, history: Sequence[Observation]) -> list[dict[str, Any]]:
    return parameters_of(tuner_of(entry, whole_space(entry)).propose(history, 2).suggestions)
