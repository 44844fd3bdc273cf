"""The shell's words in the language of its environment: English, or Chinese as on the pages.

Reads the pages' compiled catalogue with the standard library; Django would take longer to start
than the command to run.
"""

from __future__ import annotations

import gettext as standard
import os
from functools import cache

from experiments.places import BASE_DIR

_CHINESE = ("zh", "zh_cn", "zh_sg", "zh_hans")  # what is written in simplified characters


@cache
def code() -> str:
    """``en`` or ``zh-hans``, as ``LANGUAGE``, ``LC_ALL``, ``LC_MESSAGES`` or ``LANG`` say."""
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            word = value.partition(":")[0].partition(".")[0].partition("@")[0].lower()
            is_simplified = word in _CHINESE or word.startswith(("zh_hans", "zh-hans"))
            return "zh-hans" if is_simplified else "en"
    return "en"


@cache
def _catalogue() -> standard.NullTranslations:
    if code() == "en":
        return standard.NullTranslations()
    return standard.translation("django", BASE_DIR / "locale", ["zh_Hans"], fallback=True)


def gettext(words: str) -> str:
    return _catalogue().gettext(words)
