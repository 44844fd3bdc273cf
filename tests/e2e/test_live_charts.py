"""Charts of a running experiment in a real browser: drawn once, then points are added to them.

What a person did to a chart (zoom, hidden lines, the pointer on a point) outlives all news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.e2e.stack import Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("live-charts")]

PERIOD_S = 0.25  # between two reports of the climbing trial


@pytest.fixture(scope="module")
def climbing(stack: Stack) -> Iterator[str]:
    """An experiment whose one trial reports a higher value each time."""
    experiment = stack.create(
        name="climbing", maxTrialNum=1, trialConcurrency=1, arguments=[2000, PERIOD_S, "climb"]
    )
    stack.wait_for_phase(experiment, "RUNNING")
    yield experiment
    stack.api("POST", f"experiments/{experiment}/finish/")


@pytest.fixture
def many(stack: Stack) -> Iterator[str]:
    """An experiment whose short trials come and go while it is looked at."""
    experiment = stack.create(
        name="many", maxTrialNum=400, trialConcurrency=3, arguments=[4, 0.2], maxExecSeconds=600
    )
    wait_for("an ended trial", lambda: n_ended(stack, experiment) >= 3)
    yield experiment
    stack.api("POST", f"experiments/{experiment}/finish/")


def n_ended(stack: Stack, experiment: str) -> int:
    return int(stack.experiment(experiment)["n_finished"])


def open_chart(page: Page, experiment: str, kind: str) -> Locator:
    page.goto(f"/experiments/{experiment}/?chart={kind}")
    chart = page.get_by_test_id(f"chart-{kind}")
    expect(chart.locator(".nsewdrag").first).to_be_visible()
    expect(page.get_by_test_id("connection-state")).to_have_text("live")
    return chart


def drag(page: Page, chart: Locator) -> None:
    """Zoom into a part of the plot in both directions."""
    box = chart.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    left, top, width, height = box["x"], box["y"], box["width"], box["height"]
    page.mouse.move(left + 0.3 * width, top + 0.25 * height)
    page.mouse.down()
    page.mouse.move(left + 0.7 * width, top + 0.75 * height, steps=5)
    page.mouse.up()
    page.mouse.move(left + 0.5 * width, top + 0.5 * height)
    page.wait_for_timeout(500)  # the zoom's own animation


def ranges(chart: Locator) -> list[list[float]]:
    """The ends of both axes as they are on the screen; between two drawings there are none."""
    found: list[list[float]] = wait_for(
        "axes",
        lambda: chart.evaluate(
            "c => c._fullLayout?.xaxis"
            " && [c._fullLayout.xaxis, c._fullLayout.yaxis].map(a => a.range.map(Number))"
        ),
        30,
    )
    return found


def n_points(chart: Locator) -> int:
    """Reports that are drawn in the lines that grow; thinned, they may be fewer points."""
    return int(
        chart.evaluate(
            "c => (c.data || []).filter(t => t.meta && 'trial' in t.meta)"
            ".reduce((n, t) => n + t.meta.last + 1, 0)"
        )
    )


def n_marks(chart: Locator) -> int:
    return int(chart.evaluate("c => (c.data || []).reduce((n, t) => n + t.x.length, 0)"))


def watch(page: Page, chart: Locator, count: Callable[[Locator], int], more: int) -> None:
    """Look on until the chart has so many more points."""
    before = count(chart)
    for _ in range(600):
        if count(chart) >= before + more:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"waited 60 s for {more} points after {before}, last saw {count(chart)}")


def chart_requests(page: Page) -> list[str]:
    """Filled with the addresses of all figures that are fetched from now on."""
    found: list[str] = []

    def note(request: Request) -> None:
        if "/charts/" in request.url:
            found.append(request.url)

    page.on("request", note)
    return found


def test_new_points_leave_a_zoom_alone(page: Page, climbing: str):
    chart = open_chart(page, climbing, "curves")
    watch(page, chart, n_points, 4)
    drag(page, chart)
    zoomed = ranges(chart)
    watch(page, chart, n_points, 12)
    assert ranges(chart) == zoomed
    page.locator("[data-set-theme=dark]").click()
    watch(page, chart, n_points, 4)
    assert ranges(chart) == zoomed


def test_a_double_click_goes_back_to_what_there_is_now(page: Page, climbing: str):
    chart = open_chart(page, climbing, "curves")
    drag(page, chart)
    zoomed = ranges(chart)
    watch(page, chart, n_points, 12)
    for _ in range(5):  # a machine too busy may see two clicks
        page.mouse.dblclick(*middle(chart))
        page.wait_for_timeout(1000)
        if ranges(chart)[1][0] <= 1:
            break
    reset = ranges(chart)[1]
    assert reset[0] <= 1
    assert reset[1] > zoomed[1][1]
    watch(page, chart, n_points, 8)  # and it follows again
    assert_newest_in_view(page, chart)
    assert ranges(chart)[1][1] > reset[1]


def test_what_is_scrolled_away_is_drawn_when_it_is_seen_again(page: Page, climbing: str):
    page.set_viewport_size({"width": 1280, "height": 500})
    page.goto(f"/experiments/{climbing}/")
    chart = page.get_by_test_id("chart-curves")
    expect(chart.locator(".nsewdrag").first).to_be_visible()
    expect(page.get_by_test_id("connection-state")).to_have_text("live")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    watch(page, chart, n_points, 4)
    drawn = chart.get_attribute("data-drawn")
    assert drawn
    watch(page, chart, n_points, 12)  # its data go on
    assert chart.get_attribute("data-drawn") == drawn
    chart.scroll_into_view_if_needed()
    expect(chart).not_to_have_attribute("data-drawn", drawn)


def test_of_a_running_trial_no_point_is_fetched_twice(page: Page, stack: Stack):
    experiment = stack.create(
        name="fresh", maxTrialNum=1, trialConcurrency=1, arguments=[180, 0.2, "climb"]
    )
    stack.wait_for_phase(experiment, "RUNNING")
    chart = open_chart(page, experiment, "curves")
    watch(page, chart, n_points, 4)
    page.wait_for_timeout(1500)  # what was asked for at the start has come
    fetched = chart_requests(page)
    watch(page, chart, n_points, 30)
    assert fetched == []
    assert_same_as_reported(chart, stack, experiment)
    stack.wait_for_phase(experiment, "DONE")
    for _ in range(100):
        if len(fetched) == 1 and n_points(chart) == 180:
            break
        page.wait_for_timeout(100)
    assert len(fetched) == 1  # it has ended, and is drawn as such
    assert_same_as_reported(chart, stack, experiment)


def test_by_time_points_are_added_too(page: Page, climbing: str):
    page.goto(f"/experiments/{climbing}/?chart=curves&curves.x=time")
    chart = page.get_by_test_id("chart-curves")
    expect(chart.locator(".nsewdrag").first).to_be_visible()
    watch(page, chart, n_points, 4)
    fetched = chart_requests(page)
    watch(page, chart, n_points, 20)
    assert len(fetched) <= 1  # once where the line has become long enough to thin it anew
    xs = chart.evaluate("c => c.data.find(t => t.meta && t.meta.trial === 0).x")
    gaps = [b - a for a, b in zip(xs[-10:], xs[-9:], strict=False)]
    assert all(gap > 0 for gap in gaps)
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(PERIOD_S, rel=0.8)


def test_zoom_and_hidden_marks_of_the_history_outlive_new_trials(page: Page, many: str):
    chart = open_chart(page, many, "history")
    watch(page, chart, n_marks, 4)
    hidden = chart.locator(".legend .traces", has_text="Succeeded")
    for _ in range(5):  # a machine too busy may miss a click
        hidden.locator(".legendtoggle").click()
        page.wait_for_timeout(1000)  # a second click would be a double one
        if visibility(chart, "succeeded") == "legendonly":
            break
    drag(page, chart)
    zoomed = ranges(chart)
    watch(page, chart, n_marks, 12)
    assert ranges(chart) == zoomed
    assert visibility(chart, "succeeded") == "legendonly"


def test_zoom_of_the_durations_outlives_new_trials(page: Page, many: str):
    chart = open_chart(page, many, "duration")
    drag(page, chart)
    zoomed = ranges(chart)
    watch(page, chart, n_marks, 8)
    assert ranges(chart) == zoomed


def test_another_axis_forgets_the_zoom_but_not_the_hidden_lines(page: Page, climbing: str):
    chart = open_chart(page, climbing, "curves")
    watch(page, chart, n_points, 4)
    drag(page, chart)
    page.locator("figure[data-kind=curves] input[data-option=log]").check()
    for _ in range(100):
        if chart.evaluate("c => c._fullLayout.yaxis.type") == "log":
            break
        page.wait_for_timeout(100)
    assert_newest_in_view(page, chart)
    assert ranges(chart)[1][0] <= 0  # exponents now: 1 is in view
    drag(page, chart)
    zoomed = ranges(chart)
    watch(page, chart, n_points, 8)
    assert ranges(chart) == zoomed


def test_what_the_pointer_shows_does_not_flicker(page: Page, climbing: str):
    chart = open_chart(page, climbing, "curves")
    watch(page, chart, n_points, 4)
    drag(page, chart)  # so that the point under the pointer stays where it is
    page.mouse.move(*first_point_in_view(chart))
    expect(chart.locator(".hoverlayer .hovertext")).to_have_count(1)
    chart.evaluate(
        """c => {
            window.empty = 0;
            const look = () => {
                if (!c.querySelector(".hoverlayer .hovertext")) window.empty += 1;
                if (!window.lookedEnough) requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
        }"""
    )
    watch(page, chart, n_points, 12)
    empty = page.evaluate("() => { window.lookedEnough = true; return window.empty; }")
    assert empty == 0


def assert_newest_in_view(page: Page, chart: Locator) -> None:
    """The newest value is within the y axis, or at once will be."""
    shows = """c => {
        const {d2l, range} = c._fullLayout.yaxis;
        return d2l(Math.max(...c.data.flatMap(t => t.y))) <= range[1];
    }"""
    for _ in range(100):
        if chart.evaluate(shows):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"the newest value is out of view: {ranges(chart)}")


def middle(chart: Locator) -> tuple[float, float]:
    box = chart.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def first_point_in_view(chart: Locator) -> tuple[float, float]:
    """Where on the screen a point of trial 0 is, well within the plot."""
    x, y = chart.evaluate(
        """c => {
            const {xaxis, yaxis} = c._fullLayout;
            const box = c.querySelector(".nsewdrag").getBoundingClientRect();
            const t = c.data.find(t => t.meta && t.meta.trial === 0);
            const places = t.x.map((x, i) => [xaxis.d2p(x), yaxis.d2p(t.y[i])]);
            const inside = places.filter(([x, y]) => x > 20 && x < box.width - 20
                && y > 20 && y < box.height - 20);
            const [x, y] = inside[Math.floor(inside.length / 2)];
            return [box.left + x, box.top + y];
        }"""
    )
    return float(x), float(y)


def visibility(chart: Locator, uid: str) -> Any:
    return chart.evaluate("(c, uid) => c._fullData.find(t => t.uid === uid).visible", uid)


def assert_same_as_reported(chart: Locator, stack: Stack, experiment: str) -> None:
    """The line in the browser holds every report once, in order, up to where it is."""
    xs, ys = chart.evaluate(
        "c => { const t = c.data.find(t => t.meta && t.meta.trial === 0); return [t.x, t.y]; }"
    )
    _, answer = stack.api("GET", f"experiments/{experiment}/trials/0/metrics/")
    rows = [r for r in answer["results"] if r["name"] == "default" and r["kind"] == "PERIODICAL"]
    rows.sort(key=lambda row: row["sequence"])
    assert xs == [row["step"] for row in rows[: len(xs)]]
    assert ys == [row["value"] for row in rows[: len(ys)]]
