"""``spec.initial`` as the new-experiment form shows it: one configuration a line, as JSON.

Called by ``manifest_form``, in both directions, with whatever stands in a manifest.
"""

from __future__ import annotations

import json
from typing import Any

from experiments.strict_json import read_json
from experiments.web.form_values import as_list, as_text


def initial_form(raw: Any) -> str:
    """The lines of a ``spec.initial``, right or wrong."""
    if not isinstance(raw, list):
        return as_text(raw)
    return "\n".join(_line(entry) for entry in raw)


def merge_initial(spec: dict[str, Any], lines: Any) -> None:
    """Write the lines into ``spec``; one that is no JSON stays text, of which the parser tells."""
    before = {_line(entry): entry for entry in as_list(spec.get("initial"))}
    found = [_entry(line.strip(), before) for line in as_text(lines).splitlines() if line.strip()]
    if found:
        spec["initial"] = found
    else:
        spec.pop("initial", None)


def _line(entry: Any) -> str:
    """An entry that is JSON text already stands as it is, on one line."""
    if isinstance(entry, str):
        return " ".join(entry.split())
    return json.dumps(entry, ensure_ascii=False)


def _entry(line: str, before: dict[str, Any]) -> Any:
    if line in before:
        return before[line]  # as it was written there
    try:
        return read_json(line)
    except ValueError:
        return line
