"""By keyboard alone, in either language: an experiment is made, watched, compared, taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.stack import TRIAL_SCRIPT, Stack
from tests.test_said import english_in

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]

MOST_TABS = 120
LOCALES = {"en": "en-US", "zh-hans": "zh-CN"}
SLOW = 90_000  # milliseconds
LOOK = """(there) => {
  const now = document.activeElement, before = window.focusBefore;
  window.focusBefore = now;
  return now === there ? "there" : now === before ? "caught" : "";
}"""
# What a person reads, without what is theirs: names, code, manifests, values.
READ = """() => {
  const copy = document.body.cloneNode(true);
  for (const gone of copy.querySelectorAll("script, style, pre, code, textarea, select, svg, " +
    ".mono, .tag, .editor, [hidden], .template-menu")) gone.remove();
  return [...copy.querySelectorAll("*")].flatMap((e) =>
    [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim())).filter(Boolean);
}"""


@pytest.fixture(params=LOCALES)
def page(
    request: pytest.FixtureRequest, chromium: Browser, stack: Stack, signed_in: Any
) -> Iterator[Page]:
    context = chromium.new_context(
        storage_state=signed_in,
        base_url=stack.url,
        locale=LOCALES[request.param],
        viewport={"width": 1280, "height": 900},
    )
    page = context.new_page()
    page.language = request.param  # type: ignore[attr-defined]
    yield page
    context.close()


def tab_to(page: Page, there: Locator, key: str = "Tab") -> None:
    """Press Tab until the focus is there; it never stays where it was."""
    expect(there).to_be_visible()
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        where = there.evaluate(LOOK)
        if where == "there":
            return
        assert where != "caught", f"the focus is caught before {there}"
    raise AssertionError(f"{MOST_TABS} times Tab do not lead to {there}")


def fill(page: Page, field: str, text: str) -> None:
    tab_to(page, page.get_by_test_id(field))
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def choose(page: Page, field: str, word: str) -> None:
    """Of a list, from its first entry down."""
    there = page.get_by_test_id(field)
    tab_to(page, there)
    page.keyboard.press("Home")
    for _ in range(20):
        if there.input_value() == word:
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"{field} has no {word}")


def all_is_said_in_its_language(page: Page) -> None:
    if page.language == "en":  # type: ignore[attr-defined]
        return
    assert page.locator("html").get_attribute("lang") == "zh-hans"
    assert [text for text in page.evaluate(READ) if english_in(text)] == []


def test_an_experiment_is_made_watched_compared_and_taken_away(page: Page, tmp_path: Path) -> None:
    page.goto("/")
    all_is_said_in_its_language(page)
    tab_to(page, page.get_by_test_id("new-experiment"))
    page.keyboard.press("Enter")

    fill(page, "name", f"by-keyboard-{page.language}")  # type: ignore[attr-defined]
    fill(page, "max-trials", "3")
    fill(page, "concurrency", "2")
    fill(page, "row-0-name", "x")
    choose(page, "row-0-type", "uniform")
    fill(page, "row-0-low", "-5")
    fill(page, "row-0-high", "5")
    choose(page, "tuner", "Random")
    tab_to(page, page.get_by_label(re.compile("^(Working directory|工作目录)")))
    page.keyboard.press("Control+A")
    page.keyboard.type(str(TRIAL_SCRIPT.parent))
    fill(page, "task-0-command", "")
    for word in ("python3", str(TRIAL_SCRIPT), "4", "0.05"):
        page.keyboard.insert_text(f"{word}\n")
    all_is_said_in_its_language(page)
    tab_to(page, page.get_by_test_id("yaml"))  # where Tab indents
    expect(page.locator("#yaml-keys")).to_be_visible()
    expect(page.get_by_test_id("yaml")).to_have_value(re.compile("maxTrialNum: 3"))
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("create")).to_be_enabled()
    tab_to(page, page.get_by_test_id("create"))
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"/experiments/[a-z0-9]{8}/$"))
    expect(page.get_by_test_id("trial-row")).to_have_count(3, timeout=SLOW)
    expect(page.locator("#phase [data-phase=DONE]")).to_be_visible(timeout=SLOW)
    expect(page.get_by_test_id("best-value")).to_have_text(re.compile(r"-?\d"))
    all_is_said_in_its_language(page)

    tab_to(page, page.locator(".detail-actions .dropdown > button").first)
    page.keyboard.press("Enter")
    export = page.locator("a[href*='format=csv']")
    expect(export).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(export).to_be_focused()
    with page.expect_download() as taken:
        page.keyboard.press("Enter")
    taken.value.save_as(tmp_path / "trials.csv")
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 4
    page.keyboard.press("Escape")

    for row in range(2):
        tick = page.get_by_test_id("trial-row").nth(row).locator("input[type=checkbox]")
        tab_to(page, tick)
        page.keyboard.press("Space")
    compare = page.get_by_test_id("selection-compare")
    expect(compare).to_be_visible()
    tab_to(page, compare, key="Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/compare/\?trials="))
    expect(page.locator("[data-testid=chart-overlay][data-drawn]")).to_be_visible()
    all_is_said_in_its_language(page)
