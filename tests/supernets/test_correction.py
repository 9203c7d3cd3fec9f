"""The correction: what a few fine-tunings tell of a supernet's scores."""

import numpy as np
import pytest

from gennas.errors import DataMissingError, InvalidInputError
from gennas.supernets.correction import Correction, Scores, _fractions, fit_correction


def logistic(x):
    return 1 / (1 + np.exp(-x))


def population(count, seed=0, noise=0.05):
    """Archs whose fine-tuned accuracy depends on score and multiply-adds, and nothing else."""
    rng = np.random.default_rng(seed)
    logit, macs, params = rng.normal(0, 1, count), rng.normal(3, 0.5, count), rng.normal(0, 0.5, count)
    true = logistic(0.5 + 0.6 * logit + 0.8 * (macs - 3) + rng.normal(0, noise, count))
    return Scores(logistic(logit), np.exp(params), np.exp(macs)), true


def first(scores, count):
    return Scores(scores.score[:count], scores.params_m[:count], scores.macs_m[:count])


def test_it_learns_what_the_score_leaves_out():
    from scipy.stats import kendalltau

    scores, true = population(400)
    found = fit_correction(first(scores, 16), true[:16], scores)
    mean, std = found.predict(scores)
    rest = slice(16, None)
    taus = [kendalltau(values[rest], true[rest]).statistic for values in (mean, scores.score, scores.macs_m)]
    assert taus[0] > 0.85
    assert taus[0] > max(taus[1:]) + 0.15
    assert 0.8 < (np.abs(mean - true)[rest] < 1.645 * std[rest]).mean() <= 1
    assert np.sqrt(np.square(mean - true)[rest].mean()) < 0.03


def test_the_check_leaves_each_fine_tuning_out():
    scores, true = population(9)
    found = fit_correction(scores, true)
    rest = np.arange(9) != 4
    others = Scores(scores.score[rest], scores.params_m[rest], scores.macs_m[rest])
    mean, _ = fit_correction(others, true[rest], scores).predict(first(scores, 9))
    assert found.check.predicted[4] == pytest.approx(mean[4], abs=1e-9)
    assert found.check.error == pytest.approx(np.sqrt(np.square(found.check.predicted - true).mean()))
    assert found.check.tau > 0.5
    assert found.check.covered > 0.5


def test_far_from_the_fine_tunings_it_is_less_sure():
    scores, true = population(12)
    found = fit_correction(scores, true)
    _, std = found.predict(Scores(np.array([0.5, 0.5]), np.array([1.0, 1.0]), np.exp(np.array([3.0, 9.0]))))
    inner, outer = found.transfer.predict(
        (Scores(np.array([0.5, 0.5]), np.ones(2), np.exp(np.array([3.0, 9.0]))).inputs - found.centre) / found.scale
    )[1]
    assert outer > 3 * inner
    assert (std > 0).all()


def test_fractions_of_normal_logits():
    rng = np.random.default_rng(0)
    draws = logistic(0.7 + 0.9 * rng.standard_normal(400_000))
    mean, std = _fractions(np.array([0.7]), np.array([0.9]))
    assert mean[0] == pytest.approx(draws.mean(), abs=1e-3)
    assert std[0] == pytest.approx(draws.std(), abs=1e-3)


def test_it_is_stored_as_it_is(tmp_path):
    scores, true = population(8)
    found = fit_correction(scores, true)
    found.save(tmp_path / "correction.json")
    again = Correction.load(tmp_path / "correction.json")
    assert all(np.array_equal(a, b) for a, b in zip(again.predict(scores), found.predict(scores), strict=True))
    assert again.fingerprint == found.fingerprint
    assert fit_correction(scores, 0.9 * true).fingerprint != found.fingerprint
    (tmp_path / "correction.json").write_text('{"noise": 1}')
    with pytest.raises(DataMissingError, match=r"correction\.json cannot be read"):
        Correction.load(tmp_path / "correction.json")


def test_too_few_fine_tunings():
    scores, true = population(4)
    with pytest.raises(InvalidInputError, match="3 accuracies of 4 archs"):
        fit_correction(scores, true[:3])
    with pytest.raises(InvalidInputError, match="3 fine-tunings with 3 different accuracies; expected at least 4"):
        fit_correction(first(scores, 3), true[:3])
    with pytest.raises(InvalidInputError, match="4 fine-tunings with 1 different"):
        fit_correction(scores, [0.5] * 4)
