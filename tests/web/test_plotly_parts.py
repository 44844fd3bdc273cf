"""Plotly's bundle, cut into parts: that of the wheel is one of those known, and is served so."""

from __future__ import annotations

import gzip
import re
from importlib.resources import files
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from autotune_web import plotly_parts
from autotune_web.plotly_parts import UnknownBundle, in_parts

BUNDLE = files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")


@pytest.mark.long
def test_the_bundle_of_this_release_is_cut_to_what_our_charts_draw() -> None:
    cut = in_parts(BUNDLE)
    assert len(cut) < 0.3 * len(BUNDLE)
    for kind in ("bar", "contour", "heatmap", "scatter"):
        assert f'moduleType:"trace",name:"{kind}"' in cut
    assert 'moduleType:"trace",name:"scatter3d"' not in cut
    assert "window.Plotly = Plotly" not in cut
    assert cut.count("window.PlotlyParts = Plotly;") == 1
    assert len(re.findall(r"\.syncOrAsync\((\w+)\.inPieces\?\1\.inPieces\(", cut)) == 1
    # compiled as it comes in: no arrow around all of it, nor around all but one of its modules
    assert "var Plotly=(function(){" in cut
    assert cut.rstrip().endswith("return Plotly;\n})));")
    arrows = re.findall(r"=W\((?:\([\w$,]*\)|[\w$]+)=>\{", cut)
    assert len(arrows) <= 1 < 300 < cut.count("=W((function(")
    assert cut.count("Copyright 2012") == BUNDLE.count("Copyright 2012") > 0


def test_a_trace_or_a_bundle_that_nobody_knows_is_said() -> None:
    with pytest.raises(UnknownBundle, match="no trace hologram"):
        in_parts(BUNDLE, ["bar", "hologram"])
    with pytest.raises(UnknownBundle, match="its end"):
        in_parts("window.Plotly = {};")


def test_it_is_made_once_and_whole_where_it_cannot_be_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(bundle: str) -> str:
        raise UnknownBundle("another release")

    monkeypatch.setattr(plotly_parts, "in_parts", refuse)
    made = plotly_parts.made(tmp_path)
    assert made.read_text(encoding="utf-8") == BUNDLE
    monkeypatch.setattr(plotly_parts, "in_parts", None)  # not asked again
    assert plotly_parts.made(tmp_path) == made
    assert sorted(path.name for path in made.parent.iterdir()) == [
        "plotly.parts.js",
        "plotly.parts.js.gz",
    ]


def test_it_is_served_packed(client: Client) -> None:
    answer = client.get(
        "/static/vendor/plotly/plotly.parts.js", headers={"Accept-Encoding": "gzip"}
    )
    assert answer.status_code == 200
    assert answer["Content-Encoding"] == "gzip"
    packed = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert b"PlotlyParts" in gzip.decompress(packed)
    assert finders.find("vendor/plotly/plotly.parts.js").endswith("plotly.parts.js")
    assert finders.find("vendor/plotly/other.js") is None


def test_a_bundle_whose_modules_are_wrapped_otherwise_is_no_known_one() -> None:
    """Plotly 6.0.0 has the same end, and before it modules of another form."""
    end = "var a=b();a.register([c(),d()]);e.exports=a});return f();})();window.Plotly = Plotly;"
    with pytest.raises(UnknownBundle, match="no modules"):
        in_parts(f"var Plotly=(()=>{{var b=V(()=>{{{end}")
