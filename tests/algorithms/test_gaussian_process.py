"""The Gaussian process, the utilities and the search, each against an independent source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.mixture import GaussianMixture

from experiments.algorithms.numerics import acquisition, search
from experiments.algorithms.numerics.acquisition import Acquisition
from experiments.algorithms.numerics.domain import Column, Domain
from experiments.algorithms.numerics.gaussian_process import (
    GaussianProcess,
    Hyper,
    Prior,
    _Posterior,
    distances,
    fit,
    matern,
    sample_jointly,
)
from experiments.algorithms.numerics.mixture import fit_mixture
from experiments.algorithms.numerics.threads import one_thread


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


WEIGHTS = np.array([4.0, 25.0, 1.0])
NUMBERS = np.zeros(3, dtype=bool)


def data(n_rows: int = 25, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.random((n_rows, 3))
    return x, np.sin(5 * x[:, 0]) + x[:, 1] ** 2 + 0.05 * rng.normal(size=n_rows)


def process(nu: float = 2.5, noise: float = 1e-2) -> GaussianProcess:
    x, y = data()
    return GaussianProcess(x, y, NUMBERS, nu, Hyper(WEIGHTS, 1.7, noise))


def numeric_gradient(function: Any, at: Any, step: float = 1e-6) -> Any:
    moves = np.eye(len(at)) * step
    return np.array([(function(at + m) - function(at - m)) / (2 * step) for m in moves])


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5, 0.8, 3.7, math.inf])
def test_the_posterior_is_that_of_scikit_learn(nu: float) -> None:
    x, y = data()
    kernel = ConstantKernel(1.7) * Matern(length_scale=1 / np.sqrt(WEIGHTS), nu=nu)
    theirs = GaussianProcessRegressor(kernel, alpha=1e-2, optimizer=None).fit(x, y)
    ours = process(min(nu, 1e9))
    query, _ = data(40, seed=1)
    mean, covariance = theirs.predict(query, return_cov=True)
    our_mean, our_deviation = ours.predict(query)
    np.testing.assert_allclose(our_mean[:, 0], mean, atol=1e-8)
    np.testing.assert_allclose(our_deviation, np.sqrt(np.diag(covariance)), atol=1e-6)
    joint_mean, joint_covariance = ours.joint(query)
    np.testing.assert_allclose(joint_mean[:, 0], mean, atol=1e-8)
    np.testing.assert_allclose(joint_covariance, covariance, atol=1e-8)


def test_a_choice_is_expected_to_matter_as_much_as_a_number() -> None:
    """Where nothing is known the prior decides: random rows are alike in either."""
    rng = np.random.default_rng(0)
    categorical = np.array([True, True, False])
    units = rng.random((400, 3))
    x = np.where(categorical, np.floor(units * [5, 2, 1]), units)
    prior = Prior.of(3, 1e-6)
    means = _Posterior(x, np.zeros(400), categorical, 2.5, prior).means[:3]
    apart = np.array([np.mean(x[:200, c] != x[200:, c]) for c in (0, 1)])
    apart = np.append(apart, np.mean((x[:200, 2] - x[200:, 2]) ** 2))
    np.testing.assert_allclose(np.exp(means) * apart, np.exp(prior.weight_mean) / 6, rtol=0.15)


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5, 0.8, 1.2, 3.7, 1e9])
def test_the_kernel_s_derivative_is_its_difference_quotient(nu: float) -> None:
    squared = np.array([1e-3, 0.1, 1.0, 5.0, 60.0])
    step = 1e-7
    slope = (matern(squared + step, nu)[0] - matern(squared - step, nu)[0]) / (2 * step)
    np.testing.assert_allclose(matern(squared, nu)[1], slope, rtol=1e-4, atol=1e-8)
    assert matern(np.zeros(1), nu)[0][0] == pytest.approx(1.0)
    assert np.isfinite(matern(np.zeros(1), nu)[1]).all()


def test_a_category_counts_as_distance_one() -> None:
    a, b = np.array([[0.0, 0.2], [2.0, 0.2]]), np.array([[1.0, 0.2], [2.0, 0.7]])
    squared = distances(a, b, np.array([3.0, 4.0]), np.array([True, False]))
    np.testing.assert_allclose(squared, [[3.0, 4.0], [3.0, 1.0]])


def test_the_likelihood_is_a_normal_density_and_its_gradient_right() -> None:
    x, y = data(12)
    categorical = np.array([False, True, False])
    x[:, 1] = np.round(2 * x[:, 1])
    prior = Prior.of(3, 1e-6)
    objective = _Posterior(x, y, categorical, 2.5, prior)
    theta = np.array([1.0, -0.5, 0.3, 0.2, -3.0])
    value, gradient = objective(theta)
    np.testing.assert_allclose(
        gradient, numeric_gradient(lambda t: objective(t)[0], theta), rtol=1e-5, atol=1e-6
    )
    kernel = np.exp(0.2) * matern(distances(x, x, np.exp(theta[:3]), categorical), 2.5)[0]
    covariance = kernel + (np.exp(-3.0) + 1e-6) * np.eye(12)
    density = stats.multivariate_normal(np.zeros(12), covariance).logpdf(y)
    normal = stats.norm(objective.means, objective.sds)
    # both densities up to the constants that do not depend on theta
    constant = 6 * math.log(2 * math.pi) - np.log(normal.pdf(objective.means)).sum()
    assert -value == pytest.approx(density + normal.logpdf(theta).sum() + constant)


def test_the_fit_finds_what_matters_and_the_noise() -> None:
    rng = np.random.default_rng(3)
    x = rng.random((80, 3))
    y = np.sin(8 * x[:, 0]) + 0.1 * rng.normal(size=80)
    y = (y - y.mean()) / y.std()
    hyper, level = fit(x, y, NUMBERS, 2.5, Prior.of(3, 1e-6))
    assert hyper.weights[0] > 20 * max(hyper.weights[1:])
    assert 0.05 < math.sqrt(hyper.noise) < 0.3  # 0.1 / 0.7 is the truth
    assert math.isfinite(level)
    again, _ = fit(x, y, NUMBERS, 2.5, Prior.of(3, 1e-6))
    assert again.noise == hyper.noise


def test_a_row_s_gradients_are_difference_quotients() -> None:
    ours = process()
    row = np.array([0.3, 0.8, 0.5])
    _, _, d_mean, d_deviation = ours.predict_with_gradient(row)
    mean = numeric_gradient(lambda r: ours.predict(r[None, :])[0][0, 0], row)
    deviation = numeric_gradient(lambda r: ours.predict(r[None, :])[1][0], row)
    np.testing.assert_allclose(d_mean[:, 0], mean, rtol=1e-5)
    np.testing.assert_allclose(d_deviation, deviation, rtol=1e-4)


def test_leaving_one_out_is_fitting_without_it() -> None:
    x, y = data()
    ours = process()
    means, deviations = ours.leave_one_out()
    for index in (0, 11):
        rest = np.delete(np.arange(len(x)), index)
        without = GaussianProcess(x[rest], y[rest], NUMBERS, 2.5, ours.hyper)
        mean, deviation = without.predict(x[index : index + 1])
        assert means[index] == pytest.approx(mean[0, 0])
        assert deviations[index] == pytest.approx(math.sqrt(deviation[0] ** 2 + 1e-2))


def test_equal_rows_and_no_noise_are_survived() -> None:
    x = np.repeat([[0.5, 0.5, 0.5]], 30, axis=0)
    same = GaussianProcess(x, np.arange(30.0), NUMBERS, 2.5, Hyper(WEIGHTS, 1.0, 0.0))
    mean, deviation = same.predict(x[:1])
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()


def test_joint_draws_have_the_covariance() -> None:
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    normals = np.random.default_rng(0).normal(size=(2, 40_000))
    drawn = sample_jointly(np.array([1.0, -1.0]), covariance, normals)
    np.testing.assert_allclose(np.cov(drawn), covariance, atol=0.05)
    np.testing.assert_allclose(drawn.mean(axis=1), [1.0, -1.0], atol=0.05)


# -- utilities -----------------------------------------------------------------------------------


@pytest.mark.parametrize("z", [-30.0, -6.0, -1.0001, -0.9999, 0.0, 2.0, 8.0])
def test_expected_improvement_is_the_integral(z: float) -> None:
    sigma, threshold = 0.7, 0.3
    mu = threshold - z * sigma

    def gain(below: float) -> float:
        """Improvement times density, by its distance below the threshold over the tail's scale."""
        return below * math.exp(-0.5 * below**2 + below * z)

    # the density at the threshold is taken out: what remains does not underflow
    area, _ = integrate.quad(gain, 0.0, max(0.0, z) + 12.0, epsabs=0.0, epsrel=1e-10)
    expected = math.log(sigma * area) - 0.5 * z * z - 0.5 * math.log(2 * math.pi)
    value, _, _ = acquisition.log_ei(np.array([mu]), np.array([sigma]), np.array([threshold]))
    assert value[0] == pytest.approx(expected, rel=1e-7)


def test_far_from_hope_log_expected_improvement_still_slopes() -> None:
    z = -np.array([1e2, 999.0, 1001.0, 1e4, 1e6])
    value, slope = acquisition.log_h(z)
    np.testing.assert_allclose(value, -0.5 * z * z - 0.919 - 2 * np.log(-z), rtol=1e-4)
    np.testing.assert_allclose(slope, -z, rtol=1e-3)


@pytest.mark.parametrize("of", [acquisition.log_ei, acquisition.log_poi])
def test_slopes_of_utilities_are_difference_quotients(of: Any) -> None:
    threshold = np.array([0.2])
    for mu, sigma in ((0.0, 0.5), (3.0, 0.4), (-1.0, 2.0)):
        _, by_mu, by_sigma = of(np.array([mu]), np.array([sigma]), threshold)
        at = np.array([mu, sigma])
        slopes = numeric_gradient(lambda v: of(v[:1], v[1:], threshold)[0][0], at)
        assert [by_mu[0], by_sigma[0]] == pytest.approx(slopes.tolist(), rel=1e-4)


@pytest.mark.parametrize("utility", ["ei", "poi", "ucb"])
def test_an_acquisition_averages_over_fantasies(utility: str) -> None:
    single = process()
    fantasies = np.array([[0.5, -1.0, 2.0]])
    running = np.array([[0.1, 0.2, 0.3]])
    model = single.extended(running, fantasies)
    thresholds = np.array([-0.2, -1.0, -0.2])
    ours = Acquisition(model, utility, thresholds, kappa=2.0)
    rows, _ = data(5, seed=2)
    parts = [
        Acquisition(single.extended(running, fantasies[:, [i]]), utility, thresholds[[i]], 2.0)(
            rows
        )
        for i in range(3)
    ]
    expected = np.mean(parts if utility == "ucb" else np.exp(parts), axis=0)
    np.testing.assert_allclose(ours(rows) if utility == "ucb" else np.exp(ours(rows)), expected)
    value, gradient = ours.with_gradient(rows[0])
    assert value == pytest.approx(ours(rows[:1])[0])
    slopes = numeric_gradient(lambda r: ours(r[None, :])[0], rows[0])
    np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-6)


def test_the_expected_gain_is_what_refitting_with_each_result_would_gain() -> None:
    ours = process()
    rows, _ = data(3, seed=5)
    reference, _ = data(20, seed=6)
    gains = acquisition.expected_gain(ours, rows, reference)
    everything = np.concatenate([rows, reference])
    lowest = ours.predict(everything)[0].min()
    rng = np.random.default_rng(0)
    for row, gain in zip(rows, gains, strict=True):
        mean, deviation = ours.predict(row[None, :])
        spread = math.sqrt(deviation[0] ** 2 + ours.hyper.noise)
        results = mean[0, 0] + spread * rng.normal(size=(1, 4000))
        refitted = ours.extended(row[None, :], results)
        after = refitted.predict(everything)[0].min(axis=0)
        assert gain == pytest.approx(lowest - after.mean(), abs=4 * after.std() / 60)


def test_a_mixture_fits_as_well_as_scikit_learn_s() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(m, 0.1, size=(60, 2)) for m in ([0.2, 0.2], [0.8, 0.3], [0.5, 0.9])]
    rows = np.concatenate(parts)
    theirs = GaussianMixture(3, covariance_type="diag", reg_covar=1e-3, random_state=0).fit(rows)
    ours = fit_mixture(rows, 3)
    assert ours.log_density(rows).mean() == pytest.approx(theirs.score(rows), abs=0.02)
    assert ours.shares.sum() == pytest.approx(1.0)
    assert np.isfinite(fit_mixture(rows[:1], 3).log_density(rows)).all()


# -- search --------------------------------------------------------------------------------------

MIXED = Domain(
    [
        Column(),
        Column(np.linspace(0.05, 0.95, 10)),
        Column(np.arange(3.0), categorical=True),
        Column(parent=2, branch=1.0),
    ]
)


class Bowl:
    """Largest, 0, at 0.3, level 0.75, category 1 and there 0.9."""

    def __call__(self, rows: Any) -> Any:
        away = (rows[:, 0] - 0.3) ** 2 + (rows[:, 1] - 0.75) ** 2
        return -away - (rows[:, 2] != 1.0) - np.where(rows[:, 2] == 1, (rows[:, 3] - 0.9) ** 2, 0.0)

    def with_gradient(self, row: Any) -> tuple[float, Any]:
        slope = -2 * (row - np.array([0.3, 0.75, 0.0, 0.9]))
        slope[3] *= row[2] == 1.0
        return float(self(row[None, :])[0]), slope


def test_the_search_finds_the_best_of_a_mixed_domain() -> None:
    pool = MIXED.sobol(16, np.random.default_rng(0))
    best = search.best_row(MIXED, Bowl(), pool, set(), n_starts=2)
    np.testing.assert_allclose(best, [0.3, 0.75, 1.0, 0.9], atol=1e-4)


def test_the_search_leaves_out_what_is_taken() -> None:
    grid_domain = Domain([Column(np.linspace(0.05, 0.95, 10)), Column(np.arange(3.0), True)])
    grid = grid_domain.grid(100)
    assert grid is not None
    assert len(grid) == 30

    class Slope:
        def __call__(self, rows: Any) -> Any:
            return rows[:, 0] + rows[:, 1]

        def with_gradient(self, row: Any) -> tuple[float, Any]:
            raise AssertionError("nothing here is continuous")

    taken: set[bytes] = set()
    found = []
    for _ in range(30):
        row = search.best_row(grid_domain, Slope(), grid, taken, n_starts=1)
        taken.update(search.row_keys(row[None, :]))
        found.append(row.tolist())
    assert found == sorted(grid.tolist(), key=sum, reverse=True)


def test_rows_drawn_near_others_are_rows_of_the_domain() -> None:
    rng = np.random.default_rng(2)
    centres = MIXED.sobol(200, rng)
    rows = MIXED.around(centres, np.full(200, 0.1), rng)
    levels = MIXED.columns[1].levels
    assert levels is not None
    assert set(rows[:, 1]) <= set(levels)
    assert set(rows[:, 2]) == {0.0, 1.0, 2.0}
    assert ((rows >= 0.0) & (rows <= 2.0)).all()
    assert (rows[rows[:, 2] != 1.0, 3] == 0.5).all()
    for neighbour in MIXED.neighbours(rows[0]):
        assert (neighbour[:3] != rows[0][:3]).sum() == 1


def test_the_best_of_many_starts_beats_one_gradient_method() -> None:
    """On a real acquisition, against scipy's own global optimiser."""
    ours = Acquisition(process(), "ei", np.array([-0.9]))
    box = Domain([Column() for _ in range(3)])
    pool = box.sobol(512, np.random.default_rng(0))
    best = search.best_row(box, ours, pool, set(), n_starts=5)
    theirs = optimize.differential_evolution(
        lambda row: -float(ours(row[None, :])[0]), [(0.0, 1.0)] * 3, rng=0, maxiter=60
    )
    assert ours(best[None, :])[0] >= -theirs.fun - 1e-4
