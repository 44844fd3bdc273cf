"""JSON inside a manifest (``searchSpace``, ``classArgs``): read strictly, write so people can read.

``strict_json`` refuses what no part of ours can keep; duplicate names are refused here, both with
the line inside the text. Called by ``spec`` and ``yaml_text``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from experiments.manifest.reading import Notes, at
from experiments.strict_json import JsonRefused, read_json

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def is_json(text: str) -> bool:
    """Whether a manifest's text is JSON; YAML in braces is none."""
    try:
        read_json(text.removeprefix("\ufeff"), huge=True)
    except JsonRefused:
        return False
    return True


def parse_json(notes: Notes, text: str, path: str) -> Any:
    """Return what the JSON text holds; note a problem and return None where it is not JSON."""
    try:
        return read_json(text, huge=True)  # the field that holds one says so
    except JsonRefused as refused:
        if (error := refused.syntax) is not None:
            what = error.msg[0].lower() + error.msg[1:]
            notes.error(
                path,
                f"is not valid JSON: line {error.lineno}, column {error.colno} of the text: "
                f"{what}.",
                _json_hint(text, error),
                within=error.lineno,
            )
        elif refused.word:
            notes.error(path, f"{refused}.", "Use a finite number.", within=refused.line)
        else:
            notes.error(path, f"cannot be read: {refused}.", within=refused.line)
    return None


def _json_hint(text: str, error: json.JSONDecodeError) -> str:
    rest = text[error.pos :].lstrip()
    before = text[: error.pos].rstrip()
    if not text.strip():
        return "The text is empty."
    if before.endswith(",") and rest[:1] in "]}":
        return "Remove the comma before the closing bracket."
    if rest.startswith("'"):
        return "JSON texts stand in double quotes."
    if rest[:4] in ("True", "Fals", "None"):
        return "JSON writes true, false and null in small letters."
    if rest.startswith(("#", "//", "/*")):
        return "JSON has no comments."
    if "delimiter" in error.msg:
        return "Is a comma or a colon missing before this place?"
    return ""


def duplicate_keys(text: str, root: str = "") -> list[tuple[str, int]]:
    """Return (path, line in the text) of every name that repeats an earlier one of its object."""
    return [(path, line) for path, line, again in _walk_keys(text, root) if again]


def key_lines(text: str, root: str = "") -> dict[str, int]:
    """Return path -> line (from 1) for every name of valid JSON text that stands at ``root``."""
    return {path: line for path, line, again in _walk_keys(text, root) if not again}


def _walk_keys(text: str, root: str) -> list[tuple[str, int, bool]]:
    found: list[tuple[str, int, bool]] = []
    # One frame per open bracket: its path, the names seen (None for a list), and where we are.
    stack: list[tuple[str, set[str] | None]] = []
    child = root
    index: list[int] = []
    line, scanned = 1, 0
    expect_key = False
    for token in _TOKEN.finditer(text):
        line += text.count("\n", scanned, token.start())
        scanned = token.start()
        symbol = token.group()
        if symbol in ("{", "["):
            if stack and stack[-1][1] is None:
                child = f"{stack[-1][0]}[{index[-1]}]"
            stack.append((child, set() if symbol == "{" else None))
            index.append(0)
            expect_key = symbol == "{"
        elif symbol in ("}", "]"):
            if not stack:
                break
            stack.pop()
            index.pop()
            expect_key = False
        elif symbol == ",":
            if index:
                index[-1] += 1
            expect_key = bool(stack) and stack[-1][1] is not None
        elif expect_key and symbol.startswith('"'):
            path, names = stack[-1]
            try:
                name = str(json.loads(symbol))
            except ValueError:
                break
            child = at(path, name)
            assert names is not None
            found.append((child, line, name in names))
            names.add(name)
            expect_key = False
    return found


def pretty_json(data: Mapping[str, Any]) -> str:
    """Write one name a line, its value compact: short enough to scan, stable for comparison."""
    if not data:
        return "{}"
    rows = [f"  {_compact(key)}: {_compact(value)}" for key, value in data.items()]
    return "{\n" + ",\n".join(rows) + "\n}"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
