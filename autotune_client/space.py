"""Search spaces: one function for each ``_type`` of the manifest.

``{"lr": loguniform(1e-5, 0.1), "layers": randint(1, 5)}`` is a search space; each function returns
the plain entry that a manifest holds, ``{"_type": …, "_value": …}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Number = int | float
Entry = dict[str, Any]
Space = Mapping[str, Mapping[str, Any]]

__all__ = [
    "Entry",
    "Space",
    "branch",
    "choice",
    "input_choice",
    "layer_choice",
    "lognormal",
    "loguniform",
    "normal",
    "qlognormal",
    "qloguniform",
    "qnormal",
    "quniform",
    "randint",
    "uniform",
]


def _entry(kind: str, *value: Any) -> Entry:
    return {"_type": kind, "_value": list(value)}


def choice(*options: Any) -> Entry:
    """One of these: ``choice("adam", "sgd")`` or ``choice(["adam", "sgd"])``."""
    if len(options) == 1 and isinstance(options[0], (list, tuple)):
        options = tuple(options[0])
    return _entry("choice", *options)


def branch(name: str, **space: Mapping[str, Any]) -> dict[str, Any]:
    """An option of ``choice`` with parameters of its own: ``branch("sgd", m=uniform(0, 1))``.

    The trial gets ``{"_name": name, …}``.
    """
    return {"_name": name, **space}


def uniform(low: Number, high: Number) -> Entry:
    """A number from low to high."""
    return _entry("uniform", low, high)


def loguniform(low: Number, high: Number) -> Entry:
    """A number from low to high, drawn evenly in its logarithm."""
    return _entry("loguniform", low, high)


def quniform(low: Number, high: Number, q: Number) -> Entry:
    """A multiple of q from low to high."""
    return _entry("quniform", low, high, q)


def qloguniform(low: Number, high: Number, q: Number) -> Entry:
    """A multiple of q from low to high, drawn evenly in the logarithm."""
    return _entry("qloguniform", low, high, q)


def randint(lower: int, upper: int) -> Entry:
    """A whole number from lower to upper - 1."""
    return _entry("randint", lower, upper)


def normal(mu: Number, sigma: Number) -> Entry:
    """A number of the normal distribution."""
    return _entry("normal", mu, sigma)


def qnormal(mu: Number, sigma: Number, q: Number) -> Entry:
    """A multiple of q of the normal distribution."""
    return _entry("qnormal", mu, sigma, q)


def lognormal(mu: Number, sigma: Number) -> Entry:
    """A number whose logarithm is normal."""
    return _entry("lognormal", mu, sigma)


def qlognormal(mu: Number, sigma: Number, q: Number) -> Entry:
    """A multiple of q whose logarithm is normal."""
    return _entry("qlognormal", mu, sigma, q)


def layer_choice(*layers: str) -> Entry:
    """One of these layers, for architecture search."""
    return _entry("layer_choice", *layers)


def input_choice(candidates: list[str], n_chosen: int = 1) -> Entry:
    """Some of these inputs, for architecture search."""
    return {"_type": "input_choice", "_value": {"candidates": candidates, "n_chosen": n_chosen}}
