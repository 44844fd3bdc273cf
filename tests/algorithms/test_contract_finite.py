"""Every algorithm in a finite space: nothing twice, and its end where it has one."""

from __future__ import annotations

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.registry import TUNERS, Entry
from experiments.algorithms.space.search_space import SearchSpace
from tests.algorithms.contract import (
    enough,
    every_endless,
    every_enumerating,
    mixed_history,
    parameters_of,
    run,
    space_for,
    tuner_of,
)
from tests.algorithms.spaces import FINITE_TYPES


@every_endless
def test_no_duplicate_while_untried_configurations_exist(entry: Entry) -> None:
    space = space_for(entry, FINITE_TYPES)
    n_distinct = space.n_distinct()
    assert n_distinct == 36
    history = run(entry, space, n_distinct + 6, rebuild=False)
    keys = [space.key(o.parameters) for o in history]
    assert len(set(keys[:n_distinct])) == n_distinct
    # when all have been tried it goes on with duplicates: the limits end an experiment
    assert len(history) == n_distinct + 6


@every_endless
def test_failed_and_running_trials_count_as_tried(entry: Entry) -> None:
    space = space_for(entry, FINITE_TYPES)
    history = mixed_history(entry, space, 36)
    assert len({space.key(o.parameters) for o in history}) == 36


@every_endless
def test_a_finite_space_beyond_64_bits_is_no_trouble(entry: Entry) -> None:
    raw = {f"p{i}": {"_type": "randint", "_value": [0, 10**9]} for i in range(4)}
    if entry.name == "PPOTuner":
        raw = {f"p{i}": {"_type": "layer_choice", "_value": list("0123456789")} for i in range(24)}
    space = SearchSpace.parse(raw)
    n_trials = min(25, enough(entry))
    history = run(entry, space, n_trials)
    assert len({space.key(o.parameters) for o in history}) == n_trials


@every_enumerating
def test_a_finite_space_is_exhausted_exactly(entry: Entry) -> None:
    space = space_for(entry, FINITE_TYPES)
    n_distinct = space.n_distinct()
    assert n_distinct is not None
    history = run(entry, space, n_distinct + 5)
    assert [o.parameters for o in history] == list(space.grid())
    assert tuner_of(entry, space).propose(history, 1).exhausted


@every_enumerating
def test_what_the_user_tried_is_not_tried_again(entry: Entry) -> None:
    space = space_for(entry, FINITE_TYPES)
    custom = Observation(0, space.at(1), Outcome.FAILED)
    proposal = tuner_of(entry, space).propose([custom], 2)
    assert parameters_of(proposal.suggestions) == [space.at(0), space.at(2)]


def test_grid_search_numbers_a_billion_points_without_listing_them() -> None:
    raw = {f"p{i}": {"_type": "randint", "_value": [0, 1000]} for i in range(3)}
    space = SearchSpace.parse(raw)
    proposal = tuner_of(TUNERS["GridSearch"], space).propose([], 3)
    assert [p["p2"] for p in parameters_of(proposal.suggestions)] == [0, 1, 2]
    assert not proposal.exhausted


def test_batch_runs_whole_configurations_in_the_order_written() -> None:
    members = [{"optimizer": "Adam", "lr": 0.001}, {"optimizer": "SGD", "lr": 0.1}]
    space = SearchSpace.parse({"combine_params": {"_type": "choice", "_value": members}})
    proposal = tuner_of(TUNERS["Batch"], space).propose([], 3)
    assert parameters_of(proposal.suggestions) == [{"combine_params": m} for m in members]
    assert proposal.exhausted
