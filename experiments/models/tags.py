"""Tags of an experiment: short words in small letters, kept in one column, each on a line.

The column begins and ends with a line's end, so that a tag is found by ``\\n…\\n``, whole, by every
database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST = 20
LONGEST = 40  # characters
RULE = f"at most {MOST} of 1 to {LONGEST} printable characters without commas"


def joined(tags: Iterable[str]) -> str:
    """As the column has them; "" for none."""
    text = "\n".join(tags)
    return f"\n{text}\n" if text else ""


def parted(column: str) -> list[str]:
    return column.split("\n")[1:-1]


def read(given: Sequence[str]) -> tuple[list[str], str]:
    """The tags that a person means, in order and each once; and what is wrong with them, or ""."""
    tags = list(dict.fromkeys(" ".join(tag.split()).lower() for tag in given))
    wrong = [tag for tag in tags if not 0 < len(tag) <= LONGEST or not _may_be(tag)]
    if wrong:
        return [], f"must be {RULE}, but got {wrong[0][:80]!r}."
    if len(tags) > MOST:
        return [], f"must be {RULE}, but got {len(tags)}."
    return tags, ""


def _may_be(tag: str) -> bool:
    return tag.isprintable() and "," not in tag
