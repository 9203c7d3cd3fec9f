"""Linear transfer: the posterior against brute-force integration, and invariances."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from gennas.predictors import bayesian_regression as module
from gennas.predictors.bayesian_regression import LinearTransfer, fit_transfer, informative_rows, leave_one_out

seeds = st.integers(0, 2**31)


def functions(seed: int, rows: int = 200, count: int = 4) -> np.ndarray:
    """``(rows, count)`` known functions, alike as devices are, with mean 0 and std 1."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(rows, 1)) + 0.5 * rng.normal(size=(rows, count))
    return (known - known.mean(axis=0)) / known.std(axis=0)


def settings_of(patch: pytest.MonkeyPatch, taus: tuple[float, ...], sigmas: tuple[float, ...], factors: object) -> None:
    patch.setattr(module, "TAUS", taus)
    patch.setattr(module, "SIGMAS", sigmas)
    patch.setattr(module, "FACTORS", np.array(factors))


@pytest.mark.parametrize(
    ("taus", "sigmas", "factors", "prior"),
    [
        ((0.2,), (0.1,), [1.0], [0.9]),
        ((0.4,), (0.2,), [0.8], [0.9]),
        ((0.1, 0.4), (0.1, 0.4), [0.7, 1.0, 1.5], [0.9]),
        ((0.2, 0.4), (0.2,), [0.7, 1.0], [[0.9], [0.4], [1.3]]),
    ],
    ids=["one", "another", "averaged", "several means"],
)
def test_the_posterior_is_that_of_brute_force(
    taus: tuple[float, ...],
    sigmas: tuple[float, ...],
    factors: list[float],
    prior: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings_of(monkeypatch, taus, sigmas, factors)
    z, values = np.array([-1.0, -0.2, 0.5, 1.7]), np.array([3.0, 5.0, 5.5, 9.0])
    mix = fit_transfer(z[:, None], values, np.array(prior))
    means = np.array(prior).ravel()
    # Every offset and weight on a grid, in units of the new metric's scale, with every setting.
    offset, weight = (axis.ravel() for axis in np.meshgrid(np.linspace(-2, 2, 401), np.linspace(-0.6, 2.4, 301)))
    usual = values.std() / np.std(means[:, None] * z, axis=1)
    evidence, first, second = 0.0, np.zeros(2), np.zeros((2, 2))
    noise = 0.0
    for tau, (number, mean) in product(taus, enumerate(means)):
        for sigma in sigmas:
            for factor in factors:
                scale = usual[number] * factor
                expected = values.mean() + scale * (offset[:, None] + weight[:, None] * z)
                density = norm.pdf(values, expected, scale * sigma).prod(1)
                density *= norm.pdf(offset, 0, module.OFFSET_STD) * norm.pdf(weight, mean, tau)
                density *= np.exp(-0.5 * (np.log(tau / module.PRIOR_TAU) / module.PRIOR_LOG_STD) ** 2)
                density *= np.exp(-0.5 * (np.log(sigma / module.PRIOR_SIGMA) / module.PRIOR_LOG_STD) ** 2)
                density *= np.exp(-0.5 * (np.log(factor) / module.FACTOR_LOG_STD) ** 2)
                # The first mean is as likely as all others together.
                density *= 0.5 if number == 0 else 0.5 / (len(means) - 1)
                coefficients = np.stack([values.mean() + scale * offset, scale * weight])
                evidence += density.sum()
                first += coefficients @ density
                second += (coefficients * density) @ coefficients.T
                noise += density.sum() * (scale * sigma) ** 2
    mean = first / evidence
    assert mix.coefficients == pytest.approx(mean, abs=2e-3)
    assert mix.covariance == pytest.approx(second / evidence - np.outer(mean, mean), abs=5e-3)
    assert mix.noise == pytest.approx(np.sqrt(noise / evidence), rel=1e-3)


def test_predictions_are_those_of_drawn_coefficients() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3)) * 0.3
    mix = LinearTransfer(np.array([1.0, 2.0, -1.0]), root @ root.T, 0.5)
    known = rng.normal(size=(5, 2))
    mean, std = mix.predict(known)
    coefficients = mix.coefficients + rng.normal(size=(100_000, 3)) @ root.T
    drawn = coefficients @ np.column_stack([np.ones(5), known]).T + 0.5 * rng.normal(size=(100_000, 5))
    assert mean == pytest.approx(drawn.mean(axis=0), abs=0.02)
    assert std == pytest.approx(drawn.std(axis=0), rel=0.02)


@given(seeds, st.floats(0.01, 100), st.floats(-100, 100))
def test_predictions_scale_with_the_unit(seed: int, factor: float, shift: float) -> None:
    known, prior = functions(seed), np.full(4, 0.25)
    values = known[:8] @ np.array([0.5, 0.3, 0.1, 0.1]) + 0.1 * np.random.default_rng(seed).normal(size=8)
    mean, std = fit_transfer(known[:8], values, prior).predict(known)
    moved_mean, moved_std = fit_transfer(known[:8], factor * values + shift, prior).predict(known)
    assert moved_mean == pytest.approx(factor * mean + shift, rel=1e-6, abs=1e-6 * factor)
    assert moved_std == pytest.approx(factor * std, rel=1e-6)


@given(seeds)
def test_order_of_measurements_and_functions_does_not_matter(seed: int) -> None:
    rng, known, prior = np.random.default_rng(seed), functions(seed), np.full(4, 0.25)
    values, order, columns = known[:8] @ [0.5, 0.3, 0.1, 0.1], rng.permutation(8), rng.permutation(4)
    mix = fit_transfer(known[:8], values, prior)
    again = fit_transfer(known[order], values[order], prior)
    other = fit_transfer(known[:8, columns], values, prior)
    assert again.coefficients == pytest.approx(mix.coefficients)
    assert other.coefficients == pytest.approx(mix.coefficients[[0, *(1 + columns)]])
    assert other.covariance == pytest.approx(mix.covariance[np.ix_([0, *(1 + columns)], [0, *(1 + columns)])])


@pytest.mark.parametrize("twin", range(4))
def test_a_copy_of_a_known_function_is_found(twin: int) -> None:
    known, prior = functions(1), np.full(4, 0.25)
    values = 3 * known[:, twin] + 7
    mix = fit_transfer(known[:20], values[:20], prior)
    assert int(mix.coefficients[1:].argmax()) == twin
    mean, std = mix.predict(known[20:])
    usual, _ = fit_transfer(known[:20], known[:20] @ prior, prior).predict(known[20:])
    assert np.corrcoef(mean, values[20:])[0, 1] > max(0.995, np.corrcoef(usual, values[20:])[0, 1])
    assert np.abs(mean - values[20:]).mean() < 0.25
    assert (std > 0).all()


def test_intervals_cover() -> None:
    inside = []
    for seed in range(40):
        rng, known = np.random.default_rng(seed), functions(seed)
        weights = 0.25 + 0.06 * rng.normal(size=4)
        values = 5 * (0.3 + known @ weights + 0.15 * rng.normal(size=200))
        mean, std = fit_transfer(known[:10], values[:10], np.full(4, 0.25)).predict(known[10:])
        inside.append(np.abs(values[10:] - mean) <= 1.6449 * std)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.05)


def test_more_measurements_err_less() -> None:
    errors = []
    for count in (3, 10, 40):
        found = []
        for seed in range(5):
            rng, known = np.random.default_rng(seed), functions(seed)
            values = known @ np.array([0.9, -0.1, 0.1, 0.1]) + 0.05 * rng.normal(size=200)
            found.append(
                np.abs(fit_transfer(known[:count], values[:count], np.full(4, 0.25)).predict(known)[0] - values)
            )
        errors.append(np.mean(found))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.08


@pytest.mark.parametrize("count", [3, 8])
def test_leave_one_out_is_fitting_the_others(count: int) -> None:
    known, prior = functions(0)[:count], np.full(4, 0.25)
    values = known @ np.array([0.5, 0.3, 0.1, 0.1])
    mean, std = leave_one_out(known, values, prior)
    for row in range(count):
        others = [other for other in range(count) if other != row]
        one, one_std = fit_transfer(known[others], values[others], prior).predict(known[[row]])
        assert (mean[row], std[row]) == pytest.approx((one[0], one_std[0]))
    # What is left out has no say.
    values[0] += 5
    assert leave_one_out(known, values, prior)[0][0] == pytest.approx(mean[0])


def test_std_is_nan_if_the_others_are_equal() -> None:
    known = functions(0)[:4]
    mean, std = leave_one_out(known, np.array([2.0, 2.0, 2.0, 5.0]), np.full(4, 0.25))
    assert mean[3] == 2
    assert np.isnan(std[3])
    assert np.isfinite(mean).all()
    assert np.isfinite(std[:3]).all()
    mean, std = leave_one_out(known[:2], np.array([2.0, 5.0]), np.full(4, 0.25))
    assert mean.tolist() == [5, 2]
    assert np.isnan(std).all()


def test_equal_prior_predictions_still_give_an_answer() -> None:
    known = functions(0)
    same = np.repeat(known[:1], 5, axis=0)
    mix = fit_transfer(same, np.array([1.0, 1.1, 0.9, 1.0, 1.05]), np.full(4, 0.25))
    mean, std = mix.predict(known)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    assert mix.predict(known[:1])[0] == pytest.approx([1.01], abs=0.05)
    # Nothing is expected, as of a kind of metric that was never seen.
    assert np.isfinite(fit_transfer(known[:5], known[:5, 0], np.zeros(4)).coefficients).all()


# Which archs to measure


def left_over(known: np.ndarray, rows: np.ndarray) -> float:
    """Variance of all rows, summed, after some were measured; nobody knows the offset."""
    inside = known.clip(*np.quantile(known, [0.005, 0.995], axis=0))
    covariance = inside @ inside.T / known.shape[1] + 1
    cross = covariance[:, rows]
    gram = cross[rows] + 0.1 * np.eye(len(rows))
    return float(np.trace(covariance) - np.trace(cross @ np.linalg.solve(gram, cross.T)))


def test_every_row_reduces_the_variance_most() -> None:
    known = functions(0, rows=60, count=3)
    rows = informative_rows(known, 4)
    for place in range(4):
        before = rows[:place].tolist()
        left = {row: left_over(known, np.array([*before, row])) for row in range(60) if row not in before}
        assert left[rows[place]] == pytest.approx(min(left.values()))


@given(seeds, st.integers(1, 30))
def test_informative_rows_are_distinct_and_the_same_again(seed: int, count: int) -> None:
    known = functions(seed, rows=30)
    rows = informative_rows(known, count)
    assert len(rows) == len(set(rows.tolist())) == count
    assert set(rows.tolist()) <= set(range(30))
    assert np.array_equal(informative_rows(known, count), rows)
    assert np.array_equal(informative_rows(known, 1), rows[:1])


def test_informative_rows_predict_better_than_random_ones() -> None:
    prior = np.full(4, 0.25)

    def error(known: np.ndarray, values: np.ndarray, rows: np.ndarray) -> float:
        assert left_over(known, informative_rows(known, len(rows))) <= left_over(known, rows) + 1e-9
        return float(np.square(fit_transfer(known[rows], values[rows], prior).predict(known)[0] - values).mean() ** 0.5)

    chosen, random = [], []
    for seed in range(15):
        rng, known = np.random.default_rng(seed), functions(seed)
        values = known @ (prior + 0.15 * rng.normal(size=4)) + 0.02 * rng.normal(size=200)
        chosen.append(error(known, values, informative_rows(known, 10)))
        random += [error(known, values, rng.permutation(200)[:10]) for _ in range(2)]
    assert np.mean(chosen) < 0.85 * np.mean(random)


def test_outliers_are_not_all_that_is_measured() -> None:
    known = functions(0, rows=1000)
    known[:3] *= 100
    assert len(set(informative_rows(known, 8).tolist()) - {0, 1, 2}) >= 5


def test_both_sides_of_a_skewed_space_are_measured() -> None:
    """Most archs of a space are slow, a few are very fast: where only these are measured, the rest is guessed."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        known = -(rng.gamma(1.5, size=(500, 1)) + 0.3 * rng.gamma(1.5, size=(500, 3)))
        known = (known - known.mean(axis=0)) / known.std(axis=0)
        middle = known[informative_rows(known, 8)].mean(axis=1)
        assert (middle > 0).sum() >= 3
        assert (middle < -1).any()


@given(seeds, st.integers(1, 12), st.integers(0, 3), st.integers(3, 8))
def test_of_six_or_more_to_measure_the_sixth_ignores_its_input(
    seed: int, count: int, ignoring: int, useful: int
) -> None:
    known = functions(seed, rows=ignoring + useful)
    constant = np.random.default_rng(seed).permutation(np.arange(ignoring + useful) < ignoring)
    rows = informative_rows(known, count, constant)
    sixth = ignoring > 0 and useful >= 5
    assert len(rows) == len(set(rows.tolist())) == min(count, useful + sixth)
    assert np.flatnonzero(constant[rows]).tolist() == ([5] if sixth and count > 5 else [])
    # Who measures more later has not measured in vain.
    assert np.array_equal(informative_rows(known, count + 1, constant)[: len(rows)], rows)


def test_of_those_that_ignore_their_input_the_most_informative_is_measured() -> None:
    known = functions(0, rows=60)
    constant = np.arange(60) < 6
    # Some are dropped by some devices, and take no time there.
    known[:3, :2] -= 6
    others = known[~constant]
    assert informative_rows(known, 6, constant)[5] in (0, 1, 2)
    assert np.array_equal(informative_rows(others, 5), informative_rows(others, 5, np.zeros(54, dtype=bool)))


def test_a_metric_like_one_known_function_is_recognised() -> None:
    basis = functions(0, count=12)
    rows = informative_rows(basis, 10)
    values = basis[:, 3] + 0.02 * np.random.default_rng(1).normal(size=len(basis))
    means = np.vstack([np.full(12, 1 / 12), np.eye(12)])
    alone, several = (fit_transfer(basis[rows], values[rows], prior).mean(basis) for prior in (means[0], means))
    errors = [float(np.abs(predicted - values).mean()) for predicted in (alone, several)]
    assert errors[1] < 0.5 * errors[0]
