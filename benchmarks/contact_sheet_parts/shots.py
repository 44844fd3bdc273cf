"""What is photographed, each by a name: a page or a chart; for ``benchmarks/contact_sheets.py``.

A camera is a page of one width and language. It opens what a shot shows once and takes it in each
theme: the page follows the system's, as it does for who changes it at sunset.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import BrowserContext, Locator, Page

from benchmarks.contact_sheet_parts.wrong import FIND
from experiments.charts import CHARTS

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_CHAPTERS = sorted(file.stem for file in (_DOCS / "guide" / "en").glob("*.md"))
_REFERENCE = ("algorithms", "manifest", "rest", "configuration", "coming-from-t9k")

# Of no experiment, and what to do there.
PAGES = {
    "list": "/",
    "list-found-none": "/?q=nothing+like+this",
    "list-ticked": "/?ticked={empty},{thousand}",
    "across": "/experiments/compare/?ids={running},{thousand},{all-failed}&all=1",
    "across-refused": "/experiments/compare/?ids={empty}",
    "new": "/experiments/new/",
    "new-manifest": "/experiments/new/",
    "new-template": "/experiments/new/?template=digits-mlp",
    "new-trouble": "/experiments/new/",
    "new-results": "/experiments/new/",
    "tokens": "/tokens/",
    "notifications": "/notifications/",
    "server-logs": "/server-logs/",
    "account-menu": "/",
    "api-docs": "/api/docs/",
    "nothing-there": "/nothing/",
    "form-too-old": "/",
    "broken": "/tokens/",
    "list-none": "/",
    "tokens-none": "/tokens/",
    "notifications-none": "/notifications/",
    "sign-in": "/sign-in/",
    "sign-in-used": "/sign-in/used-before/",
    **{f"help-{chapter}": f"/help/{chapter}/" for chapter in _CHAPTERS if chapter != "README"},
    **{f"reference-{name}": f"/help/reference/{name}/" for name in _REFERENCE},
}
# Of an installation that is new: nobody has made anything there.
OF_NEW = {"list-none", "tokens-none", "notifications-none", "broken"}
# Of an experiment; None where its state has no such thing.
OF_ONE = (
    "experiment", *CHARTS, "table-of-chart", "selected", "filtered", "keys", "custom", "many",
    "manifest", "copy-menu", "more-menu", "winner", "trial", "trial-failed", "trial-running",
    "trial-stopped", "compare", "clone", "report",
)  # fmt: skip
SHOTS = (*PAGES, *OF_ONE)
# Lie on the page that is there already, and show what fits the window.
ON_TOP = {"keys", "custom", "many", "manifest", "copy-menu", "more-menu", "winner", "new-results",
          "account-menu"}  # fmt: skip
# What a page asks for, and the server no longer has: any page that needs it breaks.
_GONE = ("experiments_apitoken", "experiments_apitoken_gone")
JPEG: dict[str, Any] = {"type": "jpeg", "quality": 88, "animations": "disabled"}  # soon written

# All charts on the page are drawn, or say why not, and nothing has moved for a while.
READY = """async () => {
  const until = performance.now() + 60000;
  const shown = () => [...document.querySelectorAll(".chart[data-kind], .chart")]
    .filter((c) => !c.hidden && c.checkVisibility() && c.querySelector(".chart-plot"));
  const DRAWN = "[data-drawn], .report .main-svg, .report canvas";
  const isDrawn = (chart) => chart.querySelector(DRAWN) ||
    (chart.querySelector(".chart-empty") && !chart.querySelector(".chart-empty").hidden);
  for (const picture of document.images) picture.loading = "eager";
  const pending = () => document.querySelector(".swagger-ui .loading") ||
    [...document.images].some((picture) => !picture.complete);
  const mark = () => [document.documentElement.scrollHeight, document.querySelectorAll("*").length,
    ...[...document.querySelectorAll("[data-drawn]")].map((e) => e.dataset.drawn)].join();
  let last = "", since = performance.now();
  while (performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 60));
    const now = mark();
    const isReady = !pending() && shown().every(isDrawn);
    if (now !== last || !isReady) { last = now; since = performance.now(); }
    if (performance.now() - since > 240) return true;
  }
  return false;
}"""


# Pixels of a form beside its manifest that one would have to scroll to.
HIDDEN = """() => Math.max(0, ...[...document.querySelectorAll(".new-left")]
  .map((part) => part.scrollHeight - part.clientHeight))"""


class Site(NamedTuple):
    """A server that is photographed, and what signs a browser in there."""

    url: str
    data: Path
    signed_in: Any


class Camera:
    """Takes shots in one width and language, and notes what is wrong."""

    def __init__(
        self,
        context: BrowserContext,
        ids: dict[str, str],
        numbers: dict[str, dict[str, int]],
        site: Site,
        new: Site,
    ) -> None:
        self.context = context
        self.page = context.new_page()
        self.ids = ids
        self.numbers = numbers
        self.found: list[tuple[str, str]] = []
        self.chinese = False
        self.site, self.new = site, new
        self.page.on("pageerror", lambda error: self.found.append(("error", str(error)[:200])))
        self.page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type == "error" and not re.search("40[034]|500", message.text):  # meant so
            self.found.append(("console", message.text[:200]))

    def take(
        self, name: str, state: str, themes: Sequence[str]
    ) -> Iterator[tuple[str, bytes, list[tuple[str, str]]]]:
        """Theme, picture and what is wrong; nothing where the state has no such thing."""
        self.found.clear()
        self.page.emulate_media(color_scheme="light")
        if name in PAGES:
            self._open_page(name)
            what: Locator | Page | None = self.page
        else:
            what = self._open_of_one(name, state)
        if what is None:
            return
        for theme in themes:
            self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            if not self.page.evaluate(READY):
                self.found.append(("never done", name))
            if isinstance(what, Page):
                whole = name not in ON_TOP
                with self._unrolled(what if whole else None):
                    image = what.screenshot(full_page=whole, **JPEG)
            else:
                image = what.screenshot(**JPEG)
            wrong = [(rule, words) for rule, words in self.page.evaluate(FIND, self.chinese)]
            yield theme, image, list(dict.fromkeys([*self.found, *wrong]))
            self.found.clear()

    @contextmanager
    def _unrolled(self, page: Page | None) -> Iterator[None]:
        """The window so high that a part of the page that scrolls by itself shows all it has."""
        size = page.viewport_size if page else None
        hidden = page.evaluate(HIDDEN) if page else 0
        if not page or not size or not hidden:
            yield
            return
        page.set_viewport_size({"width": size["width"], "height": size["height"] + hidden})
        try:
            yield
        finally:
            page.set_viewport_size(size)

    def _go(self, path: str, site: Site | None = None) -> None:
        there = site or self.site
        self.context.add_cookies(there.signed_in["cookies"])
        self.page.goto(f"{there.url}{path}")

    def _open_page(self, name: str) -> None:
        page = self.page
        path = PAGES[name]
        if "{" in path:
            for state, id_ in self.ids.items():
                path = path.replace(f"{{{state}}}", id_)
        if name.startswith("sign-in"):
            self.context.clear_cookies()
            page.goto(path)
        elif name == "broken":
            self._go_where_it_breaks(path)
        else:
            self._go(path, self.new if name in OF_NEW else self.site)
        if name == "new-manifest":
            self._show_tab("yaml")
        elif name == "new-trouble":
            self._show_tab("yaml")
            self._type_manifest()
        elif name == "new-results":
            page.get_by_test_id("templates").click()
            page.locator("#results").click()
        elif name == "account-menu":
            page.locator("header .dropdown > button").click()
        elif name == "form-too-old":
            form = page.locator("header .dropdown-menu form")
            form.locator("[name=csrfmiddlewaretoken]").evaluate("(it) => { it.value = 'old'; }")
            page.locator("header .dropdown > button").click()
            form.locator("button").click()

    def _go_where_it_breaks(self, path: str) -> None:
        here, gone = _GONE
        with closing(sqlite3.connect(self.new.data / "autotune.sqlite3")) as database:
            database.execute(f"ALTER TABLE {here} RENAME TO {gone}")
            try:
                self._go(path, self.new)
            finally:
                database.execute(f"ALTER TABLE {gone} RENAME TO {here}")

    def _show_tab(self, tab: str) -> None:
        button = self.page.locator(f"[data-show-tab={tab}]")
        if button.is_visible():
            button.click()

    def _type_manifest(self) -> None:
        editor = self.page.locator("#yaml, .cm-content").first
        editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(
            "name: x\nspec:\n  maxTrialNum: -3\n  tuner: {name: TPEE}\n  searchSpace:\n"
            "    lr: {_type: loguniform, _value: [0, 1]}\n"
        )

    def _open_of_one(self, name: str, state: str) -> Locator | Page | None:
        page, home = self.page, f"/experiments/{self.ids[state]}/"
        if name in CHARTS:
            if home not in page.url or "trials/" in page.url or "compare" in page.url:
                self._go(f"{home}?chart={name}")
            else:
                page.keyboard.press("Escape")
                page.locator(f"#chart-tabs [data-view={name}]").click()
            return page.locator(f"figure[data-kind={name}]")
        if name.startswith("trial"):
            number = self.numbers[state].get(name)
            if number is None:
                return None
            self._go(f"{home}trials/{number}/")
            return page
        if name in {"compare", "selected", "table-of-chart", "filtered"} and state in {
            "empty", "one",
        }:  # fmt: skip
            return None
        if name == "compare":
            self._go(f"{home}compare/?trials=0,1,2,3&all=1")
        elif name == "selected":
            self._go(f"{home}?ticked=0,1,2")
        elif name == "filtered":
            self._go(f"{home}?where=number+<+5")
        elif name == "clone":
            self._go(f"/experiments/new/?from={self.ids[state]}")
        elif name == "report":
            return self._open_report(state)
        else:
            if page.url.split("?")[0].endswith(home) and name in ON_TOP:
                page.keyboard.press("Escape")
                page.keyboard.press("Escape")
                page.evaluate("scrollTo(0, 0)")
            else:
                self._go(home)
            return self._after_click(name)
        return page

    def _open_report(self, state: str) -> Page:
        if not self.page.url.startswith("http"):
            self._go("/")
        address = f"/api/v1/experiments/{self.ids[state]}/export/?format=html"
        html = self.page.evaluate("async (url) => (await fetch(url)).text()", address)
        url = "/the-report/"
        self.page.route("**/the-report/", lambda route: route.fulfill(
            body=html, content_type="text/html; charset=utf-8"))  # fmt: skip
        self.page.goto(url)
        self.page.unroute("**/the-report/")
        return self.page

    def _after_click(self, name: str) -> Page | None:
        page = self.page
        page.evaluate(READY)
        ways = {
            "experiment": None,
            "table-of-chart": ".chart:not([hidden]) [data-testid=chart-as-table]",
            "keys": None,
            "custom": "[data-testid=add-trial]",
            "many": "[data-testid=add-trial]",
            "manifest": "[data-action=manifest]",
            "copy-menu": "[data-testid=copy-menu] [data-bs-toggle]",
            "more-menu": "#actions .dropdown:last-child > button",
            "winner": "[data-testid=winner-open]",
        }
        if name == "keys":
            page.keyboard.press("?")
        if name == "manifest":
            page.locator("#actions .dropdown:last-child > button").click()
        selector = ways[name]
        if selector:
            button = page.locator(selector).first
            if not button.is_visible():
                return None
            button.click()
        if name == "many":
            page.get_by_test_id("custom-many").click()
        return page
