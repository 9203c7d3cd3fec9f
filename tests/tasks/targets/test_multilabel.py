"""Multilabel: closed forms of its loss and its metrics, and what its splits are balanced by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional

from gennas.errors import InvalidInputError
from gennas.metrics import KINDS, Objective
from gennas.tasks.base import stratified
from gennas.tasks.targets import kind_of
from gennas.tasks.targets.multilabel import Multilabel

RNG = np.random.default_rng(0)
KIND = Multilabel()


def test_metrics_are_those_of_scikit_learn() -> None:
    targets, answers = (RNG.random((50, 3)) < 0.3).astype(int), RNG.random((50, 3))
    found = KIND.measured(targets, answers)
    each = [metrics.average_precision_score(targets[:, label], answers[:, label]) for label in range(3)]
    assert found["mean_average_precision"] == pytest.approx(np.mean(each))
    each = [metrics.f1_score(targets[:, label], answers[:, label] > 0.5) for label in range(3)]
    assert found["macro_f1"] == pytest.approx(np.mean(each))
    assert found["micro_f1"] == pytest.approx(metrics.f1_score(targets.ravel(), answers.ravel() > 0.5))
    # By hand: the only image with the label is second of three, so that half of those up to it have it.
    one = KIND.measured(np.array([[0], [1], [0]]), np.array([[0.9], [0.8], [0.1]]))
    assert one == pytest.approx({"mean_average_precision": 0.5, "macro_f1": 2 / 3, "micro_f1": 2 / 3})


def test_a_label_that_no_image_has_is_left_out_of_the_mean() -> None:
    targets, answers = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.9], [0.1, 0.1]])
    assert KIND.measured(targets, answers)["mean_average_precision"] == 1.0
    with pytest.raises(InvalidInputError, match="none of the images has a label"):
        KIND.expect_measurable(np.zeros((4, 2), int), "the images")
    with pytest.raises(InvalidInputError, match="label 1 is that of no training image"):
        KIND.fitted(targets)


def test_metrics_are_objectives() -> None:
    assert all(name in KINDS for name in (*KIND.metrics, "mean_average_precision_int8"))
    assert Objective.parse("mean_average_precision@a, micro_f1@a").metrics[0].kind.direction == "max"


def test_probabilities_are_sigmoids_without_overflow() -> None:
    outputs = np.array([[0.0, 2.0, -2.0, 1000.0, -1000.0]], np.float32)
    expected = torch.sigmoid(torch.from_numpy(outputs).double()).numpy()
    with np.errstate(over="raise"):
        assert np.allclose(KIND.read(outputs), expected, rtol=1e-12)


def test_the_loss_is_a_binary_cross_entropy_per_label() -> None:
    outputs, targets = torch.tensor([[1.0, -2.0]]), torch.tensor([[1.0, 0.0]])
    loss = KIND.loss(outputs, targets, smoothing=0.0, weights=None)
    assert float(loss) == pytest.approx((np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-2.0))) / 2)
    smooth = KIND.loss(outputs, targets, smoothing=0.2, weights=None)
    wanted = torch.tensor([[0.9, 0.1]])
    assert float(smooth) == pytest.approx(float(functional.binary_cross_entropy(outputs.sigmoid(), wanted)), rel=1e-6)
    # An image with a label that a quarter of the images has counts as the three without it.
    weights = KIND.balance(np.array([[1, 0], [0, 1], [0, 1], [0, 0]]), 2)
    assert weights.tolist() == [3.0, 1.0]


def test_a_student_with_its_teachers_outputs_has_the_least_distance() -> None:
    taught = torch.tensor([[1.0, -0.5]])
    outputs = taught.clone().requires_grad_()
    KIND.distance(outputs, taught, 2.0).backward()
    assert outputs.grad is not None
    assert torch.allclose(outputs.grad, torch.zeros(1, 2), atol=1e-7)


def test_rare_labels_are_shared_out_first() -> None:
    targets = np.zeros((100, 2), int)
    targets[:80, 0] = 1
    targets[:10, 1] = 1  # always beside the common one
    strata = KIND.strata(targets)
    assert np.bincount(strata).tolist() == [70, 10, 20]
    held_out, _ = stratified(strata, (0.2,), 0)
    assert targets[held_out].sum(0).tolist() == [16, 2]


def test_names_and_flags_are_understood() -> None:
    names = ("red", "round", "tall")
    assert KIND.parsed(["tall", "red"], names).tolist() == [1, 0, 1]
    assert KIND.parsed(set(), names).tolist() == [0, 0, 0]
    assert KIND.parsed(np.array([0, 1, 1]), names).tolist() == [0, 1, 1]
    assert KIND.parsed([0, 1, 1], names).tolist() == [0, 1, 1]
    with pytest.raises(InvalidInputError, match="'blue' is not the name of a label; expected red, round, tall"):
        KIND.parsed(["blue"], names)
    with pytest.raises(InvalidInputError, match="other than 0 and 1"):
        KIND.checked(np.array([[0, 2]]), 2, "the images")
    with pytest.raises(InvalidInputError, match=r"shape \(3,\); expected \(2,\)"):
        KIND.checked(np.zeros((5, 3)), 2, "the images")
    assert kind_of(KIND.document()) == KIND
