"""Objectives with steps: how far equal results reach, and that a model leaves them."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.algorithms.numerics.acquisition import Acquisition
from experiments.algorithms.numerics.gaussian_process import GaussianProcess, Hyper
from experiments.algorithms.numerics.plateaus import Plateaus, radius_of
from experiments.algorithms.numerics.search import Product

NUMBERS = np.zeros(2, dtype=bool)
EVEN = np.ones(2)


def rows(n_rows: int) -> np.ndarray:
    return np.random.default_rng(5).random((n_rows, 2))


def steps(x: np.ndarray, width: float) -> np.ndarray:
    return np.floor(x[:, 0] / width) + 10.0 * np.floor(x[:, 1] / width)


def test_the_radius_is_about_a_step() -> None:
    x = rows(60)
    narrow, wide = (radius_of(x, steps(x, width), EVEN, NUMBERS) for width in (0.1, 0.4))
    assert narrow is not None
    assert wide is not None
    assert 0.03 < narrow < wide < 0.4


@pytest.mark.parametrize("losses", ["smooth", "constant", "coincidence"])
def test_without_steps_there_is_none(losses: str) -> None:
    x = rows(60)
    of = {
        "smooth": x.sum(axis=1),
        "constant": np.zeros(60),
        "coincidence": np.random.default_rng(1).integers(6, size=60).astype(float),
    }
    assert radius_of(x, of[losses], EVEN, NUMBERS) is None


def test_what_a_trial_promises_is_nothing_where_it_would_repeat() -> None:
    x = rows(20)
    known = Plateaus(x, EVEN, NUMBERS, 0.2)
    far = np.array([[5.0, 5.0]])
    assert known(x[3:4])[0] < -10.0
    assert known(far)[0] == pytest.approx(0.0, abs=1e-9)
    process = GaussianProcess(x, x.sum(axis=1), NUMBERS, 2.5, Hyper(EVEN, 1.0, 1e-3))
    whole = Product(Acquisition(process, "ei", np.array([0.5])), known)
    row = np.array([0.31, 0.47])
    value, gradient = whole.with_gradient(row)
    assert value == pytest.approx(whole(row[None, :])[0])
    for index in range(2):
        moved = row.copy()
        moved[index] += 1e-6
        assert (whole.with_gradient(moved)[0] - value) / 1e-6 == pytest.approx(
            gradient[index], rel=1e-3, abs=1e-3
        )
