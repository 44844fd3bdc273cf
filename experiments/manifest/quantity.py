"""Kubernetes quantities: "500m", "1.5Gi", "2e3". Read by the manifest's parser and the forecast."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_UNIT = r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
_QUANTITY = re.compile(rf"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)){_UNIT}\Z")
# The same where a sign would be wrong, and where nothing (0) would be.
NOT_NEGATIVE = re.compile(rf"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+){_UNIT}\Z")
ABOVE_ZERO = re.compile(
    rf"\+?(?:[0-9]*[1-9][0-9]*(?:\.[0-9]*)?|[0-9]*\.[0-9]*[1-9][0-9]*){_UNIT}\Z"
)
_FACTOR: dict[str, Decimal] = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", 1)},
}

GPU_RESOURCE = "nvidia.com/gpu"  # the one that is shared out on one machine
HINT = 'A number with an optional unit, like "2", "500m", "1.5Gi" or "10G".'


def parse_quantity(raw: Any) -> Decimal | None:
    """Return the amount in base units (cores, bytes, pieces), or None where it is no quantity."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    found = _QUANTITY.match(str(raw)[:64])
    if found is None:
        return None
    exponent = int(found["exponent"] or 0)
    return Decimal(found["number"]) * _FACTOR[found["suffix"] or ""] * Decimal(10) ** exponent
