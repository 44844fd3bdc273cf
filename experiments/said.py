"""What was said in English, in the reader's language: found again by the sentence that made it.

Problems, refusals, reasons and texts of events are English wherever they are made, stored, sent and
compared: in rows of any age, in logs, in ``kubectl``, on the command line. Only who shows one to a
person (REST's errors, pages; ``static/js/said.js`` does the same for what a page's scripts hear)
asks here for it in the language of the request. The catalogues ``events`` and ``problems`` hold
every sentence of the code as a template; the one that fits tells what stands in its places. So
nothing that makes a sentence knows of languages, an old row speaks Chinese too, and text that no
template fits (a log's line, what a cluster says) stands as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from gettext import GNUTranslations, translation
from typing import Any, NamedTuple

from django.conf import settings
from django.utils.translation import get_language, to_locale

from experiments.problems import Problem

ENGLISH = "en"
EVENTS, PROBLEMS = "events", "problems"
AS_IT_IS = frozenset({"line", "lines"})  # places that hold a line of the user's own log

_PLACE = re.compile(r"(\{[A-Za-z_]\w*\})")
_AT = re.compile(r"([\w.\-]+(?:\[[^\]\s]*\][\w.\-]*)*): (.+)", re.DOTALL)
_ALSO, _AND = ("; ", "；"), (" and ", "，且")
_END = re.compile(r"(?<=[.?]) (?=[A-Z'(])")
_CHINESE = re.compile("[\u3400-\u9fff]")
_MOST_PARTS = 60  # sentences after each other
_DEEPEST = 4  # sentences in places of sentences
_LONGEST = 4000  # characters of a text that is looked up


class _Template(NamedTuple):
    """A sentence with places. Fitted by looking for its words in order, which takes no longer than
    the text is long: who makes a text may be anybody.
    """

    literals: tuple[str, ...]  # before, between and after its places; the first begins small
    places: tuple[tuple[str, bool], ...]  # the name of each, and whether words of ours may be in it
    said: str

    @classmethod
    def of(cls, text: str, said: str) -> _Template:
        parts = _PLACE.split(text)
        places = tuple(
            (place[1:-1], not before.endswith("'") and place[1:-1] not in AS_IT_IS)
            for before, place in zip(parts[::2], parts[1::2], strict=False)
        )
        return cls((_small(parts[0]), *parts[2::2]), places, said)

    def values(self, text: str, small: str) -> list[str] | None:
        """What stands in its places; None where the text is another. ``small``: begins so."""
        head, *between, tail = self.literals
        at, end = len(head), len(text) - len(tail)
        if at > end or not small.startswith(head) or not text.endswith(tail):
            return None
        found = []
        for literal in between:
            there = text.find(literal, at, end)
            if there < 0:
                return None
            found.append(text[at:there])
            at = there + len(literal)
        return [*found, text[at:end]]


class Phrasebook:
    """Templates of one language."""

    def __init__(self, catalogue: Mapping[str, str]) -> None:
        """``catalogue``: from English, with ``{places}``."""
        closest = sorted(catalogue, key=_closeness)
        self._whole = {_small(t): catalogue[t] for t in closest if not _PLACE.search(t)}
        self._templates = [_Template.of(t, catalogue[t]) for t in closest if _PLACE.search(t)]

    def say(self, text: str) -> str:
        """The text in this language, or as it is where no template fits."""
        if not text or len(text) > _LONGEST:
            return text
        return self._say(text, 0) or text

    def _say(self, text: str, depth: int) -> str | None:
        if depth > _DEEPEST:
            return None
        return (
            self._one_by_one(text, *_ALSO, depth)
            or self._after_each_other(text, depth)
            or self._sentence(text, depth)
            or self._one_by_one(text, *_ALSO, depth, some=True)
        )

    def _sentence(self, text: str, depth: int) -> str | None:
        """One sentence, perhaps with its place before it."""
        if (at := _AT.fullmatch(text)) and (said := self._plain(at[2], depth)):
            return f"{at[1]}: {said}"
        return self._plain(text, depth)

    def _plain(self, text: str, depth: int) -> str | None:
        """One sentence, begun small or not."""
        small = _small(text)
        if found := self._whole.get(small):
            return found
        for template in self._templates:
            values = template.values(text, small)
            if values is not None:
                return self._filled(template, values, depth)
        return None

    def _one_by_one(
        self, text: str, join: str, joined: str, depth: int, *, some: bool = False
    ) -> str | None:
        """Sentences that stand after each other; all of them are known, or ``some``."""
        parts = text.split(join)
        if not 1 < len(parts) <= _MOST_PARTS:
            return None
        said = [self._sentence(part, depth) if part else None for part in parts]
        if not (any(said) if some else all(said)):
            return None
        return joined.join(s or p for s, p in zip(said, parts, strict=True))

    def _after_each_other(self, text: str, depth: int) -> str | None:
        """Whole sentences, all of them known."""
        parts = _END.split(text)
        if not 1 < len(parts) <= _MOST_PARTS:
            return None
        said = [self._sentence(part, depth) if part else None for part in parts]
        return "".join(filter(None, said)) if all(said) else None

    def _filled(self, template: _Template, held: list[str], depth: int) -> str:
        values = {
            name: (self._held(value, depth + 1) if is_ours else self._line(value, depth)) or value
            for (name, is_ours), value in zip(template.places, held, strict=True)
        }
        # a value is filled in as it is, whatever braces it holds
        said = ""
        for part in _PLACE.split(template.said):
            piece = values[part[1:-1]] if _PLACE.match(part) else part
            said = _joined(said, piece)
        return said

    def _held(self, words: str, depth: int) -> str | None:
        """What stands in a place, if that is ours: a sentence, a word, bounds joined by "and"."""
        if not words:
            return None
        return self._say(words, depth) or self._one_by_one(words, *_AND, depth, some=True)

    def _line(self, line: str, depth: int) -> str | None:
        """A line of a log, with what we may have said after it."""
        before, join, after = line.partition("; ")
        said = self._sentence(after, depth + 1) if join and after and depth < _DEEPEST else None
        return f"{before}{_ALSO[1]}{said}" if said else None


def _joined(before: str, after: str) -> str:
    """Two pieces of a sentence; a space for a Latin word's sake goes where both are Chinese."""
    if before.endswith(" ") and _CHINESE.match(before[-2:-1]) and _CHINESE.match(after):
        return before[:-1] + after
    if after.startswith(" ") and _CHINESE.match(before[-1:]) and _CHINESE.match(after[1:]):
        return before + after[1:]
    return before + after


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _closeness(template: str) -> tuple[bool, int]:
    """The closest fit first: what joins two texts, then what has most words of its own."""
    literal = "".join(_PLACE.split(template)[::2])
    return "; " not in literal, -len(literal)


@cache
def catalogue(domain: str, language: str) -> dict[str, str]:
    """A catalogue of ``locale/``, of a language in which one form serves for any number."""
    (directory,) = settings.LOCALE_PATHS
    kept = translation(domain, directory, [to_locale(language)])
    assert isinstance(kept, GNUTranslations)
    return {
        key if isinstance(key, str) else key[0]: words
        for key, words in vars(kept)["_catalog"].items()
        if key
    }


@cache
def _phrasebook(language: str) -> Phrasebook:
    return Phrasebook({**catalogue(PROBLEMS, language), **catalogue(EVENTS, language)})


@lru_cache(maxsize=4096)
def _said(text: str, language: str) -> str:
    return _phrasebook(language).say(text)


def said(text: str) -> str:
    """What some part of ours said, in the language of this request."""
    language = get_language() or ENGLISH
    return text if language == ENGLISH else _said(str(text), language)


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem as REST and pages send it: its words in the language of this request."""
    return {**problem.as_dict(), "message": said(problem.message), "hint": said(problem.hint)}


def problems_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [problem_json(problem) for problem in problems]


def forecast_json(forecast: Mapping[str, Any]) -> dict[str, Any]:
    """``Forecast.as_dict()`` with the sentences of its programs in the language of this request."""
    programs = [{**row, "sentence": said(row["sentence"])} for row in forecast["programs"]]
    return {**forecast, "programs": programs}
