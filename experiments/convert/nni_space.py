"""The search space of an NNI configuration, from its own field or the file it names.

Called by ``nni``. Two types of NNI's example tuners, which its documentation leaves out, have one
clear meaning and are written as choices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.convert.draft import Draft, Section
from experiments.manifest.files import load_json
from experiments.manifest.yaml_text import load_yaml
from experiments.problems import ProblemsError

ReadFile = Callable[[str], str]  # of a name relative to the file; raises OSError
MOST_FACTORS = 5000  # ways to write a product
MOST_PARTS = 100  # of it


def put_space(draft: Draft, top: Section, read: ReadFile) -> None:
    """Set ``spec.searchSpace``, or say why it cannot be."""
    file_name = top.named("searchSpaceFile", "searchSpacePath")
    inline, file = top.take("searchSpace"), top.text("searchSpaceFile", "searchSpacePath")
    if inline is not None:
        if file:
            draft.leave(top.where(file_name), "searchSpace stands in the file, too: it is taken.")
        _put(draft, inline, top.where("searchSpace"), inline)
        return
    if not file:
        if not draft.problems:  # useAnnotation says where it is
            draft.refuse("", "There is no search space.", "Give searchSpaceFile or searchSpace.")
        return
    where = top.where(file_name)
    try:
        space = _loaded(read(file))
    except ProblemsError as error:
        for problem in error.problems:
            place = f", line {problem.line}" if problem.line else ""
            said = problem.message.replace("The manifest", "It")
            draft.refuse(where, f"'{file}'{place}: {said}", problem.hint)
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        hint = "Give it beside the configuration, or write the space inline as searchSpace."
        draft.refuse(where, f"The search space file '{file}' cannot be read: {why}.", hint)
        return
    _put(draft, space, where, file)


def _loaded(text: str) -> dict[str, Any]:
    """JSON as NNI's users write it, YAML otherwise."""
    try:
        found: dict[str, Any] = load_json(text)[0]
    except ProblemsError:
        found = load_yaml(text).data
    return found


def _put(draft: Draft, space: Any, source: str, given: Any) -> None:
    if isinstance(space, Mapping):
        space = {name: _entry(draft, name, entry, source) for name, entry in space.items()}
    draft.put("spec.searchSpace", space, source, given)


def _entry(draft: Draft, name: str, entry: Any, source: str) -> Any:
    """An entry as it is, or the choice that it stands for."""
    if not isinstance(entry, Mapping):
        return entry
    kind, value = entry.get("_type"), entry.get("_value")
    if kind == "discrete":
        draft.leave(source, f"'{name}': discrete is read as choice.")
        return {"_type": "choice", "_value": value}
    if kind != "factor" or not isinstance(value, list) or len(value) != 2:
        return entry
    if not all(type(number) is int and number > 0 for number in value):
        return entry
    product, parts = value
    if parts > MOST_PARTS:
        return entry
    if product > 10**9 or _count(product, parts) > MOST_FACTORS:
        message = f"'{name}': there are more than {MOST_FACTORS} ways to write {product} so."
        draft.refuse(source, message, "Make the product or the number of factors smaller.")
        return entry
    message = f"'{name}': factor is read as a choice of the {parts} factors of {product}."
    draft.leave(source, message)
    return {"_type": "choice", "_value": [list(each) for each in _factors(product, parts)]}


def _count(product: int, parts: int) -> int:
    """In how many ways ``parts`` ordered factors make ``product``."""
    found, prime = 1, 2
    while product > 1:
        power = 0
        while product % prime == 0:
            product, power = product // prime, power + 1
        found *= math.comb(power + parts - 1, parts - 1)
        prime = product if prime * prime > product else prime + 1
    return found


def _factors(product: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (product,)
        return
    small = [d for d in range(1, math.isqrt(product) + 1) if product % d == 0]
    divisors = sorted({*small, *(product // d for d in small)})
    for first in divisors:
        for others in _factors(product // first, parts - 1):
            yield (first, *others)
