"""What dragging over a figure means to the language of conditions."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from experiments.algorithms.space.flat import flat
from experiments.charts import CHARTS, brush
from experiments.charts.axes import axes
from experiments.selectors.trial_facts import Facts, Names
from experiments.selectors.trial_filter import parse_where
from tests.charts.records import record, trial

ODD = 'a "quoted" \\ name'
SPACE: dict[str, Any] = {
    "lr": {"_type": "loguniform", "_value": [1e-4, 1]},
    "opt": {
        "_type": "choice",
        "_value": [
            "a and b", '<q"\\&amp;', None, True, 1, "1.5", [1, "x"],
            {"_name": "deep", "beta": {"_type": "uniform", "_value": [0, 1]}},
        ],
    },
    ODD: {"_type": "uniform", "_value": [0, 1]},
}  # fmt: skip


def test_every_choice_is_written_so_that_the_filter_finds_it() -> None:
    """Whatever stands in a search space: brushed, it becomes a condition that fits just it."""
    values = SPACE["opt"]["_value"]
    trials = [{"lr": 0.1, "opt": v if not isinstance(v, dict) else {"_name": "deep", "beta": 0.5}}
              for v in values]  # fmt: skip
    numbers = range(len(trials))
    facts = Facts(numbers, {"number": numbers}, [flat(p) for p in trials])
    names = Names.of(facts, ["opt.beta"])
    axis = next(a for a in axes(SPACE, trials) if a.label == "opt")
    selects = brush.parameter(axis)
    assert len(selects["members"]) == len(values)
    for place, member in enumerate(selects["members"]):
        test = parse_where(unescape(f"{selects['name']} in ({member})"), names)
        assert test(facts).nonzero()[0].tolist() == [place]


def test_axes_say_what_they_mean() -> None:
    found = {a.label: a for a in axes(SPACE, [{"lr": 0.1, "opt": None, ODD: 0.5}, {"lr": 1.0}])}
    assert brush.parameter(found["lr"], by_place=True) == {"name": "param:lr", "log": True}
    assert brush.parameter(found["lr"]) == {"name": "param:lr"}  # Plotly's axis has the values
    odd = brush.parameter(found[ODD], by_place=True)
    assert odd["name"] == 'param:"a \\"quoted\\" \\\\ name"'
    assert odd["missing"] == found[ODD].slot


@pytest.mark.parametrize("kind", sorted(CHARTS))
def test_each_axis_that_selects_is_one_of_the_figure(kind: str) -> None:
    space = {name: node for name, node in SPACE.items() if name != "opt"}
    space["units"] = {"_type": "choice", "_value": [16, 32]}
    trials = [
        trial(n, n / 10, parameters={"lr": 10.0 ** -(n % 4), "units": 16 * (1 + n % 2), ODD: n / 9})
        for n in range(9)
    ]
    figure = CHARTS[kind].draw(record(trials, space=space), {})
    layout = figure["layout"]
    selects = layout["meta"].get("selects", {})
    assert bool(selects) is (kind not in ("curves", "importance"))
    names = {d["name"] for trace in figure["data"] for d in trace.get("dimensions", ())}
    for axis in selects:
        assert axis in names if names else f"{axis[0]}axis{axis[1:]}" in layout


def test_axes_drawn_logarithmic_by_hand_mean_what_they_show() -> None:
    space = {"units": {"_type": "uniform", "_value": [1, 100]}}
    trials = [trial(n, 10.0**n, parameters={"units": 1.0 + n}) for n in range(4)]
    drawn = CHARTS["parcoords"].draw(record(trials, space=space), {"log_axes": '["", "units"]'})
    assert drawn["layout"]["meta"]["selects"] == {
        "": {"name": "value", "log": True},
        "units": {"name": "param:units", "log": True},
    }
    by_start = CHARTS["history"].draw(record(trials, space=space), {"x": "start"})
    assert by_start["layout"]["meta"]["selects"]["x"] == {"name": "started_at", "time": True}
