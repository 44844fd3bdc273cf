"""Batch: the members of one choice, in the order written; each once.

A member may be a whole configuration, ``{"optimizer": "Adam", "lr": 0.001}``; a trial finds it
under the parameter's name. (NNI hands such a member over without the name around it.)
"""

from __future__ import annotations

from experiments.algorithms.arguments import BatchArgs
from experiments.algorithms.enumeration import EnumeratingTuner


class BatchTuner(EnumeratingTuner[BatchArgs]):
    """Runs a list of configurations."""

    origin = "batch"
