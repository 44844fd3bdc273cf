"""The charts that explain an experiment, in a real browser: importance, slice, pair and the others.

Asked for only where somebody looks at them, and what was zoomed or chosen outlives all news.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.stack import Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("pages")]

SPACE = {
    "x": {"_type": "uniform", "_value": [-5, 5]},
    "rate": {"_type": "loguniform", "_value": [0.001, 1]},
    "kind": {"_type": "choice", "_value": ["a", "b"]},
}


@pytest.fixture(scope="module")
def growing(stack: Stack) -> Iterator[str]:
    """An experiment whose trials come and go while it is looked at: one a second, since the
    starts of more would take the processor that the browser needs."""
    experiment = stack.create(
        name="growing", maxTrialNum=600, trialConcurrency=3, arguments=[2, 1.2],
        maxExecSeconds=900, searchSpace=SPACE,
    )  # fmt: skip
    wait_for("ended trials", lambda: stack.experiment(experiment)["n_finished"] >= 6)
    yield experiment
    stack.api("POST", f"experiments/{experiment}/finish/")


def asked_for(page: Page) -> list[str]:
    """Filled with the kinds of all charts that are fetched from now on."""
    found: list[str] = []

    def note(request: Any) -> None:
        if "/api/v1/" in request.url and "/charts/" in request.url:
            found.append(request.url.split("/charts/")[1].split("/")[0])

    page.on("request", note)
    return found


def opened(page: Page, kind: str) -> Locator:
    page.locator(f"#chart-tabs [data-view={kind}]").click()
    chart = page.get_by_test_id(f"chart-{kind}")
    expect(chart.locator(".nsewdrag").first).to_be_visible()
    return chart


def test_a_chart_is_asked_for_when_its_tab_is_opened(page: Page, growing: str):
    fetched = asked_for(page)
    page.goto(f"/experiments/{growing}/")
    expect(page.get_by_test_id("chart-history").locator(".nsewdrag").first).to_be_visible()
    page.wait_for_timeout(1500)
    assert set(fetched) <= {"history", "curves", "parcoords", "duration"}
    for kind in ("slice", "pair", "edf", "slots", "cost"):
        assert kind not in fetched
        opened(page, kind)
        assert kind in fetched
        fetched.clear()
        page.wait_for_timeout(2500)
        assert set(fetched) <= {kind}  # those left behind rest, though trials end
        assert page.url.endswith(f"chart={kind}")
        assert page.locator(f"figure[data-kind={kind}] .chart-note").inner_text() != ""


def test_importance_says_how_many_trials_it_takes_and_then_draws(page: Page, stack: Stack):
    young = stack.create(
        name="young", maxTrialNum=36, trialConcurrency=3, arguments=[2, 0.8], searchSpace=SPACE
    )
    page.goto(f"/experiments/{young}/?chart=importance")
    figure = page.locator("figure[data-kind=importance]")
    expect(figure).to_contain_text("it takes 30", timeout=60_000)
    chart = page.get_by_test_id("chart-importance")
    expect(chart.locator(".bars").first).to_be_attached(timeout=120_000)  # without a reload
    expect(figure.locator(".chart-note")).to_contain_text("PED-ANOVA on ")


def zoom_of(chart: Locator, axis: str) -> list[float]:
    answer: list[float] = chart.evaluate("(c, axis) => c._fullLayout[axis].range.map(Number)", axis)
    return answer


def test_a_zoom_into_one_of_the_slices_outlives_new_trials(page: Page, growing: str):
    page.goto(f"/experiments/{growing}/?chart=slice")
    chart = page.get_by_test_id("chart-slice")
    expect(chart.locator(".nsewdrag")).to_have_count(3)
    axes: list[str] = chart.evaluate(
        "c => Object.keys(c._fullLayout).filter(n => /^xaxis\\d*$/.test(n))"
    )
    assert sorted(axes) == ["xaxis", "xaxis2", "xaxis3"]  # by the space's order
    box = chart.locator(".xy .nsewdrag, .nsewdrag[data-subplot=xy]").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    zoomed, other = zoom_of(chart, "xaxis"), zoom_of(chart, "xaxis2")
    assert zoomed != pytest.approx([-5.3, 5.3], abs=0.5)
    drawn = int(chart.get_attribute("data-drawn") or 0)
    n_before = chart.evaluate("c => c.layout.meta.n_trials")
    for _ in range(600):
        if chart.evaluate("c => c.layout.meta.n_trials") >= n_before + 4:
            break
        page.wait_for_timeout(100)
    assert int(chart.get_attribute("data-drawn") or 0) > drawn
    assert zoom_of(chart, "xaxis") == zoomed
    assert zoom_of(chart, "xaxis2") == other


def test_the_chosen_pair_stands_in_the_address(page: Page, growing: str):
    page.goto(f"/experiments/{growing}/?chart=pair")
    figure = page.locator("figure[data-kind=pair]")
    chart = page.get_by_test_id("chart-pair")
    expect(chart.locator(".nsewdrag").first).to_be_visible()
    figure.locator("[data-option=x]").select_option("rate")
    figure.locator("[data-option=y]").select_option("x")
    figure.locator("[data-option=view]").select_option("contour")
    expect(chart.locator(".xtitle")).to_have_text("rate")
    expect(chart.locator(".ytitle")).to_have_text("x")
    expect(chart.locator(".contourlayer, .contour").first).to_be_attached()
    assert "pair.x=rate" in page.url
    page.reload()
    expect(chart.locator(".xtitle")).to_have_text("rate")
    expect(figure.locator("[data-option=view]")).to_have_value("contour")
    expect(figure.locator("[data-option=y]")).to_have_value("x")
