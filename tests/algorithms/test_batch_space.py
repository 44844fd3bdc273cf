"""Batch hands over a member that is an object as the whole configuration, as NNI does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.algorithms.arguments import BatchArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.space.batch import BatchSpace, spread
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.batch import BatchTuner

# from NNI's mnist-batch-tune example
MEMBERS: list[Any] = [
    {"optimizer": "Adam", "learning_rate": 0.00001},
    {"optimizer": "Adam", "learning_rate": 0.0001},
    {"optimizer": "SGD", "learning_rate": 0.01, "layers": [1, {"units": 2}]},
    5,
    {"_name": "nested", "x": {"_type": "choice", "_value": [1]}},
]
RAW = {"combine_params": {"_type": "choice", "_value": MEMBERS}}
HANDED = [
    *MEMBERS[:3],
    {"combine_params": 5},
    {"combine_params": {"_name": "nested", "x": 1}},
]


def space() -> BatchSpace:
    return BatchSpace(SearchSpace.parse(RAW))


def test_objects_are_handed_over_bare_and_others_under_the_name() -> None:
    proposal = BatchTuner(space(), BatchArgs(), 0).propose([], 9)
    assert [s.parameters for s in proposal.suggestions] == HANDED
    assert proposal.exhausted


def test_what_was_tried_is_known_wrapped_or_not() -> None:
    """Experiments from before this held wrapped ones; they must not try them again."""
    for tried in (MEMBERS[0], {"combine_params": MEMBERS[0]}):
        history = [Observation(0, tried, Outcome.FAILED)]
        proposal = BatchTuner(space(), BatchArgs(), 0).propose(history, 1)
        assert proposal.suggestions[0].parameters == MEMBERS[1]


def test_every_question_to_the_space_takes_what_it_hands_over() -> None:
    found = space()
    rng = np.random.default_rng(0)
    for index, params in enumerate(HANDED):
        assert found.at(index) == params
        assert found.index_of(params) == index
        assert found.holds(params)
        assert found.contains(params) == []
        assert found.configuration(params) == params
        assert found.configuration({"combine_params": MEMBERS[index]}) == MEMBERS[index] or (
            index > 2
        )
        assert found.sample(rng) in HANDED
    assert found.indices_of(HANDED) == [0, 1, 2, 3, 4]
    assert len({found.key(params) for params in HANDED}) == 5
    assert list(found.grid()) == HANDED


def test_what_it_hands_over_may_be_changed_without_changing_the_space() -> None:
    found = space()
    found.at(2)["layers"][1]["units"] = 99
    assert found.at(2) == MEMBERS[2]


@pytest.mark.parametrize("params", [{}, {"optimizer": "Adam"}, {"combine_params": 6}, {"x": 1}])
def test_what_is_no_configuration_is_refused(params: dict[str, Any]) -> None:
    (problem,) = space().contains(params)
    assert "must be one of the batch's 5 configurations" in problem.message
    assert not space().holds(params)
    assert space().indices_of([params]) == [None]


def test_charts_and_tables_see_the_parameters_of_the_configurations() -> None:
    found = spread(RAW)
    assert list(found) == ["optimizer", "learning_rate", "layers", "combine_params"]
    assert found["optimizer"]["_value"] == ["Adam", "SGD"]
    assert found["learning_rate"]["_value"] == [0.00001, 0.0001, 0.01]
    assert found["combine_params"]["_value"] == MEMBERS[3:]
