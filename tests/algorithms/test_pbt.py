"""PBT: one generation worked by hand, and what must hold of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.algorithms.arguments import PBTArgs
from experiments.algorithms.base import LOAD_KEY, SAVE_KEY, Observation, Outcome, Suggestion
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.pbt import PBTTuner, _moved

SPACE = SearchSpace.parse(
    {
        "lr": {"_type": "loguniform", "_value": [1e-4, 1]},
        "n": {"_type": "randint", "_value": [1, 100]},
        "act": {"_type": "choice", "_value": ["relu", "tanh", "elu"]},
    }
)
ARGS = PBTArgs(population_size=5, fraction=0.2, all_checkpoint_dir="/ck")


def tuner(args: PBTArgs = ARGS, seed: int = 0) -> PBTTuner:
    return PBTTuner(SPACE, args, seed)


def ask(history: list[Observation], count: int, args: PBTArgs = ARGS) -> tuple[Suggestion, ...]:
    """Ask for trials, and add them to the history as running."""
    suggestions = tuner(args).propose(history, count).suggestions
    for s in suggestions:
        history.append(Observation(len(history), s.parameters, Outcome.RUNNING, note=s.note))
    return suggestions


def end(history: list[Observation], number: int, loss: float | None, whole: bool = True) -> None:
    o = history[number]
    outcome = Outcome.FAILED if loss is None else Outcome.DONE
    history[number] = Observation(
        number, o.parameters, outcome, loss, note=o.note, completed=whole and loss is not None
    )


def first_generation(*losses: float | None) -> list[Observation]:
    history: list[Observation] = []
    ask(history, 9)
    for number, loss in enumerate(losses):
        end(history, number, loss)
    return history


def test_a_generation_worked_by_hand() -> None:
    """Losses 3 1 5 2 4: member 2 is the worst fifth and copies member 1, the best fifth."""
    history = first_generation(3.0, 1.0, 5.0, 2.0, 4.0)
    best = history[1].parameters
    next_ones = ask(history, 9)
    assert len(next_ones) == 5
    assert [s.note["parent"] for s in next_ones] == [0, 1, 1, 3, 4]
    assert [s.origin for s in next_ones] == [
        "continued", "continued", "exploit of #1", "continued", "continued",
    ]  # fmt: skip
    loads = [s.parameters[LOAD_KEY] for s in next_ones]
    assert loads == ["/ck/0/0", "/ck/1/0", "/ck/1/0", "/ck/3/0", "/ck/4/0"]
    assert [s.parameters[SAVE_KEY] for s in next_ones] == [f"/ck/{m}/1" for m in range(5)]
    for member in (0, 1, 3, 4):  # their parameters do not change
        for name in SPACE.parameters:
            assert next_ones[member].parameters[name] == history[member].parameters[name]
    explored = next_ones[2].parameters
    assert explored["lr"] != best["lr"]


def test_the_first_generation_loads_what_holds_no_checkpoint_yet() -> None:
    history: list[Observation] = []
    first = ask(history, 3) + ask(history, 9)
    assert [s.note["member"] for s in first] == [0, 1, 2, 3, 4]
    assert [s.parameters[LOAD_KEY] for s in first] == [f"/ck/{m}" for m in range(5)]
    assert [s.parameters[SAVE_KEY] for s in first] == [f"/ck/{m}/0" for m in range(5)]
    assert len({s.parameters["lr"] for s in first}) == 5


def test_without_a_directory_of_its_own_paths_are_relative() -> None:
    (first, *_) = tuner(PBTArgs()).propose([], 1).suggestions
    assert (first.parameters[LOAD_KEY], first.parameters[SAVE_KEY]) == ("0", "0/0")


def test_a_generation_waits_for_its_last_trial() -> None:
    history = first_generation(3.0, 1.0, 5.0, 2.0)
    proposal = tuner().propose(history, 4)
    assert (proposal.suggestions, proposal.exhausted) == ((), False)
    end(history, 4, 4.0)
    assert len(tuner().propose(history, 4).suggestions) == 4


def test_perturbing_moves_a_number_by_the_factor_and_a_choice_to_a_neighbour() -> None:
    lr, n, act = SPACE.parameters.values()
    seen: dict[str, set[Any]] = {"lr": set(), "n": set(), "act": set()}
    rng = np.random.default_rng(0)
    for _ in range(30):
        seen["lr"].add(round(_moved(lr, 0.01, 0.2, rng), 12))
        seen["n"].add(_moved(n, 50, 0.2, rng))
        seen["act"].add(_moved(act, "relu", 0.2, rng))
    assert seen == {"lr": {0.012, 0.008}, "n": {60, 40}, "act": {"tanh"}}
    assert _moved(lr, 1.0, 0.5, np.random.default_rng(0)) <= 1.0


@pytest.mark.parametrize(
    "entry",
    [
        {"_type": "uniform", "_value": [-1, 1]},
        {"_type": "quniform", "_value": [0, 1, 0.25]},
        {"_type": "randint", "_value": [0, 4]},
        {"_type": "normal", "_value": [0, 1]},
        {"_type": "qlognormal", "_value": [0, 1, 1]},
        {"_type": "qloguniform", "_value": [1, 100, 5]},
        {"_type": "choice", "_value": [1, 2, 4]},
        {
            "_type": "choice",
            "_value": [{"_name": "a", "x": {"_type": "uniform", "_value": [0, 1]}}],
        },
    ],
)
def test_every_type_moves_and_stays_inside(entry: dict[str, Any]) -> None:
    (parameter,) = SearchSpace.parse({"x": entry}).parameters.values()
    rng = np.random.default_rng(1)
    for _ in range(60):
        value = parameter.sample(rng)
        moved = _moved(parameter, value, 0.2, rng)
        assert parameter.contains(moved)
        assert moved != value


def test_resampling_draws_anew_as_often_as_told() -> None:
    always = PBTArgs(population_size=2, fraction=0.5, resample_probability=1.0)
    never = PBTArgs(population_size=2, fraction=0.5, resample_probability=0.0)
    moves = {True: 0, False: 0}
    for args in (always, never):
        for seed in range(40):
            made = PBTTuner(SPACE, args, seed)
            first = made.propose([], 2).suggestions
            history = [
                Observation(i, s.parameters, Outcome.DONE, float(i), note=s.note, completed=True)
                for i, s in enumerate(first)
            ]
            copy = made.propose(history, 2).suggestions[1]
            ratio = copy.parameters["lr"] / first[0].parameters["lr"]
            near = min(abs(ratio - 1.2), abs(ratio - 0.8)) < 1e-9 or copy.parameters["lr"] == 1.0
            moves[args is never] += near
    assert moves[True] >= 38  # beyond the range it ends at the bound
    assert moves[False] <= 2


def test_failed_and_stopped_members_copy_from_the_best() -> None:
    history = first_generation(3.0, 1.0, None, 2.0, 4.0)
    end(history, 0, 0.5, whole=False)  # stopped early: a good value, but perhaps no checkpoint
    next_ones = ask(history, 9)
    assert [s.note["parent"] for s in next_ones] == [1, 1, 1, 3, 4]
    assert next_ones[0].origin == "exploit of #1"


def test_a_generation_without_a_survivor_starts_anew_from_what_it_loaded() -> None:
    history = first_generation(1.0, 2.0, 3.0, 4.0, 5.0)
    ask(history, 9)
    for number in range(5, 10):
        end(history, number, None)
    again = tuner().propose(history, 9).suggestions
    assert [s.origin for s in again] == ["start-up"] * 5
    assert [s.parameters[LOAD_KEY] for s in again] == [s.note["loads"] for s in history[5:10]]
    assert [s.parameters[SAVE_KEY] for s in again] == [f"/ck/{m}/2" for m in range(5)]


def test_a_retry_stands_for_its_trial_and_custom_trials_take_no_place() -> None:
    history = first_generation(3.0, 1.0, None, 2.0, 4.0)
    failed = history[2]
    custom = Observation(5, {"lr": 0.1, "n": 1, "act": "elu"}, Outcome.DONE, -9.0, completed=True)
    retry = Observation(6, failed.parameters, Outcome.DONE, 0.1, note=failed.note, completed=True)
    next_ones = tuner().propose([*history, custom, retry], 9).suggestions
    assert [s.note["parent"] for s in next_ones] == [0, 1, 6, 3, 6]


def test_it_finds_a_schedule_that_no_constant_rate_has() -> None:
    """Each generation moves by lr towards 0 but never nearer than lr: it must fall to get near."""
    space = SearchSpace.parse({"lr": {"_type": "loguniform", "_value": [1e-3, 1]}})
    args = PBTArgs(population_size=12, fraction=0.25)
    history: list[Observation] = []
    state: dict[str, float] = {}
    for _ in range(12 * 25):
        (s,) = PBTTuner(space, args, 3).propose(history, 1).suggestions
        here, lr = state.get(s.parameters[LOAD_KEY], 3.0), s.parameters["lr"]
        state[s.parameters[SAVE_KEY]] = max(here - lr, lr)
        loss = state[s.parameters[SAVE_KEY]]
        number = len(history)
        history.append(
            Observation(number, s.parameters, Outcome.DONE, loss, note=s.note, completed=True)
        )
    constant = min(max(3.0 - 25 * lr, lr) for lr in np.geomspace(1e-3, 1, 200))
    assert min(o.loss or 9.0 for o in history) < 0.5 * constant
    line, rates = min(history, key=lambda o: o.loss or 9.0), []
    while line.note["parent"] is not None:
        rates.append(line.parameters["lr"])
        line = history[line.note["parent"]]
    assert rates[0] < 0.5 * rates[-1], "the rate falls"
