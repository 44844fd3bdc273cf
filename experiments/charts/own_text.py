"""Text of a figure that somebody else made, so that nothing in it is a link or a style of its own.

Plotly reads text as pseudo-HTML: ``<a href>`` becomes a link, with ``popup`` even a script, and any
tag takes a ``style``. What is left here of that are the tags that only change how letters look, and
colour, size and weight of a ``<span>``. Every other ``<`` is written as Plotly shows one, also
where only half a tag stands: text is put together of several (templates, prefixes), each read here.
"""

from __future__ import annotations

import html
import re

_TAG = re.compile(r"<(/?)(a|b|i|u|s|em|br|sub|sup|span|extra)((?:\s[^<>]*)?)/?>", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]*>")
_STYLE = re.compile(r"""\sstyle\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_KEPT_STYLES = {
    "color": re.compile(r"#[0-9a-f]{3,8}|[a-z]{3,24}|(?:rgb|hsl)a?\([\d., %]{1,40}\)", re.I),
    "font-size": re.compile(r"[\d.]{1,6}(?:px|pt|em|%)", re.I),
    "font-weight": re.compile(r"[a-z]{3,10}|[1-9]00", re.I),
}


def harmless(text: str) -> str:
    """The text with looks and without links."""
    if "<" not in text:
        return text
    pieces, at = [], 0
    for found in _TAG.finditer(text):
        pieces += [_shown(text[at : found.start()]), _bare(found)]
        at = found.end()
    pieces.append(_shown(text[at:]))
    return "".join(pieces)


def _shown(text: str) -> str:
    return text.replace("<", "&lt;")


def _bare(found: re.Match[str]) -> str:
    closing, name = found[1], found[2].lower()
    if name == "a":
        return ""
    style = _looks(found[3]) if name == "span" and not closing else ""
    return f"<{closing}{name}{style}>"


def _looks(attributes: str) -> str:
    given = _STYLE.search(attributes)
    kept = []
    for rule in ((given[1] or given[2] or "") if given else "").split(";"):
        name, _, value = (part.strip() for part in rule.partition(":"))
        pattern = _KEPT_STYLES.get(name.lower())
        if pattern is not None and pattern.fullmatch(value):
            kept.append(f"{name.lower()}:{value}")
    return f' style="{";".join(kept)}"' if kept else ""


def plain(text: str) -> str:
    """The words alone, on one line: for headings and tables."""
    return " ".join(html.unescape(_ANY_TAG.sub(" ", text)).split())
