"""Search spaces that tests of several algorithms share."""

from __future__ import annotations

from typing import Any

EVERY_TYPE: dict[str, Any] = {
    "mixed": {"_type": "choice", "_value": [1, "a", True, None, [1, 2], {"x": 0.5}]},
    "net": {
        "_type": "choice",
        "_value": [
            {"_name": "empty"},
            {
                "_name": "conv",
                "kernel": {"_type": "choice", "_value": [1, 3, 5]},
                "drop": {"_type": "uniform", "_value": [0, 0.5]},
            },
            "plain",
        ],
    },
    "whole": {"_type": "randint", "_value": [-3, 4]},
    "u": {"_type": "uniform", "_value": [-1, 1.5]},
    "qu": {"_type": "quniform", "_value": [2, 10, 5]},
    "lu": {"_type": "loguniform", "_value": [1e-05, 1]},
    "qlu": {"_type": "qloguniform", "_value": [1, 100, 0.5]},
    "n": {"_type": "normal", "_value": [3, 2]},
    "qn": {"_type": "qnormal", "_value": [0, 1, 0.1]},
    "ln": {"_type": "lognormal", "_value": [0, 1]},
    "qln": {"_type": "qlognormal", "_value": [0, 1, 1]},
    "layer": {"_type": "layer_choice", "_value": ["conv5x5", "conv3x3"]},
    "skip": {"_type": "input_choice", "_value": {"candidates": ["", ""], "n_chosen": 1}},
}
FINITE_TYPES: dict[str, Any] = {
    "net": {
        "_type": "choice",
        "_value": [{"_name": "a", "k": {"_type": "choice", "_value": [1, "x"]}}, "b", None, "b"],
    },
    "n": {"_type": "randint", "_value": [-1, 2]},
    "q": {"_type": "quniform", "_value": [2, 10, 5]},
}
# the same for those that choose layers and inputs only: 36 configurations, and many
FINITE_LAYERS: dict[str, Any] = {
    "first": {"_type": "layer_choice", "_value": ["conv", "pool", "dense"]},
    "second": {"_type": "layer_choice", "_value": ["conv", "pool"]},
    "skip": {"_type": "input_choice", "_value": {"candidates": ["a", "b", ""], "n_chosen": [1, 2]}},
}
MANY_LAYERS = FINITE_LAYERS | {
    f"layer{i}": {"_type": "layer_choice", "_value": ["x", "y", "z"]} for i in range(5)
}
