"""What every algorithm must do when asked as an experiment asks it: in the user's own numbers.

The other half of the ``test_contract`` files, through ``engine.session``: every way in which a
trial can end, and that maximising is minimising the negative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.registry import Entry
from experiments.engine.session import TrialSoFar, assess, propose
from experiments.manifest.spec import ExperimentSpec, parse_manifest
from experiments.states import TrialState
from tests.algorithms.contract import (
    enough,
    every_assessor,
    every_tuner,
    loss_of,
    searched,
    whole_space,
)
from tests.manifest.manifests import ABSENT, small

OK = TrialState.SUCCEEDED


def spec_of(entry: Entry, mode: str) -> ExperimentSpec:
    """An experiment that this tuner or advisor runs."""
    kind = entry.kind.capitalize()
    chosen = {f"builtin{kind}Name": entry.name, "classArgs": {"optimize_mode": mode}}
    changes = {
        "spec.searchSpace": whole_space(entry).as_json(),
        "spec.tuner": ABSENT,
        f"spec.{entry.kind}": chosen,
    }
    return parse_manifest(small(changes)).spec


def ended(number: int, parameters: dict[str, Any], note: Any, value: float) -> TrialSoFar:
    """A trial's end: by its number, one of all there are."""
    curve = ((0, 2.0 * value), (1, math.nan), (2, value))
    ways: list[dict[str, Any]] = [
        {"state": OK, "value": value, "curve": curve},
        {"state": OK, "value": math.nan},
        {"state": OK, "value": value},
        {"state": TrialState.FAILED, "curve": curve},
        {"state": OK, "value": math.inf},
        {"state": OK, "value": value, "excluded": True},
        {"state": TrialState.CANCELED, "value": value},
        {"state": OK, "value": -math.inf, "curve": ((0, math.inf),)},
        {"state": TrialState.EARLY_STOPPED, "curve": curve},
        {"state": TrialState.LOST},
        {"state": OK},
        {"state": TrialState.EARLY_STOPPED, "curve": ((0, math.nan),)},
        {"state": OK, "value": 1e308},
    ]
    return TrialSoFar(number, parameters, note=note, **ways[number % len(ways)])


@pytest.mark.long
@every_tuner
@pytest.mark.parametrize("mode", ["minimize", "maximize"])
def test_every_way_a_trial_can_end_is_survived(entry: Entry, mode: str) -> None:
    """``propose`` itself checks that what comes lies in the space and is plain."""
    spec, rng = spec_of(entry, mode), np.random.default_rng(0)
    records: list[TrialSoFar] = []
    for _ in range(enough(entry)):
        proposal = propose(spec, records, 1, seed=0)
        if proposal.exhausted:
            break
        (suggestion,) = proposal.suggestions
        value = loss_of(searched(entry, suggestion.parameters))
        records.append(ended(len(records), suggestion.parameters, suggestion.note, value))
        if len(records) % 5 == 0:  # one imported or the user's own: it carries no note
            records.append(TrialSoFar(len(records), spec.space.sample(rng), OK, rng.random()))
    assert len(records) >= min(enough(entry), spec.space.n_distinct() or 99)


@pytest.mark.long
@every_tuner
def test_maximizing_is_minimizing_the_negative(entry: Entry) -> None:
    down, up = spec_of(entry, "minimize"), spec_of(entry, "maximize")
    low: list[TrialSoFar] = []
    high: list[TrialSoFar] = []
    for number in range(enough(entry)):
        proposal = propose(down, low, 1, seed=3)
        assert propose(up, high, 1, seed=3) == proposal
        if proposal.exhausted:
            break
        (suggestion,) = proposal.suggestions
        value = loss_of(searched(entry, suggestion.parameters)) - 0.5
        parameters, note = suggestion.parameters, suggestion.note
        low.append(TrialSoFar(number, parameters, OK, value, note=note))
        high.append(TrialSoFar(number, parameters, OK, -value, note=note))


# -- assessors -----------------------------------------------------------------------------------


def judged_by(entry: Entry, mode: str) -> ExperimentSpec:
    chosen = {"builtinAssessorName": entry.name, "classArgs": {"optimize_mode": mode}}
    return parse_manifest(small({"spec.assessor": chosen})).spec


def falling(number: int, last: float, sign: float, n_reports: int = 20) -> TrialSoFar:
    """A trial that has fallen to near ``last``, seen through ``sign``."""
    noise = 0.01 * np.random.default_rng(number).random(n_reports)
    values = [sign * (last + math.exp(-0.5 * step) + noise[step]) for step in range(n_reports)]
    state = OK if n_reports == 20 else TrialState.RUNNING
    return TrialSoFar(number, {}, state, values[-1], tuple(enumerate(values)))


@every_assessor
def test_an_assessor_that_maximizes_judges_the_negative_alike(entry: Entry) -> None:
    stopped = set()
    for last in (0.0, 0.45, 3.0):
        verdicts = [
            assess(
                judged_by(entry, mode),
                falling(9, last, sign, n_reports=12),
                [falling(number, 0.1 * number, sign) for number in range(8)],
            )
            for mode, sign in (("minimize", 1.0), ("maximize", -1.0))
        ]
        low, high = verdicts
        assert low.stop == high.stop
        assert low.data.keys() == high.data.keys()
        for name, value in low.data.items():
            flipped = -1.0 if name.endswith("value") else 1.0
            if isinstance(value, float):
                assert high.data[name] == pytest.approx(flipped * value)
        stopped.add(low.stop)
    assert stopped == {True, False}


@every_assessor
@pytest.mark.parametrize("mode", ["minimize", "maximize"])
def test_an_assessor_survives_whatever_the_others_came_to(entry: Entry, mode: str) -> None:
    sign = 1.0 if mode == "minimize" else -1.0
    others = [ended(number, {}, {}, sign * (1.0 + number)) for number in range(26)]
    usable = [falling(30 + number, 0.1 * number, sign) for number in range(6)]
    hopeless = falling(99, 50.0, sign, n_reports=12)
    spec = judged_by(entry, mode)
    for rivals in (others, others + usable):
        for n_reports in range(1, 13):
            trial = TrialSoFar(99, {}, TrialState.RUNNING, None, hopeless.curve[:n_reports])
            assert assess(spec, trial, rivals).stop in (True, False)
    broken = TrialSoFar(98, {}, TrialState.RUNNING, None, (*hopeless.curve, (12, math.nan)))
    assert not assess(spec, broken, others + usable).stop, "there is no number to judge by"
