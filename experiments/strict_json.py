"""The one reader of JSON that somebody sent: manifests, REST bodies, forms, trials' reports.

Python's ``json`` lets NaN pass, turns 1e999 into infinity, and fails in four ways; here all of them
are one ``JsonRefused`` that says what is wrong, and where. Numbers are finite, unless the caller
says that they need not be: reports of trials may hold NaN and Infinity, and in a manifest the field
that holds 1e999 says so by its path. A name that stands
twice is refused where a person wrote the text (``manifest.json_text.duplicate_keys`` tells the
lines); for programs the last one counts, as everywhere. Limits of size are the callers', who know
what they read; depth is bounded by Python's stack.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

_SHOWN = 40  # characters of a number that an error repeats


class JsonRefused(ValueError):
    """The text is no JSON of ours; its words begin in lower case and have no full stop."""

    def __init__(
        self, message: str, *, line: int = 0, syntax: json.JSONDecodeError | None = None,
        word: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.line = line  # from 1; 0 where it is not known
        self.syntax = syntax  # where it is no JSON at all
        self.word = word  # the number or constant that cannot be kept


def read_json(text: str | bytes, *, nan: bool = False, huge: bool = False) -> Any:
    """What the text holds.

    ``nan``: NaN and Infinity may stand in it; ``huge``: numbers beyond floats, which become inf.

    Raises:
        JsonRefused: for anything else than JSON in UTF-8.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    try:
        return json.loads(
            text,
            parse_float=None if huge else _finite,
            parse_constant=None if nan else _refuse_constant,
        )
    except JsonRefused as error:
        line = next((i for i, row in enumerate(text.splitlines(), 1) if error.word in row), 0)
        raise JsonRefused(str(error), line=line, word=error.word) from None
    except json.JSONDecodeError as error:
        raise JsonRefused(str(error), line=error.lineno, syntax=error) from None
    except RecursionError:
        raise JsonRefused("it is nested too deeply") from None
    except ValueError:  # an integer of thousands of digits
        most = sys.get_int_max_str_digits()
        words = f"it holds a number that is too long: it has more than {most} digits"
        raise JsonRefused(words) from None


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise JsonRefused("it is not UTF-8 text", line=line) from None


def _finite(number: str) -> float:
    found = float(number)
    if math.isinf(found):
        raise JsonRefused(f"the number {number[:_SHOWN]} is too large", word=number)
    return found


def _refuse_constant(name: str) -> Any:
    raise JsonRefused(f"JSON has no {name}", word=name)


def unmistakable(text: str) -> str:
    """A text as it is shown among other values: in quotes where it could be taken for one of them.

    "1" is not 1, "null" not null. ``static/js/format.js`` does the same in the browser.
    """
    if text.strip():
        try:
            json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return text
    return json.dumps(text, ensure_ascii=False)
