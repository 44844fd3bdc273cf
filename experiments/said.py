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
_MOST_PARTS = 60  # sentences after each other
_LONGEST = 4000  # characters of a text that is looked up


class _Template(NamedTuple):
    pattern: re.Pattern[str]
    literals: tuple[str, ...]  # before, between and after its places; the first begins small
    places: tuple[tuple[str, bool], ...]  # the name of each, and whether words of ours may be in it
    said: str

    def may_fit(self, text: str) -> bool:
        """A quick look, at a text that begins small: most templates end here."""
        return (
            text.startswith(self.literals[0])
            and text.endswith(self.literals[-1])
            and all(literal in text for literal in self.literals)
        )


class Phrasebook:
    """Templates of one language."""

    def __init__(self, catalogue: Mapping[str, str]) -> None:
        """``catalogue``: from English, with ``{places}``."""
        self._whole = {text: said for text, said in catalogue.items() if not _PLACE.search(text)}
        with_places = (text for text in catalogue if text not in self._whole)
        self._templates = [
            _template(text, catalogue[text]) for text in sorted(with_places, key=_closeness)
        ]

    def say(self, text: str) -> str:
        """The text in this language, or as it is where no template fits."""
        if not text or len(text) > _LONGEST:
            return text
        return self._say(text) or text

    def _say(self, text: str) -> str | None:
        return (
            self._one_by_one(text, *_ALSO)
            or self._after_each_other(text)
            or self._sentence(text)
            or self._one_by_one(text, *_ALSO, some=True)
        )

    def _sentence(self, text: str) -> str | None:
        """One sentence, perhaps begun in a small letter, perhaps with its place before it."""
        if (at := _AT.fullmatch(text)) and (said := self._sentence(at[2])):
            return f"{at[1]}: {said}"
        first, rest = text[0], text[1:]
        spellings = tuple({text, first.upper() + rest, first.lower() + rest})
        for spelled in spellings:
            if found := self._whole.get(spelled):
                return found
        small = first.lower() + rest
        for template in self._templates:
            if not template.may_fit(small):
                continue
            for spelled in spellings:
                if match := template.pattern.fullmatch(spelled):
                    return self._filled(template, match)
        return None

    def _one_by_one(self, text: str, join: str, joined: str, *, some: bool = False) -> str | None:
        """Sentences that stand after each other; all of them are known, or ``some``."""
        parts = text.split(join)
        if not 1 < len(parts) <= _MOST_PARTS:
            return None
        said = [self._sentence(part) if part else None for part in parts]
        if not (any(said) if some else all(said)):
            return None
        return joined.join(s or p for s, p in zip(said, parts, strict=True))

    def _after_each_other(self, text: str) -> str | None:
        """Whole sentences, all of them known."""
        parts = _END.split(text)
        if not 1 < len(parts) <= _MOST_PARTS:
            return None
        said = [self._sentence(part) if part else None for part in parts]
        return "".join(filter(None, said)) if all(said) else None

    def _filled(self, template: _Template, match: re.Match[str]) -> str:
        values = {
            name: (self._held(held) if is_ours and held else self._line(held)) or held
            for (name, is_ours), held in zip(template.places, match.groups(), strict=True)
        }
        # a value is filled in as it is, whatever braces it holds
        parts = _PLACE.split(template.said)
        return "".join(values[part[1:-1]] if _PLACE.match(part) else part for part in parts)

    def _held(self, words: str) -> str | None:
        """What stands in a place, if that is ours: a sentence, a word, bounds joined by "and"."""
        return self._say(words) or self._one_by_one(words, *_AND, some=True)

    def _line(self, line: str) -> str | None:
        """A line of a log, with what we may have said after it."""
        before, join, after = line.partition("; ")
        if not join:
            return None
        said = self._sentence(after)
        return f"{before}{_ALSO[1]}{said}" if said else None


def _closeness(template: str) -> tuple[bool, int]:
    """The closest fit first: what joins two texts, then what has most words of its own."""
    literal = "".join(_PLACE.split(template)[::2])
    return "; " not in literal, -len(literal)


def _template(text: str, said: str) -> _Template:
    parts = _PLACE.split(text)
    names = [part[1:-1] for part in parts[1::2]]
    pattern = "".join("(.*?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    in_quotes = [before.endswith("'") for before in parts[::2]]
    places = tuple(
        (name, not quoted and name not in AS_IT_IS)
        for name, quoted in zip(names, in_quotes, strict=False)
    )
    literals = (parts[0][:1].lower() + parts[0][1:], *parts[2::2])
    return _Template(re.compile(pattern, re.DOTALL), literals, places, said)


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
