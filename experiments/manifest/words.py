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
# Where a path or a value may begin: "a$b" and "^x$" are no variables.
_SHELL_VARIABLE = re.compile(r"(?:^|[=/:,])(\$(?:\{(\w+)\}|([A-Za-z_]\w*)))")
# What each process of a trial is told, see docs/trials.md.
_OURS = re.compile(
    r"(?:NNI|TUNER)_\w+|MASTER_(?:ADDR|PORT)|RANK|WORLD_SIZE|TF_CONFIG|AUTO_TUNE_SERVER_ADDR"
    r"|MLFLOW_TRACKING_URI|KUBEFLOW_TRAINER_SERVER_(?:URL|TOKEN)"
)
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1", "2>", "&>"})
_OF_KATIB = re.compile(r"\$\{trialParameters\.([^}]+)\}")
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
        if found := _OF_KATIB.search(word):
            hint = f"Write '$(params.{found[1]})', with the parameter's name."
            notes.warn(where, f"'{found[0]}' stays as it is: that is Katib's.", hint)
    operator = next(((where, word) for where, word in rows[1:] if word in _OPERATORS), None)
    if operator is not None:
        where, word = operator
        message = f"'{word}' is handed to the program as it is: {_NO_SHELL}."
        notes.warn(where, message, "For a shell write [sh, -c, '…'].")
        rows = []
    _warn_of_variables(notes, container, path, rows, is_here=is_here)


def _warn_of_variables(
    notes: Notes,
    container: Mapping[str, Any],
    path: str,
    rows: list[tuple[str, str]],
    is_here: bool,
) -> None:
    """``$NAME`` where ``$(NAME)`` is meant: in the words of a command, and in ``env``."""
    names = [str(entry.get("name")) for entry in container.get("env") or []]
    for where, word in rows:
        _warn_of_variable(notes, where, word, set(names))
    before: set[str] = {"PATH"} if is_here else set()
    for name, (where, value) in zip(names, _values(container, path), strict=True):
        # here an entry may extend what its own variable had before
        _warn_of_variable(notes, where, value, before | {name} if is_here else before)
        before.add(name)


def _warn_of_variable(notes: Notes, where: str, word: str, known: set[str]) -> None:
    """``known``: what ``$(NAME)`` stands for there, beside our own."""
    if (found := _SHELL_VARIABLE.search(word)) is None:
        return
    name = found[2] or found[3]
    if name in known or _OURS.fullmatch(name):
        hint = f"Write '$({name})'."
    else:
        hint = f"Write its value out, or set {name} in 'env' before and write '$({name})'."
    notes.warn(where, f"'{found[1]}' stays as it is: {_NO_SHELL}.", hint)


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
