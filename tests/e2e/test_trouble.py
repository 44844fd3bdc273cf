"""What the pages say when trials fail, and how their logs are drawn, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.stack import Stack, manifest

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("pages")]

SLOW = 30_000  # milliseconds

SCRIPT = r"""
import sys
for i in range(0, 101, 10):
    sys.stdout.write(f"\r{i:3d}%|{'#' * (i // 10):<10}| loss {i}")
print("\r\x1b[Kdone")
print("\x1b[1;31mred\x1b[0m <b>no markup</b> \x1b[38;5;208morange\x1b[0m")
if "many" in sys.argv:
    for i in range(60000):
        print(f"line {i} \x1b[32mok\x1b[0m")
raise KeyError("learning-rate")
"""


def create(stack: Stack, folder: Path, *arguments: str, **spec: object) -> str:
    script = folder / "train.py"
    script.write_text(SCRIPT)
    body = manifest(maxTrialNum=20, trialConcurrency=1, **spec)
    container = body["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"][0]
    container["command"] = ["python3", str(script), *arguments]
    status, answer = stack.api("POST", "experiments/", body)
    assert status == 201, answer
    return str(answer["id"])


@pytest.fixture(scope="module")
def tripped(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    return create(stack, tmp_path_factory.mktemp("code"), name="quaggy-jelly-gjpqy")


def test_the_breaker_says_why_and_one_click_goes_on(page: Page, tripped: str):
    page.goto(f"/experiments/{tripped}/")
    notice = page.get_by_test_id("breaker")
    expect(notice).to_contain_text("The first 3 trials failed alike", timeout=SLOW)
    expect(notice).to_contain_text("KeyError: 'learning-rate'")
    expect(notice.locator("pre")).to_contain_text("red <b>no markup</b> orange")
    expect(page.get_by_test_id("phase-badge")).to_contain_text("Suspended")
    notice.get_by_text("Continue anyway").click()
    # the same again, after twice as many; on a slow machine so soon that it is never hidden
    expect(notice).to_contain_text("The last 6 trials failed alike", timeout=SLOW)
    group = page.get_by_test_id("failure-group")
    expect(group).to_have_count(1)
    expect(group.locator(".failure-n")).to_have_text(re.compile("^[6-9]$"))
    expect(group).to_contain_text("KeyError: 'learning-rate'")
    group.get_by_role("button", name="Retry").click()
    expect(page.locator("#toasts")).to_contain_text("trials are tried again")
    notice.get_by_text("Open the trial").click()
    expect(page.get_by_test_id("trial-reason")).to_contain_text("KeyError: 'learning-rate'")


def test_a_log_is_drawn_as_a_terminal_would_and_downloaded_as_it_was(page: Page, tripped: str):
    page.goto(f"/experiments/{tripped}/trials/0/")
    text = page.locator("#log-text")
    expect(text).to_contain_text("done\nred <b>no markup</b> orange\nTraceback", timeout=SLOW)
    expect(text).not_to_contain_text("loss")
    red = text.locator("span.log-bold.log-fg-1")
    expect(red).to_have_text("red")
    orange = text.get_by_text("orange", exact=True)
    assert orange.evaluate("e => getComputedStyle(e).color") == "rgb(255, 135, 0)"
    assert text.locator("b").count() == 0
    with page.expect_download() as download:
        page.locator("#log-download").click()
    saved = Path(download.value.path()).read_bytes()
    assert b"\r 50%|#####     | loss 50\r" in saved
    assert b"\x1b[1;31mred\x1b[0m" in saved


def test_a_large_log_comes_at_once_and_all_of_it_can_be_had(
    page: Page, stack: Stack, tmp_path: Path
):
    many = create(stack, tmp_path, "many", name="many", breaker={"alike": 1})
    page.goto(f"/experiments/{many}/")
    expect(page.get_by_test_id("breaker")).to_be_visible(timeout=SLOW)
    page.goto(f"/experiments/{many}/trials/0/")
    text = page.locator("#log-text")
    expect(text).to_contain_text("line 59999 ok\nTraceback", timeout=SLOW)
    first = text.inner_text().splitlines()[0]
    assert re.fullmatch(r"line \d+ ok", first), "no line is shown in part"
    page.locator("#log-earlier").click()
    before = f"line {int(first.split()[1]) - 1} ok\n{first}\n"
    expect(text).to_contain_text(before, timeout=SLOW)


def test_titles_keep_the_lower_halves_of_their_letters(page: Page, tripped: str):
    page.goto(f"/experiments/{tripped}/")
    title = page.locator("h1")
    expect(title).to_contain_text("gjpqy")
    assert title.evaluate("e => e.scrollHeight <= e.clientHeight")


def test_which_tuners_fit_follows_the_search_space(page: Page):
    page.goto("/experiments/new/")
    option = page.get_by_test_id("tuner").locator("option[value=GridSearch]")
    page.get_by_test_id("row-0-type").select_option("uniform")
    expect(option).to_contain_text("(not for uniform)")
    page.get_by_test_id("row-0-type").select_option("randint")
    expect(option).not_to_contain_text("not for")


def test_done_without_a_success_is_not_green(page: Page, stack: Stack, tmp_path: Path):
    failed = create(stack, tmp_path, name="all-bad", breaker={"alike": 0})
    stack.api("PATCH", f"experiments/{failed}/", {"max_trials": 1})
    page.goto(f"/experiments/{failed}/")
    badge = page.get_by_test_id("phase-badge")
    expect(badge).to_contain_text("Done", timeout=SLOW)
    expect(badge.locator(".state-failed")).to_be_visible()
    expect(page.locator("#best")).to_contain_text("No trial succeeded.")
    page.goto("/?q=all-bad")
    expect(page.locator("[data-cell=status] .state-failed")).to_be_visible()
