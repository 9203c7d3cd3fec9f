"""The processes of a run: their scales, and a posterior that is BoTorch's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from gpytorch.mlls import ExactMarginalLogLikelihood
from hypothesis import given
from hypothesis import strategies as st
from linear_operator.utils.warnings import NumericalWarning
from scipy.stats import kendalltau

from gennas.metrics import Metric
from gennas.search.kernels import LEVELS, ViewName, WeisfeilerLehmanView
from gennas.search.mutation import random_archs
from gennas.search.prior_mean import TablePrior
from gennas.search.surrogate import Inputs, Scale, fit_process
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


@given(values=st.lists(st.floats(0.1, 1.0), min_size=2, max_size=20, unique=True), data=st.data())
def test_scales_keep_the_order_and_turn_it_where_less_is_better(values: list[float], data: st.DataObject) -> None:
    known = np.array(values)
    asked = np.sort(np.array(data.draw(st.lists(st.floats(0.05, 2.0), min_size=2, max_size=9))))
    for make in (Scale.by_rank, Scale.by_size):
        assert (np.diff(make(ACCURACY, known)(asked)) >= 0).all()
        assert (np.diff(make(LATENCY, known)(asked)) <= 0).all()


def test_scores_by_rank_forget_units_and_outliers() -> None:
    plain = Scale.by_rank(ACCURACY, TRUTH)(TRUTH)
    bent = Scale.by_rank(ACCURACY, TRUTH**9)(TRUTH**9)
    np.testing.assert_allclose(plain, bent, atol=1e-9)
    assert abs(plain.mean()) < 0.05
    assert plain.std() == pytest.approx(1, abs=0.1)


def test_a_bound_outside_what_was_seen_lies_outside_its_scores() -> None:
    scale = Scale.by_rank(LATENCY, np.array([5.0, 7.0, 9.0]))
    faster, slower = scale(np.array([4.0, 10.0]))
    assert faster > scale(np.array([5.0]))[0]
    assert slower < scale(np.array([9.0]))[0]


def test_inputs_are_standardised_and_remembered() -> None:
    inputs = Inputs(SPACE, TASK, [ACCURACY])
    points = inputs.of(ARCHS)
    assert points.shape == (120, inputs.view.width)
    assert inputs.known == ((),)
    assert points.mean().abs() < 0.2
    assert torch.equal(inputs.of(ARCHS[5:9]), points[5:9])
    assert inputs.of([]).shape == (0, inputs.view.width)


@pytest.mark.parametrize("known", [False, True], ids=["nothing known", "a task known"])
def test_the_posterior_is_the_models(known: bool) -> None:
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar100"]) if known else None
    inputs = Inputs(SPACE, TASK, [ACCURACY], prior)
    points = inputs.of(ARCHS)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:40])(TRUTH[:40]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", NumericalWarning)
        # Archs that compute the same make the first kernel singular.
        process = fit_process(points[:40], scores, inputs.view, inputs.known[0], ACCURACY.kind)
        mean, std = process.moments(points[40:])
    with torch.no_grad():
        told = process.model.posterior(points[40:])
    torch.testing.assert_close(mean, told.mean[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(std, told.variance[:, 0].sqrt(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("view", ["features", "weisfeiler_lehman"])
@pytest.mark.parametrize("known", [False, True], ids=["nothing known", "a task known"])
def test_wherever_a_line_search_steps_there_is_a_likelihood(
    view: ViewName, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variances that underflowed to 0 ended searches."""
    likelihoods = []

    def steps_to_zero(mll: ExactMarginalLogLikelihood, **options: object) -> None:
        for name, parameter in mll.named_parameters():
            if name.rpartition(".")[2].startswith("raw_"):
                parameter.data.fill_(-1e4)
        likelihoods.append(mll(mll.model(*mll.model.train_inputs), mll.model.train_targets))

    monkeypatch.setattr("gennas.predictors.gaussian_process.fit_gpytorch_mll", steps_to_zero)
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar100"]) if known else None
    inputs = Inputs(SPACE, TASK, [ACCURACY], prior, view)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:40])(TRUTH[:40]))
    fit_process(inputs.of(ARCHS[:40]), scores, inputs.view, inputs.known[0], ACCURACY.kind)
    (likelihood,) = likelihoods
    assert likelihood.isfinite()


def test_forty_archs_rank_the_others() -> None:
    inputs = Inputs(SPACE, TASK, [ACCURACY])
    points = inputs.of(ARCHS)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:40])(TRUTH[:40]))
    mean, _ = fit_process(points[:40], scores, inputs.view, (), ACCURACY.kind).moments(points[40:])
    assert kendalltau(mean.numpy(), TRUTH[40:]).statistic > 0.5


def test_what_is_known_beforehand_makes_five_archs_enough() -> None:
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar100"])
    inputs = Inputs(SPACE, TASK, [ACCURACY], prior)
    points = inputs.of(ARCHS)
    assert inputs.known == ((inputs.view.width,),)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:5])(TRUTH[:5]))
    mean, _ = fit_process(points[:5], scores, inputs.view, inputs.known[0], ACCURACY.kind).moments(points[5:])
    assert kendalltau(mean.numpy(), TRUTH[5:]).statistic > 0.7


def test_a_table_never_tells_what_is_asked() -> None:
    prior = TablePrior(_as_accuracy(), SPACE, TASK, ["accuracy@cifar10", "accuracy@cifar100"])
    assert prior.of(ARCHS, ACCURACY).shape == (120, 1)
    assert prior.of(ARCHS, LATENCY).shape == (120, 0)
    told = prior.of(ARCHS, Metric.parse("accuracy@digits"))
    np.testing.assert_array_equal(prior.of(ARCHS, ACCURACY)[:, 0], told[:, 1])


def _as_accuracy() -> object:
    from dataclasses import replace

    names = {f"test_accuracy@{task}": f"accuracy@{task}" for task in ("cifar10", "cifar100")}
    keys = [arch.key for arch in ARCHS]
    return replace(TABLE, frame=TABLE.frame.loc[keys, list(names)].rename(columns=names))


@pytest.mark.parametrize("space", ["nasbench101", "nasbench201", "nasbench_graph"])
def test_weisfeiler_lehman_knows_equal_graphs(space: str) -> None:
    view = WeisfeilerLehmanView(get_space(space))
    archs = random_archs(view.space, 60, np.random.default_rng(0))
    features = view.of(archs)
    alike = features @ features.T
    np.testing.assert_allclose(alike.diagonal(), LEVELS)
    # Operations that are the same count, whatever surrounds them.
    assert (alike > 0).all()
    np.testing.assert_allclose(view.of(view.space.canonicalised(archs)), features)


def test_weisfeiler_lehman_tells_what_feeds_from_what_is_fed() -> None:
    view = WeisfeilerLehmanView(SPACE)
    one = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
    other = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"
    first, second = view.of([SPACE.parse(one), SPACE.parse(other)]).reshape(2, LEVELS, -1)
    np.testing.assert_allclose(first[0], second[0])
    assert not np.allclose(first[1], second[1])


def test_a_process_learns_through_the_kernel_of_weisfeiler_and_lehman() -> None:
    inputs = Inputs(SPACE, TASK, [ACCURACY], view="weisfeiler_lehman")
    points = inputs.of(ARCHS)
    scores = torch.from_numpy(Scale.by_rank(ACCURACY, TRUTH[:80])(TRUTH[:80]))
    mean, _ = fit_process(points[:80], scores, inputs.view, (), ACCURACY.kind).moments(points[80:])
    assert kendalltau(mean.numpy(), TRUTH[80:]).statistic > 0.4
