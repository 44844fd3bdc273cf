"""Values between the manifest and the form's fields: numbers as texts, JSON as text, and back.

Called by ``manifest_form`` and ``form_fields``. Nothing here raises for what a person typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from experiments.strict_json import read_json

_INTEGER = re.compile(r"[-+]?\d{1,300}\Z")
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\Z")


def as_dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def as_text(value: Any) -> str:
    """What an input field shows for a value of the manifest."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        plain = format(Decimal(repr(value)), "f")  # 0.00001, as people write it, not 1e-05
        return plain if len(plain) <= 12 else repr(value)
    return str(value)


def as_value(text: Any) -> Any:
    """A number where the field holds one; any other text stays, for the parser to refuse."""
    if not isinstance(text, str):
        return text
    stripped = text.strip()
    if _INTEGER.match(stripped):
        return int(stripped)
    if _FLOAT.match(stripped) and abs(float(stripped)) != float("inf"):
        return float(stripped)
    return text


def read_mapping(raw: Any) -> dict[str, Any] | None:
    """A mapping given as such or as JSON text; {} where absent, None where unreadable."""
    if raw is None or raw == "":
        return {}
    if isinstance(raw, Mapping):
        return dict(raw)
    if not isinstance(raw, str):
        return None
    if not raw.strip():
        return {}
    try:
        found = read_json(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def comparable(value: Any) -> str:
    """Rows compare as browsers send them: 1.0 comes back as 1, but true is not 1."""
    if isinstance(value, list):
        return f"[{','.join(comparable(v) for v in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{k!r}:{comparable(v)}' for k, v in sorted(value.items()))}}}"
    if isinstance(value, float) and value.is_integer():
        return repr(int(value))
    return repr(value)
