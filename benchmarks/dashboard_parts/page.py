"""An experiment's page in Chromium: what is drawn when, and how long the page stands still."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.dashboard_parts.figures import (
    LARGE,
    TARGETS,
    Client,
    Figures,
    Server,
    chromium,
    ticks,
)
from experiments.charts import CHARTS
from tests.e2e.stack import Stack

SIZE = {"width": 1440, "height": 900}

# In the page, before anything else of it: what is drawn when, and the longest block.
WATCH = """
window.seen = {}; window.blocks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.blocks.push([entry.startTime, entry.duration]);
}).observe({ type: "longtask", buffered: true });
const look = () => {
  const note = (name) => { window.seen[name] ??= performance.now(); };
  if (document.querySelector('[data-testid="trial-row"]')) note("table");
  for (const chart of document.querySelectorAll(".chart[data-kind]")) {
    const plot = chart.querySelector(".chart-plot");
    const empty = chart.querySelector(".chart-empty");
    if (plot?.dataset.drawn || (empty && !empty.hidden)) note(chart.dataset.kind);
  }
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
ALL_DRAWN = """() => window.seen.table && [...document.querySelectorAll(".chart[data-kind]")]
  .filter((chart) => !chart.hidden).every((chart) => window.seen[chart.dataset.kind])"""
CLICK = """() => new Promise((done) => {
  const body = document.querySelector("#trial-rows");
  const first = () => [...body.children].map((row) => row.dataset.number).join();
  const before = first(), start = performance.now();
  const answered = () => requestAnimationFrame(() =>
    first() === before ? answered() : done(performance.now() - start));
  document.querySelector("#trial-head th.value button, #trial-head th button").click();
  answered();
})"""
TAB = """(kind) => new Promise((done) => {
  const start = performance.now();
  const drawn = () => window.seen[kind] ? done(performance.now() - start)
    : requestAnimationFrame(drawn);
  document.querySelector(`#chart-tabs [data-view="${kind}"]`).click();
  drawn();
})"""


def measure(
    stack: Stack, client: Client, pk: str, figures: Figures, *, rounds: int, reports: int
) -> float:
    """The page opened for the first time, then after news, then without; each from an empty cache.

    Returns the seconds after which all was drawn, after news.
    """
    figures.head("The page in Chromium")
    server = Server(stack.pids()["web"])
    with chromium() as browser:
        context = browser.new_context(viewport=SIZE)
        page = context.new_page()
        page.goto(stack.link)
        page.wait_for_url(stack.url + "/")
        state = context.storage_state()
        context.close()

        def opened() -> dict[str, float]:
            return _opened(browser, state, f"{stack.url}/experiments/{pk}/", server)

        first = opened()
        after_news = []
        for _ in range(rounds):
            _news(client, pk)  # nothing that the server keeps is of today
            after_news.append(opened())
        again = opened()
        tabs = _tabs(browser, state, f"{stack.url}/experiments/{pk}/")
    target = TARGETS["drawn, large" if reports > LARGE else "drawn"]
    usual = {name: statistics.median(r[name] for r in after_news) for name in after_news[0]}
    for name in ("table", *CHARTS):
        if name in usual:
            figures.say(f"{name} is there", usual[name] / 1000, "s")
    figures.say("a click is answered", usual["click"] / 1000, "s")
    figures.say("all drawn and the click answered", usual["whole"], "s", target)
    figures.say("the same, the first time of all", first["whole"], "s", target)
    figures.say("the same, without news", again["whole"], "s", target)
    block = max(first["block"], usual["block"])
    figures.say("longest block of the main thread", block, "ms", TARGETS["block ms"])
    figures.say("processor time of the main thread", usual["main"], "s")
    figures.say("processor time of the server", usual["server"], "s")
    figures.say("the same, the first time of all", first["server"], "s")
    for kind, took in tabs.items():
        figures.say(f"{kind} is there, its tab clicked", took / 1000, "s", TARGETS["drawn"])
    return usual["whole"] - usual["click"] / 1000


def _news(client: Client, pk: str) -> None:
    api = f"/api/v1/experiments/{pk}/trials"
    for verb, body in (("exclude", '{"reason": "to be measured"}'), ("restore", "{}")):
        client.ask("POST", f"{api}/0/{verb}/", body).read()


def _opened(browser: Any, state: Any, address: str, server: Server) -> dict[str, float]:
    context = browser.new_context(storage_state=state, viewport=SIZE)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.add_init_script(WATCH)
    before = server.seconds()
    page.goto(address, wait_until="commit")
    page.wait_for_function(ALL_DRAWN, timeout=300_000)
    click = page.evaluate(CLICK)
    seen, blocks = page.evaluate("[window.seen, window.blocks]")
    found = {
        **seen,
        "click": click,
        "whole": (max(seen.values()) + click) / 1000,
        "block": max((length for _, length in blocks), default=0.0),
        "main": ticks(session)["TaskDuration"],
        "server": server.seconds() - before,
    }
    context.close()
    return found


def _tabs(browser: Any, state: Any, address: str) -> dict[str, float]:
    """The charts that stand alone: milliseconds from the click on the tab."""
    context = browser.new_context(storage_state=state, viewport=SIZE)
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address, wait_until="commit")
    page.wait_for_function(ALL_DRAWN, timeout=300_000)
    there = page.evaluate("Object.keys(window.seen)")
    found = {kind: page.evaluate(TAB, kind) for kind in CHARTS if kind not in there}
    context.close()
    return found
