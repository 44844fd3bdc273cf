"""Notes as people write them, Markdown, to HTML that is safe on any page. Called by pages, REST,
reports.

CommonMark with tables and strikethrough; a line's end is one, as in the plain text that notes were.
Markup in it is text, pictures become links (a page must fetch nothing from elsewhere), and what
comes out is cleaned once more by a list of what may stand there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

MOST = 20_000  # characters; above it a note is shown as plain text: some Markdown takes the square
MOST_CELLS = 4000  # of tables; short rows are filled up, so that a few characters make many
_HEADING_BELOW = 2  # a note's first heading is an h3: the page has h1 and h2
_TAGS = {
    "p", "br", "hr", "blockquote", "pre", "code", "em", "strong", "s", "a", "ul", "ol", "li",
    "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
_EMPTY_LINES = re.compile(r"\n[ \t]*\n")
_SCHEMES = {"http", "https", "mailto"}


def _heading(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    token = tokens[i]
    level = min(6, int(token.tag[1:]) + _HEADING_BELOW)
    return f"<h{level}>" if token.nesting == 1 else f"</h{level}>\n"


def _reader(*rules: str) -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True})
    reader.enable(["strikethrough", *rules]).disable("image")
    reader.add_render_rule("heading_open", _heading)
    reader.add_render_rule("heading_close", _heading)
    return reader


_read = _reader("table")
_read_without_tables = _reader()


def _reader_for(text: str) -> MarkdownIt:
    """One that reads tables, unless they might have too many cells."""
    most = 0
    for block in _EMPTY_LINES.split(text):  # where a table ends
        lines = block.split("\n")
        pipes = max(line.count("|") for line in lines)
        most += len(lines) * (pipes + 1) if pipes else 0
    return _read if most <= MOST_CELLS else _read_without_tables


@lru_cache(maxsize=128)
def rendered(text: str) -> SafeString:
    """The text as HTML that may stand on a page as it is."""
    if not text.strip():
        return SafeString("")
    if len(text) > MOST:
        return format_html("<pre>{}</pre>", text)
    return SafeString(
        nh3.clean(
            _reader_for(text).render(text),
            tags=_TAGS,
            attributes={"a": {"href", "title"}},
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer nofollow",
        )
    )
