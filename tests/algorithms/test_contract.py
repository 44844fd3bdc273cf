"""What every algorithm must do, run over the registry: new ones are tested once listed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.base import BUDGET_KEY, ORIGINS, Observation, Outcome, Suggestion
from experiments.algorithms.registry import ADVISORS, ASSESSORS, TUNERS, Entry, unsupported
from experiments.algorithms.space.search_space import SearchSpace
from tests.algorithms.test_space import EVERY_TYPE

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

ROOT = Path(__file__).parents[2]

FINITE_TYPES: dict[str, Any] = {
    "net": {
        "_type": "choice",
        "_value": [{"_name": "a", "k": {"_type": "choice", "_value": [1, "x"]}}, "b", None, "b"],
    },
    "n": {"_type": "randint", "_value": [-1, 2]},
    "q": {"_type": "quniform", "_value": [2, 10, 5]},
}
# the same for those that choose layers and inputs only: 36 configurations, and many
FINITE_LAYERS: dict[str, Any] = {
    "first": {"_type": "layer_choice", "_value": ["conv", "pool", "dense"]},
    "second": {"_type": "layer_choice", "_value": ["conv", "pool"]},
    "skip": {"_type": "input_choice", "_value": {"candidates": ["a", "b", ""], "n_chosen": [1, 2]}},
}
MANY_LAYERS = FINITE_LAYERS | {
    f"layer{i}": {"_type": "layer_choice", "_value": ["x", "y", "z"]} for i in range(5)
}


def by_name(entry: Any) -> str:
    return str(entry.name)


def over(entries: Sequence[Entry]) -> pytest.MarkDecorator:
    """Run a test for each; those of one tuner in one process, where its histories are shared."""
    marks = {entry.name: pytest.mark.xdist_group(entry.name) for entry in entries}
    params = [pytest.param(entry, id=entry.name, marks=marks[entry.name]) for entry in entries]
    return pytest.mark.parametrize("entry", params)


every_tuner = over(AVAILABLE)
every_endless = over(ENDLESS)
every_enumerating = over(ENUMERATING)
every_model = over(MODELS)
every_assessor = over(ASSESSING)


def test_no_list_above_is_empty() -> None:
    assert {by_name(e) for e in MODELS} >= {"Anneal", "TPE", "GPTuner"}
    assert {by_name(e) for e in ENDLESS} >= {"Random", "PPOTuner"}
    assert {by_name(e) for e in REPEATING} == {"PBTTuner", "Hyperband", "BOHB", "ASHA"}
    assert ASSESSING


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


def running(number: int, suggestion: Suggestion) -> Observation:
    return Observation(number, suggestion.parameters, Outcome.RUNNING, note=suggestion.note)


def run(
    entry: Entry,
    space: SearchSpace,
    n_trials: int,
    seed: int = 0,
    loss: Callable[[dict[str, Any]], float] = loss_of,
    rebuild: bool = True,
) -> list[Observation]:
    """Run an experiment of one trial after another."""
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
        history.append(done(number, suggestion, loss(suggestion.parameters)))
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
            failed = Observation(number, suggestion.parameters, Outcome.FAILED)
            history.append(failed)
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

PROGRAM = """
import json, sys
sys.path.insert(0, {root!r})
from tests.algorithms.test_contract import BY_NAME, from_json, next_parameters
given = json.load(sys.stdin)
answers = {{name: next_parameters(BY_NAME[name], from_json(h)) for name, h in given.items()}}
print(json.dumps(answers))
"""


def as_json(history: Sequence[Observation]) -> str:
    return json.dumps([asdict(observation) for observation in history])


def from_json(text: str) -> list[Observation]:
    return [Observation(**row | {"outcome": Outcome(row["outcome"])}) for row in json.loads(text)]


def next_parameters(entry: Entry, history: Sequence[Observation]) -> list[dict[str, Any]]:
    return parameters_of(tuner_of(entry, whole_space(entry)).propose(history, 2).suggestions)


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


# -- finite spaces -------------------------------------------------------------------------------


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


# -- learning ------------------------------------------------------------------------------------

SMOOTH = {
    "x": {"_type": "uniform", "_value": [-5, 5]},
    "lr": {"_type": "loguniform", "_value": [1e-6, 1]},
    "n": {"_type": "randint", "_value": [0, 100]},
    "c": {"_type": "choice", "_value": ["a", "b", "c"]},
}


def smooth(params: dict[str, Any]) -> float:
    return float(
        ((params["x"] - 2) / 5) ** 2
        + ((math.log10(params["lr"]) + 2) / 3) ** 2
        + ((params["n"] - 30) / 50) ** 2
        + 0.5 * "bca".index(params["c"])
    )


# PPOTuner and PBTTuner beat Random where they are meant to be used: see test_ppo and test_pbt
FULL_BUDGET = 27
BUDGETS: dict[str, dict[str, Any]] = {
    "Hyperband": {"R": FULL_BUDGET},
    "BOHB": {"max_budget": float(FULL_BUDGET)},
    "ASHA": {"max_budget": float(FULL_BUDGET)},
}


def geometric_mean(losses: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(losses))))


def best_of(entry: Entry, n_trials: int, seed: int) -> float:
    history = run(entry, SearchSpace.parse(SMOOTH), n_trials, seed, smooth, rebuild=False)
    return min(o.loss or 1e-9 for o in history)


@every_model
def test_a_model_beats_random_on_a_smooth_function(entry: Entry) -> None:
    # those need half of Random's trials, and two seeds are beyond doubt
    n_seeds, n_trials = (2, 30) if entry in EXPENSIVE else (6, 60)
    found = geometric_mean([best_of(entry, n_trials, seed) for seed in range(n_seeds)])
    randoms = geometric_mean([best_of(TUNERS["Random"], 60, seed) for seed in range(40)])
    assert found < 0.7 * randoms


@over(list(ADVISORS.values()))
def test_an_advisor_beats_random_for_the_same_budget(entry: Entry) -> None:
    """Thirty whole trainings, or many more that end early and are worse by what they lack."""
    space, args = SearchSpace.parse(SMOOTH), entry.args(**BUDGETS[entry.name])

    def best(seed: int) -> float:
        history: list[Observation] = []
        spent, best = 0, math.inf
        advisor = entry.load()(space, args, seed)
        while spent < 30 * FULL_BUDGET:
            (suggestion,) = advisor.propose(history, 1).suggestions
            budget = suggestion.parameters[BUDGET_KEY]
            lacks = 1.0 - budget / FULL_BUDGET
            loss = smooth(suggestion.parameters) + lacks
            history.append(done(len(history), suggestion, loss))
            spent += budget
            best = min(best, loss) if not lacks else best
        return best

    found = geometric_mean([best(seed) for seed in range(4)])
    randoms = geometric_mean([best_of(TUNERS["Random"], 30, seed) for seed in range(40)])
    assert found < 0.7 * randoms


# at least 1,001 configurations of whatever the ones that end with their space can search
THOUSANDS: dict[str, Any] = {"c": {"_type": "choice", "_value": list(range(1010))}}
MANY_THOUSANDS = {
    f"layer{i}": {"_type": "layer_choice", "_value": ["w", "x", "y", "z"]} for i in range(9)
}


@every_tuner
def test_1000_trials(entry: Entry) -> None:
    """Of its own until then, or drawn at random for those whose own would take minutes."""
    raw = THOUSANDS if entry in ENUMERATING else SMOOTH
    space = SearchSpace.parse(MANY_THOUSANDS if entry.name == "PPOTuner" else raw)
    rng = np.random.default_rng(0)
    history: list[Observation] = []
    while len(history) < 1000:
        if entry in MODELS:
            proposed = [Suggestion(space.sample(rng)) for _ in range(100)]
        else:
            proposed = list(tuner_of(entry, space).propose(history, 100).suggestions)
        assert proposed
        for suggestion in proposed:
            loss = loss_of(searched(entry, suggestion.parameters))
            history.append(done(len(history), suggestion, loss))
    proposal = tuner_of(entry, space).propose(history, 3)
    assert len(proposal.suggestions) == 3
    for suggestion in proposal.suggestions:
        assert space.contains(searched(entry, suggestion.parameters)) == []
    if entry in MODELS:
        assert [s.origin for s in proposal.suggestions] == ["model"] * 3


# -- assessors -----------------------------------------------------------------------------------


def curve_of(final: float, n_reports: int, seed: int) -> tuple[tuple[int, float], ...]:
    rng = np.random.default_rng(seed)
    return tuple((s, final + 1 / (1 + s) + 0.01 * float(rng.random())) for s in range(n_reports))


def finished(number: int, final: float, n_reports: int = 20) -> Observation:
    curve = curve_of(final, n_reports, number)
    return Observation(number, {}, Outcome.DONE, final, curve, completed=True)


@every_assessor
def test_a_hopeless_trial_is_stopped_with_reason_and_numbers(entry: Entry) -> None:
    assessor = entry.load()(entry.args())
    others = [finished(number, 0.1 * number) for number in range(8)]
    hopeless = Observation(9, {}, Outcome.RUNNING, curve=curve_of(9.0, 12, 9))
    verdict = assessor.assess(hopeless, others)
    assert verdict.stop
    assert verdict.reason
    assert json.loads(json.dumps(verdict.data, allow_nan=False)) == verdict.data
    assert assessor.assess(hopeless, others) == verdict


@every_assessor
def test_the_best_trial_goes_on_at_every_step(entry: Entry) -> None:
    assessor = entry.load()(entry.args())
    others = [finished(number, 0.1 * number + 0.1) for number in range(8)]
    curve = curve_of(0.0, 20, 9)
    for n_reports in range(1, 21):
        trial = Observation(9, {}, Outcome.RUNNING, curve=curve[:n_reports])
        assert not assessor.assess(trial, others).stop


@every_assessor
def test_without_reports_or_rivals_nobody_is_stopped(entry: Entry) -> None:
    assessor = entry.load()(entry.args())
    bad = Observation(1, {}, Outcome.RUNNING, curve=curve_of(1e300, 5, 1))
    useless = [
        Observation(2, {}, Outcome.RUNNING, curve=curve_of(0.0, 9, 2)),
        Observation(3, {}, Outcome.FAILED, curve=curve_of(0.0, 9, 3)),
        Observation(4, {}, Outcome.DONE, 0.0),
    ]
    assert not assessor.assess(bad, []).stop
    assert not assessor.assess(bad, useless).stop
    assert not assessor.assess(Observation(5, {}, Outcome.RUNNING), useless).stop
