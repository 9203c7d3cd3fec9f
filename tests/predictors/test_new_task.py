"""A new task beside known ones: exact evidence, robust with few labels, and better than either source alone."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from gpytorch.kernels import RBFKernel
from scipy.stats import kendalltau, multivariate_normal

from gennas.predictors import new_task as module
from gennas.predictors.new_task import NewTask, TaskPrior
from gennas.predictors.task_kernel import TaskKernel, label_scores, rank_noise, task_covariance

#: All archs of six slots with three operations.
ARCHS = np.array(list(product(range(3), repeat=6)))


def archs() -> tuple[np.ndarray, RBFKernel]:
    kernel = RBFKernel(active_dims=list(range(18))).double()
    kernel.lengthscale = 2.0
    return np.eye(3)[ARCHS].reshape(len(ARCHS), 18), kernel


def tasks(seed: int) -> np.ndarray:
    """``(N, 5)`` four known tasks and a new one, which is like the second alone; the first and third are opposed."""
    rng = np.random.default_rng(seed)
    inputs, _ = archs()
    effects = rng.normal(size=(inputs.shape[1], 3))
    effects = np.column_stack([effects, -effects[:, 0], effects[:, 1]])[:, [0, 1, 3, 2, 4]]
    values = inputs @ effects
    values = (values - values.mean(0)) / values.std(0)
    return values + 0.3 * rng.normal(size=values.shape)


def test_the_evidence_is_the_likelihood_of_the_labels() -> None:
    rng = np.random.default_rng(0)
    inputs, kernel = archs()
    rows, known, errors = rng.choice(len(inputs), 7, replace=False), rng.normal(size=(7, 2)), rng.normal(size=7)
    variances, each = np.array([0.2, 0.3, 0.1, 0.4, 0.5]), np.array([0.05, 0.6])
    with torch.no_grad():
        gram = kernel(torch.from_numpy(inputs[rows])).to_dense()
        whole = TaskKernel([0, 1], shared=0.3, behaviour=0.4)
        whole.set_variances("task", torch.from_numpy(each))
        covariance = 0.2 * gram + whole(torch.from_numpy(known)).to_dense() + module.OFFSET + (0.5 + 0.2) * torch.eye(7)
    shares = torch.full((2,), 0.5, dtype=torch.double)
    logs = (torch.from_numpy(np.log(part)) for part in (variances, each))
    found = module._evidence(gram, torch.from_numpy(known), torch.from_numpy(errors), shares, *logs, ranks=0.2)
    assert float(found) == pytest.approx(multivariate_normal(np.zeros(7), covariance.numpy()).logpdf(errors))


def test_evaluations_tell_which_task_is_alike() -> None:
    inputs, kernel = archs()
    for seed in range(3):
        values = tasks(seed)
        new = NewTask(kernel, inputs, values[:, :4])
        rows = np.random.default_rng(seed).choice(len(ARCHS), 30, replace=False)
        weights = new.weights(rows, values[rows, 4])
        assert weights.argmax() == 1
        assert weights.sum() == pytest.approx(1)


def test_it_ranks_better_than_the_mean_of_tasks_and_than_archs_alone() -> None:
    inputs, kernel = archs()
    found = {"both": [], "mean": [], "archs": []}
    for seed in range(4):
        values = tasks(seed)
        rows = np.random.default_rng(seed).choice(len(ARCHS), 10, replace=False)
        rest = np.setdiff1d(np.arange(len(ARCHS)), rows)
        new = NewTask(
            kernel, inputs, values[:, :4], prior=TaskPrior.learnt(kernel, inputs, values[:, :4], values[:, :4])
        )
        both = new.fit(rows, values[rows, 4]).mean(new.points).numpy()
        with torch.no_grad():
            cross = kernel(torch.from_numpy(inputs), torch.from_numpy(inputs[rows])).to_dense().numpy()
        alone = cross @ np.linalg.solve(cross[rows] + 0.3 * np.eye(10), label_scores(values[rows, 4]))
        for name, told in (("both", both), ("mean", new.expected()), ("archs", alone)):
            found[name].append(kendalltau(told[rest], values[rest, 4]).statistic)
    means = {name: np.mean(taus) for name, taus in found.items()}
    assert means["both"] > means["mean"] + 0.05
    assert means["both"] > means["archs"] + 0.05


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_labels_break_nothing(count: int) -> None:
    inputs, kernel = archs()
    values = tasks(0)
    new = NewTask(kernel, inputs, values[:, :4])
    for labels in (values[:count, 4], np.full(count, 0.5)):
        mean, std = new.fit(np.arange(count), labels).moments(new.points)
        assert torch.isfinite(mean).all()
        assert (std > 0).all()
        assert kendalltau(mean.numpy(), new.expected()).statistic > 0.3


def test_similarity_decides_without_evaluations() -> None:
    inputs, kernel = archs()
    values = tasks(0)
    taus = []
    for similarity in (None, np.array([0.0, 1.0, 0.0, 0.0])):
        taus.append(kendalltau(NewTask(kernel, inputs, values[:, :4], similarity).expected(), values[:, 4]).statistic)
    assert taus[1] > taus[0] + 0.05


def test_a_prior_is_learnt_from_known_tasks() -> None:
    inputs, kernel = archs()
    rng = np.random.default_rng(0)
    alike = inputs @ rng.normal(size=(inputs.shape[1], 1)) + 0.1 * rng.normal(size=(len(ARCHS), 4))
    alike = (alike - alike.mean(0)) / alike.std(0)
    unlike = inputs @ rng.normal(size=(inputs.shape[1], 4))
    unlike = (unlike - unlike.mean(0)) / unlike.std(0)
    first, second = (TaskPrior.learnt(kernel, inputs, values, values) for values in (alike, unlike))
    assert first.scale > second.scale
    assert first.noise < 0.3
    assert first.arch < second.arch
    assert TaskPrior.learnt(kernel, inputs, alike[:, :1], alike[:, :1]) == TaskPrior()


def test_the_process_is_the_model_that_the_evidence_is_of() -> None:
    inputs, kernel = archs()
    values, rows = tasks(0), np.arange(0, len(ARCHS), 60)
    new = NewTask(kernel, inputs, values[:, :4])
    labels = label_scores(values[rows, 4])
    found, known = new.hyperparameters(rows, labels), torch.from_numpy(values[:, :4])
    shares = torch.full((4,), 0.25, dtype=torch.double)
    shared, behaviour = (torch.tensor([variance], dtype=torch.double) for variance in (found.shared, found.behaviour))
    with torch.no_grad():
        points = torch.from_numpy(inputs)
        cross = found.arch * kernel(points, points[rows]).to_dense() + module.OFFSET
        cross = cross + task_covariance(known, known[rows], shares, shared, torch.from_numpy(found.tasks), behaviour)
    expected, gram = new.expected(), cross[rows].numpy() + (found.noise + rank_noise(len(rows))) * np.eye(len(rows))
    mean = expected + cross.numpy() @ np.linalg.solve(gram, labels / found.size - expected[rows])
    assert new.fit(rows, values[rows, 4]).mean(new.points).numpy() == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize(("count", "known", "draws"), [(3, 2, 60), (30, 10, 32), (120, 10, 32), (60, 20, 32)])
def test_hyperparameters_are_near_the_optimum_and_rest_on_many_draws(count: int, known: int, draws: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        kernel = RBFKernel(active_dims=list(range(10))).double()
        kernel.lengthscale = 2.0
        inputs, scores = 0.7 * rng.normal(size=(count, 10)), rng.normal(size=(count, 1 + known)) / 2**0.5
        scores = scores[:, :1] + scores[:, 1:]
        values = scores[:, 0] - 0.3 * scores[:, 1] + inputs @ rng.normal(size=10) / 3 + 0.3 * rng.normal(size=count)
        new = NewTask(kernel, inputs, scores)
        posterior = new._posterior(np.arange(count), label_scores(values), 0.5)
        at, weight = posterior.weighed()
        assert float(weight.sum()) == pytest.approx(1)
        assert float(1 / weight.square().sum()) > draws - 1e-3
        optimum = posterior.optimum()[None].requires_grad_()
        highest = posterior.density(optimum)
        (slope,) = torch.autograd.grad(highest.sum(), optimum)
        assert float(slope.abs().max()) < 0.05
        # In thirty dimensions a mean is somewhat below the mode.
        assert float(posterior.density((weight @ at)[None]) - highest.detach()) > -1


def test_draws_of_much_evidence_do_not_count_alone() -> None:
    even, one = torch.zeros(128, dtype=torch.double), torch.zeros(128, dtype=torch.double)
    one[5] = 50.0
    weight, is_tempered = module._tempered(even)
    assert not is_tempered
    assert weight.tolist() == pytest.approx([1 / 128] * 128)
    weight, is_tempered = module._tempered(one)
    assert is_tempered
    assert weight.argmax() == 5
    assert float(1 / weight.square().sum()) == pytest.approx(module.LEAST_DRAWS, rel=1e-4)
