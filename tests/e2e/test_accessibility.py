"""Every page in its states passes axe-core: nothing serious; two ways take in light and dark, wide
and narrow, English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stack import Stack, manifest
from tests.groups import need

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.xdist_group("live-charts"),
    pytest.mark.timeout(600),  # each walks all pages
]

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
SLOW = 60_000  # milliseconds
WAYS = {
    "light-1440": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "dark-390-chinese": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "dark",
        "locale": "zh-CN",
    },
}

# axe passes over texts of one character, as most counts of a test are: they are looked at twice
# as long.
RUN = """async () => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const digits = [];
  while (texts.nextNode()) if (/^\\d$/.test(texts.currentNode.data)) digits.push(texts.currentNode);
  for (const digit of digits) digit.data += digit.data;
  const { violations } = await axe.run(document);
  for (const digit of digits) digit.data = digit.data.slice(1);
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 200))]);
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    need("browser", AXE.exists(), "axe-core (npm ci)")
    return AXE.read_text()


@pytest.fixture(scope="module")
def experiments(stack: Stack) -> dict[str, str]:
    """One that ends well, one whose trials all fail, by their ids."""
    made = {}
    for name, arguments in {"good": [3, 0.05], "bad": ["no number"]}.items():
        body = manifest(name=name, maxTrialNum=6, trialConcurrency=2, arguments=arguments)
        status, answer = stack.api("POST", "experiments/", body)
        assert status == 201, answer
        made[name] = str(answer["id"])
    return made


@pytest.fixture(params=WAYS)
def page(
    request: pytest.FixtureRequest, chromium: Browser, stack: Stack, signed_in: Any
) -> Iterator[Page]:
    context = chromium.new_context(
        storage_state=signed_in, base_url=stack.url, reduced_motion="reduce", **WAYS[request.param]
    )
    context.set_default_timeout(SLOW)
    yield context.new_page()
    context.close()


def test_no_page_has_anything_serious(page: Page, axe: str, experiments: dict[str, str]):
    def check(what: str) -> None:
        page.evaluate(f"{axe};0")
        found = page.evaluate(RUN)
        assert found == [], what

    good, bad = (f"/experiments/{experiments[name]}/" for name in ("good", "bad"))
    page.goto(good)
    expect(page.locator("#phase [data-phase=DONE]")).to_be_visible(timeout=SLOW)
    expect(page.locator(".js-plotly-plot .legend").first).to_be_visible()
    check("an experiment that is done")
    for kind in ("importance", "slice", "pair", "scatter", "edf", "slots", "cost"):
        page.locator(f"#chart-tabs [data-view={kind}]").click()
        seen = page.locator(f"figure[data-kind={kind}]").locator(".main-svg, .chart-empty")
        expect(seen.locator("visible=true").first).to_be_visible()
        check(f"its chart {kind}")
    page.get_by_test_id("winner-open").click()
    check("its dialog about the best trial")
    page.keyboard.press("Escape")
    page.get_by_test_id("add-trial").click()
    check("its dialog for a trial of one's own")
    page.goto(f"{good}?ticked=0,1")
    expect(page.get_by_test_id("selection-bar")).to_be_visible()
    check("an experiment with ticked trials")
    page.locator("tr[data-number]").first.evaluate("row => row.classList.add('is-excluded')")
    check("a trial that is excluded")
    page.goto(f"{good}?where=value+>+0+and+number+<+5")
    expect(page.locator("#conditions li")).to_have_count(2)
    page.get_by_test_id("views").click()
    check("a filter, and the saved views")
    page.keyboard.press("Escape")
    page.get_by_test_id("add-condition").click()
    check("the dialog for a condition")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_test_id("keys-dialog")).to_be_visible()
    check("the keys")
    page.keyboard.press("Escape")
    page.get_by_test_id("add-trial").click()
    page.get_by_test_id("custom-many").click()
    check("the dialog for many trials of one's own")
    page.goto(f"{good}compare/?trials=0,1,2&all=1")
    expect(page.locator("[data-testid=chart-overlay][data-drawn]")).to_be_visible()
    check("trials side by side")
    page.goto(f"{good}compare/?trials=0")
    check("trials that cannot be compared")
    page.goto(f"/?ticked={','.join(experiments.values())}")
    expect(page.get_by_test_id("list-selection")).to_be_visible()
    check("the list with ticked experiments")
    page.goto(f"/experiments/compare/?ids={','.join(experiments.values())}&all=1")
    expect(page.locator("[data-testid=chart-edf][data-drawn]")).to_be_visible()
    check("experiments side by side")
    page.goto(f"{good}trials/0/")
    expect(page.get_by_test_id("trial-value")).to_be_visible()
    check("a trial that succeeded")
    page.goto(bad)
    expect(page.get_by_test_id("breaker")).to_be_visible(timeout=SLOW)
    check("an experiment that suspended itself")
    page.goto(f"{bad}trials/0/")
    expect(page.locator("#why")).to_be_visible()
    check("a trial that failed")
    page.goto("/")
    check("the list")
    page.goto("/?q=nothing+like+this")
    check("an empty list")
    page.goto("/experiments/new/")
    expect(page.locator("#forecast .tiles")).to_be_visible()
    check("the form")
    page.locator("#max_trials, [data-field=max_trials]").first.fill("0")
    expect(page.locator(".field-error").first).to_be_visible()
    check("the form with a problem")
    page.goto("/tokens/")
    check("the tokens")
    page.goto("/help/why-better/")
    check("a chapter of the guide")
    page.goto("/help/reference/algorithms/")
    check("a page of the reference")
    page.goto("/server-logs/")
    check("the server's logs")
    page.goto("/notifications/")
    check("the notifications")
    page.goto("/nothing/")
    check("an address with nothing there")
    page.context.clear_cookies()
    page.goto("/sign-in/")
    check("the way in")
