"""Notes in Markdown and tags, written and read in a browser; two people at once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_notes_and_tags_are_written_previewed_and_never_overwritten(
    stack: Stack, page: Page
) -> None:
    experiment = stack.create(name="noted", maxTrialNum=1)
    api = f"experiments/{experiment}/"
    stack.wait_for_phase(experiment, "DONE")
    page.goto(f"/experiments/{experiment}/")
    expect(page.get_by_test_id("connection-state")).to_have_text("live")

    def write(notes: str) -> None:
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("button", name="Name, notes and tags").click()
        page.get_by_label("Tags", exact=True).fill("Vision, base line,")
        page.get_by_role("textbox", name="Notes").fill(notes)

    write("# Result\n**good**, see [paper](https://example.org)")
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_role("region", name="Preview")
    expect(preview.get_by_role("heading", name="Result", level=3)).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    notes = page.get_by_test_id("notes")
    expect(notes.locator("strong")).to_have_text("good")
    expect(notes.get_by_role("link", name="paper")).to_have_attribute("href", "https://example.org")
    page.get_by_test_id("tags").get_by_role("link", name="base line").click()
    expect(page.get_by_test_id("experiment-row")).to_have_count(1)
    page.get_by_role("link", name="Without the tag base line").click()
    expect(page).not_to_have_url("tag=")

    # two at once: the second is told, and saves on purpose
    page.goto(f"/experiments/{experiment}/")
    write("mine")
    stack.api("PATCH", api, {"notes": "**theirs**"})
    page.console_errors.clear()  # type: ignore[attr-defined]
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#toasts")).to_contain_text("somebody else changed it")
    page.locator("#toasts").get_by_role("button", name="Close").click()  # above the dialog
    expect(page.locator("#toasts")).to_be_empty()
    expect(notes.locator("strong")).to_have_text("theirs")  # live, behind the dialog
    page.get_by_role("button", name="Save", exact=True).click()
    expect(notes).to_have_text("mine")
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser's line of the 409

    page.goto(f"/experiments/{experiment}/trials/0/")
    page.get_by_role("button", name="Notes").click()
    page.get_by_role("textbox", name="Notes").fill("- lucky\n- seed")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_test_id("notes").get_by_role("listitem")).to_have_text(["lucky", "seed"])
    assert stack.api("GET", f"{api}trials/0/")[1]["notes"] == "- lucky\n- seed"
