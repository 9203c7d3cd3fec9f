"""Regression: closed forms of its loss and its metrics, and what its splits are balanced by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics

from gennas.errors import InvalidInputError
from gennas.metrics import KINDS, Objective
from gennas.tasks.base import stratified
from gennas.tasks.targets import kind_of
from gennas.tasks.targets.regression import Regression

RNG = np.random.default_rng(0)


def test_outputs_are_standardised_and_answers_in_own_units() -> None:
    targets = RNG.normal([1000.0, 0.02], [50.0, 0.001], (40, 2))
    fitted = Regression().fitted(targets)
    encoded = fitted.encoded(targets)
    assert encoded.dtype == np.float32
    assert np.allclose(encoded.mean(0), 0, atol=1e-6)
    assert np.allclose(encoded.std(0), 1, atol=1e-6)
    assert np.allclose(fitted.read(encoded), targets, rtol=1e-6)


def test_what_a_file_keeps_is_the_same_kind() -> None:
    fitted = Regression().fitted(RNG.normal(size=(5, 2)))
    assert kind_of(fitted.document()) == fitted
    with pytest.raises(InvalidInputError, match=r"does not describe targets \(ValueError"):
        kind_of({"kind": "regression", "mean": [0.0], "std": [0.0]})
    with pytest.raises(InvalidInputError, match=r"KeyError: 'mean'"):
        kind_of({"kind": "regression"})


def test_metrics_are_those_of_scikit_learn() -> None:
    targets, answers = RNG.normal(size=(30, 2)) * [1, 100], RNG.normal(size=(30, 2)) * [1, 100]
    found = Regression().measured(targets, answers)
    assert found == {
        "r2": metrics.r2_score(targets, answers),
        "mae": metrics.mean_absolute_error(targets, answers),
        "rmse": metrics.root_mean_squared_error(targets, answers),
    }
    # By hand, of one value: errors 1, 0 and -2 about a mean of 2.
    one = Regression().measured(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [2.0], [1.0]]))
    assert one == pytest.approx({"r2": 1 - 5 / 2, "mae": 1.0, "rmse": (5 / 3) ** 0.5})


def test_metrics_are_objectives_in_their_better_direction() -> None:
    assert Regression().score == "r2"
    assert all(name in KINDS for name in (*Regression.metrics, "r2_int8"))
    assert [one.kind.direction for one in Objective.parse("r2@a, -mae@a, -rmse@a").metrics] == ["max", "min", "min"]
    with pytest.raises(InvalidInputError, match="mae is minimised; write '-mae@a'"):
        Objective.parse("mae@a")


def test_the_loss_is_square_within_a_deviation_and_linear_beyond() -> None:
    outputs, wanted = torch.tensor([[0.5], [3.0]]), torch.zeros(2, 1)
    loss = Regression().loss(outputs, wanted, smoothing=0.3, weights=None)
    assert float(loss) == pytest.approx((0.5 * 0.5**2 + 3 - 0.5) / 2)


@pytest.mark.parametrize("columns", [1, 3])
def test_every_split_has_its_share_of_low_and_high_values(columns: int) -> None:
    targets = np.exp(RNG.normal(size=(100, 1))) * np.arange(1, columns + 1)
    strata = Regression().strata(targets)
    assert np.bincount(strata).tolist() == [10] * 10
    held_out, _ = stratified(strata, (0.2,), 0)
    # Two of every tenth, in the order of the values.
    order = np.argsort(np.argsort(targets[:, 0]))
    tenths = np.bincount(order[held_out] // 10, minlength=10)
    assert tenths.tolist() == [2] * 10


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array(["a"]), "expected numbers"),
        (np.zeros((3, 2)), "2 values each; expected 1"),
        (np.array([1.0, np.nan]), "value 0 of image 1 is nan; expected finite numbers"),
    ],
)
def test_other_targets_are_refused(targets: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Regression().checked(targets, 1, "the images")


def test_there_is_nothing_to_learn_of_a_constant() -> None:
    with pytest.raises(InvalidInputError, match="value 1 is 7 for all training images"):
        Regression().fitted(np.array([[1.0, 7.0], [2.0, 7.0]]))
    with pytest.raises(InvalidInputError, match="too few for r2"):
        Regression().expect_measurable(np.zeros((1, 1)), "the images")
    with pytest.raises(InvalidInputError, match="a regression has no classes to balance"):
        Regression().balance(np.zeros((2, 1)), 1)


@pytest.mark.parametrize("value", [0.1, 0.7, 5.1, 1e-3])
@pytest.mark.parametrize("count", [2, 7, 97, 1000])
def test_a_constant_is_one_however_its_mean_is_rounded(value: float, count: int) -> None:
    one, both = np.full((count, 1), value), np.column_stack([np.arange(count), np.full(count, value)])
    for targets, column in ((one, 0), (both, 1)):
        with pytest.raises(InvalidInputError, match=f"value {column} is {value:g} for all training images"):
            Regression().fitted(targets)
    with pytest.raises(InvalidInputError, match=f"^the value is {value:g} for all of the test images, .* r2 is not de"):
        Regression().expect_measurable(one, "the test images")
    with pytest.raises(
        InvalidInputError, match=f"^value 1 is {value:g} for all of .* other images, or leave the value out"
    ):
        Regression().expect_measurable(both, "the test images")


def test_a_spread_whose_square_underflows_is_none() -> None:
    with pytest.raises(InvalidInputError, match="there is nothing to learn"):
        Regression().fitted(np.array([[0.0], [1e-200]]))
    Regression().fitted(np.array([[0.0], [1e-100]]))
    Regression().expect_measurable(np.array([[0.0], [1e-100]]), "the images")
