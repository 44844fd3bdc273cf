"""Figures of one's own in a real browser: drawn, taken away, live, and harmless."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

import autotune_client as at
from tests.e2e.stack import Stack
from tests.e2e.test_accessibility import AXE, RUN
from tests.groups import need

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]

LONG = "Validation loss by learning rate and batch size of every model that was tried in spring"


@pytest.fixture(scope="module")
def experiment(stack: Stack) -> at.Experiment:
    made = stack.create(name="own-figures", maxTrialNum=1)
    stack.wait_for_phase(made, "DONE")
    return at.Client(stack.url, stack.token).get(made)


def card(page: Page, name: str) -> Locator:
    return page.locator(f'figure[data-chart="{name}"]')


def drawn(page: Page, name: str) -> Locator:
    found = card(page, name)
    expect(found.locator(".chart-plot[data-drawn]")).to_be_attached()
    return found


def test_a_figure_comes_live_and_can_be_read_taken_and_deleted(
    page: Page, experiment: at.Experiment
) -> None:
    page.goto(f"/experiments/{experiment.id}/")
    section = page.get_by_test_id("own-figures")
    section.get_by_text("Keep a Plotly figure here").click()
    expect(section.locator("pre")).to_contain_text(f'at.Client().get("{experiment.id}")')
    section.get_by_text("Keep a Plotly figure here").click()
    expect(section.get_by_test_id("own-figure")).to_have_count(0)
    expect(page.get_by_test_id("connection-state")).to_have_text("live")

    points = {"x": list(range(10_000)), "y": [n % 97 for n in range(10_000)], "mode": "markers"}
    layout = {"title": {"text": f"{LONG} <b>&amp;</b>"}}
    experiment.keep_figure("按批量", {"data": [{"type": "scattergl", **points}], "layout": layout})
    section.scroll_into_view_if_needed()
    first = drawn(page, "按批量")
    expect(first.get_by_role("heading", level=3)).to_have_text(f"{LONG} &")
    expect(first.locator(".points path")).to_have_count(10_000)

    # the same name anew, and others beside it: of every kind that there is
    experiment.keep_figure("按批量", {"data": [{"type": "bar", "x": ["a", "b"], "y": [3, 4]}]})
    expect(first.locator(".bars .point")).to_have_count(2)
    expect(first.get_by_role("heading", level=3)).to_have_text("按批量")
    kinds: dict[str, dict[str, Any]] = {
        "box": {"y": [1, 2, 9]}, "violin": {"y": [1, 2, 9]}, "histogram": {"x": [1, 1, 2]},
        "histogram2d": {"x": [1, 2], "y": [1, 2]}, "pie": {"labels": ["a", "b"], "values": [1, 2]},
        "histogram2dcontour": {"x": [1, 2, 3], "y": [1, 3, 2]},
    }  # fmt: skip
    data = [{"type": kind, **trace} for kind, trace in kinds.items() if kind != "pie"]
    experiment.keep_figure("kinds", {"data": data})
    experiment.keep_figure("pie", {"data": [{"type": "pie", **kinds["pie"]}]})
    for layer in (".boxes", ".violins", ".bars", ".hm"):
        expect(drawn(page, "kinds").locator(layer).first).to_be_attached()
    expect(drawn(page, "pie").locator(".slice")).to_have_count(2)

    need("browser", AXE.exists(), "axe-core (npm ci)")
    section.get_by_text("Keep a Plotly figure here").click()
    page.evaluate(AXE.read_text())
    assert page.evaluate(RUN) == []

    first.get_by_role("button", name="Save the chart: 按批量").click()
    with page.expect_download() as saved:
        first.get_by_role("button", name="Drawing (SVG)").click()
    assert saved.value.suggested_filename == "own-figures-按批量.svg"
    first.get_by_test_id("chart-as-table").focus()
    page.keyboard.press("Enter")
    expect(first.locator("td")).to_have_text(["1", "a", "3", "1", "b", "4"])
    first.get_by_role("button", name="Delete 按批量").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(first).to_have_count(0)
    assert [each["name"] for each in experiment.figures()] == ["kinds", "pie"]
    for name in ("kinds", "pie"):
        experiment.delete_figure(name)
    expect(section.get_by_test_id("own-figure")).to_have_count(0)


EVIL = "https://evil.invalid"
LINKS = [
    f"<a href='{EVIL}/link'>go</a>",
    "<a href='javascript:alert(1)'>go</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>go</a>",
    f"<a href='{EVIL}' target='_blank' popup='width=1'>go</a>",
    f"<b style='background:url({EVIL}/b);fill:url({EVIL}/c#d)'>go</b>",
    f"&lt;a href='{EVIL}/entity'&gt;go&lt;/a&gt;",
    f"<img src='{EVIL}/img' onerror='alert(1)'>",
    "<script>alert(1)</script>",
]
ATTACKS: dict[str, dict[str, Any]] = {
    "title": {"layout": {"title": {"text": LINKS[0]}}},
    "annotations": {
        "layout": {"annotations": [
            {"text": link, "x": 0.5, "y": i / 10, "xref": "paper", "yref": "paper"}
            for i, link in enumerate(LINKS)
        ]}
    },
    "axes": {"layout": {
        "xaxis": {"title": {"text": LINKS[1]}, "tickprefix": "<a href='javascript:alert(1)'",
                  "ticksuffix": ">go</a>"},
        "yaxis": {"ticktext": LINKS[:2], "tickvals": [3, 4]},
    }},
    "template": {"layout": {"template": {"layout": {
        "images": [{"source": f"{EVIL}/t.png"}], "title": {"text": LINKS[1]},
        "annotationdefaults": {"text": LINKS[1]},
        "updatemenus": [{"buttons": [{"method": "relayout", "args": [{}]}]}],
    }}}},
    "hover": {"data": [{
        "x": [1, 2], "y": [3, 4], "customdata": ["a href='javascript:alert(1)'>go", LINKS[1]],
        "hovertemplate": f"<%{{customdata}}{LINKS[1]}<extra>{LINKS[0]}</extra>",
    }]},
    "words": {"data": [{"type": "bar", "x": LINKS, "y": list(range(8)), "text": LINKS,
                        "name": LINKS[1], "showlegend": True}]},
    "pie": {"data": [{"type": "pie", "labels": LINKS, "values": [1] * 8, "textinfo": "label"}]},
    "colours": {"data": [{"x": [1], "y": [2], "meta": {"trial": 0, "colorscale_dark": LINKS}}]},
}  # fmt: skip


def test_nothing_in_a_figure_runs_loads_or_leads_away(
    page: Page, stack: Stack, experiment: at.Experiment
) -> None:
    asked: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    trace = {"x": [1, 2], "y": [3, 4], "mode": "markers", "marker": {"size": 30}}
    for name, part in ATTACKS.items():
        experiment.keep_figure(name, {"data": [trace], **part})
    address = f"/experiments/{experiment.id}/"
    page.goto(address)
    for name in ATTACKS:
        card(page, name).scroll_into_view_if_needed()
        found = drawn(page, name)
        expect(found.locator(".main-svg").first).to_be_attached()
        assert found.locator("a, image, script, foreignObject, [onclick]").count() == 0, name
        assert found.locator('[style*="url("]:not([style*="url(\\"#"])').count() == 0, name
        for text in found.locator("svg text").all()[:12]:
            text.dispatch_event("click")
        points = found.locator(".points path, .slice")
        if points.count():
            points.last.hover(force=True)
            points.last.click(force=True)
            assert found.locator(".hoverlayer a").count() == 0, name
    assert dialogs == []
    assert page.url.endswith(address)
    assert len(page.context.pages) == 1
    own = (stack.url, "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    for name in ATTACKS:
        experiment.delete_figure(name)


REFUSED: dict[str, dict[str, Any]] = {
    "layout.images": {"layout": {"images": [{"source": f"{EVIL}/x.png"}]}},
    "layout.updatemenus": {"layout": {"updatemenus": [{"buttons": [{"method": "restyle"}]}]}},
    "layout.sliders": {"layout": {"sliders": [{}]}},
    "layout.mapbox": {"layout": {"mapbox": {"style": f"{EVIL}/style.json", "accesstoken": "x"}}},
    "layout.map": {"layout": {"map": {"style": f"{EVIL}/style.json"}}},
    "config": {"config": {"plotlyServerURL": EVIL, "showSendToCloud": True}},
    "frames": {"frames": [{"data": []}]},
    "data[0].type": {"data": [{"type": "image", "source": f"{EVIL}/x.png"}]},
    "data[0].transforms": {"data": [{"transforms": [{"type": "filter"}]}]},
}


def test_what_would_load_or_run_is_refused_by_name(stack: Stack, experiment: at.Experiment) -> None:
    for path, part in REFUSED.items():
        with pytest.raises(at.Refused) as refused:
            experiment.keep_figure(quote(path), {"data": [{"y": [1]}], **part})
        assert [problem["path"] for problem in refused.value.problems] == [path]
    assert experiment.figures() == []
