"""What every algorithm must do, run over the registry: new ones are tested once listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.algorithms.base import ORIGINS, Observation, Outcome, Suggestion
from experiments.algorithms.registry import Entry
from experiments.algorithms.space.search_space import SearchSpace
from tests.algorithms.contract import (
    ASSESSING,
    AVAILABLE,
    ENDLESS,
    ENUMERATING,
    MODELS,
    REPEATING,
    as_json,
    assert_plain,
    by_name,
    done,
    enough,
    every_endless,
    every_tuner,
    from_json,
    loss_of,
    mixed_history,
    next_parameters,
    parameters_of,
    run,
    running,
    searched,
    space_for,
    tuner_of,
    uninterrupted,
    whole_space,
)
from tests.algorithms.spaces import EVERY_TYPE, FINITE_TYPES


def test_no_list_above_is_empty() -> None:
    assert {by_name(e) for e in MODELS} >= {"Anneal", "TPE", "GPTuner"}
    assert {by_name(e) for e in ENDLESS} >= {"Random", "PPOTuner"}
    assert {by_name(e) for e in REPEATING} == {"PBTTuner", "Hyperband", "BOHB", "ASHA"}
    assert ASSESSING


# -- every tuner ---------------------------------------------------------------------------------


@every_tuner
def test_proposals_lie_in_the_space_and_are_plain(entry: Entry) -> None:
    space = whole_space(entry)
    history = uninterrupted(entry)
    for observation in history:
        assert space.contains(searched(entry, observation.parameters)) == []
        assert_plain(dict(observation.parameters))
    # the values vary: no parameter is stuck
    for name, parameter in space.parameters.items():
        seen = {parameter.key(o.parameters[name]) for o in history}
        assert len(seen) >= min(2, parameter.n_distinct() or 2), name


@every_tuner
def test_notes_and_origins_are_well_formed(entry: Entry) -> None:
    space = space_for(entry, FINITE_TYPES)
    history: list[Observation] = []
    tuner = tuner_of(entry, space)
    for number in range(30):
        for suggestion in tuner.propose(history, 1).suggestions:
            assert suggestion.origin.split(" of #")[0] in ORIGINS
            assert len(suggestion.origin) <= 20, "the column's width"
            assert json.loads(json.dumps(suggestion.note, allow_nan=False)) == suggestion.note
            history.append(done(number, suggestion, loss_of(suggestion.parameters)))


@every_tuner
def test_rebuilt_from_its_history_equals_uninterrupted(entry: Entry) -> None:
    """After every trial: a new tuner proposes what the one that saw it all did."""
    space, history = whole_space(entry), uninterrupted(entry)
    for number, observation in enumerate(history):
        (suggestion,) = tuner_of(entry, space).propose(history[:number], 1).suggestions
        assert done(number, suggestion, loss_of(suggestion.parameters)) == observation


@every_tuner
def test_a_history_that_went_through_json_changes_nothing(entry: Entry) -> None:
    space = whole_space(entry)
    history = mixed_history(entry, space)
    stored = from_json(as_json(history))
    assert tuner_of(entry, space).propose(stored, 3) == tuner_of(entry, space).propose(history, 3)


@every_tuner
def test_asking_for_many_is_asking_one_by_one(entry: Entry) -> None:
    space = whole_space(entry)
    history = mixed_history(entry, space)
    if entry in ENUMERATING:
        history = history[:30]
    at_once = tuner_of(entry, space).propose(history, 5)
    singly: list[Suggestion] = []
    for _ in range(5):
        for suggestion in tuner_of(entry, space).propose(history, 1).suggestions:
            singly.append(suggestion)
            history = [*history, running(len(history), suggestion)]
    assert list(at_once.suggestions) == singly


@every_tuner
def test_asking_changes_neither_history_nor_answer(entry: Entry) -> None:
    space = space_for(entry, FINITE_TYPES)
    history = mixed_history(entry, space, 6)
    before = list(history)
    tuner = tuner_of(entry, space)
    assert tuner.propose(history, 2) == tuner.propose(history, 2)
    assert history == before
    assert tuner.propose(history, 0).suggestions == ()


@every_tuner
def test_64_at_once(entry: Entry) -> None:
    space = whole_space(entry)
    proposal = tuner_of(entry, space).propose([], 64)
    n_distinct = space.n_distinct()
    n_expected = 64 if n_distinct is None else min(64, n_distinct)
    if entry.name == "PBTTuner":  # and no more before these have ended
        n_expected = entry.args().population_size
    assert len(proposal.suggestions) == n_expected
    keys = {space.key(searched(entry, params)) for params in parameters_of(proposal.suggestions)}
    assert len(keys) == len(proposal.suggestions)
    assert proposal.exhausted is (entry in ENUMERATING and n_expected < 64)


@every_tuner
@pytest.mark.parametrize("loss", [0.0, 1e300, -1e300])
def test_equal_losses_of_any_size_are_survived(entry: Entry, loss: float) -> None:
    space = whole_space(entry)
    n_trials = min(28, enough(entry), space.n_distinct() or 28)
    history = run(entry, space, n_trials, loss=lambda params: loss, rebuild=False)
    assert len(history) == n_trials


@every_tuner
def test_only_failed_or_only_running_trials_are_survived(entry: Entry) -> None:
    space = whole_space(entry)
    for outcome in (Outcome.FAILED, Outcome.RUNNING):
        history: list[Observation] = []
        tuner = tuner_of(entry, space)
        n_trials = min(25, enough(entry), space.n_distinct() or 25)
        for number in range(n_trials):
            for suggestion in tuner.propose(history, 1).suggestions:
                history.append(Observation(number, suggestion.parameters, outcome))
        assert len(history) == n_trials


@every_tuner
def test_a_trial_from_outside_the_space_is_survived(entry: Entry) -> None:
    """A custom trial, or one imported from an older version of the space."""
    space = space_for(entry, FINITE_TYPES)
    history = run(entry, space, 2)
    strange = [{}, {"net": "gone", "n": 99, "q": "x"}, {"other": 1}]
    history += [
        Observation(2 + i, params, Outcome.DONE, -1.0, completed=True)
        for i, params in enumerate(strange)
    ]
    proposal = tuner_of(entry, space).propose(history, 1)
    for params in parameters_of(proposal.suggestions):
        assert space.contains(searched(entry, params)) == []


@every_tuner
def test_a_space_of_one_point(entry: Entry) -> None:
    kind = "choice" if "choice" in entry.types else "layer_choice"
    space = SearchSpace.parse({"x": {"_type": kind, "_value": ["only"]}})
    only = space.at(0)
    tuner = tuner_of(entry, space)
    first = tuner.propose([], 1)
    assert [searched(entry, p) for p in parameters_of(first.suggestions)] == [only]
    second = tuner.propose([done(0, first.suggestions[0], 0.5)], 1)
    if entry in ENUMERATING:
        assert second.suggestions == ()
        assert second.exhausted
    else:
        assert [searched(entry, p) for p in parameters_of(second.suggestions)] == [only]


@every_tuner
def test_numbers_need_not_start_at_zero_or_be_dense(entry: Entry) -> None:
    space = space_for(entry, FINITE_TYPES)
    history = run(entry, space, 2)
    gaps = [
        Observation(10 * o.number + 7, o.parameters, o.outcome, o.loss, note=o.note, completed=True)
        for o in history
    ]
    proposal = tuner_of(entry, space).propose(gaps, 2)
    keys = {space.key(searched(entry, p)) for p in parameters_of(proposal.suggestions)}
    assert not keys & {space.key(searched(entry, o.parameters)) for o in gaps}


# -- seeds ---------------------------------------------------------------------------------------


ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
sys.path.insert(0, {root!r})
from tests.algorithms.contract import BY_NAME, from_json, next_parameters
given = json.load(sys.stdin)
answers = {{name: next_parameters(BY_NAME[name], from_json(h)) for name, h in given.items()}}
print(json.dumps(answers))
"""


@pytest.mark.long
def test_the_same_seed_proposes_the_same_in_another_process() -> None:
    histories = {entry.name: mixed_history(entry, whole_space(entry)) for entry in AVAILABLE}
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(root=str(ROOT))],
        input=json.dumps({name: as_json(history) for name, history in histories.items()}),
        capture_output=True,
        text=True,
        check=True,
        # Its own hash seed, else our environment: a BLAS setting (OPENBLAS_NUM_THREADS, …) changes
        # the last bits of a sum, and "the same anywhere" is promised for one such setting alone.
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert other.stderr == ""
    here = {e.name: next_parameters(e, histories[e.name]) for e in AVAILABLE}
    assert json.loads(other.stdout) == here  # and nothing else was printed


@every_endless
def test_another_seed_proposes_something_else(entry: Entry) -> None:
    space = space_for(entry, EVERY_TYPE)
    firsts = [tuner_of(entry, space, seed).propose([], 1) for seed in (0, 1, -1, 2**40)]
    assert len({json.dumps(parameters_of(p.suggestions)) for p in firsts}) == 4


@every_endless
def test_global_random_states_are_neither_read_nor_moved(entry: Entry) -> None:
    space = space_for(entry, EVERY_TYPE)
    history = mixed_history(entry, space)
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    one = tuner_of(entry, space).propose(history, 1)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]
    np.random.seed(2)
    assert tuner_of(entry, space).propose(history, 1) == one
