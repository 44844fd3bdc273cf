"""Working with the page of an experiment and of a trial, in a real browser."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.stack import Stack, manage

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("pages")]

SLOW = 20_000  # milliseconds, for what waits on processes or on a loaded machine
REFUSED = re.compile("status of 4(00|09)")  # the browser logs every refused request


@pytest.fixture(scope="module")
def ended(stack: Stack) -> str:
    """An experiment whose trials have all ended."""
    experiment = stack.create(name="ended", maxTrialNum=6, arguments=[3, 0])
    stack.wait_for_phase(experiment, "DONE")
    return experiment


@pytest.fixture(scope="module")
def running(stack: Stack) -> Iterator[str]:
    """An experiment with one long trial at work."""
    experiment = stack.create(name="long", maxTrialNum=2, trialConcurrency=1, arguments=[900, 0.25])
    stack.wait_for_phase(experiment, "RUNNING")
    yield experiment
    stack.api("POST", f"experiments/{experiment}/finish/")


def forget_refusals(page: Page) -> None:
    errors = page.console_errors  # type: ignore[attr-defined]
    errors[:] = [error for error in errors if not REFUSED.search(error)]


def numbers(page: Page) -> list[str]:
    return page.get_by_test_id("trial-row").evaluate_all("rows => rows.map(r => r.dataset.number)")


def test_sort_and_filter_are_kept_in_the_address(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/")
    expect(page.get_by_test_id("trial-row")).to_have_count(6)
    assert numbers(page) == ["5", "4", "3", "2", "1", "0"]
    page.locator("#trial-head button", has_text="Value").click()
    page.get_by_test_id("trial-filter").fill("number >= 2")
    expect(page.get_by_test_id("trial-row")).to_have_count(4)
    values = [float(v) for v in page.locator("td.num.value:nth-child(3)").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    before = numbers(page)
    page.reload()
    expect(page.get_by_test_id("trial-row")).to_have_count(4)
    assert numbers(page) == before
    expect(page.get_by_test_id("trial-filter")).to_have_value("number >= 2")


def test_any_of_thousands_of_metrics_can_be_searched_and_charted(page: Page, ended: str):
    asked: list[str] = []

    def with_many(route: Route) -> None:
        asked.append(route.request.url)
        response = route.fetch()
        figure = response.json()
        figure["layout"]["meta"]["metrics"] = ["default", *(f"norm {n}" for n in range(2700))]
        route.fulfill(response=response, json=figure)

    page.route("**/charts/curves/**", with_many)
    page.goto(f"/experiments/{ended}/")
    chart = page.locator(".chart[data-kind=curves]")
    search = chart.get_by_label("Search metrics")
    expect(search).to_have_attribute("placeholder", "Search 2701 metrics")
    search.fill("NORM 2699")
    chart.locator("[data-option=metric]").select_option("norm 2699")
    expect(page).to_have_url(re.compile(r"curves\.metric=norm"))
    expect(chart.locator(".chart-empty")).to_contain_text("norm 2699")
    assert "metric=norm+2699" in asked[-1]


def test_hundreds_of_metrics_do_not_push_the_log_away(page: Page, stack: Stack):
    wide = stack.create(name="wide", maxTrialNum=1, arguments=[2, 0, "wide"])
    stack.wait_for_phase(wide, "DONE")
    page.goto(f"/experiments/{wide}/trials/0/")
    expect(page.locator("#result tr")).to_have_count(300)
    height = page.locator("#result").evaluate("e => e.getBoundingClientRect().height")
    assert height <= 420
    assert page.locator("#log-box").evaluate("e => e.getBoundingClientRect().top") < 1500
    page.locator("#result tr").last.scroll_into_view_if_needed()
    expect(page.locator("#result tr").last).to_contain_text("m299")


def test_a_picture_of_a_chart_is_named_by_the_experiment(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/")
    expect(page.locator(".chart[data-kind=history] .main-svg").first).to_be_visible(timeout=SLOW)
    with page.expect_download() as download:
        page.locator(".chart[data-kind=history]").hover()
        page.locator(".chart[data-kind=history] [data-title*=png i]").click()
    assert download.value.suggested_filename == "ended-history.png"


def test_an_expression_that_makes_no_sense_is_explained(page: Page, ended: str):
    page.goto(f"/experiments/{ended}/")
    page.get_by_test_id("trial-filter").fill("speed < 3")
    expect(page.locator("#where-error")).to_contain_text("speed")
    expect(page.get_by_test_id("trial-row")).to_have_count(6)  # the rows stay
    forget_refusals(page)


def test_the_object_in_the_cluster_and_its_trouble_are_shown_as_text(
    page: Page, stack: Stack, ended: str
):
    page.goto(f"/experiments/{ended}/")
    expect(page.get_by_test_id("trial-row")).to_have_count(6)
    expect(page.get_by_test_id("cluster-object")).to_be_hidden()
    expect(page.get_by_test_id("cluster-trouble")).to_be_hidden()
    sync = f"""
from experiments.models import ClusterObject, Experiment
experiment = Experiment.objects.get(pk={ended!r})
ClusterObject.objects.create(
    experiment=experiment, namespace="team-a", name="ended", trouble="<b>no</b> room")
experiment.announce()
"""
    answer = manage(stack.data, "shell", "-c", sync)
    assert answer.returncode == 0, answer.stderr
    tag = page.get_by_test_id("cluster-object")  # without a reload
    expect(tag).to_have_text("team-a/ended")
    expect(tag).to_have_attribute("data-copy", "kubectl --namespace team-a get ate ended")
    expect(page.get_by_test_id("cluster-trouble")).to_contain_text("<b>no</b> room")


def test_a_custom_trial_outside_the_space_needs_a_second_word(page: Page, running: str):
    page.goto(f"/experiments/{running}/")
    page.get_by_test_id("add-trial").click()
    dialog = page.locator("#custom-dialog")
    dialog.locator("[name=x]").fill("77")
    page.get_by_test_id("custom-submit").click()
    expect(dialog.locator(".field-error:visible")).to_contain_text("77")
    page.get_by_test_id("custom-force").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_test_id("trial-row").filter(has_text="custom")).to_contain_text("77")
    forget_refusals(page)


def test_of_two_people_editing_a_limit_neither_loses_unawares(
    context: BrowserContext, page: Page, running: str
):
    other = context.new_page()
    for person in (page, other):
        person.goto(f"/experiments/{running}/")
        expect(person.get_by_test_id("connection-state")).to_have_text("live")
    field = page.get_by_test_id("limit-max_exec_seconds")
    field.fill("500")  # typed, not saved yet
    other.get_by_test_id("limit-max_exec_seconds").fill("400")
    other.get_by_test_id("limits-save").click()
    error = page.get_by_test_id("limit-error-max_exec_seconds")
    expect(error).to_contain_text("Changed to 400 by somebody else")
    expect(field).to_have_value("500")
    page.get_by_test_id("limits-save").click()
    expect(other.get_by_test_id("limit-max_exec_seconds")).to_have_value("500")
    other.close()


def test_zoom_outlives_the_news_and_the_theme(page: Page, running: str):
    page.goto(f"/experiments/{running}/?chart=curves")
    chart = page.get_by_test_id("chart-curves")
    area = chart.locator(".nsewdrag").first
    expect(area).to_be_visible(timeout=SLOW)
    box = area.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 200, steps=4)
    page.mouse.up()
    page.wait_for_timeout(500)  # the zoom's own animation
    zoomed = chart.evaluate("c => c.layout.xaxis.range.join()")
    drawn = int(chart.get_attribute("data-drawn") or 0)
    for _ in range(150):
        if int(chart.get_attribute("data-drawn") or 0) > drawn + 3:
            break
        page.wait_for_timeout(100)
    assert int(chart.get_attribute("data-drawn") or 0) > drawn + 3
    page.locator("[data-set-theme=dark]").click()
    assert chart.evaluate("c => c.layout.xaxis.range.join()") == zoomed


def test_suspend_and_resume_stand_in_the_badge(page: Page, running: str):
    page.goto(f"/experiments/{running}/")
    page.locator("[data-action=suspend]").click()
    expect(page.get_by_test_id("phase-badge")).to_contain_text("Suspended")
    page.locator("[data-action=resume]").click()
    expect(page.get_by_test_id("phase-badge")).to_contain_text("Running")


def test_the_trial_page_follows_its_trial(page: Page, running: str):
    page.goto(f"/experiments/{running}/trials/0/")
    expect(page.get_by_test_id("trial-state")).to_contain_text("Running")
    count = page.locator("#metrics-count")
    expect(count).not_to_have_text("")
    before = int(count.inner_text().split()[-1])
    log = page.get_by_test_id("log")
    expect(log).to_contain_text("parameters")
    expect(count).not_to_have_text(str(before))
    expect(log).to_contain_text(f"step {before + 5}\n", timeout=SLOW)


def test_a_killed_trial_ends_as_canceled_before_ones_eyes(page: Page, running: str):
    page.goto(f"/experiments/{running}/trials/0/")
    page.locator("[data-action=kill]").click()
    page.locator("#confirm-dialog [data-confirm]").click()
    expect(page.get_by_test_id("trial-state")).to_contain_text("Canceled", timeout=SLOW)
    expect(page.get_by_test_id("trial-reason")).to_contain_text("Killed by the user")
    expect(page.locator("[data-action=retry]")).to_be_visible()


def test_a_deleted_experiment_leaves_its_page(page: Page, stack: Stack):
    experiment = stack.create(name="doomed", maxTrialNum=1, arguments=[1, 0])
    stack.wait_for_phase(experiment, "DONE")
    page.goto(f"/experiments/{experiment}/")
    page.get_by_role("button", name="More", exact=True).click()
    page.locator("[data-action=delete]").click()
    page.locator("#confirm-dialog [data-confirm]").click()
    page.wait_for_url(stack.url + "/")
    status, _ = stack.api("GET", f"experiments/{experiment}/")
    assert status == 404


def test_parameters_are_taken_away_in_three_forms(page: Page, ended: str):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/experiments/{ended}/trials/0/")
    menu = page.get_by_test_id("copy-menu")

    def copied(words: str) -> str:
        if words != "Copy JSON":
            menu.get_by_label("Copy in another form").click()
        menu.get_by_text(words).click()
        page.wait_for_timeout(300)
        return str(page.evaluate("navigator.clipboard.readText()"))

    parameters = json.loads(copied("Copy JSON"))
    assert set(parameters) == {"x", "kind"}
    assert ast.literal_eval(copied("Copy as Python")) == parameters
    assert copied("Copy as arguments") == f"--x {parameters['x']} --kind {parameters['kind']}"
