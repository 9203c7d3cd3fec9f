"""The teacher model: leave-one-out predictions in closed form, and coverage of intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from scipy.stats import kendalltau, norm, rankdata

from gennas.predictors import teacher as module
from gennas.predictors.slot_features import SlotColumns
from gennas.predictors.teacher import Z90, TeacherPrediction, _forest, _process, _standardised, fit_teacher


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TREES", 20)
    monkeypatch.setattr(module, "STEPS", 8)


def smooth(seed: int, rows: int = 200, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Six features of which two decide, and a metric."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 6)) * [1, 10, 1, 1, 0.1, 1] + [0, 50, 0, 0, 0, 0]
    values = np.tanh(features[:, 0]) + (features[:, 1] - 50) / 15 + noise * rng.normal(size=rows)
    return features, np.exp(values)


def fitted_teacher(features: np.ndarray, values: np.ndarray, count: int, seed: int = 0) -> TeacherPrediction:
    return fit_teacher(features, np.arange(count), values[:count], num_simple=2, seed=seed)


def normal_scores(values: np.ndarray) -> np.ndarray:
    return norm.ppf((rankdata(values) - 0.5) / len(values))


@pytest.mark.parametrize("ard", [True, False])
def test_process_and_leave_one_out_match_the_textbook(ard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    features, values = smooth(0, rows=40)
    rows, scores = np.arange(3, 28), normal_scores(values[3:28])
    inputs = _standardised(features, rows)
    models: list[SingleTaskGP] = []
    monkeypatch.setattr(
        "gennas.predictors.gaussian_process.fit_gpytorch_mll", lambda mll, **options: models.append(mll.model)
    )
    mean, variance, left_mean, left_variance = _process(inputs, rows, scores, 25, np.arange(25), ard=ard)
    (model,) = models
    with torch.no_grad():
        gram = model.covar_module(torch.from_numpy(inputs)).to_dense().numpy()
        noise, constant = float(model.likelihood.noise), float(model.mean_module.constant)

    def posterior(seen: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        known = gram[np.ix_(rows[seen], rows[seen])] + noise * np.eye(len(seen))
        gain = np.linalg.solve(known, gram[np.ix_(rows[seen], at)]).T
        left = gram[at, at] - (gain * gram[np.ix_(at, rows[seen])]).sum(1)
        return constant + gain @ (scores[seen] - constant), left + noise

    every = np.arange(25)
    expected_mean, expected_variance = posterior(every, np.arange(40))
    assert mean == pytest.approx(expected_mean, abs=1e-6)
    assert variance == pytest.approx(expected_variance, abs=1e-6)
    for row in every:
        one, std = posterior(every[every != row], rows[[row]])
        assert (left_mean[row], left_variance[row]) == pytest.approx((one[0], std[0]), abs=1e-6)


def test_leave_one_out_is_nan_outside_the_subset() -> None:
    features, values = smooth(0, rows=40)
    rows, seen = np.arange(30), np.array([1, 4, 7, 11, 20, 29])
    inputs = _standardised(features, rows)
    _, _, left_mean, left_variance = _process(inputs, rows[seen], normal_scores(values[:30])[seen], 30, seen, ard=True)
    for left in (left_mean, left_variance):
        assert np.flatnonzero(~np.isnan(left)).tolist() == seen.tolist()


def test_the_forest_s_mean_is_sklearn_s() -> None:
    features, values = smooth(0, rows=60)
    rows, scores = np.arange(40), normal_scores(values[:40])
    mean, variance, left, error = _forest(features, rows, scores, 3)
    forest = module.ExtraTreesRegressor(20, max_features=0.5, random_state=3).fit(features[rows], scores)
    assert mean == pytest.approx(forest.predict(features))
    # A tree knows by heart what it saw: only what errs elsewhere is left.
    assert mean[rows] == pytest.approx(scores)
    assert variance[rows] == pytest.approx(np.full(40, error[0] / 2))
    assert (variance[40:] > error[0] / 2).all()
    assert error == pytest.approx(np.full(40, np.square(scores - left).mean()))
    assert kendalltau(left, scores).statistic > 0.4


def test_a_smooth_function_is_found() -> None:
    features, values = smooth(0)
    found = fitted_teacher(features, values, 60)
    assert found.mean.shape == found.std.shape == (200,)
    assert kendalltau(found.mean[60:], values[60:]).statistic > 0.8
    assert (found.std > 0).all()
    # On the scale of the labels' normal scores.
    assert np.abs(found.mean[:60] - normal_scores(values[:60])).mean() < 0.3
    assert found.std.mean() < 0.6


def test_increasing_transformations_do_not_matter() -> None:
    features, values = smooth(0, rows=80)
    one, other = fitted_teacher(features, values, 30), fitted_teacher(features, 100 * np.log(values) - 7, 30)
    assert np.array_equal(one.mean, other.mean)
    assert np.array_equal(one.std, other.std)


def test_the_same_seed_gives_the_same_answer() -> None:
    features, values = smooth(0, rows=80)
    one, same, other = (fitted_teacher(features, values, 30, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.mean, same.mean)
    assert np.array_equal(one.std, same.std)
    assert not np.array_equal(one.mean, other.mean)


def test_processes_ignore_units_and_constant_features() -> None:
    features, values = smooth(0, rows=40)
    rows = np.arange(20)
    plain = _standardised(features, rows)
    moved = np.column_stack([np.full(40, 7.0), features * [1, 1e4, 1e-4, 1, 1, 3] + 5])
    assert _standardised(moved, rows) == pytest.approx(plain, abs=1e-6)
    # A column that is constant among the labelled archs says nothing, whatever it is elsewhere.
    moved[20:, 0] = np.arange(20)
    assert _standardised(moved, rows).shape == plain.shape
    found = fit_teacher(moved, rows, values[:20], num_simple=1, seed=0)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.std).all()


@pytest.mark.parametrize("same", [False, True], ids=["some differ", "all are alike"])
def test_uninformative_features_give_the_mean_label(same: bool) -> None:
    rng = np.random.default_rng(0)
    features = np.ones((60, 3)) if same else rng.normal(size=(60, 3))
    found = fit_teacher(features, np.arange(30), rng.normal(size=30), num_simple=2, seed=0)
    assert np.isfinite(found.mean).all()
    assert np.abs(found.mean[30:]).mean() < 0.4
    assert 0.6 < found.std[30:].mean() < 1.6


@pytest.mark.parametrize("count", [3, 4])
def test_few_labels_are_enough_for_an_answer(count: int) -> None:
    features, values = smooth(2, rows=50)
    found = fitted_teacher(features, values, count)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.std).all()
    assert (found.std > 0).all()


def test_equal_labels_share_a_score() -> None:
    features, values = smooth(0, rows=60)
    found = fitted_teacher(features, np.round(values, 0), 30)
    assert np.isfinite(found.mean).all()
    assert kendalltau(found.mean[30:], values[30:]).statistic > 0.5


def test_intervals_cover() -> None:
    inside, left = [], []
    for seed in range(4):
        features, values = smooth(seed, noise=0.4)
        found = fitted_teacher(features, values, 40, seed)
        # Where a value would stand among the labels.
        quantile = np.searchsorted(np.sort(values[:40]), values[40:]) / 41
        truth = norm.ppf(quantile.clip(0.5 / 40, 1 - 0.5 / 40))
        inside.append(np.abs(truth - found.mean[40:]) <= Z90 * found.std[40:])
        left.append(found.std[40:].mean())
    assert 0.82 < np.mean(inside) < 0.98
    assert max(left) < 0.9, "narrower than knowing nothing"


def test_processes_use_a_subset_of_many_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GP_ARCHS", 25)
    monkeypatch.setattr(module, "LEARNT", 80)
    seen: list[np.ndarray] = []
    original = module._process

    def noted(inputs: np.ndarray, rows: np.ndarray, *others: object, **options: object) -> object:
        seen.append(rows)
        return original(inputs, rows, *others, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_process", noted)
    features, values = smooth(0)
    rows = np.random.default_rng(0).permutation(200)[:90]
    found = fit_teacher(features, rows, values[rows], num_simple=2, seed=0)
    assert len(seen) == 3
    assert all(np.array_equal(part, seen[0]) for part in seen)
    assert len(set(seen[0].tolist())) == 25
    assert set(seen[0].tolist()) <= set(rows.tolist())
    others = np.setdiff1d(np.arange(200), rows)
    assert np.isfinite(found.std).all()
    assert kendalltau(found.mean[others], values[others]).statistic > 0.7


def test_the_order_of_archs_does_not_matter() -> None:
    features, values = smooth(0, rows=60)
    order = np.random.default_rng(0).permutation(60)
    inverse = np.argsort(order)
    found = fitted_teacher(features, values, 20)
    moved = fit_teacher(features[order], inverse[:20], values[:20], num_simple=2, seed=0)
    assert moved.mean[inverse] == pytest.approx(found.mean, abs=1e-6)
    assert moved.std[inverse] == pytest.approx(found.std, abs=1e-6)


def test_slots_tell_what_features_of_the_whole_graph_do_not() -> None:
    """What counts in a chain is where its operations stand, which counts of them do not say."""
    rng = np.random.default_rng(0)
    ops = rng.integers(2, size=(300, 6))
    values = ops @ np.array([3.0, -3.0, 2.0, -2.0, 1.0, -1.0]) + rng.normal(0, 0.1, 300)
    features, rows = np.column_stack([ops.sum(1), (ops[:, 1:] * ops[:, :-1]).sum(1)]).astype(float), np.arange(40)
    slots = SlotColumns(ops.astype(float), np.arange(6))
    options = {"num_simple": 1, "seed": 0}
    taus = [
        kendalltau(fit_teacher(features, rows, values[:40], slots=told, **options).mean[40:], values[40:]).statistic
        for told in (None, slots)
    ]
    assert taus[0] < 0.3
    assert taus[1] > 0.8
    nothing = SlotColumns(np.zeros((300, 0)), np.zeros(0, int))
    found, plain = (fit_teacher(features, rows, values[:40], slots=told, **options) for told in (nothing, None))
    assert np.array_equal(found.mean, plain.mean)
    assert np.array_equal(found.std, plain.std)


def test_hyperparameters_are_fitted_to_some_labels_and_all_are_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GP_ARCHS", 25)
    features, values = smooth(0)
    rows, inputs = np.arange(90), _standardised(features, np.arange(90))
    more = _process(inputs, rows, normal_scores(values[:90]), 90, rows, ard=True)
    fewer = _process(inputs, rows[:25], normal_scores(values[:90])[:25], 90, rows[:25], ard=True)
    assert not np.isnan(more[2]).any()
    error = [np.abs(member[0][90:] - normal_scores(values)[90:]).mean() for member in (more, fewer)]
    assert error[0] < error[1]
