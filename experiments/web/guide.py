"""Help: the guide and the reference pages of ``docs/``, in the reader's language, as safe HTML.

The Markdown files are the one source: they are read on GitHub and shown at ``/help/``. HTML inside
them is shown as text, never as HTML. A link leads to the page of the file that it names; one to a
file that the product does not show stays plain text. ``PAGES`` says which chapter explains which
page: the header of each leads to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCS: Path = settings.BASE_DIR / "docs"
GUIDE = DOCS / "guide"
PICTURES = GUIDE / "pictures"
LANGUAGES = ("en", "zh-hans")  # the first one where another has no such chapter

CHAPTERS = (
    "first-experiment",
    "search-space",
    "watching",
    "why-better",
    "failures",
    "early-stopping",
    "comparing",
    "taking-away",
    "cluster",
)
# Of docs/, in English: what the chapters lead to, by what the address of each calls it.
REFERENCE = {
    **{
        name: DOCS / f"{name}.md"
        for name in (
            "manifest",
            "algorithms",
            "trials",
            "rest",
            "shell",
            "kubernetes",
            "monitoring",
            "aistore",
            "configuration",
            "notifications",
        )
    },
    **{
        f"coming-from-{name}": DOCS / "coming-from" / f"{name}.md"
        for name in ("nni", "katib", "wandb", "optuna", "ray", "t9k")
    },
}

# What the reference is called in the contents: the pages themselves are in English, and so are
# their own titles.
REFERENCE_TITLES = {
    "manifest": N_("The manifest"),
    "algorithms": N_("Algorithms"),
    "trials": N_("Trials"),
    "rest": N_("REST API and websocket"),
    "shell": N_("The shell"),
    "kubernetes": N_("On Kubernetes"),
    "monitoring": N_("Figures for Prometheus"),
    "aistore": N_("AIStore"),
    "configuration": N_("Configuration"),
    "notifications": N_("Notifications"),
    "coming-from-nni": N_("Coming from NNI"),
    "coming-from-katib": N_("Coming from Katib"),
    "coming-from-wandb": N_("Coming from W&B Sweeps"),
    "coming-from-optuna": N_("Coming from Optuna"),
    "coming-from-ray": N_("Coming from Ray Tune"),
    "coming-from-t9k": N_("Coming from T9k AutoTune"),
}

# Which chapter explains a page, by the name of its route.
PAGES = {
    "experiment-list": "first-experiment",
    "experiment-new": "search-space",
    "experiment-detail": "watching",
    "trial-detail": "failures",
    "compare-trials": "comparing",
    "compare-experiments": "comparing",
    "api-tokens": "taking-away",
    "notifications": "watching",
    "server-logs": "failures",
}

# A reference table of so many columns is a list on a phone; a wider one is a matrix to be moved.
LISTED_COLUMNS = 5

_NO_SLUG = re.compile(r"[^\w\- ]")


class Page(NamedTuple):
    """A Markdown file as it is shown."""

    title: str
    html: str
    anchors: frozenset[str]


class Entry(NamedTuple):
    """A line of the contents."""

    name: str
    title: str
    url: str


def file_of(chapter: str, language: str) -> Path:
    """The chapter's file in that language, or in English."""
    there = GUIDE / language / f"{chapter}.md"
    return there if there.exists() else GUIDE / LANGUAGES[0] / f"{chapter}.md"


def address(target: str, source: Path) -> str | None:
    """Where a link or picture of the file ``source`` leads in the product; None: nowhere."""
    path, _hash, anchor = target.partition("#")
    if re.match(r"[a-z]+:|/", target) or not path:
        return target
    there = (source.parent / path).resolve()
    if there.suffix == ".md" and there.exists():
        url = _page_address(there)
        return f"{url}#{anchor}" if url and anchor else url
    if there.is_relative_to(PICTURES) and there.exists():
        return reverse("help-picture", args=[there.parent.name, there.name])
    return None


def _page_address(file: Path) -> str | None:
    if file.is_relative_to(GUIDE):
        return reverse("help", args=[file.stem]) if file.stem in CHAPTERS else reverse("help")
    name = next((name for name, shown in REFERENCE.items() if shown == file), None)
    return reverse("help-reference", args=[name]) if name else None


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return _NO_SLUG.sub("", heading.strip().lower()).replace(" ", "-")


@cache
def page(file: Path) -> Page:
    """A file as HTML; read once in a process."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(file.read_text(encoding="utf-8"))
    title, anchors = file.stem, []
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            words = _plain(tokens[i + 1])
            if token.tag == "h1":
                title = words
            anchors.append(slug(words))
            token.attrSet("id", anchors[-1])
        elif token.type == "inline":
            token.children = list(_led_home(token.children or [], file))
    if file in REFERENCE.values():
        _name_cells(tokens)
    html = markdown.renderer.render(tokens, markdown.options, {})
    # A wide table is moved sideways by keyboard too. "<" in a text is "&lt;": these are tags.
    html = html.replace("<table", '<div class="help-wide" tabindex="0"><table')
    html = html.replace("</table>", "</table></div>")
    return Page(title, html, frozenset(anchors))


def _name_cells(tokens: list[Token]) -> None:
    """Give each cell of a table that is a list on a phone the name of its column."""
    names: list[str] = []
    table, column = Token("", "", 0), 0
    for i, token in enumerate(tokens):
        if token.type == "table_open":
            table, names = token, []
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open":
            names.append(_plain(tokens[i + 1]))
        elif token.type == "tbody_open" and len(names) <= LISTED_COLUMNS:
            table.attrSet("class", "help-list")
        elif token.type == "td_open":
            if table.attrGet("class"):
                token.attrSet("data-label", names[column])
            column += 1


def _plain(inline: Token) -> str:
    return "".join(token.content for token in inline.children or [])


def _led_home(tokens: list[Token], file: Path) -> Iterator[Token]:
    """The tokens of a line with addresses of the product; links that lead nowhere are left out."""
    lost = 0
    for token in tokens:
        if token.type == "link_open":
            url = address(str(token.attrGet("href")), file)
            if url is None:
                lost += 1
                continue
            token.attrSet("href", url)
        elif token.type == "link_close" and lost:
            lost -= 1
            continue
        elif token.type == "image":
            picture = address(str(token.attrGet("src")), file) or ""
            token.attrSet("src", picture)
            token.attrSet("loading", "lazy")
            if picture:  # on a phone its words are too small to read: touched, it is whole
                yield Token("link_open", "a", 1, attrs={"href": picture})
                yield token
                token = Token("link_close", "a", -1)
        yield token


def _language() -> str:
    language = get_language() or LANGUAGES[0]
    return language if language in LANGUAGES else LANGUAGES[0]


def contents() -> list[Entry]:
    """The chapters in the reader's language."""
    return [
        Entry(name, page(file_of(name, _language())).title, reverse("help", args=[name]))
        for name in CHAPTERS
    ]


def reference() -> list[Entry]:
    return [
        Entry(name, _(REFERENCE_TITLES[name]), reverse("help-reference", args=[name]))
        for name in REFERENCE
    ]


@login_required
@require_safe
def help_page(request: HttpRequest, chapter: str = CHAPTERS[0]) -> HttpResponse:
    """A chapter of the guide; without a name the first."""
    if chapter not in CHAPTERS:
        raise Http404(f"No chapter {chapter!r:.80}.")
    i = CHAPTERS.index(chapter)
    listed = contents()
    file = file_of(chapter, _language())
    language = file.parent.name
    before, after = listed[i - 1] if i else None, listed[i + 1] if i + 1 < len(listed) else None
    return _shown(request, page(file), chapter, language, before=before, after=after)


@login_required
@require_safe
def reference_page(request: HttpRequest, name: str) -> HttpResponse:
    """A page of ``docs/``."""
    if name not in REFERENCE:
        raise Http404(f"No page {name!r:.80}.")
    return _shown(request, page(REFERENCE[name]), name, LANGUAGES[0], before=None, after=None)


def _shown(
    request: HttpRequest,
    shown: Page,
    name: str,
    language: str,
    *,
    before: Entry | None,
    after: Entry | None,
) -> HttpResponse:
    context = {
        "nav": "help", "page": shown, "name": name, "language": language, "before": before,
        "after": after, "chapters": contents(), "reference": reference(),
    }  # fmt: skip
    return render(request, "help/page.html", context)


@login_required
@require_safe
def picture(request: HttpRequest, language: str, name: str) -> HttpResponse:
    """A screenshot of the guide."""
    there = {(file.parent.name, file.name): file for file in PICTURES.glob("*/*.png")}
    file = there.get((language, name))
    if file is None:
        raise Http404(f"No picture {name!r:.80}.")
    answer = HttpResponse(file.read_bytes(), content_type="image/png")
    answer["Cache-Control"] = "private, max-age=3600"
    return answer
