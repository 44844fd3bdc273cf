"""What one asks of a finished experiment, found on its page: luck, failures, running it again."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def done(stack: Stack) -> str:
    """Four trials of a script that draws nothing at random."""
    made = stack.create(name="asked", maxTrialNum=4, trialConcurrency=2, arguments=[1, 0])
    stack.wait_for_phase(made, "DONE")
    return made


def test_is_the_winner_real(page: Page, stack: Stack, done: str) -> None:
    page.goto(f"/experiments/{done}/")
    expect(page.get_by_test_id("winner-verdict")).to_contain_text("It ran once")
    page.get_by_test_id("winner-open").click()
    contenders = page.get_by_test_id("contender")
    expect(contenders).to_have_count(4)
    average = page.get_by_test_id("winner-dialog").get_by_text("Average then")
    expect(average).to_be_hidden()  # of nothing yet
    for row in contenders.all()[2:]:
        row.get_by_role("checkbox").uncheck()
    page.get_by_test_id("winner-times").fill("2")
    expect(page.locator("#winner-forecast")).to_contain_text("4 trials more")
    page.get_by_test_id("winner-run").click()
    expect(page.get_by_test_id("winner-dialog")).to_be_hidden()
    expect(page.get_by_test_id("winner-verdict")).to_contain_text(
        "Every repeat gave the same number", timeout=60_000
    )
    page.get_by_test_id("winner-open").click()
    expect(average).to_be_visible()
    expect(contenders.first).to_contain_text("2 times")
    expect(contenders.nth(3)).to_contain_text("never")
    head = stack.wait_for_phase(done, "DONE")
    assert (head["n_finished"], head["max_trials"]) == (8, 8)
    made = {t["number"]: t["origin"] for t in stack.trials(done)}
    assert [made[n] for n in range(4, 8)] == ["repeat"] * 4


def test_what_to_try_next_is_a_click_from_whether_more_trials_help(page: Page, done: str) -> None:
    page.goto(f"/experiments/{done}/")
    page.get_by_test_id("winner-open").click()
    page.get_by_test_id("winner-next").click()
    expect(page.locator("figure[data-kind=importance]")).to_be_in_viewport()


def test_from_its_page_it_is_compared_with_another(page: Page, stack: Stack, done: str) -> None:
    made = stack.create(name="asked-before", maxTrialNum=1, arguments=[1, 0])
    stack.wait_for_phase(made, "DONE")
    page.goto(f"/experiments/{done}/")
    page.locator("#actions").get_by_role("button", name="More").click()
    page.get_by_test_id("compare-experiments").click()
    expect(page.get_by_test_id("list-selection")).to_contain_text("1 selected")
    page.locator(f"[data-tick={made}]").check()
    page.get_by_test_id("list-compare").click()
    page.wait_for_url(f"**/experiments/compare/?ids={done},{made}")


def test_what_to_type_to_run_the_best_by_hand(
    page: Page, context: BrowserContext, stack: Stack, done: str
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/experiments/{done}/")
    menu = page.get_by_test_id("copy-menu")
    menu.get_by_role("button", name="Copy in another form").click()
    command = page.get_by_test_id("copy-command")
    expect(command).to_have_attribute("data-copy", re.compile("AUTOTUNE_PARAMETERS="))
    command.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    best = stack.experiment(done)["best"]["parameters"]
    assert json.dumps(best) in copied
    assert copied.endswith("trial.py 1 0")


def test_why_trials_fail_among_those_that_are_looked_at(page: Page, stack: Stack) -> None:
    made = stack.create(
        name="failing", maxTrialNum=4, trialConcurrency=2, arguments=[1, 0, "crash"],
        breaker={"alike": 0},
    )  # fmt: skip
    stack.wait_for_phase(made, "DONE")
    page.goto(f"/experiments/{made}/?where=number+<+3")
    card = page.get_by_test_id("failures")
    expect(card.locator("#failures-count")).to_have_text("3 of the selected trials")
    card.get_by_role("button", name="Select them").click()
    expect(page.locator("#selection-count")).to_have_text("3 of 4 trials selected")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(card.locator("#failures-count")).to_have_text("4")
    page.get_by_role("link", name="See why they failed").click()
    expect(card).to_be_in_viewport()


def test_each_kind_of_failure_says_where_it_happens(page: Page, stack: Stack) -> None:
    """Places of a group stand with it, and take the place of those of all together."""
    made = stack.create(
        name="failing-2", maxTrialNum=2, arguments=[1, 0, "crash"], breaker={"alike": 0}
    )
    stack.wait_for_phase(made, "DONE")
    place = {"parameter": "x", "low": 3, "high": None, "values": [], "failed": 2, "of": 2}
    place |= {"elsewhere_failed": 0, "elsewhere_of": 9}

    def with_place(route: Route) -> None:
        answer = route.fetch().json()
        answer["groups"][0]["where"] = [place]
        answer["where"] = [place | {"parameter": "blurred"}]
        route.fulfill(json=answer)

    page.route("**/failures/*", with_place)
    page.goto(f"/experiments/{made}/")
    expect(page.get_by_test_id("failure-group")).to_contain_text(
        "x from 3 up: 2 of 2 failed, elsewhere 0 of 9."
    )
    expect(page.locator("#failures-where")).to_be_empty()


def test_which_trials_none_beats_in_both(page: Page, done: str) -> None:
    page.goto(f"/experiments/{done}/?chart=scatter&scatter.x=param:x&scatter.better_x=low")
    chart = page.locator("figure[data-kind=scatter]")
    expect(chart.locator("[data-drawn]")).to_be_visible()
    expect(chart.locator(".chart-note")).to_contain_text("that no other trial beats in both")
    chart.get_by_label("Which is better on the horizontal axis").select_option("none")
    expect(chart.locator(".chart-note")).to_contain_text("Say which end of each axis is better")
    assert "scatter.better_x=none" in page.url


def test_what_a_third_number_does_is_seen_by_colour(page: Page, done: str) -> None:
    page.goto(f"/experiments/{done}/?chart=scatter")
    chart = page.locator("figure[data-kind=scatter]")
    expect(chart.locator("[data-drawn]")).to_be_visible()
    expect(chart.locator(".chart-scale")).to_be_visible()
    chart.get_by_label("What the colour says").select_option("param:x")
    expect(chart.locator(".cbfills, .cbaxis").first).to_be_attached()
    expect(chart.locator(".annotation-text")).to_have_text("x")
    expect(chart.locator(".chart-note")).to_contain_text("Colour: x.")
    expect(chart.locator(".chart-scale")).to_be_hidden()
    assert "scatter.color=param%3Ax" in page.url
    page.reload()
    expect(chart.locator(".chart-note")).to_contain_text("Colour: x.")
    expect(chart.get_by_label("What the colour says")).to_have_value("param:x")
    chart.get_by_label("What the colour says").select_option("state")
    expect(chart.locator(".legendtext").first).to_have_text("Succeeded")
