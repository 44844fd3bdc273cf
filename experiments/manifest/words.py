"""What a shell would have made of a container's words, and nobody does: warnings before it runs.

Called by ``forecast``, for every engine: commands are lists of arguments, and only ``$(VAR)`` is
replaced.
"""

from __future__ import annotations

import os.path
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.manifest.reading import Notes, at

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "csh", "tcsh"})
_OPTION_AND_VALUE = re.compile(r"--?[A-Za-z][-\w]*\s+\S")
_SHELL_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1", "2>", "&>"})
_NO_SHELL = "no shell reads the words of a command"


def warn_of_shell_habits(
    notes: Notes, container: Mapping[str, Any], path: str, *, is_here: bool
) -> None:
    """Warn of what stays as it is written. ``is_here``: it runs with our own home directory."""
    rows = list(_words(container, path))
    if rows and os.path.basename(rows[0][1]) in _SHELLS:
        rows = rows[:1]  # the others are for the shell
    else:
        _warn_of_line(notes, rows)
    for where, word in (*rows, *_values(container, path)):
        home = _with_home(word)
        if home is not None:
            hint = f"Write '{home}'." if is_here else "Write the directory out."
            notes.warn(where, f"'~' stays as it is: {_NO_SHELL}.", hint)
    for where, word in rows[1:]:
        if word in _OPERATORS:
            message = f"'{word}' is handed to the program as it is: {_NO_SHELL}."
            notes.warn(where, message, "For a shell write [sh, -c, '…'].")
            return
        if variable := _SHELL_VARIABLE.fullmatch(word):
            name = variable[1] or variable[2]
            notes.warn(where, f"'{word}' stays as it is: {_NO_SHELL}.", f"Write '$({name})'.")


def _words(container: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for field in ("command", "args"):
        for number, word in enumerate(container.get(field) or []):
            yield at(f"{path}.{field}", number), word


def _values(container: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for number, entry in enumerate(container.get("env") or []):
        yield f"{at(f'{path}.env', number)}.value", str(entry.get("value") or "")


def _warn_of_line(notes: Notes, rows: list[tuple[str, str]]) -> None:
    """A command line, or an option and its value, in one word."""
    for number, (where, word) in enumerate(rows):
        is_program = number == 0 and ".command" in where
        if not is_program and not _OPTION_AND_VALUE.match(word):
            continue
        if not is_program and number and rows[number - 1][1] in ("-c", "-m", "-e", "--"):
            continue  # the text of a program
        try:
            parts = shlex.split(word)
        except ValueError:
            continue
        if len(parts) < 2:
            continue
        what = "a whole command line" if is_program else "an option and its value"
        listed = ", ".join(part if _is_plain(part) else f"'{part}'" for part in parts)
        notes.warn(
            where,
            f"'{word[:60]}' looks like {what}, but it is one word: {_NO_SHELL}.",
            f"Write its words apart: {listed[:200]}.",
        )


def _is_plain(word: str) -> bool:
    return re.fullmatch(r"[A-Za-z_./-][\w./=-]*", word) is not None


def _with_home(word: str) -> str | None:
    """The word with ``~`` replaced as a shell would, None where it would replace nothing."""
    head, equals, value = word.rpartition("=") if "=~" in word else ("", "", word)
    if not (value == "~" or value.startswith("~/")):
        return None
    return head + equals + os.path.expanduser(value)
