"""Figures that people made: what is kept of them, what is refused, and by which path."""

from __future__ import annotations

import base64
import copy
import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from autotune_web.plotly_parts import TRACES as DRAWN
from experiments.charts import own, own_table
from experiments.charts.own_text import harmless, plain
from experiments.problems import ProblemsError
from tests.many_cases import each

LINE: dict[str, Any] = {"type": "scatter", "x": [1, 2], "y": [3, 4], "name": "a <b>b</b>"}


def kept(figure: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(own.read(figure).text)
    return found


def refused(figure: Any) -> dict[str, str]:
    with pytest.raises(ProblemsError) as error:
        own.read(figure)
    return {problem.path: problem.message for problem in error.value.problems}


def with_layout(**layout: Any) -> dict[str, Any]:
    return {"data": [LINE], "layout": layout}


def test_what_pages_can_draw_is_what_may_be_kept() -> None:
    assert {*own.TRACES} == {*DRAWN, "scatter"}


def test_a_figure_of_plotly_express_is_kept_as_it_is_drawn() -> None:
    """As its to_json() writes it: the usual template, WebGL for many points, packed arrays."""
    usual = files("plotly").joinpath("package_data/templates/plotly.json").read_text()
    numbers = np.array([1.0, np.nan, 3.0])
    packed = {"dtype": "f8", "bdata": base64.b64encode(numbers.tobytes()).decode()}
    figure = {
        "data": [{"type": "scattergl", "x": packed, "y": [1, 2, 3], "marker": {"color": "blue"}}],
        "layout": {
            "template": json.loads(usual), "title": {"text": "Loss <b>by</b> lr"}, "width": 5000,
            "height": 9000, "xaxis": {"title": "lr &lt; 1", "type": "log"}, "xaxis2": {},
        },
    }  # fmt: skip
    found = kept(figure)
    assert found["data"] == [
        {"type": "scatter", "x": [1, None, 3], "y": [1, 2, 3], "marker": {"color": "blue"}}
    ]
    assert found["layout"] == {
        "title": {"text": "Loss <b>by</b> lr"}, "height": 1200, "xaxis2": {},
        "xaxis": {"title": {"text": "lr &lt; 1"}, "type": "log"},
    }  # fmt: skip
    assert own.read(figure).title == "Loss by lr"
    assert own.read(figure).n_points == 3
    shaped = {"dtype": "i1", "bdata": base64.b64encode(bytes(range(6))).decode(), "shape": "2, 3"}
    heat = kept({"data": [{"type": "heatmap", "z": shaped}]})
    assert heat["data"][0]["z"] == [[0, 1, 2], [3, 4, 5]]


def test_a_template_of_its_own_stays_less_what_pages_do_not_draw() -> None:
    dark = kept(with_layout(template="plotly_dark"))["layout"]["template"]
    assert dark["layout"]["paper_bgcolor"] == "rgb(17,17,17)"
    assert "scatter3d" not in dark["data"]
    assert not {"geo", "mapbox", "scene", "sliderdefaults"} & set(dark["layout"])
    assert "template" not in kept(with_layout(template="plotly"))["layout"]


BAD: dict[str, tuple[Any, str, str]] = {
    "no figure": ([1], "", "must be a Plotly figure"),
    "no traces": ({"layout": {}}, "data", "a list of traces"),
    "too many": ({"data": [LINE] * 51}, "data", "at most 50 traces"),
    "points": ({"data": [{"y": [0] * 20_001}]}, "data", "at most 20000 points"),
    "a member": ({"data": [LINE], "config": {"editable": True}}, "config", "must be left out"),
    "frames": ({"data": [LINE], "frames": [{"data": []}]}, "frames", "an animation"),
    "colour": ({"data": [{"marker": {"color": "blau"}}]}, "data[0].marker.color", '"blau"'),
    "second": ({"data": [LINE, {"opacity": 7}]}, "data[1].opacity", "got 7"),
    "misspelt": ({"data": [{"makrer": {}}]}, "data[0].makrer", "knows no such property"),
    "transforms": ({"data": [{"transforms": []}]}, "data[0].transforms", "no such property"),
    "kind": ({"data": [{"type": "scatter3d"}]}, "data[0].type", "must be one of bar, box"),
    "picture": ({"data": [{"type": "image", "source": "x"}]}, "data[0].type", "must be one of"),
    "map": ({"data": [{"type": "scattermap"}]}, "data[0].type", "must be one of"),
    "odd kind": ({"data": [{"type": {"a": 1}}]}, "data[0].type", "must be one of"),
    "packed": ({"data": [{"x": {"dtype": "f8", "bdata": "!"}}]}, "data[0].x", "as Plotly takes"),
    "layout": ({"data": [LINE], "layout": []}, "layout", "a JSON object"),
    "images": (with_layout(images=[{"source": "https://x.y/z.png"}]), "layout.images", "pictures"),
    "buttons": (with_layout(updatemenus=[{}]), "layout.updatemenus", "buttons"),
    "sliders": (with_layout(sliders=[{}]), "layout.sliders", "sliders"),
    "style": (with_layout(map={"style": "https://x.y"}), "layout.map", "maps"),
    "style 2": (with_layout(mapbox2={"style": "https://x.y"}), "layout.mapbox2", "maps"),
    "meta": (with_layout(meta={"empty": "x"}), "layout.meta", "page's"),
    "axis": (with_layout(xaxis={"typ": "log"}), "layout.xaxis.typ", "no such property"),
    "shape": (with_layout(shapes=[{"type": "star"}]), "layout.shapes[0].type", '"star"'),
    "template": (with_layout(template="nice"), "layout.template", "one of"),
    "deep template": (
        with_layout(template={"layout": {"xaxis": {"color": "blau"}}}),
        "layout.template.layout.xaxis.color",
        '"blau"',
    ),
}  # fmt: skip


@each("case", BAD.values())
def test_what_is_wrong_is_named_by_its_path(case: tuple[Any, str, str]) -> None:
    figure, path, words = case
    found = refused(figure)
    assert list(found) == [path]
    assert words in found[path]


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_changed_in_place() -> None:
    figure = {"data": [{"mode": "dots", "x": 5}], "layout": {"images": [{}], "title": "a"}}
    before = copy.deepcopy(figure)
    assert set(refused(figure)) == {"data[0].mode", "data[0].x", "layout.images"}
    assert figure == before


def test_a_figure_may_be_too_large() -> None:
    text = {"data": [{"type": "pie", "labels": [f"{n:0200d}" for n in range(11_000)]}]}
    assert "at most 2097152 bytes" in refused(text)[""]


HARMLESS: dict[str, tuple[str, str]] = {
    "plain": ("a & b > c", "a & b > c"),
    "looks": ("<b>a</b><BR/>x<sup>2</sup>", "<b>a</b><br>x<sup>2</sup>"),
    "link": ('<a href="https://x.y" target="_blank">go</a>', "go"),
    "script": ("<a href='javascript:alert(1)'>go</a>", "go"),
    "popup": ('<a href="https://x.y" popup="width=1">go</a>', "go"),
    "style": ('<b style="background:url(https://x.y)">a</b>', "<b>a</b>"),
    "span": (
        "<span style='color:#f00; font-size: 9px;background:url(x)'>a</span>",
        '<span style="color:#f00;font-size:9px">a</span>',
    ),
    "colour": ('<span style="color:url(https://x.y#a)">a</span>', "<span>a</span>"),
    "less": ("lr < 0.1", "lr &lt; 0.1"),
    "other": ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
    "in a tag": ("<<a>a href='https://x.y'>go", "&lt;a href='https://x.y'>go"),
    "half": ("<%{customdata}", "&lt;%{customdata}"),
    "template": ("%{x}<extra></extra>", "%{x}<extra></extra>"),
}


@each("case", HARMLESS.values())
def test_text_may_have_looks_but_no_links(case: tuple[str, str]) -> None:
    given, shown = case
    assert harmless(given) == shown
    assert harmless(shown) == shown


def test_text_is_read_wherever_it_stands() -> None:
    link = '<a href="javascript:alert(1)">go</a>'
    trace = {"x": [link], "y": [1], "text": [link], "customdata": [[link, {"a": link}]],
             "hovertemplate": f"%{{customdata}}{link}", "meta": {"a": [link]},
             "name": link}  # fmt: skip
    layout = {
        "title": link, "annotations": [{"text": link}], "xaxis": {"tickprefix": "<a href='x'",
        "ticktext": [link], "tickvals": [0], "title": link},
        "template": {"layout": {"annotationdefaults": {"text": link}}},
    }  # fmt: skip
    text = own.read({"data": [trace], "layout": layout}).text
    assert "<a" not in text
    assert "javascript" not in text


def test_its_points_are_a_table() -> None:
    figure = kept({"data": [
        {"type": "bar", "name": "<b>one</b>", "x": ["a &amp; b", "c"], "y": [1.5, None]},
        {"type": "heatmap", "x": ["p", "q"], "z": [[1, 2], [3, 4]]},
        {"type": "pie", "labels": ["u"], "values": [9], "marker": {"colors": ["red"]}},
    ]})  # fmt: skip
    table = own_table.table(figure)
    assert table.columns == ("Trace", "x", "y", "z", "labels", "values", "marker.colors")
    assert list(table.rows)[:3] == [
        ("one", "a & b", 1.5, None, None, None, None),
        ("one", "c", None, None, None, None, None),
        ("2", "p", 0, 1, None, None, None),
    ]
    assert list(table.rows)[-1] == ("3", None, None, None, "u", 9, "red")
    assert plain("a<br>b &lt; c") == "a b < c"
