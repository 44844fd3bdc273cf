"""Ticking trials and setting them side by side, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]

EVIL = "<img src=x onerror=window.hacked=1>"
BRANCHES = {
    "x": {"_type": "uniform", "_value": [-5, 5]},
    "opt": {
        "_type": "choice",
        "_value": [{"_name": "sgd"}, {"_name": EVIL, "beta": {"_type": "choice", "_value": [0.9]}}],
    },
}


@pytest.fixture(scope="module")
def ended(stack: Stack) -> str:
    """Six ended trials of two branches."""
    experiment = stack.create(
        name="branches", maxTrialNum=6, arguments=[5, 0], searchSpace=BRANCHES,
        tuner={"builtinTunerName": "Random", "classArgs": {"seed": 3}},
    )  # fmt: skip
    stack.wait_for_phase(experiment, "DONE")
    return experiment


@pytest.fixture(scope="module")
def running(stack: Stack) -> Iterator[str]:
    experiment = stack.create(name="long", maxTrialNum=2, trialConcurrency=2, arguments=[900, 0.25])
    stack.wait_for_phase(experiment, "RUNNING")
    yield experiment
    stack.api("POST", f"experiments/{experiment}/finish/")


def columns(page: Page) -> list[str]:
    found = page.get_by_test_id("compare-column")
    return list(found.evaluate_all("heads => heads.map(h => h.dataset.number)"))


def test_ticks_live_in_the_address_and_lead_to_the_comparison(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/")
    rows = page.get_by_test_id("trial-row")
    expect(rows).to_have_count(6)
    bar = page.get_by_test_id("selection-bar")
    expect(bar).to_be_hidden()
    page.get_by_label("Select trial 4", exact=True).check()
    expect(bar).to_contain_text("1 of 6 trials selected")
    expect(page.get_by_test_id("selection-compare")).to_have_attribute("aria-disabled", "true")
    page.get_by_label("Select trial 1", exact=True).click(modifiers=["Shift"])  # 4 to 1
    expect(bar).to_contain_text("4 of 6 trials selected")
    assert page.url.endswith("?ticked=1-4")
    # another order, a filter that hides some, and a reload: still ticked
    page.locator("#trial-head button", has_text="Value").click()
    page.get_by_test_id("trial-filter").fill("number >= 3")
    expect(rows).to_have_count(3)
    page.reload()
    expect(rows).to_have_count(3)
    expect(bar).to_contain_text("4 of 6 trials selected")
    expect(page.get_by_label("Select trial 3", exact=True)).to_be_checked()
    expect(page.get_by_label("Select trial 5", exact=True)).not_to_be_checked()
    page.get_by_test_id("selection-compare").click()
    page.wait_for_url(re.compile(r"/compare/\?trials=1,2,3,4$"))
    assert columns(page) == ["1", "2", "3", "4"]


def test_keys_tick_rows_and_escape_takes_it_all_back(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/")
    bar = page.get_by_test_id("selection-bar")
    page.locator("[data-tick-all]").check()
    expect(bar).to_contain_text("6 of 6 trials selected")
    page.get_by_test_id("trial-row").nth(1).locator("a").first.focus()
    page.keyboard.press("x")
    expect(bar).to_contain_text("5 of 6 trials selected")
    expect(page.locator("[data-tick-all]")).to_have_js_property("indeterminate", True)
    page.get_by_test_id("trial-filter").focus()
    page.keyboard.press("Escape")  # of the field, not of the selection
    expect(bar).to_be_visible()
    page.get_by_test_id("trial-row").nth(1).locator("a").first.focus()
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()
    assert "ticked" not in page.url


def test_a_point_clicked_with_shift_is_ticked(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/?chart=history")
    point = page.locator("[data-testid=chart-history] .tracesucceeded .points path, "
                         "[data-testid=chart-history] .points path").first  # fmt: skip
    expect(point).to_be_visible()
    box = point.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(200)  # the hover that a click goes by
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.get_by_test_id("selection-bar")).to_contain_text("1 of 6 trials selected")
    assert f"/experiments/{ended}/" in page.url


def test_ticks_outlive_the_news_of_a_running_trial(page: Page, running: str):
    page.goto(f"/experiments/{running}/")
    box = page.get_by_label("Select trial 0", exact=True)
    box.focus()
    page.keyboard.press("Space")
    row = page.locator("tr[data-number='0']")
    before = row.inner_text()
    expect(row).not_to_have_text(before)  # its reports go on
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(page.get_by_test_id("selection-bar")).to_contain_text("1 of 2 trials selected")


def test_differences_come_first_and_all_on_demand(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/compare/?trials=0,1,2,3,4,5")
    table = page.get_by_test_id("compare-table")
    expect(table).to_contain_text("opt.beta")  # of one branch only
    expect(table.locator(".best-mark")).to_have_count(1)
    expect(table).not_to_contain_text("Attempt")
    page.get_by_test_id("compare-all").check()
    expect(table).to_contain_text("Attempt")
    assert page.url.endswith("&all=1")
    page.reload()
    expect(table).to_contain_text("Attempt")
    expect(table).to_contain_text(EVIL)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    chart = page.get_by_test_id("chart-overlay")
    expect(chart.locator(".scatterlayer .trace")).to_have_count(6)
    page.get_by_label("Remove trial 3").click()
    page.wait_for_url(re.compile("trials=0%2C1%2C2%2C4%2C5"))
    assert columns(page) == ["0", "1", "2", "4", "5"]


def test_a_comparison_follows_running_trials(page: Page, running: str):
    page.goto(f"/experiments/{running}/compare/?trials=0,1")
    expect(page.get_by_test_id("connection-state")).to_have_text("live")
    value = page.get_by_test_id("compare-table").locator("td.value").first
    before = value.inner_text()
    chart = page.get_by_test_id("chart-overlay")
    expect(chart).to_have_attribute("data-drawn", re.compile(r"\d+"))
    points = chart.evaluate("c => c.data[0].y.length")
    expect(value).not_to_have_text(before)
    for _ in range(100):
        if chart.evaluate("c => c.data[0].y.length") > points + 2:
            break
        page.wait_for_timeout(100)
    assert chart.evaluate("c => c.data[0].y.length") > points + 2


def test_a_wrong_address_can_be_mended_on_the_spot(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/compare/?trials=1")
    refused = page.get_by_test_id("compare-refused")
    expect(refused).to_contain_text("must name 2 to 20 different trials, but got 1.")
    page.get_by_test_id("compare-numbers").fill("1, 5")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("trials=1%2C"))
    assert columns(page) == ["1", "5"]
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser logs the refused page


@pytest.mark.parametrize("width", [1440, 390])
def test_the_comparison_scrolls_inside_its_table(page: Page, ended: str, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"/experiments/{ended}/compare/?trials=0,1,2,3,4,5&all=1")
    expect(page.get_by_test_id("chart-overlay")).to_have_attribute("data-drawn", re.compile(r"\d"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


# ---- experiments


@pytest.fixture(scope="module")
def three(stack: Stack) -> list[str]:
    """Three ended experiments, the newest last."""
    made = [stack.create(name=f"side-{n}", maxTrialNum=2 + n, arguments=[2, 0]) for n in range(3)]
    for experiment in made:
        stack.wait_for_phase(experiment, "DONE")
    return made


def test_ticked_experiments_outlive_refreshes_and_search_and_are_compared(
    page: Page, three: list[str]
):
    page.goto("/")
    bar = page.get_by_test_id("list-selection")
    expect(bar).to_be_hidden()
    page.get_by_label("Select side-0").check()
    expect(bar).to_contain_text("1 selected")
    expect(page.get_by_test_id("list-compare")).to_have_attribute("aria-disabled", "true")
    assert page.url.endswith(f"?ticked={three[0]}")
    page.wait_for_timeout(4000)  # the list has refreshed itself
    expect(page.get_by_label("Select side-0")).to_be_checked()
    page.locator("#list-search").fill("side-2")
    expect(page.get_by_test_id("experiment-row")).to_have_count(1)
    page.get_by_label("Select side-2").check()
    expect(bar).to_contain_text("2 selected")
    page.locator(".list-tabs a", has_text="Done").click()
    page.wait_for_url(re.compile("phase=done"))
    assert f"ticked={three[0]}%2C{three[2]}" in page.url
    page.reload()
    expect(page.get_by_label("Select side-2")).to_be_checked()
    page.get_by_test_id("list-compare").click()
    page.wait_for_url(re.compile(f"/experiments/compare/.ids={three[0]},{three[2]}$"))
    for name in ("trials", "time", "edf"):
        chart = page.get_by_test_id(f"chart-{name}")
        expect(chart.locator(".scatterlayer .trace")).to_have_count(2)
    table = page.get_by_test_id("compare-table")
    expect(table).to_contain_text("maxTrialNum")
    expect(table).not_to_contain_text("trialConcurrency")
    page.get_by_test_id("compare-all").check()
    expect(table).to_contain_text("trialConcurrency")


def test_escape_unticks_experiments(page: Page, three: list[str]):
    page.goto(f"/?ticked={','.join(three)}")
    bar = page.get_by_test_id("list-selection")
    expect(bar).to_contain_text("3 selected")
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()
    expect(page.get_by_label("Select side-1")).not_to_be_checked()
    assert "ticked" not in page.url


@pytest.mark.parametrize("width", [1440, 390])
def test_experiments_side_by_side_by_distance_and_no_wider_than_the_screen(
    page: Page, three: list[str], width: int
):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"/experiments/compare/?ids={','.join(three)}")
    chart = page.get_by_test_id("chart-trials")
    expect(chart.locator(".scatterlayer .trace")).to_have_count(3)
    page.locator("[data-measure=gap]").click()
    expect(chart.locator(".ytitle")).to_have_text("Distance to its own best")
    assert "y=gap" in page.url
    page.reload()
    expect(chart.locator(".ytitle")).to_have_text("Distance to its own best")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_label("Without side-1").click()
    page.wait_for_url(re.compile(f"ids={three[0]}%2C{three[2]}"))
    expect(chart.locator(".scatterlayer .trace")).to_have_count(2)
