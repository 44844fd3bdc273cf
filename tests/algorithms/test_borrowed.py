"""Learning from earlier experiments: matching, trust in sources, every tuner led by them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.base import Observation, Outcome, Tuner
from experiments.algorithms.borrowed.matching import Outside, matched
from experiments.algorithms.borrowed.sources import Source, models_of, normal_scores
from experiments.algorithms.borrowed.trust import trust
from experiments.algorithms.borrowed.warm import DEAF, WarmTuner
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace
from tests.algorithms.contract import AVAILABLE, by_name

SPACE = SearchSpace.parse(
    {
        "lr": {"_type": "loguniform", "_value": [0.0001, 0.1]},
        "units": {"_type": "randint", "_value": [1, 65]},
        "opt": {"_type": "choice", "_value": ["sgd", "adam"]},
    }
)
LED = [entry for entry in AVAILABLE if entry.name not in DEAF]


def loss_of(parameters: dict[str, Any]) -> float:
    """Least at lr 0.01, 32 units, adam."""
    return float(
        (math.log10(parameters["lr"]) + 2) ** 2
        + (parameters["units"] - 32) ** 2 / 500
        + (parameters["opt"] == "sgd")
    )


def source(sign: float = 1.0, n: int = 40, scale: float = 1.0) -> Source:
    rng = np.random.default_rng(3)
    drawn = [SPACE.sample(rng) for _ in range(n)]
    return Source(f"{sign:g}", drawn, [sign * scale * loss_of(p) for p in drawn])


def led(entry: Any, sources: Sequence[Source], seed: int = 5) -> Tuner[Any]:
    inner = entry.load()(SPACE, entry.args(), seed)
    return WarmTuner(inner, entry.name, sources, SPACE, seed)


def run(entry: Any, sources: Sequence[Source], n: int, seed: int = 5) -> list[Observation]:
    history: list[Observation] = []
    for number in range(n):
        found = led(entry, sources, seed).propose(history, 1).suggestions
        if not found:
            break
        searched = {name: found[0].parameters[name] for name in SPACE.parameters}
        assert SPACE.contains(searched) == []
        history.append(
            Observation(number, found[0].parameters, Outcome.DONE, loss_of(searched),
                        note=found[0].note, completed=True)
        )  # fmt: skip
    return history


# ---- matching


def fitted(parameters: dict[str, Any], space: SearchSpace = SPACE) -> dict[str, Any]:
    return matched(space, parameters, np.random.default_rng(0))


def test_parameters_are_matched_by_name_and_kind() -> None:
    whole = {"lr": 0.01, "units": 8, "opt": "adam"}
    assert fitted({**whole, "other": 3}) == whole
    assert fitted({**whole, "units": 8.4})["units"] == 8
    filled = fitted({"lr": 0.01, "opt": "sgd"})  # units are drawn
    assert SPACE.holds(filled)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lr": 0.5}, "lr > 0.1"),
        ({"lr": 1e-6}, "lr < 0.0001"),
        ({"units": 65}, "units > 64"),
        ({"opt": "lion"}, 'opt = "lion"'),
        ({"lr": "high"}, 'lr = "high"'),
        ({"units": True}, "units = true"),
    ],
)
def test_what_lies_outside_is_told(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Outside) as told:
        fitted({"lr": 0.01, "units": 8, "opt": "adam", **change})
    assert str(told.value) == why


def test_nested_choices_and_grids_are_matched() -> None:
    space = SearchSpace.parse(
        {
            "net": {
                "_type": "choice",
                "_value": [
                    {"_name": "cnn", "width": {"_type": "quniform", "_value": [16, 64, 16]}},
                    {"_name": "mlp"},
                ],
            },
            "batch": {"_type": "choice", "_value": [16, 32, 64]},
        }
    )
    assert fitted({"net": {"_name": "cnn", "width": 30}, "batch": 30}, space) == {
        "net": {"_name": "cnn", "width": 32}, "batch": 32,
    }  # fmt: skip
    assert fitted({"net": "mlp", "batch": 64}, space) == {"net": {"_name": "mlp"}, "batch": 64}
    with pytest.raises(Outside, match=r"net\.width > 64"):
        fitted({"net": {"_name": "cnn", "width": 80}, "batch": 16}, space)


# ---- trust


def test_a_source_is_believed_as_it_ranks_own_trials() -> None:
    vectors = VectorSpace(SPACE)
    models = models_of([source(), source(-1.0)], vectors)
    rng = np.random.default_rng(1)
    own = [SPACE.sample(rng) for _ in range(8)]
    rows = np.array([vectors.encode(p) for p in own])
    losses = np.array([loss_of(p) for p in own])
    none_yet = trust(models, rows[:1], losses[:1], rng)
    assert none_yet.weights.tolist() == [0.5, 0.5]
    judged = trust(models, rows, losses, rng)
    assert judged.weights.tolist() == [1.0, 0.0]
    assert trust(models[1:], rows, losses, rng).is_none


def test_only_ranks_are_borrowed() -> None:
    assert normal_scores([1.0, 5.0, 1e300]).tolist() == normal_scores([-2.0, 0.0, 0.1]).tolist()
    auto = next(entry for entry in AVAILABLE if entry.name == "Auto")
    small, huge = run(auto, [source()], 4), run(auto, [source(scale=1e200)], 4)
    assert [o.parameters for o in small] == [o.parameters for o in huge]


# ---- tuners


@pytest.mark.parametrize("entry", [pytest.param(e, id=by_name(e)) for e in LED])
def test_every_tuner_begins_near_the_best_of_the_past(entry: Any) -> None:
    first = run(entry, [source()], 1)[0]
    assert loss_of(dict(first.parameters)) < 0.2
    assert first.note["borrowed"] == "1"
    (suggestion,) = led(entry, [source()]).propose([], 1).suggestions
    assert (suggestion.origin, suggestion.remark) == ("borrowed", "Learnt from 1.")
    json.dumps(suggestion.note, allow_nan=False)


@pytest.mark.parametrize("name", ["TPE", "Auto", "ASHA"])
def test_two_at_once_are_one_after_the_other(name: str) -> None:
    entry = next(e for e in AVAILABLE if e.name == name)
    history = run(entry, [source(), source(-1.0)], 5)
    both = led(entry, [source(), source(-1.0)]).propose(history, 3).suggestions
    seen = list(history)
    for expected in both:
        (found,) = led(entry, [source(), source(-1.0)]).propose(seen, 1).suggestions
        assert found == expected
        seen.append(
            Observation(len(seen), found.parameters, Outcome.RUNNING, note=found.note)
        )  # fmt: skip


def test_a_source_that_misleads_is_dropped_after_a_trial_or_two() -> None:
    auto = next(entry for entry in AVAILABLE if entry.name == "Auto")
    history = run(auto, [source(-1.0)], 8)
    led_by = [number for number, o in enumerate(history) if "borrowed" in o.note]
    assert led_by in ([0], [0, 2])
    mixed = run(auto, [source(), source(-1.0)], 9)
    leaders = [o.note["borrowed"] for o in mixed if "borrowed" in o.note]
    assert len(leaders) >= 4
    assert "-1" not in leaders[2:]
    assert min(loss_of(dict(o.parameters)) for o in mixed) < 0.1


def test_a_led_trial_leaves_the_region_that_fails_here_and_says_how_likely_it_runs() -> None:
    tpe = next(entry for entry in AVAILABLE if entry.name == "TPE")
    history: list[Observation] = []
    rng = np.random.default_rng(2)
    for number in range(16):
        params = SPACE.sample(rng)
        did_run = params["units"] < 30  # where the past was best nothing runs
        outcome = Outcome.DONE if did_run else Outcome.FAILED
        history.append(Observation(number, params, outcome, loss_of(params) if did_run else None))
    (before,) = led(tpe, [source()]).propose([], 1).suggestions
    assert before.parameters["units"] >= 30
    (found,) = led(tpe, [source()]).propose(history, 1).suggestions
    assert found.origin == "borrowed"
    assert found.parameters["units"] < 30
    assert found.note["likely"] > 0.5


@pytest.mark.parametrize("name", sorted(DEAF - {"Batch", "PPOTuner"}))
def test_what_does_not_learn_is_left_alone(name: str) -> None:
    entry = next(e for e in AVAILABLE if e.name == name)
    space = SearchSpace.parse({"n": {"_type": "randint", "_value": [0, 9]}})
    past = Source("past", [{"n": n} for n in range(9)], [float(n) for n in range(9)])
    inner = entry.load()(space, entry.args(), 1)
    alone = inner.propose([], 3)
    assert WarmTuner(inner, name, [past], space, 1).propose([], 3) == alone


def test_a_tuner_with_many_trials_of_its_own_goes_on_alone() -> None:
    tpe = next(entry for entry in AVAILABLE if entry.name == "TPE")
    rng = np.random.default_rng(9)
    drawn = [SPACE.sample(rng) for _ in range(60)]
    history = [
        Observation(n, p, Outcome.DONE, loss_of(p), completed=True) for n, p in enumerate(drawn)
    ]
    inner = tpe.load()(SPACE, tpe.args(), 5)
    assert led(tpe, [source()]).propose(history, 2) == inner.propose(history, 2)
