"""What charts say, in the reader's language.

Charts know no framework: who asks for one lends its translator for the while (``spoken_by``), and
without one they speak English. Labels are made while a figure is drawn, never when a module loads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Translate = Callable[[str], str]

_AFTER_STOP = re.compile("([。；！？]) ")
_translate: ContextVar[Translate] = ContextVar("translate", default=str)


@contextmanager
def spoken_by(translate: Translate) -> Iterator[None]:
    """Within it, charts drawn by this thread or task speak as ``translate`` does."""
    token = _translate.set(translate)
    try:
        yield
    finally:
        _translate.reset(token)


def together(sentences: Iterable[str]) -> str:
    """Sentences one after the other: Chinese ones have their own space after the full stop."""
    return _AFTER_STOP.sub(r"\1", " ".join(filter(None, sentences)))


def listed(parts: Iterable[str]) -> str:
    """Parts of a sentence, with what the reader's language puts between them."""
    return gettext(", ").join(parts)


def gettext(text: str, **values: Any) -> str:
    """The text in the reader's language, its ``{places}`` filled; one without is taken as it is."""
    said = _translate.get()(text)
    return said.format(**values) if values else said
