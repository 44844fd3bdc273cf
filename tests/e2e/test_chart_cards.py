"""What every chart's card offers: its data as a table, files, and all of it by keyboard."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]

SPACE = {
    "x": {"_type": "uniform", "_value": [-5, 5]},
    "rate": {"_type": "loguniform", "_value": [0.001, 1]},
}


@pytest.fixture(scope="module")
def ended(stack: Stack) -> str:
    return stack.create(
        name="cards", maxTrialNum=5, trialConcurrency=3, arguments=[3, 0.05], searchSpace=SPACE
    )


def drawn(page: Page, kind: str) -> Locator:
    expect(page.locator(f"[data-testid=chart-{kind}][data-drawn]")).to_be_visible()
    return page.locator(f"figure[data-kind={kind}]")


def opened(page: Page, experiment: str, query: str = "") -> None:
    address = f"/experiments/{experiment}/{query}"
    page.goto(address)
    expect(page.locator("#phase [data-phase=DONE]")).to_be_visible(timeout=120_000)
    page.goto(address)  # what is drawn now is drawn for the last time


def test_a_chart_is_read_and_left_by_keyboard_alone(page: Page, ended: str):
    opened(page, ended, "?history.clip=0")  # whatever the values, all in one line and its star
    card = drawn(page, "history")
    card.get_by_test_id("chart-history").focus()
    said = card.get_by_role("status").first
    for key in ("ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    expect(said).to_contain_text("Best, #")
    for key in ("ArrowUp", "Home"):
        page.keyboard.press(key)
    expect(said).to_contain_text("Succeeded, #0")
    expect(card.locator(".hoverlayer .hovertext")).to_be_visible()
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/experiments/{ended}/trials/0/")


def test_its_data_are_a_table_that_the_address_remembers(page: Page, ended: str):
    opened(page, ended)
    card = drawn(page, "history")
    card.get_by_test_id("chart-as-table").press("Enter")
    table = card.get_by_role("table")
    expect(table.get_by_role("columnheader")).to_have_text(
        ["Trial", "State", "Value", "Best so far"]
    )
    expect(table.get_by_role("row")).to_have_count(6)
    expect(card.get_by_test_id("chart-history")).to_be_hidden()
    assert "history.as=table" in page.url
    page.reload()
    expect(card.get_by_role("table").get_by_role("row")).to_have_count(6)
    card.get_by_test_id("chart-as-table").press("Enter")
    drawn(page, "history")
    assert "as=table" not in page.url


@pytest.mark.parametrize("kind", ["history", "parcoords"])
def test_it_is_saved_as_picture_drawing_and_csv_named_by_the_experiment(
    page: Page, ended: str, kind: str, tmp_path: Path
):
    opened(page, ended)
    card = drawn(page, kind)
    files = {}
    for words in ("Picture (PNG)", "Drawing (SVG)", "Data (CSV)"):
        card.get_by_test_id("chart-save").click()
        with page.expect_download() as download:
            card.get_by_role("button", name=words, exact=True).click()
        name = download.value.suggested_filename
        download.value.save_as(tmp_path / name)
        files[name] = tmp_path / name
    assert sorted(files) == [f"cards-{kind}.{ending}" for ending in ("csv", "png", "svg")]
    assert files[f"cards-{kind}.png"].read_bytes().startswith(b"\x89PNG")
    drawing = files[f"cards-{kind}.svg"].read_text()
    assert drawing.startswith("<svg")
    assert "<path" in drawing
    rows = list(csv.reader(files[f"cards-{kind}.csv"].read_text().splitlines()))
    assert rows[0][0] == "Trial"
    assert len(rows) == 6


def test_on_a_phone_every_charts_tools_stay_within_its_card(page: Page, stack: Stack):
    space = {f"{name}_of_the_last_decoder": entry for name, entry in SPACE.items()}
    space["x"] = SPACE["x"]  # which the script reads
    experiment = stack.create(name="long-names", maxTrialNum=5, arguments=[2, 0], searchSpace=space)
    page.set_viewport_size({"width": 390, "height": 800})
    opened(page, experiment, "?chart=scatter")
    for kind in page.locator("#charts .chart").evaluate_all("all => all.map(c => c.dataset.kind)"):
        page.locator(f"#chart-tabs [data-view={kind}]").click()
        card = page.locator(f"figure[data-kind={kind}]")
        is_told = card.locator(".chart-plot[data-drawn], .chart-empty").filter(visible=True)
        expect(is_told.first).to_be_visible()  # and what there is to choose is known
        beyond = card.evaluate(
            """card => [...card.querySelectorAll(".chart-tools *")]
                .filter(e => e.getBoundingClientRect().right > card.getBoundingClientRect().right)
                .map(e => e.outerHTML.slice(0, 80))"""
        )
        assert beyond == [], kind
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, kind


def test_switches_work_on_a_table_that_the_page_began_with(page: Page, ended: str):
    opened(page, ended, "?chart=parcoords&parcoords.as=table")
    card = page.locator("figure[data-kind=parcoords]")
    expect(card.get_by_role("columnheader")).to_have_text(["Trial", "Value", "x", "rate"])
    card.locator("summary").click()  # which parameters: known from the figure
    card.get_by_role("checkbox", name="rate").uncheck()
    expect(card.get_by_role("columnheader")).to_have_text(["Trial", "Value", "x"])


def test_an_axis_is_turned_rescaled_and_filtered_by_keyboard(page: Page, ended: str):
    opened(page, ended)
    card = drawn(page, "parcoords")
    button = card.get_by_role("button", name="Axis x")
    button.press("Enter")
    menu = card.get_by_role("dialog")
    expect(menu.get_by_role("button", name="Upside down")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    button.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_url("**parcoords.flip=*")
    rate = card.get_by_role("button", name="Axis rate (log)")
    rate.press("Enter")
    menu.get_by_role("button", name="Linear scale").press("Enter")
    expect(card.get_by_role("button", name="Axis rate", exact=True)).to_be_visible()
    page.reload()
    expect(card.get_by_role("button", name="Axis rate", exact=True)).to_be_visible()
    button.press("Enter")
    expect(menu.get_by_role("button", name="Turn it back round")).to_be_visible()
    menu.get_by_role("spinbutton", name="Keep only from").fill("5")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    button.press("Enter")
    expect(menu.get_by_role("button", name="Keep all lines")).to_be_visible()


def test_curves_are_smoothed_and_the_best_alone(page: Page, ended: str):
    opened(page, ended, "?chart=curves")
    card = drawn(page, "curves")
    expect(card.locator(".scatterlayer .trace")).to_have_count(5)
    card.get_by_label("Smoothing").select_option("0.9")
    expect(card.locator(".scatterlayer .trace")).to_have_count(10)
    card.get_by_label("Which trials").select_option("5")
    assert "curves.smooth=0.9" in page.url
    assert "curves.best=5" in page.url


def test_a_legend_stays_off_the_plot_whatever_the_width(page: Page, ended: str):
    opened(page, ended, "?chart=duration")
    card = drawn(page, "duration")
    for width, is_tall in ((260, True), (1280, False), (260, True)):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            """([figure, isTall]) => {
              const box = (inner) => figure.querySelector(inner).getBoundingClientRect();
              const { bottom, height } = box(".legend .bg");
              const isInPlace = Math.abs(bottom - box(".nsewdrag").top) < 1;
              return isInPlace && isTall === (height > 40);
            }""",
            arg=[card.element_handle(), is_tall],
        )
