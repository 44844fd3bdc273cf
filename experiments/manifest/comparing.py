"""Which data are equal, types included, and which entry of a list became which.

Pure helpers of ``text_edit``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_MOST_PAIRS = 2_500  # of list entries compared to find which became which


def _key(value: Any) -> str:
    """Equal for equal data alone: 1, 1.0 and true differ, the order of names does not count."""
    return json.dumps(value, sort_keys=True)


def same(one: Any, other: Any) -> bool:
    return _key(one) == _key(other)


def order(value: Any) -> str:
    return json.dumps(value)


def common_order(held: Any, data: Any) -> list[Any]:
    """Order of the names of ``data`` that ``held`` has too, at every level of mappings."""
    if not isinstance(held, dict) or not isinstance(data, dict):
        return []
    return [(name, common_order(held[name], data[name])) for name in data if name in held]


def became(old: list[Any], new: list[Any]) -> list[int | None]:
    """For each new entry the old one that it is, or was most probably made from."""
    keys = [_key(value) for value in old]
    found: list[int | None] = [None] * len(new)
    free = dict.fromkeys(range(len(old)))
    wanted = [_key(value) for value in new]
    for place, key in enumerate(wanted):  # those that stayed first, then those that moved
        if place < len(keys) and keys[place] == key:
            found[place] = place
            free.pop(place)
    unused: dict[str, list[int]] = {}
    for number in reversed(free):
        unused.setdefault(keys[number], []).append(number)
    for place, key in enumerate(wanted):
        if found[place] is None and unused.get(key):
            number = unused[key].pop()
            found[place] = number
            free.pop(number)
    open_places = [place for place, number in enumerate(found) if number is None]
    if len(open_places) * len(free) <= _MOST_PAIRS:
        leaves = {number: set(_leaves(old[number])) for number in free}
        for place in open_places:
            mine = set(_leaves(new[place]))
            alike = [(len(mine & leaves[n]), -abs(n - place), n) for n in free]
            best = max(alike, default=None)
            if best is not None and best[0]:
                found[place] = best[2]
                free.pop(best[2])
    for place in open_places:
        if found[place] is None and place in free:
            found[place] = place
            free.pop(place)
    return found


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{path}[]")
    else:
        yield path, _key(value)
