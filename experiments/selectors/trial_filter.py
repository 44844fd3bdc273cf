"""The small language that picks and sorts trials: ``lr < 0.01 and optimizer = adam``.

Called by REST and the trial page. An expression is parsed into plain comparisons, never evaluated
as code. Names are the trial's own fields first (``FIELDS``), then parameters (a nested one as
``opt.lr``), then metrics; ``param:NAME`` and ``metric:NAME`` say which, quotes take any characters.
Integers are compared exactly, of whatever size. What a trial lacks matches nothing, except
``NAME = none``.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems import Problem, ProblemsError
from experiments.selectors.trial_facts import (
    FIELDS,
    ORDER_FIELDS,
    TIME_FIELDS,
    Facts,
    Getter,
    Names,
)

__all__ = [
    "FIELDS", "Facts", "Names", "parse_orders", "parse_where", "sort_facts", "split_names",
    "unquoted",
]  # fmt: skip

MAX_LENGTH = 2000  # characters of an expression
MAX_DEPTH = 20  # parentheses within parentheses

Flags = NDArray[np.bool_]  # (n_trials,)
Test = Callable[[Facts], Flags]

# ---- expressions

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<prefix>(?:param|metric):)?"(?P<quoted>(?:[^"\\]|\\.)*)"
      | '(?P<single>(?:[^'\\]|\\.)*)'
      | (?P<op><=|>=|==|!=|<>|=|<|>|~)
      | (?P<punct>[(),])
      | (?P<word>[^\s"'<>=!~(),]+)
    )""",
    re.VERBOSE,
)
_JOINERS = ("and", "or", "not", "in")
_SPELLINGS = {"=": "==", "<>": "!="}  # the same, written differently


@dataclass(frozen=True)
class _Token:
    kind: str  # text (quoted) | op | punct | word | end
    text: str
    start: int


def _tokens(source: str, path: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    source = source.rstrip()
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            at = position + len(source[position:]) - len(source[position:].lstrip())
            hint = "Is a closing quote missing?" if source[at] in "\"'" else ""
            raise _bad(path, f"Cannot read {source[at : at + 20]!r}", at, hint)
        start = match.start() + len(match.group()) - len(match.group().lstrip())
        if (quoted := match["quoted"]) is not None:
            text = (match["prefix"] or "") + re.sub(r"\\(.)", r"\1", quoted)
            found.append(_Token("text", text, start))
        elif (single := match["single"]) is not None:
            found.append(_Token("text", re.sub(r"\\(.)", r"\1", single), start))
        elif match["op"]:
            found.append(_Token("op", match["op"], start))
        elif match["punct"]:
            found.append(_Token("punct", match["punct"], start))
        else:
            found.append(_Token("word", match["word"], start))
        position = match.end()
    found.append(_Token("end", "", len(source)))
    return found


def _bad(path: str, message: str, position: int, hint: str = "") -> ProblemsError:
    example = "E.g. lr < 0.01 and value >= 0.9 and optimizer = adam."
    return ProblemsError(
        [Problem(path, f"{message} at character {position + 1}.", hint or example)]
    )


def parse_where(source: str, names: Names, path: str = "where") -> Test:
    """Parse an expression to a test of trials.

    Raises:
        ProblemsError: with the character where the expression stops making sense.
    """
    if len(source) > MAX_LENGTH:
        message = f"Must be at most {MAX_LENGTH} characters, but got {len(source)}."
        raise ProblemsError([Problem(path, message, "Filter by state, then by fewer names.")])
    if not source.strip():
        return lambda facts: np.ones(len(facts), dtype=bool)
    return _Parser(_tokens(source, path), names, path).parse()


class _Parser:
    """``or`` binds weaker than ``and``, ``and`` weaker than ``not``; a comma is an ``and``."""

    def __init__(self, tokens: list[_Token], names: Names, path: str) -> None:
        self.tokens = tokens
        self.names = names
        self.path = path
        self.position = 0

    def parse(self) -> Test:
        test = self.either(0)
        token = self.peek()
        if token.kind != "end":
            raise self.bad(f"Expected 'and', 'or' or the end, but got {token.text!r}", token)
        return test

    def peek(self) -> _Token:
        return self.tokens[self.position]

    def next(self) -> _Token:
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def bad(self, message: str, token: _Token, hint: str = "") -> ProblemsError:
        return _bad(self.path, message, token.start, hint)

    def takes(self, *words: str) -> bool:
        """Step over one of these words or marks, if it comes next."""
        token = self.peek()
        if token.kind not in ("word", "punct") or token.text.lower() not in words:
            return False
        self.position += 1
        return True

    def either(self, depth: int) -> Test:
        tests = [self.every(depth)]
        while self.takes("or"):
            tests.append(self.every(depth))
        return _any(tests)

    def every(self, depth: int) -> Test:
        tests = [self.one(depth)]
        while self.takes("and", ","):
            tests.append(self.one(depth))
        return _all(tests)

    def one(self, depth: int) -> Test:
        if depth > MAX_DEPTH:
            raise self.bad(f"More than {MAX_DEPTH} levels of parentheses", self.peek())
        if self.takes("not"):
            inner = self.one(depth + 1)
            return lambda facts: ~inner(facts)
        if self.takes("("):
            inner = self.either(depth + 1)
            if not self.takes(")"):
                raise self.bad("A closing parenthesis is missing", self.peek())
            return inner
        return self.comparison()

    def comparison(self) -> Test:
        token = self.next()
        if token.kind not in ("word", "text") or (
            token.kind == "word" and token.text.lower() in _JOINERS
        ):
            what = "the end" if token.kind == "end" else repr(token.text)
            raise self.bad(f"Expected a name, but got {what}", token)
        get = self.names.getter(token.text, self.path)
        is_time = token.text in TIME_FIELDS
        if not is_time and self.takes("in"):
            return self.membership(get)
        op = self.next()
        if op.kind != "op":
            what = "the end" if op.kind == "end" else repr(op.text)
            raise self.bad(f"Expected =, !=, <, <=, >, >=, ~ or 'in', but got {what}", op)
        spelled = _SPELLINGS.get(op.text, op.text)
        if is_time and spelled != "~":
            return self.compare_times(get, spelled, self.literal())
        return self.compare(get, spelled, self.literal())

    def literal(self) -> _Token:
        token = self.next()
        if token.kind not in ("word", "text"):
            what = "the end" if token.kind == "end" else repr(token.text)
            raise self.bad(f"Expected a value, but got {what}", token)
        return token

    def membership(self, get: Getter) -> Test:
        if not self.takes("("):
            raise self.bad("Expected '(' after 'in'", self.peek(), "E.g. state in (FAILED, LOST).")
        members = [self.literal()]
        while self.takes(","):
            members.append(self.literal())
        if not self.takes(")"):
            raise self.bad("A closing parenthesis is missing", self.peek())
        tests = [self.compare(get, "==", member) for member in members]
        spans = [span for member in members if (span := _span(member)) is not None]
        if spans:
            tests.append(_each(get, lambda value: _is_within(value, spans)))
        return _any(tests)

    def compare_times(self, get: Getter, op: str, literal: _Token) -> Test:
        if _is_none(literal) and op in ("==", "!="):
            return _each(get, lambda value: (value is None) == (op == "=="))
        try:
            bound = datetime.fromisoformat(literal.text)
        except ValueError:
            hint = 'E.g. started_at >= "2026-11-27 14:00".'
            raise self.bad(f"Expected a time, but got {literal.text!r}", literal, hint) from None
        bound = bound if bound.tzinfo else bound.replace(tzinfo=UTC)
        return _ordered(get, op, bound, frozenset({datetime}))

    def compare(self, get: Getter, op: str, literal: _Token) -> Test:
        text = literal.text
        if _is_none(literal) and op in ("==", "!="):
            return _each(get, lambda value: (value is None) == (op == "=="))
        number = _number(text)
        if op == "~":
            part = text.casefold()
            return _each(get, lambda value: part in _as_text(value).casefold())
        if op == "==":
            return _each(get, lambda value: _equal(value, text, number))
        if op == "!=":
            return _each(get, lambda value: value is not None and not _equal(value, text, number))
        if number is None:
            raise self.bad(f"{op} compares numbers, but got {text!r}", literal)
        return _ordered(get, op, number, _NUMBERS)


_NUMBERS = frozenset({int, float})  # types: a bool is none


def _any(tests: list[Test]) -> Test:
    return lambda facts: np.logical_or.reduce([test(facts) for test in tests])


def _all(tests: list[Test]) -> Test:
    return lambda facts: np.logical_and.reduce([test(facts) for test in tests])


def _each(get: Getter, holds: Callable[[Any], bool]) -> Test:
    return lambda facts: np.array([holds(value) for value in get(facts)], dtype=bool)


def _ordered(get: Getter, op: str, bound: Any, types: frozenset[type]) -> Test:
    """Whether what ``get`` reads is of these types, and compares so with ``bound``."""
    holds = {
        "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
        "==": operator.eq, "!=": operator.ne,
    }[op]  # fmt: skip
    return lambda facts: np.array(
        [type(value) in types and holds(value, bound) for value in get(facts)], dtype=bool
    )


def _is_none(literal: _Token) -> bool:
    return literal.kind == "word" and literal.text.lower() in ("none", "null")


_SPAN = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


def _span(member: _Token) -> tuple[int, int] | None:
    """``3-9`` in a list of members: every whole number from the first to the last."""
    found = _SPAN.fullmatch(member.text) if member.kind == "word" else None
    return None if found is None else (int(found[1]), int(found[2]))


def _is_within(value: Any, spans: Sequence[tuple[int, int]]) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and any(low <= value <= high for low, high in spans)


_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)  # 9007199254740993 is no float
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)  # as tables and exports show it
    return str(value)


def _equal(value: Any, text: str, number: int | float | None) -> bool:
    if value is None:
        return False
    if isinstance(value, bool):
        return _as_text(value) == text.lower()
    if isinstance(value, (int, float)):
        return number is not None and value == number
    return _as_text(value) == text


# ---- orders


# A name of an order or of a list of names: to the next comma that is not between quotes.
_LISTED = re.compile(r'(?:(?<![^,:\-\s])"(?:[^"\\]|\\.)*"|[^,])+')
_QUOTED_NAME = re.compile(r'((?:param|metric):)?"((?:[^"\\]|\\.)*)"', re.DOTALL)


def split_names(text: str) -> list[str]:
    """Take a list of names apart at its commas; quoted names may hold some."""
    return [part.strip() for part in _LISTED.findall(text)]


def unquoted(name: str) -> str:
    """``param:"learning rate"`` as expressions and pages write it, without its quotes."""
    found = _QUOTED_NAME.fullmatch(name)
    return name if found is None else (found[1] or "") + re.sub(r"\\(.)", r"\1", found[2])


Order = tuple[Getter, bool]  # what it goes by, and whether from the highest down


def parse_orders(orders: Sequence[str], names: Names, path: str = "order") -> list[Order]:
    """Names to sort by, ``-`` first for descending.

    Raises:
        ProblemsError: naming an unknown name.
    """
    return [
        (names.getter(unquoted(order.removeprefix("-")), path, ORDER_FIELDS), order[:1] == "-")
        for order in orders
    ]


def sort_facts(facts: Facts, places: Sequence[int], orders: Sequence[Order]) -> list[int]:
    """These places sorted; what lacks a value comes last, and equal ones go by their number."""
    numbers = facts.fields["number"]
    found = sorted(places, key=lambda place: numbers[place])
    # From the least to the most important key: sorting is stable.
    for get, is_descending in reversed(orders):
        values = get(facts)
        present = [place for place in found if values[place] is not None]
        missing = [place for place in found if values[place] is None]
        present.sort(key=lambda place: _sort_key(values[place]), reverse=is_descending)
        found = present + missing
    return found


def _sort_key(value: Any) -> tuple[int, Any]:
    """Numbers among numbers, then everything else by its text: mixed choices sort without error."""
    if isinstance(value, (int, float)):
        return (0, value)
    if hasattr(value, "timestamp"):
        return (0, value.timestamp())
    return (1, _as_text(value))
