"""Scripts, styles and data in one HTML file that asks nothing of any network. Called by reports.

A page's modules (static/js) are put one after another, each in a scope of its own, so that what is
drawn in a file is drawn by the same lines as on the pages. A policy in the file's head forbids
whatever else a browser might load or run.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from django.contrib.staticfiles import finders
from django.utils.html import format_html
from django.utils.safestring import SafeString

_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"(\.[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
_ENDS_SCRIPT = re.compile(r"<(?=/script|!--|script)", re.IGNORECASE)
_LESS_THAN = r"\\x3c"  # as strings and regular expressions spell it


def static_text(path: str) -> str:
    """A file of static/, or of the wheels that are served beside it."""
    found = finders.find(path)
    if found is None:
        raise FileNotFoundError(f"There is no static file {path!r}.")
    return Path(str(found)).read_text(encoding="utf-8")


def bundled(entry: str) -> str:
    """The module and all that it imports as one script; each is run once, what it needs first.

    Raises ValueError for a form of import or export that is not ``import {…} from``, ``export
    function``, ``class`` or ``const``, and for modules that import each other in a circle.
    """
    done: dict[str, str] = {}
    _bundle(entry, done, ())
    body = "\n".join(done.values())
    return f'"use strict";\n(() => {{\nconst modules = {{}};\n{body}\n}})();\n'


def _bundle(path: str, done: dict[str, str], above: tuple[str, ...]) -> None:
    if path in done:
        return
    if path in above:
        raise ValueError(f"Modules import each other: {' → '.join((*above, path))}.")
    text = static_text(path)

    def bring(found: re.Match[str]) -> str:
        other = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2]))
        _bundle(other, done, (*above, path))
        names = re.sub(r"\s+as\s+", ": ", " ".join(found[1].split()))
        return f'const {{ {names} }} = modules["{other}"];'

    text = _IMPORT.sub(bring, text)
    names = ", ".join(match[2] for match in _EXPORT.finditer(text))
    text = _EXPORT.sub(r"\1 \2", text)
    if odd := _OTHER.search(text):
        raise ValueError(f"{path}: cannot be put into one file: {odd[0]}")
    done[path] = f'modules["{path}"] = (() => {{\n{text}\nreturn {{ {names} }};\n}})();'


def script(text: str) -> SafeString:
    """A script element; nothing in it can be taken for its end."""
    return SafeString(f"<script>{_ENDS_SCRIPT.sub(_LESS_THAN, text)}</script>")


def style(text: str) -> SafeString:
    if "</style" in text.lower():
        raise ValueError("A style sheet must not hold the end of its own element.")
    return SafeString(f"<style>{text}</style>")


def policy(scripts: Iterable[str]) -> SafeString:
    """A Content-Security-Policy for the head: these script elements run, nothing is loaded."""
    hashes = " ".join(f"'sha256-{_digest(element)}'" for element in scripts)
    rules = (
        "default-src 'none'", "img-src data: blob:", "style-src 'unsafe-inline'",
        f"script-src {hashes}", "base-uri 'none'", "form-action 'none'",
    )  # fmt: skip
    return format_html(
        '<meta http-equiv="Content-Security-Policy" content="{}">', SafeString("; ".join(rules))
    )


def _digest(element: str) -> str:
    text = element.removeprefix("<script>").removesuffix("</script>")
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
