"""A Plotly figure as JSON, whatever form it has. Called by ``client``; needs no Plotly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any

__all__ = ["as_json"]


def as_json(figure: Any) -> str:
    """Of a ``plotly.graph_objects.Figure``, of its dict (arrays of numpy too), or of its JSON."""
    if isinstance(figure, str):
        return figure
    if isinstance(figure, Mapping):
        return json.dumps(_plain(figure))
    if callable(write := getattr(figure, "to_json", None)):
        return str(write())
    words = "must be a Plotly figure, its dict or its JSON"
    raise TypeError(f"figure {words}, but is {type(figure).__name__}.")


def _plain(value: Any) -> Any:
    """What JSON can hold: a number that is none is a gap."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if callable(listed := getattr(value, "tolist", None)):  # of numpy and pandas
        return _plain(listed())
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
