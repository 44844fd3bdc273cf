"""Smoothed curves: an exponential moving mean over reports.

Pure; used by ``curves``, and continued by the page (``append.js``) from the state given with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.charts.base import Floats

MOST = 0.999


def smoothed(sequence: Floats, value: Floats, weight: float) -> tuple[Floats, dict[str, Any]]:
    """The mean at each report, NaN where it has no value; and the state to go on from.

    ``weight`` is what the mean before counts, 0 to 1, one report later; where thinning has left
    reports out, the next one counts for those between. Without the bias towards 0 that the first
    ones would have (Kingma and Ba 2015). Halves are summed, so that huge values stay finite.
    """
    means = np.full(value.size, np.nan)
    total, share = 0.0, 0.0
    last = float(sequence[0]) - 1.0 if sequence.size else -1.0
    for i in np.flatnonzero(np.isfinite(value)):
        kept = weight ** max(float(sequence[i]) - last, 1.0)
        total = kept * total + (1.0 - kept) * float(value[i]) / 2.0
        share = kept * share + (1.0 - kept)
        last = float(sequence[i])
        means[i] = 2.0 * (total / share)
    return means, {"weight": weight, "total": total, "share": share, "last": last}
