"""An experiment's page in ways that nobody planned: links that are out of date, and the like."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("pages")]


@pytest.fixture(scope="module")
def done(stack: Stack) -> str:
    experiment = stack.create(name="odd-pages", maxTrialNum=5, trialConcurrency=3)
    stack.wait_for_phase(experiment, "DONE")
    return experiment


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("scatter", "scatter.color=metric%3Agone&scatter.x=number"),
        ("parcoords", "parcoords.axes=gone"),
    ],
)
def test_a_choice_that_is_gone_is_said_and_taken_back(page: Page, done: str, kind: str, query: str):
    page.goto(f"/experiments/{done}/?chart={kind}&{query}")
    card = page.locator(f"figure[data-kind={kind}]")
    expect(card.locator(".chart-empty")).to_contain_text("cannot be drawn as it was asked for")
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser logs what was refused
    card.get_by_role("button", name="Draw it as usual").click()
    expect(page.get_by_test_id(f"chart-{kind}")).to_be_visible()
    assert f"{kind}." not in page.url


def test_who_signed_out_in_another_tab_is_told_so(page: Page, done: str):
    page.goto(f"/experiments/{done}/")
    expect(page.locator("[data-testid=chart-history][data-drawn]")).to_be_visible()
    page.context.clear_cookies()
    page.locator("#chart-tabs [data-view=edf]").click()
    card = page.locator("figure[data-kind=edf]")
    expect(card).to_contain_text("You are signed out. Reload the page.")
    page.keyboard.press("/")
    page.keyboard.type("number < 3")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts, .filter-error").filter(visible=True)).to_contain_text(
        "signed out"
    )
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser logs what was refused


def test_long_names_and_values_stay_in_their_place(page: Page, stack: Stack):
    name, value = "a_very_long_name_" * 11, "v" * 1200
    space = {
        name: {"_type": "choice", "_value": [value, "w"]},
        "x": {"_type": "uniform", "_value": [-1e150, 1e150]},
    }
    experiment = stack.create(name="long", maxTrialNum=1, searchSpace=space)
    stack.wait_for_phase(experiment, "DONE")
    page.goto(f"/experiments/new/?from={experiment}")
    option = page.locator(".option").first
    expect(option).to_be_visible()
    height, is_inside = option.evaluate(
        """e => [e.offsetHeight, e.scrollHeight <= e.offsetHeight + 1
          && e.getBoundingClientRect().right <= e.parentElement.getBoundingClientRect().right]"""
    )
    assert height < 40
    assert is_inside
    page.goto(f"/experiments/{experiment}/")
    number = page.locator("#best td").last  # x, beside a name of 187 letters
    expect(number).to_contain_text("e1")
    assert number.evaluate("e => e.offsetHeight") < 40
    page.get_by_test_id("add-trial").click()
    fields = page.locator("#custom-fields")
    assert fields.evaluate("e => e.scrollWidth <= e.clientWidth")
