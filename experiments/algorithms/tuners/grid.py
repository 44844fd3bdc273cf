"""Grid search: every configuration of a finite space, the last parameter changing fastest.

Cost per proposal: microseconds a trial so far.
"""

from __future__ import annotations

from experiments.algorithms.arguments import GridSearchArgs
from experiments.algorithms.enumeration import EnumeratingTuner


class GridSearchTuner(EnumeratingTuner[GridSearchArgs]):
    """Tries the whole grid in order."""

    origin = "grid"
