"""Words of figures in the reader's language, though charts know no web framework.

``_`` marks words for makemessages and translates them with whatever ``use`` was given: Django's
gettext in the product (``apps.py``), nothing in tests and scripts.
"""

from __future__ import annotations

from collections.abc import Callable

_translate: Callable[[str], str] = str


def use(translate: Callable[[str], str]) -> None:
    """Translate with this from now on."""
    global _translate
    _translate = translate


def _(words: str) -> str:
    return _translate(words)
