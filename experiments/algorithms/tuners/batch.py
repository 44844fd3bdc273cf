"""Batch: the members of one choice, in the order written; each once.

A member that is an object, ``{"optimizer": "Adam", "lr": 0.001}``, is a whole configuration: a
trial's parameters are ``optimizer`` and ``lr``, as in NNI, without the name of the choice around
them. Any other member is found under that name (NNI hands it over bare).
"""

from __future__ import annotations

from experiments.algorithms.arguments import BatchArgs
from experiments.algorithms.enumeration import EnumeratingTuner


class BatchTuner(EnumeratingTuner[BatchArgs]):
    """Runs a list of configurations."""

    origin = "batch"
