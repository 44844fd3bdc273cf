"""Kernel densities over a domain, as BOHB models good and bad configurations.

Falkner, Klein & Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML
2018, section 3.2 and appendix D. A kernel per row, a product over columns: normal for a number,
Aitchison and Aitken's for a category, with the bandwidths of the normal reference rule,
1.06 sd n^(-1 / (4 + d)), as statsmodels has them. A column that does not count, in the row asked
for or in the kernel's, contributes the even density (the paper imputes it at random).

Symbols: n kernels, d columns, c rows asked for.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from experiments.algorithms.numerics.domain import Bools, Domain, Floats

_ROOT_2_PI = np.sqrt(2.0 * np.pi)


class KernelDensity:
    """The density of some rows of a domain."""

    def __init__(self, domain: Domain, rows: Floats, min_bandwidth: float) -> None:
        """
        Args:
            domain: the rows' columns.
            rows: one kernel each. # (n, d), n at least 1
            min_bandwidth: of every column.
        """
        self._domain = domain
        self.rows = rows
        n_rows, n_columns = rows.shape
        self._counts = counting(domain, rows)
        self._n_categories = np.array(
            [0 if c.levels is None else len(c.levels) for c in domain.columns], dtype=np.float64
        )
        spread = rows.std(axis=0) if n_columns else np.zeros(0)
        widths = 1.06 * spread * n_rows ** (-1.0 / (4 + n_columns))
        most = np.where(domain.categorical, 1.0 - 1.0 / np.maximum(self._n_categories, 1.0), np.inf)
        self.bandwidths: Floats = np.minimum(np.maximum(widths, min_bandwidth), most)

    def density(self, rows: Floats) -> Floats:
        """Return the density at each row, # (c,)."""
        asked = counting(self._domain, rows)
        product = np.ones((len(rows), len(self.rows)))
        for index in range(self._domain.n_columns):
            width = self.bandwidths[index]
            distance = rows[:, index, None] - self.rows[None, :, index]
            n_categories = self._n_categories[index]
            if self._domain.categorical[index]:
                other = width / max(n_categories - 1.0, 1.0)
                each, even = np.where(distance == 0, 1.0 - width, other), 1.0 / n_categories
            else:
                z = distance / width
                each, even = np.exp(-0.5 * z * z) / (width * _ROOT_2_PI), 1.0
            counts = asked[:, index, None] & self._counts[None, :, index]
            product *= np.where(counts, each, even)
        density: Floats = product.mean(axis=1)
        return density

    def sample(self, n_rows: int, widen: float, rng: np.random.Generator) -> Floats:
        """Draw rows around the kernels, numbers ``widen`` times as far as the bandwidths say."""
        domain = self._domain
        picked = rng.integers(len(self.rows), size=n_rows)
        centres = self.rows[picked]
        units, stay = rng.random(centres.shape), rng.random(centres.shape)
        widths = self.bandwidths * widen
        low, high = ndtr(-centres / widths), ndtr((1.0 - centres) / widths)
        numbers = np.clip(centres + widths * ndtri(low + units * (high - low)), 0.0, 1.0)
        drawn = domain.snap(np.where(domain.categorical, units, numbers))
        kept = domain.categorical & (stay < 1.0 - self.bandwidths) & self._counts[picked]
        drawn = np.where(kept, centres, drawn)
        # a column that has just come to count is drawn evenly
        fresh = domain.snap(rng.random(centres.shape))
        woken = counting(domain, drawn) & ~self._counts[picked]
        return domain.tidy(np.where(woken, fresh, drawn))


def counting(domain: Domain, rows: Floats) -> Bools:
    """Say which columns of which rows count, # (len(rows), d)."""
    counts = np.ones(rows.shape, dtype=bool)
    for index, column in enumerate(domain.columns):
        if column.parent is not None:
            chosen = rows[:, column.parent] == column.branch
            counts[:, index] = chosen & counts[:, column.parent]
    return counts
