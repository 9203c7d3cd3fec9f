"""The surrogate of one metric: its inputs, its prior, and a posterior that is BoTorch's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.warnings import NumericalWarning
from scipy.stats import kendalltau

from gennas.benchmarks.weisfeiler_lehman import WeisfeilerLehmanView
from gennas.metrics import Metric
from gennas.predictors.gaussian_process import spread_rows
from gennas.predictors.normal_scores import normal_scores
from gennas.search import metric_surrogate
from gennas.search.inputs import Inputs
from gennas.search.kernels import View
from gennas.search.metric_surrogate import fit_process
from gennas.search.mutation import random_archs
from gennas.search.prior_mean import TablePrior
from gennas.search.scale import Scale
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

SPACE, TASK = get_space("nasbench201"), get_task("cifar10")
ACCURACY, LATENCY = Metric.parse("accuracy@cifar10"), Metric.parse("latency_ms@cpu")
TABLE = load_table("nasbench201")
#: What is shipped: test accuracies, which here stand for any values of a table.
VALUES = TABLE.column("test_accuracy@cifar10")
ARCHS = random_archs(SPACE, 120, np.random.default_rng(0))
TRUTH = np.array([VALUES[arch.key] for arch in ARCHS])


def test_inputs_are_standardised_and_remembered() -> None:
    inputs = Inputs(SPACE, TASK, [ACCURACY])
    points = inputs.of(ARCHS)
    assert points.shape == (120, inputs.view.width)
    assert inputs.prior_columns == ((),)
    assert points.mean().abs() < 0.2
    assert torch.equal(inputs.of(ARCHS[5:9]), points[5:9])
    assert inputs.of([]).shape == (0, inputs.view.width)


@pytest.mark.parametrize("informed", [False, True], ids=["no prior", "another task"])
def test_the_posterior_is_the_models(informed: bool) -> None:
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar100"]) if informed else None
    inputs = Inputs(SPACE, TASK, [ACCURACY], prior)
    points = inputs.of(ARCHS)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:40])(TRUTH[:40]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", NumericalWarning)
        # Archs that compute the same make the first kernel singular.
        process = fit_process(points[:40], scores, inputs.view, inputs.prior_columns[0], ACCURACY.kind)
        mean, std = process.moments(points[40:])
    with torch.no_grad():
        posterior = process.model.posterior(points[40:])
    torch.testing.assert_close(mean, posterior.mean[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(std, posterior.variance[:, 0].sqrt(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("view", [None, WeisfeilerLehmanView(SPACE)], ids=["features", "Weisfeiler-Lehman"])
@pytest.mark.parametrize("informed", [False, True], ids=["no prior", "another task"])
def test_wherever_a_line_search_steps_there_is_a_likelihood(
    view: View | None, informed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variances that underflowed to 0 ended searches."""
    likelihoods = []

    def steps_to_zero(mll: ExactMarginalLogLikelihood, **options: object) -> None:
        for name, parameter in mll.named_parameters():
            if name.rpartition(".")[2].startswith("raw_"):
                parameter.data.fill_(-1e4)
        likelihoods.append(mll(mll.model(*mll.model.train_inputs), mll.model.train_targets))

    monkeypatch.setattr("gennas.predictors.gaussian_process.fit_gpytorch_mll", steps_to_zero)
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar100"]) if informed else None
    inputs = Inputs(SPACE, TASK, [ACCURACY], prior, view)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:40])(TRUTH[:40]))
    fit_process(inputs.of(ARCHS[:40]), scores, inputs.view, inputs.prior_columns[0], ACCURACY.kind)
    (likelihood,) = likelihoods
    assert likelihood.isfinite()


def test_forty_archs_rank_the_others() -> None:
    inputs = Inputs(SPACE, TASK, [ACCURACY])
    points = inputs.of(ARCHS)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:40])(TRUTH[:40]))
    mean, _ = fit_process(points[:40], scores, inputs.view, (), ACCURACY.kind).moments(points[40:])
    assert kendalltau(mean.numpy(), TRUTH[40:]).statistic > 0.5


def test_a_prior_makes_five_archs_enough() -> None:
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar100"])
    inputs = Inputs(SPACE, TASK, [ACCURACY], prior)
    points = inputs.of(ARCHS)
    assert inputs.prior_columns == ((inputs.view.width,),)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:5])(TRUTH[:5]))
    mean, _ = fit_process(points[:5], scores, inputs.view, inputs.prior_columns[0], ACCURACY.kind).moments(points[5:])
    assert kendalltau(mean.numpy(), TRUTH[5:]).statistic > 0.7


def test_archs_that_do_alike_on_known_tasks_do_alike_on_one_that_is_unlike_all_of_them() -> None:
    """No weights of the known tasks tell of this one; their values do."""
    inputs, rng = Inputs(SPACE, TASK, [ACCURACY]), np.random.default_rng(0)
    known = rng.normal(size=(len(ARCHS), 2))
    truth = -np.abs(known).sum(1) + rng.normal(scale=0.1, size=len(ARCHS))
    points = torch.hstack([inputs.of(ARCHS), torch.from_numpy(known)])
    scores, columns = torch.from_numpy(normal_scores(truth[:40])), range(inputs.view.width, points.shape[1])
    mean = fit_process(points[:40], scores, inputs.view, columns, ACCURACY.kind).mean(points[40:])
    assert kendalltau(mean, truth[40:]).statistic > 0.7


def test_a_table_prior_never_uses_the_metric_itself() -> None:
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar10", "accuracy@cifar100"])
    assert prior.of(ARCHS, ACCURACY).shape == (120, 1)
    assert prior.of(ARCHS, LATENCY).shape == (120, 0)
    both = prior.of(ARCHS, Metric.parse("accuracy@digits"))
    np.testing.assert_array_equal(prior.of(ARCHS, ACCURACY)[:, 0], both[:, 1])


def _as_accuracy() -> object:
    from dataclasses import replace

    names = {f"test_accuracy@{task}": f"accuracy@{task}" for task in ("cifar10", "cifar100")}
    keys = [arch.key for arch in ARCHS]
    return replace(TABLE, frame=TABLE.frame.loc[keys, list(names)].rename(columns=names))


def test_hyperparameters_of_many_come_from_some_and_the_posterior_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = Inputs(SPACE, TASK, [ACCURACY])
    points, scores = inputs.of(ARCHS), torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH)(TRUTH))
    monkeypatch.setattr(metric_surrogate, "STEPS", metric_surrogate.STEPS_OF_MANY)
    rows = spread_rows(scores, 60)
    process = fit_process(points, scores, inputs.view, (), ACCURACY.kind, 60)
    some = fit_process(points[rows], scores[rows], inputs.view, (), ACCURACY.kind)
    assert process.noise == pytest.approx(some.noise)
    assert len(process.inputs) == 120
    left = np.setdiff1d(np.arange(120), rows)
    assert (process.moments(points[left])[1] < some.moments(points[left])[1]).all()
    assert kendalltau(process.mean(points), scores).statistic > kendalltau(some.mean(points), scores).statistic


def test_noise_that_is_known_is_what_the_process_is_fitted_with() -> None:
    inputs = Inputs(SPACE, TASK, [ACCURACY])
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:40])(TRUTH[:40]))
    points = inputs.of(ARCHS[:40])
    noise = [
        fit_process(points, scores, inputs.view, (), ACCURACY.kind, known_noise=known).noise for known in (0.01, 0.5)
    ]
    # It is a prior: what the values themselves say counts, too.
    assert noise[0] < 0.5 * noise[1]
