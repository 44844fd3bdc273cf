"""Arrays of numbers in a figure as Plotly's Python package writes them, as plain lists.

``{"dtype": "f8", "bdata": "…base64…", "shape": "2, 3"}`` becomes lists of numbers: what is checked,
counted, shown as a table and read by people is one form.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_TYPES = {
    **{name: np.dtype(f"<{name}") for name in ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")},
    "u1c": np.dtype("<u1"),
}


def is_packed(value: Any) -> bool:
    return isinstance(value, Mapping) and "bdata" in value and "dtype" in value


def unpacked(packed: Mapping[str, Any]) -> list[Any]:
    """Raises ValueError where it is no such array."""
    kind = _TYPES.get(packed["dtype"]) if isinstance(packed["dtype"], str) else None
    if kind is None or not isinstance(packed["bdata"], str):
        raise ValueError("no array of numbers")
    try:
        numbers = np.frombuffer(base64.b64decode(packed["bdata"], validate=True), dtype=kind)
        shape = _shape(packed.get("shape"))
        return _listed(numbers if shape is None else numbers.reshape(shape))
    except (binascii.Error, OverflowError) as error:
        raise ValueError(str(error)) from None


def _shape(given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    sizes = tuple(int(part) for part in str(given).split(","))
    if not 1 <= len(sizes) <= 3 or min(sizes) < 0:
        raise ValueError("no shape")
    return sizes


def _listed(numbers: np.ndarray[Any, Any]) -> list[Any]:
    """JSON has no NaN: what is no number is null, as a gap."""
    found: list[Any] = numbers.tolist()
    is_whole = numbers.dtype.kind != "f" or bool(np.isfinite(numbers).all())
    return found if is_whole else _without_nan(found)


def _without_nan(values: list[Any]) -> list[Any]:
    return [
        _without_nan(value)
        if isinstance(value, list)
        else (value if math.isfinite(value) else None)
        for value in values
    ]
