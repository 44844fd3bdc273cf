"""``$(params.NAME)`` in a container's words: what it stands for, and whether it always can.

``spec`` checks what a manifest refers to, ``training`` puts a trial's values in, for every engine.
``$(params)`` is all of them as JSON, ``$(params.layer.size)`` reaches into a nested choice, and
``$$(params.NAME)`` stands for itself, as ``$$(NAME)`` does for Kubernetes. A value becomes part of
one word: no shell and no second replacement ever sees it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from experiments.algorithms.space.batch import BatchSpace, is_configuration
from experiments.algorithms.space.choices import Branch, Choice, Product
from experiments.algorithms.space.layers import InputChoice, LayerChoice
from experiments.algorithms.space.parameters import Parameter, show
from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest.reading import Notes, at
from experiments.problems import nearest

PREFIX = "params"
_TOKEN = re.compile(r"\$(?:\$|\(([^)]*)\))")
_MISSING = object()


def replaced(text: str, value_of: Callable[[str], str | None]) -> str:
    """``text`` with each ``$(NAME)`` that ``value_of`` knows replaced, in one pass.

    ``$$`` is handed over too, as the name ``$``, for whoever makes one ``$`` of it.
    """

    def replacement(match: re.Match[str]) -> str:
        value = value_of("$" if match[1] is None else match[1])
        return match[0] if value is None else value

    return _TOKEN.sub(replacement, text)


def parameter_text(name: str, parameters: Mapping[str, Any]) -> str | None:
    """What ``$(NAME)`` stands for if NAME is ``params`` or ``params.…``; None for all else."""
    if name == PREFIX:
        return value_text(dict(parameters))
    if not name.startswith(f"{PREFIX}."):
        return None
    value = _looked_up(parameters, name.removeprefix(f"{PREFIX}."))
    return None if value is _MISSING else value_text(value)


def value_text(value: Any) -> str:
    """A value as one word: text as it is, all else as JSON (``3``, ``1e-05``, ``true``)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _looked_up(values: Any, name: str) -> Any:
    """The value of a dotted name; names may hold dots themselves, and the longest one wins."""
    if not isinstance(values, Mapping):
        return _MISSING
    for head, rest in _splits(name):
        if head in values:
            found = values[head] if rest is None else _looked_up(values[head], rest)
            if found is not _MISSING:
                return found
    return _MISSING


def _splits(name: str) -> Iterator[tuple[str, str | None]]:
    yield name, None
    end = name.rfind(".")
    while end > 0:
        yield name[:end], name[end + 1 :]
        end = name.rfind(".", 0, end)


# ---- what a manifest refers to


def check_placeholders(
    notes: Notes,
    container: Mapping[str, Any],
    path: str,
    space: SearchSpace,
    adds: Collection[str],
) -> None:
    """Note every name that a trial may lack. ``adds``: what the algorithm adds to parameters."""
    for where, word in _words(container, path):
        check_word(notes, word, where, space, adds)


def check_word(
    notes: Notes, word: str, path: str, space: SearchSpace, adds: Collection[str]
) -> None:
    """The same for one word."""
    for match in _TOKEN.finditer(word):
        name = match[1] or ""
        if not name.startswith(f"{PREFIX}."):
            continue
        wrong = _problem(name.removeprefix(f"{PREFIX}."), space, adds)
        if wrong is not None:
            notes.error(path, *wrong)


def _words(container: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for field in ("command", "args"):
        for number, word in enumerate(container.get(field) or []):
            yield at(at(path, field), number), str(word)
    for number, entry in enumerate(container.get("env") or []):
        yield at(at(at(path, "env"), number), "value"), str(entry.get("value") or "")


def _problem(name: str, space: SearchSpace, adds: Collection[str]) -> tuple[str, str] | None:
    """What is wrong with a name, and a hint; None where every trial has it."""
    if name in adds:
        return None
    if isinstance(space, BatchSpace):
        return _batch_problem(name, space)
    has, lacks = _found(space.parameters, name)
    written = f"$({PREFIX}.{name})"
    if has and not lacks:
        return None
    if not has:
        known = [*space.parameters, *adds]
        close = nearest(name, known)
        hint = f"Did you mean $({PREFIX}.{close})?" if close else f"There are: {_listed(known)}."
        itself = f"For '{written}' itself write '${written}'."
        return f"'{written}': the search space has no '{name}'.", f"{hint} {itself}"
    top = next(head for head, _ in _splits(name) if head in space.parameters)
    return (
        f"'{written}': '{name}' exists only where '{top}' is {_listed(has)}, "
        f"not where it is {_listed(lacks)}.",
        f"Write '$({PREFIX}.{top})' for all of it as JSON, or give every branch a "
        f"'{name.rpartition('.')[2]}'.",
    )


def _batch_problem(name: str, space: BatchSpace) -> tuple[str, str] | None:
    ((own, choice),) = space.parameters.items()
    members = choice.json_value()
    lacking = [
        member
        for member in members
        if _looked_up(member if is_configuration(member) else {own: member}, name) is _MISSING
    ]
    if not lacking:
        return None
    return (
        f"'$({PREFIX}.{name})': {len(lacking)} of the {len(members)} configurations of "
        f"'{own}' have no '{name}', e.g. {show(lacking[0])}.",
        "Give it to each of them.",
    )


def _found(parameters: Mapping[str, Parameter], name: str) -> tuple[list[str], list[str]]:
    """Which branches have a value of that name, and which have none, as people name them."""
    for head, rest in _splits(name):
        if head not in parameters:
            continue
        if rest is None:
            return ["any"], []
        has, lacks = _found_below(parameters[head], rest)
        if has:
            return has, lacks
    return [], []


def _found_below(parameter: Parameter, name: str) -> tuple[list[str], list[str]]:
    if isinstance(parameter, LayerChoice | InputChoice):
        return (["any"], []) if name in ("_value", "_idx") else ([], ["any"])
    if not isinstance(parameter, Choice):
        return [], ["any"]
    has: list[str] = []
    lacks: list[str] = []
    for member in parameter.members:
        if isinstance(member, Branch):
            shown = show(member.name)
            inside = name == "_name" or _always(member.product, name)
        else:
            shown = show(member)
            inside = _looked_up(member, name) is not _MISSING
        (has if inside else lacks).append(shown)
    return has, lacks


def _always(product: Product, name: str) -> bool:
    has, lacks = _found(product.parameters, name)
    return bool(has) and not lacks


def _listed(words: Collection[str], most: int = 8) -> str:
    shown = list(words)[:most]
    return ", ".join(shown) + (" …" if len(words) > most else "")
