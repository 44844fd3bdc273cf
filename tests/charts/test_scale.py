"""Ranges that outliers cannot ruin, and lines that keep their shape when thinned."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.charts import scale


def test_an_outlier_does_not_stretch_the_range() -> None:
    values = np.array([*np.linspace(0.97, 0.99, 20), 1e20, -5.0])
    low, high = scale.robust_range(values) or (0, 0)
    assert (low, high) == pytest.approx((0.97, 0.99))


def test_ordinary_values_are_all_inside() -> None:
    values = np.random.default_rng(1).normal(size=200)
    assert scale.robust_range(values) == (values.min(), values.max())


def test_the_value_to_keep_is_inside_even_if_far_out() -> None:
    values = np.array([*np.linspace(0.1, 0.2, 20), 9.0])
    assert scale.robust_range(values, keep=9.0) == (pytest.approx(0.1), 9.0)


def test_few_values_are_never_called_outliers() -> None:
    assert scale.robust_range(np.array([0.0, 1.0, 1000.0])) == (0.0, 1000.0)


def test_mostly_equal_values_have_outliers_too() -> None:
    values = np.array([0.5] * 20 + [0.6, 0.4, 1e9])
    assert scale.robust_range(values) == (0.4, 0.6)


def test_no_values_have_no_range() -> None:
    assert scale.robust_range(np.array([])) is None


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.0, 0.0), (-3.0, -3.0), (1.0, 2.0)])
def test_padding_leaves_room_on_both_sides(low: float, high: float) -> None:
    bottom, top = scale.padded(low, high)
    assert bottom < low
    assert top > high


def test_thinning_keeps_ends_and_spike() -> None:
    x = np.arange(1000.0)
    y = np.sin(x / 100)
    y[437] = 50.0
    kept = scale.lttb(x, y, 100)
    assert kept.size == 100
    assert {0, 437, 999} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()


def test_thinning_agrees_with_triangles_worked_out_one_by_one() -> None:
    """Against a plain version of the paper's loop."""
    rng = np.random.default_rng(7)
    x = np.cumsum(rng.uniform(0.1, 2, 200))
    y = np.cumsum(rng.normal(size=200))
    n_out = 23
    edges = np.linspace(1, 199, n_out - 1).astype(int)
    expected = [0]
    for i in range(n_out - 2):
        after = range(edges[i + 1], edges[i + 2] if i + 2 < len(edges) else 200)
        cx, cy = np.mean(x[list(after)]), np.mean(y[list(after)])
        a = expected[-1]

        def area(j: int, a: int = a, cx: float = cx, cy: float = cy) -> float:
            return abs((x[a] - cx) * (y[j] - y[a]) - (x[a] - x[j]) * (cy - y[a]))

        expected.append(max(range(edges[i], edges[i + 1]), key=area))
    expected.append(199)
    assert scale.lttb(x, y, n_out).tolist() == expected


@pytest.mark.parametrize("quick", [False, True])
def test_a_thinned_line_keeps_its_gap(quick: bool) -> None:
    y = np.arange(300.0)
    y[150] = np.nan
    xs, ys = scale.thin(np.arange(300.0), y, 40, quick=quick)
    assert xs.size <= 50
    assert np.isnan(ys).sum() == 1
    assert xs[np.isnan(ys)][0] == pytest.approx(150, abs=1)


def test_the_quick_way_keeps_every_extreme() -> None:
    y = np.random.default_rng(3).normal(size=777)
    kept = scale.extremes(y, 60)
    assert kept.size <= 60
    assert {int(y.argmin()), int(y.argmax()), 0, 776} <= set(kept.tolist())


def test_rounding_keeps_seven_digits_and_turns_what_is_no_number_into_none() -> None:
    given = np.array([1 / 3, 0.0, -123456789.123, np.nan, np.inf, 5e-324, 1.7e308])
    answer = scale.rounded(given)
    assert answer[3] is None
    assert answer[4] is None
    kept = [a for a in answer if a is not None]
    assert kept == pytest.approx([1 / 3, 0.0, -123456789.123, 5e-324, 1.7e308], rel=1e-6)
    assert len(str(answer[0])) <= 10


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0001, 1.0, [0.0001, 0.001, 0.01, 0.1, 1.0]),
        (10.0, 100.0, [10.0, 20.0, 50.0, 100.0]),
    ],
)
def test_log_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert scale.log_ticks(low, high) == pytest.approx(expected)


def test_linear_ticks_are_round_and_inside() -> None:
    assert scale.linear_ticks(0.13, 0.97) == [0.2, 0.4, 0.6, 0.8]
    assert scale.linear_ticks(3.0, 3.0) == [3.0]


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (500.0, "500"), (1e-5, "1e-5"), (2e6, "2e6"), (0.001, "0.001")]
)
def test_ticks_are_short(value: float, words: str) -> None:
    assert scale.tick_text(value) == words
