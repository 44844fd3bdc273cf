"""Figures that people made: what may stand in one, and what is kept of it.

A Plotly figure comes as JSON from anybody who may change an experiment, and is drawn on pages of
others. So everything in it is looked up in what Plotly's own package knows and is checked by it;
what would load, link or run something is refused by name (pictures, maps, buttons), and text is
``own_text.harmless``. Called by ``services.figures``; pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.charts.own_arrays import is_packed, unpacked
from experiments.charts.own_text import harmless, plain
from experiments.problems import Problem, ProblemsError, nearest
from experiments.strict_json import read_json

# Kinds whose drawing code pages have: autotune_web.plotly_parts cuts Plotly to these.
TRACES = (
    "bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour", "pie",
    "scatter", "violin",
)  # fmt: skip
AS_SCATTER = "scattergl"  # what Plotly Express makes of many points; drawn without WebGL here
MOST_BYTES = 2 * 1024 * 1024  # of a figure as JSON
MOST_TRACES = 50
MOST_POINTS = 20_000  # drawn one by one
MOST_CELLS = 200_000  # of what is drawn in cells or counted
MOST_PROBLEMS = 20
DEEPEST = 30
LARGEST_EXACT = 2**53
LOW, HIGH = 200, 1200  # pixels of its height

_IN_CELLS = frozenset({"contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour"})
_SUBPLOT = re.compile(r"(xaxis|yaxis|coloraxis|legend)([2-9]|[1-9][0-9]{1,2})")
# What a layout may not hold, and why; a template loses it silently, since Plotly's own have it.
_REFUSED = {
    "images": "pictures are loaded from elsewhere",
    "updatemenus": "buttons change the page behind its back",
    "sliders": "sliders change the page behind its back",
    "map": "maps are loaded from elsewhere",
    "mapbox": "maps are loaded from elsewhere",
    "geo": "maps are loaded from elsewhere",
    "scene": "pages have no code to draw it",
    "polar": "pages have no code to draw it",
    "ternary": "pages have no code to draw it",
    "smith": "pages have no code to draw it",
    "meta": "it is the page's; a trace may have one",
}
_TEMPLATE_ONLY = frozenset({"imagedefaults", "updatemenudefaults", "sliderdefaults"})
_NOT_KEPT = frozenset({"width", "autosize", "modebar", "dragmode", "uirevision", "datarevision"})
# Plotly's Python package writes this template into every figure: no wish of its author's.
_USUAL_COLOUR, _USUAL_GROUND = "#636efa", "#E5ECF6"
_MEMBERS = "What a figure may hold is 'data' and 'layout', as fig.to_json() writes them."


@dataclass(frozen=True)
class OwnFigure:
    """What is kept: ``text`` is the figure as JSON."""

    text: str
    title: str  # its own, in plain words; "" where it has none
    n_traces: int
    n_points: int


def read(given: Any) -> OwnFigure:
    """What is kept of a figure. Raises ProblemsError with all that is wrong, by its path."""
    reader = _Reader()
    figure = reader.figure(given)
    if reader.problems:
        raise ProblemsError(reader.problems[:MOST_PROBLEMS])
    text = json.dumps(figure, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if (size := len(text.encode())) > MOST_BYTES:
        words = f"must have at most {MOST_BYTES} bytes as JSON, but has {size}."
        raise ProblemsError([Problem("", words, "Draw fewer points, or round them.")])
    title = figure["layout"].get("title", {}).get("text", "")
    return OwnFigure(
        text, plain(str(title))[:300], len(figure["data"]), sum(map(_n_points, figure["data"]))
    )


class _Reader:
    """One reading; collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def note(self, path: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(path, message, hint))

    def figure(self, given: Any) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            self.note(
                "", f"must be a Plotly figure, a JSON object, but got {_show(given)}.", _MEMBERS
            )
            return {}
        for name in given:
            if name == "frames" and not given[name]:
                continue
            if name not in ("data", "layout"):
                why = (
                    "an animation is not shown here" if name == "frames" else "it is not used here"
                )
                self.note(str(name), f"must be left out: {why}.", _MEMBERS)
        traces, layout = given.get("data"), given.get("layout")
        layout = {} if layout is None else layout
        if not isinstance(traces, list) or not traces:
            self.note("data", f"must be a list of traces, but got {_show(traces)}.", _MEMBERS)
            traces = []
        if len(traces) > MOST_TRACES:
            words = f"must have at most {MOST_TRACES} traces, but has {len(traces)}."
            self.note("data", words)
            traces = []
        if not isinstance(layout, Mapping):
            self.note("layout", f"must be a JSON object, but got {_show(layout)}.")
            layout = {}
        data = [self.trace(trace, f"data[{i}]") for i, trace in enumerate(traces)]
        self.count(data)
        return {"data": data, "layout": self.layout(layout, "layout")}

    def count(self, data: list[dict[str, Any]]) -> None:
        for kinds, most, few in (
            (set(TRACES) - _IN_CELLS, MOST_POINTS, "Draw fewer, or a 'histogram2d' of them."),
            (_IN_CELLS, MOST_CELLS, "Draw fewer."),
        ):
            n = sum(_n_points(trace) for trace in data if trace.get("type") in kinds)
            if n > most:
                words = f"must have at most {most} points of these kinds together, but has {n}."
                self.note("data", words, few)

    def trace(self, given: Any, at: str) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            self.note(at, f"must be a JSON object, but got {_show(given)}.")
            return {}
        kind = given.get("type", "scatter")
        kind = "scatter" if kind == AS_SCATTER else kind
        if kind not in TRACES:
            close = nearest(kind, TRACES) if isinstance(kind, str) else None
            hint = f"Did you mean {close!r}?" if close else ""
            known = ", ".join(TRACES)
            self.note(f"{at}.type", f"must be one of {known}, but got {_show(kind)}.", hint)
            return {}
        rest = {name: value for name, value in given.items() if name != "type"}
        return {"type": kind, **self.members(rest, kind, at)}

    def layout(self, given: Mapping[str, Any], at: str, *, silent: bool = False) -> dict[str, Any]:
        kept = {}
        for name, value in given.items():
            base = re.sub(r"\d+$", "", str(name))
            if value is None or name in _NOT_KEPT or (silent and name in _TEMPLATE_ONLY):
                continue
            if base in _REFUSED:
                if value and not silent:
                    self.note(f"{at}.{name}", f"must be left out: {_REFUSED[base]}.")
                continue
            if name == "template":
                if (template := self.template(value, f"{at}.template")) is not None:
                    kept[name] = template
                continue
            kept[name] = value
        found = self.members(kept, "layout", at)
        if isinstance(height := found.get("height"), int | float):
            found["height"] = min(max(height, LOW), HIGH)
        return found

    def template(self, given: Any, at: str) -> dict[str, Any] | None:
        """One that its author chose; None for the usual one, and for none."""
        if isinstance(given, str):
            named = _templates().get(given)
            if named is None:
                names = ", ".join(sorted(_templates()))
                self.note(at, f"must be a template or one of {names}, but got {given[:40]!r}.")
                return None
            given = read_json(named.read_text(encoding="utf-8"))
        if not isinstance(given, Mapping) or not isinstance(given.get("layout", {}), Mapping):
            self.note(at, f"must be a JSON object, but got {_show(given)}.")
            return None
        layout = given.get("layout") or {}
        ways = layout.get("colorway")
        is_usual = layout.get("plot_bgcolor") == _USUAL_GROUND and _first(ways) == _USUAL_COLOUR
        if is_usual or not layout:
            return None
        data = given.get("data") or {}
        kept: dict[str, Any] = {}
        for kind, traces in data.items() if isinstance(data, Mapping) else ():
            if kind in TRACES and isinstance(traces, list):
                here = f"{at}.data.{kind}"
                kept[kind] = [self.trace({**t, "type": kind}, f"{here}[{i}]")
                              for i, t in enumerate(traces) if isinstance(t, Mapping)]  # fmt: skip
        inner = {name: value for name, value in layout.items() if name != "template"}
        return {"data": kept, "layout": self.layout(inner, f"{at}.layout", silent=True)}

    # ---- by Plotly's own lists

    def members(self, given: Mapping[str, Any], parent: str, at: str) -> dict[str, Any]:
        kept = {}
        for name, value in given.items():
            here = f"{at}.{name}"
            if value is None:  # as if it were not there
                continue
            if len(self.problems) > MOST_PROBLEMS or here.count(".") > DEEPEST:
                break
            if parent == "layout" and name == "template":  # read already
                kept[name] = value
                continue
            found = _SUBPLOT.fullmatch(name) if parent == "layout" else None
            known = found[1] if found else name
            validator = _validator(parent, known)
            if validator is None:
                self.note(here, "must be left out: Plotly knows no such property here.")
            else:
                kept[name] = self.value(
                    value, validator, f"{parent}.{_inside(known, validator)}", here
                )
        return kept

    def value(self, value: Any, validator: Any, parent: str, at: str) -> Any:
        kinds = _kinds()
        if isinstance(validator, kinds.TitleValidator) and isinstance(value, str):
            value = {"text": value}
        if isinstance(validator, kinds.CompoundArrayValidator):
            if isinstance(value, list):
                return [self.entry(each, parent, f"{at}[{i}]") for i, each in enumerate(value)]
            self.note(at, f"must be a list, but got {_show(value)}.")
            return None
        if isinstance(validator, kinds.CompoundValidator):
            return self.entry(value, parent, at)
        try:
            value = self.cleaned(value, at, 0)
            validator.validate_coerce(value)
        except (ValueError, TypeError, OverflowError):
            what = " ".join(validator.description().split())
            self.note(at, f"is not as Plotly takes it: got {_show(value)}.", what[:300])
        return value

    def entry(self, value: Any, parent: str, at: str) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return self.members(value, parent, at)
        self.note(at, f"must be a JSON object, but got {_show(value)}.")
        return {}

    def cleaned(self, value: Any, at: str, depth: int) -> Any:
        """A value with arrays as lists and texts that only show. Raises ValueError."""
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
        if isinstance(value, str):
            return harmless(value)
        if isinstance(value, list):
            return [self.cleaned(each, at, depth + 1) for each in value]
        if is_packed(value):
            return unpacked(value)
        if isinstance(value, Mapping):
            return {
                harmless(str(name)): self.cleaned(each, at, depth + 1)
                for name, each in value.items()
            }
        if isinstance(value, int) and abs(value) > LARGEST_EXACT:  # browsers would not add it up
            return float(value)
        return value


def _inside(name: str, validator: Any) -> str:
    """Where Plotly's lists keep what is in it: of ``shapes``, ``shapedefaults`` in ``shape``."""
    is_list = isinstance(validator, _kinds().CompoundArrayValidator)
    return validator.data_class_str.lower() if is_list or name.endswith("defaults") else name


def _n_points(trace: Mapping[str, Any]) -> int:
    rows = trace.get("z")
    if isinstance(rows, list) and rows and isinstance(rows[0], list):
        return sum(len(row) for row in rows if isinstance(row, list))
    return max((len(v) for n, v in trace.items() if isinstance(v, list) and n != "meta"), default=0)


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"


# ---- Plotly's package: loaded when the first figure comes


@cache
def _kinds() -> ModuleType:
    return import_module("_plotly_utils.basevalidators")


@cache
def _validator(parent: str, name: str) -> Any:
    """What checks that property; None where there is none."""
    try:
        return import_module("plotly.validator_cache").ValidatorCache.get_validator(parent, name)
    except (AttributeError, ImportError, KeyError, TypeError):
        return None


@cache
def _templates() -> dict[str, Path]:
    spec = find_spec("plotly")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for place in places
             for path in Path(place).glob("package_data/templates/*.json")]  # fmt: skip
    return {path.stem: path for path in found}
