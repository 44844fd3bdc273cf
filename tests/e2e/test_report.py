"""The HTML report in a real browser, from a disk and without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from experiments.charts import CHARTS
from experiments.selectors.export import csv_text, export
from experiments.services.generated.rows import generate
from experiments.services.generated.wish import Wish

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.xdist_group("browser")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_lives_without_a_network_and_asks_for_nothing(
    chromium: Browser, tmp_path: Path, scheme: Any
) -> None:
    made = generate(Wish(trials=60, points=6, failed=0.2, stopped=0.2, name="实验 <b>"))
    file = tmp_path / "报告.html"
    file.write_bytes(export(made, "html"))
    context = chromium.new_context(offline=True, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(file.as_uri())
    expect(
        page.locator(f"html[data-drawn='{len(CHARTS)}'][data-bs-theme={scheme}]")
    ).to_be_attached()
    expect(page.get_by_role("heading", name="实验 <b>")).to_be_visible()
    # each chart is there, and alive: Plotly's can be dragged, parallel coordinates have a canvas
    for kind in CHARTS:
        alive = page.locator(f"[data-kind={kind}] :is(.nsewdrag, canvas)").first
        expect(alive).to_be_attached()
    with page.expect_download() as started:
        page.get_by_role("button", name="Save all trials as CSV").click()
    assert started.value.suggested_filename == "实验 _b_.csv"
    assert Path(started.value.path()).read_bytes().decode() == csv_text(made)
    page.emulate_media(media="print")
    page.evaluate("() => { dispatchEvent(new Event('beforeprint')) }")
    page.wait_for_selector("html[data-bs-theme=light]", state="attached")
    widths = page.locator(".js-plotly-plot .main-svg:first-child").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width)"
    )
    assert widths
    assert all(width == 690 for width in widths)
    assert len(page.pdf(format="A4")) > 50_000
    assert asked == [file.as_uri()] or all(
        url.startswith(("file:", "blob:", "data:")) for url in asked
    )
    assert errors == []
    context.close()


def test_on_a_phone_its_small_charts_stand_two_in_a_row(chromium: Browser, tmp_path: Path) -> None:
    made = generate(Wish(trials=60, points=6, name="small"))
    file = tmp_path / "report.html"
    file.write_bytes(export(made, "html"))
    context = chromium.new_context(offline=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(file.as_uri())
    expect(page.locator(f"html[data-drawn='{len(CHARTS)}']")).to_be_attached()
    lefts = """all => new Set(all.map(one => Math.round(one.getBoundingClientRect().x))).size"""
    panels = page.locator("[data-kind=slice] .nsewdrag")
    assert panels.count() == 5
    assert panels.evaluate_all(lefts) == 2
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function(
        f"() => ({lefts})([...document.querySelectorAll('[data-kind=slice] .nsewdrag')]) === 3"
    )
    context.close()
