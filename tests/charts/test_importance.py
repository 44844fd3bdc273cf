"""Which parameters matter, how sure that is, and what is not said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.charts import importance, ped_anova
from experiments.charts.base import Record
from experiments.charts.comparable import goodness
from tests.charts.records import record, trial

SPACE: dict[str, Any] = {
    "lr": {"_type": "loguniform", "_value": [1e-5, 1.0]},
    "momentum": {"_type": "uniform", "_value": [0.0, 1.0]},
    "seed": {"_type": "randint", "_value": [0, 1000]},
    "opt": {
        "_type": "choice",
        "_value": [
            {"_name": "adam", "beta": {"_type": "uniform", "_value": [0.0, 1.0]}},
            {"_name": "sgd"},
        ],
    },
}


def parameters(rng: np.random.Generator, adam: float = 0.5) -> dict[str, Any]:
    is_adam = rng.random() < adam
    return {
        "lr": float(10 ** rng.uniform(-5, 0)),
        "momentum": float(rng.random()),
        "seed": int(rng.integers(1000)),
        "opt": {"_name": "adam", "beta": float(rng.random())} if is_adam else {"_name": "sgd"},
    }


def score_of(given: dict[str, Any]) -> float:
    """The middle of lr is best, higher momentum is a little better, beta counts a lot in adam."""
    value = -((np.log10(given["lr"]) + 2.5) ** 2) + 0.5 * given["momentum"]
    return float(value + 2.0 * given["opt"].get("beta", 0.5))


def experiment(n: int = 400, mode: str = "maximize", seed: int = 0, adam: float = 0.5) -> Record:
    rng = np.random.default_rng(seed)
    sign = 1.0 if mode == "maximize" else -1.0
    given = [parameters(rng, adam) for _ in range(n)]
    trials = [trial(i, sign * score_of(p), parameters=p) for i, p in enumerate(given)]
    return record(trials, mode=mode, space=SPACE)


def by_label(given: Record) -> dict[str, ped_anova.Score]:
    return {s.axis.label: s for s in importance.info(given, {}).scores}


def test_what_matters_comes_first_and_what_does_not_is_called_chance() -> None:
    found = importance.info(experiment(), {}).scores
    assert found[0].axis.label == "lr"
    named = {s.axis.label: s for s in found}
    assert named["lr"].share > 5 * named["seed"].share
    assert named["lr"].is_beyond_chance
    assert not named["seed"].is_beyond_chance
    assert sum(s.share for s in found) == pytest.approx(1.0)
    assert all(s.low <= s.share <= s.high for s in found)


def test_a_score_and_its_negative_have_the_same_answer() -> None:
    up, down = importance.draw(experiment(), {}), importance.draw(experiment(mode="minimize"), {})
    assert up == down


def test_the_answer_is_the_same_each_time_it_is_asked_for() -> None:
    assert importance.draw(experiment(), {}) == importance.draw(experiment(), {})


def test_one_value_far_out_changes_nothing() -> None:
    given = experiment()
    best = max(given.trials, key=lambda t: t.value or 0.0)
    far = [t._replace(value=1e20) if t is best else t for t in given.trials]
    assert by_label(given)["lr"].share == by_label(record(far, space=SPACE))["lr"].share


def test_a_nested_parameter_is_scored_among_the_trials_that_have_it() -> None:
    given = experiment(600)
    n_adam = sum(t.parameters["opt"]["_name"] == "adam" for t in given.trials)
    beta = by_label(given)["opt.beta"]
    assert (beta.n, beta.n_best) == (n_adam, int(np.ceil(n_adam / 10)))
    assert beta.is_beyond_chance
    # what the others' values are does not matter to it
    moved = [
        t if t.parameters["opt"]["_name"] == "adam" else t._replace(value=99.0)
        for t in given.trials
    ]
    again = by_label(record(moved, space=SPACE))["opt.beta"]
    assert again.trend == beta.trend


def test_a_nested_parameter_of_too_few_trials_has_no_bar() -> None:
    found = importance.info(experiment(200, adam=0.1), {})
    last = found.scores[-1]
    assert (last.axis.label, last.is_scored) == ("opt.beta", False)
    assert last.n < ped_anova.LEAST
    figure = importance.figure(found)
    (texts,) = [t["text"] for t in figure["data"] if t["uid"] == "shares"]
    assert texts[-1].strip() == f"too few trials ({last.n})"
    bars = [t for t in figure["data"] if t["type"] == "bar"]
    lowest = 1 - len(found.scores)
    assert all(lowest < y <= 0 for t in bars for y in t["y"])


def test_below_the_minimum_nothing_is_guessed() -> None:
    figure = importance.draw(experiment(ped_anova.LEAST - 1), {})
    assert figure["data"] == []
    assert figure["layout"]["meta"]["empty"] == (
        "Too few trials: 29 with a value, and it takes 30."
    )
    assert importance.draw(experiment(ped_anova.LEAST), {})["data"]


def test_a_value_that_most_trials_share_tells_nothing() -> None:
    trials = [trial(i, 1.0, parameters={"lr": 0.1 * (i + 1)}) for i in range(100)]
    empty = importance.draw(record(trials), {})["layout"]["meta"]["empty"]
    assert empty == "Too many trials share one value to tell which parameters matter."


def test_method_numbers_and_what_is_left_out_are_said() -> None:
    trials = list(experiment(100).trials)
    trials[3] = trials[3]._replace(state="FAILED", value=None)
    trials[4] = trials[4]._replace(excluded=True, value=1e9)
    trials.append(trial(100, None, "RUNNING"))
    meta = importance.draw(record(trials, space=SPACE), {})["layout"]["meta"]
    assert (meta["method"], meta["n_trials"], meta["n_best"]) == ("PED-ANOVA", 98, 25)
    assert "PED-ANOVA on 98 trials: how far the best 25 " in meta["note"]
    assert meta["note"].endswith("Left out: 1 without a final value, 1 excluded.")


def test_of_parameters_without_effect_few_pass_for_one_with() -> None:
    """A hundred experiments of noise: 1 in 100 is what is promised, 3 is luck."""
    rng = np.random.default_rng(5)
    space = {f"p{i}": {"_type": "uniform", "_value": [0, 1]} for i in range(10)}
    n_passed = 0
    for _ in range(30):
        trials = [
            trial(i, float(rng.random()), parameters={n: float(rng.random()) for n in space})
            for i in range(200)
        ]
        scored = importance.info(record(trials, space=space), {}).scores
        n_passed += sum(s.is_beyond_chance for s in scored)
    assert n_passed <= 12


def test_the_trend_goes_up_where_values_are_better() -> None:
    rng = np.random.default_rng(1)
    given = [{"lr": float(10 ** rng.uniform(-4, 0))} for _ in range(200)]
    for mode, sign in (("maximize", 1.0), ("minimize", -1.0)):
        trials = [trial(i, sign * p["lr"], parameters=p) for i, p in enumerate(given)]
        score = by_label(record(trials, mode=mode))["lr"]
        assert score.direction == pytest.approx(1.0)
        assert score.trend is not None
        assert list(score.trend.goodness) == sorted(score.trend.goodness)
        (line,) = [
            t for t in importance.draw(record(trials, mode=mode), {})["data"]
            if t["uid"] == "trends"
        ]  # fmt: skip
        assert line["y"][0] < line["y"][-2]
        assert line["y"][-1] is None


def test_ranks_of_equal_values_are_equal() -> None:
    assert goodness(np.array([3.0, 1.0, 1.0, 9.0])).tolist() == [1 / 3, 5 / 6, 5 / 6, 0.0]


def test_panels_keep_their_order_between_milestones_while_an_experiment_runs() -> None:
    whole = experiment(130)
    found = importance.axes.axes(SPACE, [t.parameters for t in whole.trials])
    losses = np.array([-(t.value or 0.0) for t in whole.trials])

    def order(n: int, *, settled: bool = False) -> list[int]:
        axes = [ped_anova.first_trials(a, n) for a in found]
        return [i for i, _ in ped_anova.order(axes, losses[:n], settled=settled)]

    assert len({tuple(order(n)) for n in range(96, 128)}) == 1
    assert order(96, settled=True) == order(100)
    assert order(20) == list(range(len(found)))
    axes = [ped_anova.first_trials(axis, 100) for axis in found]
    told = {i: score.share for i, score in enumerate(ped_anova.scores(axes, losses[:100]))}
    shown = ped_anova.order(axes, losses[:100], settled=False)
    assert dict(shown) == pytest.approx(told)  # of all trials, as the chart of importance says


# ---- what to try next


def test_a_next_search_is_told_where_the_best_lie() -> None:
    found = {part.axis.label: part for part in importance.info(experiment(2000), {}).promising}
    assert "seed" not in found  # it has no effect
    low, high = 10 ** found["lr"].low, 10 ** found["lr"].high
    assert 1e-5 < low < 10**-2.5 < high < 0.3
    assert found["lr"].end == 0
    note = importance.draw(experiment(2000), {})["layout"]["meta"]["note"]
    assert note.startswith("For a next search, narrow to where the best lie: lr 0.0")


@pytest.mark.parametrize(
    ("sign", "words"), [(1, "high end, so try higher"), (-1, "low end, so try lower")]
)
def test_where_trials_get_better_up_to_an_end_a_search_is_to_go_beyond(
    sign: int, words: str
) -> None:
    rng = np.random.default_rng(1)
    given = [{"x": float(x)} for x in rng.uniform(0, 1, 300)]
    trials = [trial(i, sign * p["x"], parameters=p) for i, p in enumerate(given)]
    space = {"x": {"_type": "uniform", "_value": [0, 1]}}
    given_record = record(trials, mode="maximize", space=space)
    (part,) = importance.info(given_record, {}).promising
    assert part.end == sign
    assert words in importance.draw(given_record, {})["layout"]["meta"]["note"]


def test_choices_that_few_of_the_best_took_are_left_out() -> None:
    rng = np.random.default_rng(2)
    given = [{"kind": str(rng.choice(["good", "fair", "bad"]))} for _ in range(300)]
    worth = {"good": 1.0, "fair": 0.99, "bad": 0.0}
    trials = [
        trial(i, worth[p["kind"]] + 0.3 * float(rng.random()), parameters=p)
        for i, p in enumerate(given)
    ]
    space = {"kind": {"_type": "choice", "_value": ["good", "fair", "bad"]}}
    (part,) = importance.info(record(trials, mode="maximize", space=space), {}).promising
    assert part.choices == ("good", "fair")


@pytest.mark.parametrize("view", [7.0, 51.0, 92.0, 101.0, 120.0, 140.0])
def test_the_last_share_stands_clear_of_the_trends_beside_it(view: float) -> None:
    ticks = importance.shares(view)
    assert 2 <= len(ticks) <= 7
    assert ticks[-1] <= min(0.88 * view, 100)
