"""Two parameters together: the pair shown at first, ranks, and a contour that makes nothing up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.charts import pair
from experiments.charts.base import Record
from experiments.problems import ProblemsError
from tests.charts.records import record, trial
from tests.charts.test_importance import experiment

SPACE: dict[str, Any] = {
    "noise": {"_type": "uniform", "_value": [0.0, 1.0]},
    "a": {"_type": "uniform", "_value": [0.0, 1.0]},
    "b": {"_type": "loguniform", "_value": [0.01, 1.0]},
    "c": {"_type": "choice", "_value": ["x", "y"]},
}


def bowl(n: int, mode: str = "maximize") -> Record:
    """The best place is a = 0.5, b = 0.1; only the left half of ``a`` near b = 1 was tried."""
    rng = np.random.default_rng(0)
    trials = []
    while len(trials) < n:
        given = {
            "noise": float(rng.random()), "a": float(rng.random()),
            "b": float(10 ** rng.uniform(-2, 0)), "c": "xy"[int(rng.integers(2))],
        }  # fmt: skip
        if given["a"] > 0.5 and given["b"] > 0.3:
            continue
        value = -((given["a"] - 0.5) ** 2) - (np.log10(given["b"]) + 1) ** 2
        sign = 1.0 if mode == "maximize" else -1.0
        trials.append(trial(len(trials), float(sign * value), parameters=given))
    return record(trials, mode=mode, space=SPACE, ended=True)


def names(figure: Any) -> tuple[str, str]:
    return tuple(figure["layout"][n]["title"]["text"] for n in ("xaxis", "yaxis"))


def test_the_two_most_important_come_first_and_others_can_be_chosen() -> None:
    figure = pair.draw(bowl(400), {})
    assert set(names(figure)) == {"a", "b"}
    assert names(pair.draw(bowl(400), {"x": "noise", "y": "c"})) == ("noise", "c")
    # one that is asked for is not drawn against itself
    usual_y = names(figure)[1]
    assert len(set(names(pair.draw(bowl(400), {"x": usual_y})))) == 2
    choices = figure["layout"]["meta"]["choices"]
    assert choices["x"][0] == ["", f"{names(figure)[0]} (most telling)"]
    assert sorted(value for value, _ in choices["y"][1:]) == ["a", "b", "c", "noise"]


def test_colour_follows_the_rank_and_the_best_lie_on_top() -> None:
    given = bowl(100)
    (dots, star) = pair.draw(given, {"x": "a", "y": "b"})["data"]
    assert dots["marker"]["color"] == sorted(dots["marker"]["color"])
    best = max(given.trials, key=lambda t: t.value or 0.0)
    assert dots["customdata"][-1] == best.number
    assert star["customdata"] == [best.number]
    assert star["x"] == pytest.approx([best.parameters["a"]], rel=1e-3)


def test_of_few_trials_no_parameter_is_said_to_tell_most() -> None:
    for given in (bowl(20), record([], space=SPACE)):
        choices = pair.draw(given, {})["layout"]["meta"]["choices"]
        offered = [words for _, words in choices["x"]]
        assert not any("telling" in words for words in offered)
        assert sorted(offered) == ["a", "b", "c", "noise"]
    assert "act together" not in pair.draw(bowl(20), {})["layout"]["meta"]["note"]


def test_long_choices_leave_a_phone_its_plot() -> None:
    seeds = [1234567890123456, 1234567890123999, 7]
    space = {"a": {"_type": "choice", "_value": seeds}, "b": {"_type": "uniform", "_value": [0, 1]}}
    trials = [trial(n, n / 9, parameters={"a": seeds[n % 3], "b": n / 9}) for n in range(9)]
    axis = pair.draw(record(trials, space=space), {"x": "b", "y": "a"})["layout"]["yaxis"]
    assert axis["ticktext"] == ["12345678…3456", "12345678…3999", "7"]


def test_who_points_at_a_trial_reads_its_choice_and_not_where_it_was_spread_to() -> None:
    given = bowl(40)
    (dots, star) = pair.draw(given, {"x": "c", "y": "a"})["data"]
    by_number = {t.number: t for t in given.trials}
    for number, text in zip(dots["customdata"], dots["text"], strict=True):
        parameters = by_number[number].parameters
        x, y = text.split("<br>")[1].split(" · ")
        assert x == parameters["c"]
        assert float(y) == pytest.approx(parameters["a"], rel=1e-4)
    assert "%{x}" not in dots["hovertemplate"] + star["hovertemplate"]


def test_ranks_are_the_same_for_a_score_and_its_negative() -> None:
    up, down = (pair.draw(bowl(100, mode), {})["data"][0] for mode in ("maximize", "minimize"))
    assert up["marker"] == down["marker"]
    assert up["customdata"] == down["customdata"]


@pytest.mark.parametrize(("mode", "sign"), [("maximize", 1), ("minimize", -1)])
def test_a_contour_is_best_where_the_trials_were_and_blank_where_there_were_none(
    mode: str, sign: int
) -> None:
    figure = pair.draw(bowl(800, mode), {"x": "a", "y": "b", "view": "contour"})
    surface = figure["data"][0]
    assert surface["type"] == "contour"
    assert surface["reversescale"] is (sign < 0)  # darker is better
    z = np.array(surface["z"], dtype=float) * sign
    row, column = np.unravel_index(np.nanargmax(z), z.shape)
    assert surface["x"][column] == pytest.approx(0.5, abs=0.1)
    assert np.log10(surface["y"][row]) == pytest.approx(-1, abs=0.2)
    corner = z[np.array(surface["y"]) > 0.8][:, np.array(surface["x"]) > 0.9]
    assert corner.size
    assert np.isnan(corner).all()
    assert not np.isnan(z[np.array(surface["y"]) < 0.2]).any()


def test_choices_are_not_smoothed_into_each_other() -> None:
    trials = [
        trial(i, float(i % 2), parameters={"c": "xy"[i % 2], "a": (i % 50) / 50})
        for i in range(200)
    ]
    space = {name: SPACE[name] for name in ("a", "c")}
    figure = pair.draw(record(trials, space=space), {"x": "a", "y": "c", "view": "contour"})
    surface = figure["data"][0]
    assert surface["type"] == "heatmap"
    assert [{v for v in line if v is not None} for line in surface["z"]] == [{0.0}, {1.0}]


@pytest.mark.parametrize("view", pair.VIEWS)
@pytest.mark.parametrize("n", [1000, 10_000])
def test_of_many_trials_the_figure_stays_small(view: str, n: int) -> None:
    given = bowl(n)
    figure = pair.draw(given, {"view": view})
    assert len(json.dumps(figure, separators=(",", ":"))) < 300_000
    if n > pair.MOST_POINTS and view == "rank":
        cells = figure["data"][0]
        assert cells["type"] == "heatmap"
        assert sum(c for line in cells["customdata"] for c in line) == n
        assert all(0 <= r <= 1 for line in cells["z"] for r in line if r is not None)


def test_a_nested_parameter_leaves_out_trials_without_it() -> None:
    given = experiment(100)
    n_adam = sum(t.parameters["opt"]["_name"] == "adam" for t in given.trials)
    meta = pair.draw(given, {"x": "opt.beta", "y": "lr"})["layout"]["meta"]
    assert meta["n_trials"] == n_adam
    assert meta["note"].startswith(f"{n_adam} of 100 trials have both parameters.")


def test_zero_is_a_value_like_any_other() -> None:
    """Peers take 0 for missing."""
    trials = [trial(i, 0.1 * i, parameters={"a": 0.0, "b": 0.1 + 0.01 * i}) for i in range(5)]
    dots = pair.draw(record(trials, space=SPACE), {"x": "a", "y": "b"})["data"][0]
    assert dots["x"] == [0.0] * 5


def test_a_failed_trial_shifts_nobody() -> None:
    trials = [trial(i, 0.1 * i, parameters={"a": i / 10, "b": 0.1}) for i in range(6)]
    trials[2] = trial(2, None, "FAILED", parameters={"a": 0.9, "b": 0.1})
    dots = pair.draw(record(trials, space=SPACE), {"x": "a", "y": "b"})["data"][0]
    assert dict(zip(dots["customdata"], dots["x"], strict=True)) == {
        0: 0.0, 1: 0.1, 3: 0.3, 4: 0.4, 5: 0.5,
    }  # fmt: skip


def test_what_cannot_be_drawn_is_said() -> None:
    one = record([trial(0, 1.0)])
    assert pair.draw(one, {})["layout"]["meta"]["empty"] == "It takes two parameters that vary."
    same = pair.draw(bowl(40), {"x": "a", "y": "a"})["layout"]["meta"]
    assert same["empty"] == "Choose two different parameters."
    assert same["choices"]["x"]  # so that another can be chosen
    with pytest.raises(ProblemsError, match=r"x: must be a parameter .* but got 'nois'; did you"):
        pair.draw(bowl(40), {"x": "nois"})
