"""Which scripts a page's script imports, so that the browser fetches them all at once.

Called by the tag ``modules``. A module is only seen once the one that imports it has come: without
being told, a browser goes back and forth for each level of imports.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from posixpath import dirname, join, normpath

from django.conf import settings
from django.contrib.staticfiles import finders

_IMPORT = re.compile(r"""^(?:import|export)\s(?:[^;"']*?\sfrom\s)?["'](\.[^"']+)["']""", re.M)


def modules(name: str) -> list[str]:
    """The modules that ``name`` imports, and those they import, by their names as static files."""
    return _read(name) if settings.DEBUG else _kept(name)


@lru_cache(64)
def _kept(name: str) -> list[str]:
    return _read(name)


def _read(name: str) -> list[str]:
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop(0)
        for path in _IMPORT.findall(Path(str(finders.find(module))).read_text(encoding="utf-8")):
            imported = normpath(join(dirname(module), path))
            if imported not in found:
                found[imported] = None
                waiting.append(imported)
    return list(found)
