"""Arithmetic of axes and lines: ranges that outliers cannot ruin, thinning that keeps shapes.

Takes every finite float: axes end at ±DRAWABLE, so that the width of none overflows, here or in
the browser, and what lies beyond is drawn at the edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.charts.base import Floats

FENCE = 3.0  # times the middle half's width: Tukey's "far out"
WIDER = 0.5  # of an axis' length: how far off a new value may be to widen a drawn axis
LEAST_FOR_FENCE = 8  # values; below that nothing is called an outlier
DRAWABLE = 1e300
MOST_DIGITS = 15  # decimal ones that any float holds


def drawable(values: Floats) -> Floats:
    """The values where an axis can show them: those beyond ±DRAWABLE at its very end."""
    clipped: Floats = np.clip(values, -DRAWABLE, DRAWABLE)
    return clipped


def power_of_ten(exponent: float) -> float:
    """10 to the exponent, within what a float holds: never 0, never infinite."""
    power: float = 10.0 ** min(max(exponent, -323.0), 308.0)
    return max(power, 5e-324)


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """The range with a margin; a single value gets some room around it."""
    low, high = (min(max(end, -DRAWABLE), DRAWABLE) for end in (low, high))
    width = high - low
    if width <= 0:
        width = abs(high) * 0.2 or 1.0
        return low - width / 2, high + width / 2
    return low - share * width, high + share * width


def robust_range(values: Floats, *, keep: float | None = None) -> tuple[float, float] | None:
    """The range of the values that are not far out; ``keep`` is always within it.

    ``values`` are finite, in any order. None where there is none.
    """
    if values.size == 0:
        return None
    values = drawable(values)
    low, high = float(values.min()), float(values.max())
    if values.size >= LEAST_FOR_FENCE:
        q1, q3 = (float(q) for q in np.quantile(values, (0.25, 0.75)))
        width = q3 - q1
        if width <= 0 and q1 != 0:  # more than half are equal: judge by their size
            width = abs(q1)
        if width > 0:
            inside = values[(values >= q1 - FENCE * width) & (values <= q3 + FENCE * width)]
            low, high = float(inside.min()), float(inside.max())
    if keep is not None:
        keep = min(max(keep, -DRAWABLE), DRAWABLE)
        low, high = min(low, keep), max(high, keep)
    return low, high


def value_view(
    values: Floats, keep: float | None, *, log: bool, clip: bool
) -> tuple[float, float] | None:
    """The values shown at first: ``keep`` and what is not far out; all of them without ``clip``.

    On a ``log`` axis all are positive. None where there is none.
    """
    scaled = np.log10(values) if log else values
    if keep is not None and log:
        keep = math.log10(keep)
    view = robust_range(scaled, keep=keep)
    if view is None:
        return None
    if not clip:
        view = float(drawable(scaled).min()), float(drawable(scaled).max())
    if not log:
        return view
    # a hair wider, so that rounding does not push the extremes off
    low, high = (power_of_ten(min(end, 300.0)) for end in view)
    return max(low * (1 - 1e-9), 5e-324), high * (1 + 1e-9)


def axis_range(low: float, high: float, *, log: bool) -> tuple[float, float]:
    """What Plotly wants as ``range``, padded: exponents of ten for a log axis."""
    if log:
        return padded(math.log10(low), math.log10(high))
    return padded(low, high)


def lttb(x: Floats, y: Floats, n_out: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices of ``n_out`` points that keep the line's shape (largest triangle, three buckets).

    Steinarsson 2013. First and last stay. ``x`` ascends; all are finite.
    """
    n = x.size
    if n_out >= n or n_out < 3:
        return np.arange(n) if n_out >= n else np.linspace(0, n - 1, max(n_out, 1)).astype(np.intp)
    x, y = (side / max(float(np.abs(side).max()), 1.0) for side in (x, y))  # areas stay finite
    edges = np.linspace(1, n - 1, n_out - 1).astype(np.intp)  # of the n_out - 2 inner buckets
    sums_x, sums_y = np.concatenate([[0.0], np.cumsum(x)]), np.concatenate([[0.0], np.cumsum(y)])
    kept = np.empty(n_out, dtype=np.intp)
    kept[0], kept[-1] = 0, n - 1
    last = 0
    for i in range(n_out - 2):
        start, stop = edges[i], edges[i + 1]
        after = edges[i + 2] if i + 2 < edges.size else n
        count = after - stop
        mean_x = (sums_x[after] - sums_x[stop]) / count
        mean_y = (sums_y[after] - sums_y[stop]) / count
        area = np.abs(
            (x[last] - mean_x) * (y[start:stop] - y[last])
            - (x[last] - x[start:stop]) * (mean_y - y[last])
        )
        last = int(start + area.argmax())
        kept[i + 1] = last
    return kept


def extremes(y: Floats, n_out: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices of the lowest and highest point of each of ``n_out / 2`` buckets, first and last too.

    Coarser than ``lttb`` and many times as fast. ``y`` is finite.
    """
    n = y.size
    if n_out >= n:
        return np.arange(n)
    n_buckets = max(1, n_out // 2 - 1)
    width = -(-n // n_buckets)  # rounded up; the last point fills the last bucket
    boxes = np.concatenate([y, np.full(n_buckets * width - n, y[-1])]).reshape(n_buckets, width)
    start = np.arange(n_buckets) * width
    kept = np.concatenate([[0], start + boxes.argmin(1), start + boxes.argmax(1), [n - 1]])
    return np.unique(np.minimum(kept, n - 1)).astype(np.intp)


def thin(x: Floats, y: Floats, n_out: int, *, quick: bool = False) -> tuple[Floats, Floats]:
    """At most about ``n_out`` points of a line that may have gaps (NaN in ``y``), gaps kept.

    ``quick`` is for lines that nobody looks at closely.
    """
    if y.size > n_out and quick and np.isfinite(y).all() and np.isfinite(x).all():
        kept = extremes(y, n_out)
        return x[kept], y[kept]
    good = np.isfinite(y) & np.isfinite(x)
    if good.all():
        if x.size <= n_out:
            return x, y
        kept = lttb(x, y, n_out)
        return x[kept], y[kept]
    if not good.any():
        return x[:0], y[:0]
    if x.size <= n_out:
        return x, np.where(good, y, np.nan)
    starts = np.flatnonzero(good & ~np.concatenate([[False], good[:-1]]))
    stops = np.flatnonzero(good & ~np.concatenate([good[1:], [False]])) + 1
    n_good = int(good.sum())
    xs: list[Floats] = []
    ys: list[Floats] = []
    gap = np.array([np.nan])
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        share = max(3, round(n_out * (stop - start) / n_good))
        part_x, part_y = x[start:stop], y[start:stop]
        if part_x.size > share:
            kept = extremes(part_y, share) if quick else lttb(part_x, part_y, share)
            part_x, part_y = part_x[kept], part_y[kept]
        if xs:
            xs.append(part_x[:1])
            ys.append(gap)
        xs.append(part_x)
        ys.append(part_y)
    return np.concatenate(xs), np.concatenate(ys)


def rounded(values: Floats, digits: int = 7) -> list[float | None]:
    """Plain floats for JSON with ``digits`` significant ones, None for NaN and infinities.

    Digits count from where the values begin to differ: 1700000001 and 1700000002 stay two.
    """
    finite = np.isfinite(values)
    digits += _shared_digits(values[finite])
    safe = np.where(finite & (values != 0), values, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(safe))))
        short = np.round(safe * scale) / scale
    # a float holds no more digits: rounding would only add errors
    short = np.where(np.isfinite(short) & (digits <= MOST_DIGITS), short, safe)
    short = np.where(values == 0, 0.0, short)
    answer: list[float | None] = short.tolist()
    for i in np.flatnonzero(~finite).tolist():
        answer[i] = None
    return answer


def _shared_digits(values: Floats) -> int:
    """How many leading digits all these finite values have in common, about."""
    if values.size == 0:
        return 0
    largest, spread = float(np.abs(values).max()), float(np.ptp(values / 2.0))
    if spread <= 0.0 or largest <= 0.0:
        return 0
    return max(0, math.floor(math.log10(largest) - math.log10(spread)))


def log_ticks(low: float, high: float) -> list[float]:
    """Round values for the ticks of a log axis between two positive ends."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = last - first
    steps = (1.0,) if decades > 3 else (1.0, 2.0, 5.0)
    every = max(1, math.ceil(decades / 6))
    powers = (power_of_ten(e) for e in range(first, last + 1, every))
    ticks = [s * power for power in powers for s in steps]
    inside = [t for t in ticks if low * (1 - 1e-9) <= t <= min(high * (1 + 1e-9), DRAWABLE)]
    return inside or [low, high]


def linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values for the ticks of a linear axis."""
    width = high - low
    if width <= 0:
        return [low]
    raw = width / max(1, most - 1)
    if raw < 1e-300 or width < 1e-14 * max(abs(low), abs(high)):
        return [low, high]  # no round values between: floats are no finer
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{i * step:.{15 if abs(i) > 1e9 else 12}g}") for i in range(first, last + 1)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """Round values for ticks as words, with as many digits as it takes to tell them apart."""
    for digits in (6, 9, 12, 15):
        texts = [tick_text(value, digits) for value in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return [tick_text(value, 17) for value in values]


def tick_text(value: float, digits: int = 6) -> str:
    """A round value for a tick: 0.001, 500, 1e-5, 2e6."""
    if value == 0 or 1e-4 <= abs(value) < 10.0**digits:
        return f"{value:.{digits}g}"
    mantissa, exponent = f"{value:.{3 if digits == 6 else digits - 1}e}".split("e")
    return f"{float(mantissa):.{digits}g}e{int(exponent)}"
