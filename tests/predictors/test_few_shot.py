"""Few-shot adaptation: exact for exact predictors, and within the contract of predictors."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor
from toys import StubPredictor, asked_of, completions, drawn, mixed, partly_masked

from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch, decisions_of
from gennas.predictors import basis as module
from gennas.predictors import load_predictor
from gennas.predictors.base import Predictor
from gennas.predictors.basis import BasisFunctions
from gennas.predictors.bayesian_regression import LinearTransfer, leave_one_out
from gennas.predictors.few_shot import (
    AdaptedPredictor,
    FewShotReport,
    TransferHead,
    _advice,
    adapt_hardware,
    adapt_task,
    informative_archs,
)
from gennas.predictors.gnn import GNNPredictor
from gennas.predictors.normal_scores import REACH, NormalScores, normal_scores
from gennas.predictors.quality import Z90
from gennas.predictors.task_fit import KnownTasks, task_transfer
from gennas.spaces import Space, Template, get_space
from gennas.testing import check_predictor

NB201 = get_space("nasbench201")
METRICS = ("accuracy@cifar10", "accuracy@cifar100", "latency_ms@pixel3", "latency_ms@fpga", "latency_ms@raspi4")
#: What a whole graph's score errs by.
ERROR = 0.1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFERENCE_ARCHS", 400)


class Additive(GNNPredictor):
    """Knows sums over decisions, and of masked graphs exactly the mean and variance over uniform completions.

    An accuracy is ``0.05 * score + 0.5``, a latency ``exp(score / 4 + 1)``.
    """

    def __init__(self, template: Template, metrics: tuple[str, ...] = METRICS, described: int = 2) -> None:
        super().__init__(template, metrics, width=4, layers=1, members=1, described=described)
        rng, allowed = torch.Generator().manual_seed(7), decisions_of(template).allowed
        common = torch.randn(1, *allowed.shape, generator=rng)
        # Places are alike, but not the same.
        terms = common + 0.7 * torch.randn(len(metrics) + described, *allowed.shape, generator=rng)
        weight = allowed / allowed.sum(1, keepdim=True)
        self.middle = (terms * weight).sum(-1, keepdim=True)
        size = ((terms - self.middle).square() * weight).sum((1, 2), keepdim=True).sqrt()
        self.terms, self.middle = terms / size, (self.middle / size)[..., 0]  # (m, D, c), (m, D)
        self.open = ((self.terms - self.middle[..., None]).square() * weight).sum(-1)
        self.terms = self.terms - self.middle[..., None]
        self.scores.grid.copy_(torch.linspace(-REACH, REACH, len(self.scores.grid)))
        for column, name in enumerate(metrics):
            grid = self.scores.grid
            self.scores.values[column] = (grid / 4 + 1).exp() if name.startswith("latency") else 0.05 * grid + 0.5
        self.decided_std.fill_(ERROR)
        # A description is what the graph is: of whole graphs it is certain.
        self.error = torch.tensor([ERROR] * len(metrics) + [1e-3] * described)
        self.eval()

    def score_everything(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        b, c = len(graph), self.terms.shape[2]
        masked, choices = graph.masked_decisions(), graph.choices().clamp_min(0)
        index = choices[:, None, :, None].expand(b, len(self.terms), -1, 1)
        of = self.terms.expand(b, -1, -1, -1).gather(3, index)[..., 0].masked_fill(masked[:, None], 0)  # (b, m, D)
        left = self.open * masked[:, None]
        # Decision ``decisions`` made: its term comes, or is replaced.
        at = decisions[:, None].expand(-1, len(self.terms), -1)
        then = (of.sum(2, keepdim=True) - of.gather(2, at))[..., None]
        then = then + self.terms.expand(b, -1, -1, -1).gather(2, at[..., None].expand(-1, -1, -1, c))
        variance = (left.sum(2, keepdim=True) - left.gather(2, at))[..., None].expand_as(then)
        mean = torch.cat([of.sum(2, keepdim=True), then.flatten(2)], dim=2).transpose(1, 2)
        variance = torch.cat([left.sum(2, keepdim=True), variance.flatten(2)], dim=2).transpose(1, 2)
        return mean, (variance + self.error.square()).sqrt()


def whole(space: Space, count: int = 200, seed: int = 5) -> GraphBatch:
    return GraphBatch.from_archs(drawn(space, count, seed), space.template)


@torch.inference_mode()
def latencies(base: GNNPredictor, graph: GraphBatch) -> np.ndarray:
    """``(b, 3)`` of the devices that a base knows."""
    scores = base.score(graph)[0][:, 2:5]
    return (scores / 4 + 1).exp().double().numpy()


def new_device(base: GNNPredictor, graph: GraphBatch) -> np.ndarray:
    return 3 * np.exp(np.log(latencies(base, graph)) @ np.array([0.7, 0.3, 0.0]))


def new_accuracy(base: GNNPredictor, graph: GraphBatch) -> np.ndarray:
    with torch.inference_mode():
        return 0.8 + 0.02 * (base.score(graph)[0][:, :2].double().numpy() @ np.array([0.8, 0.4]))


def adapted_to(base: GNNPredictor, space: Space, kind: str, count: int, seed: int = 0) -> Predictor:
    archs = list(dict.fromkeys(drawn(space, count, seed)))
    graph = GraphBatch.from_archs(archs, space.template)
    if kind == "hardware":
        return adapt_hardware(base, space, "mine", archs, new_device(base, graph))[0]
    return adapt_task(base, space, "mine", archs, new_accuracy(base, graph))[0]


def test_the_base_of_these_tests_is_exact() -> None:
    base, graph = Additive(mixed().template), partly_masked(mixed(), 12)
    mean, std = base.score(graph)
    for row in range(12):
        every = GraphBatch.from_archs(completions(graph[torch.tensor([row])], mixed()), mixed().template)
        scores = base.score(every)[0]
        assert torch.allclose(mean[row], scores.mean(0), atol=1e-5)
        assert torch.allclose(std[row], (scores.var(0, correction=0) + ERROR**2).sqrt(), atol=1e-5)
    check_predictor(base, mixed())


# Known functions


@pytest.mark.parametrize("kind", ["latency_ms", "accuracy"])
def test_basis_functions_are_standardised_over_the_space(kind: str) -> None:
    basis = BasisFunctions(Additive(NB201.template), NB201, kind)
    values = basis.of(basis.archs)
    assert basis.num_metrics == (3 if kind == "latency_ms" else 2)
    assert values.shape[1] == (3 if kind == "latency_ms" else 4), "accuracies have the description beside them"
    assert values.mean(axis=0) == pytest.approx(np.zeros(values.shape[1]), abs=1e-4)
    assert values[:, : basis.num_metrics].std(axis=0) == pytest.approx(np.ones(basis.num_metrics), abs=1e-3)
    assert (values[:, basis.num_metrics :].std(axis=0) < 0.5).all()
    assert basis.prior[: basis.num_metrics].sum() == pytest.approx(1)
    assert (basis.prior[basis.num_metrics :] == 0).all()


def test_latencies_enter_as_logarithms() -> None:
    base = Additive(NB201.template)
    basis, archs = BasisFunctions(base, NB201, "latency_ms"), drawn(NB201, 30)
    logs = np.log(latencies(base, GraphBatch.from_archs(archs, NB201.template)))
    assert basis.of(archs) == pytest.approx((logs - basis.centre.numpy()) / basis.scale.numpy(), abs=5e-3)


def test_moments_of_masked_graphs_are_those_of_their_completions() -> None:
    space = mixed()
    for kind in ("latency_ms", "accuracy"):
        basis, graph = BasisFunctions(Additive(space.template), space, kind), partly_masked(space, 12)
        mean, std = (part[:, 0] for part in basis.predictor.score_everything(graph, graph.no_decision()))
        value, claimed = basis.moments(mean, std)
        found, std = value.numpy(), basis.completion_std(mean, claimed).numpy()
        for row in range(12):
            of = basis.of(completions(graph[torch.tensor([row])], space))
            assert found[row] == pytest.approx(of.mean(axis=0), abs=5e-3)
            assert std[row] == pytest.approx(of.std(axis=0), abs=0.02)


# Adapted predictors


def straight(kind: str = "accuracy") -> AdaptedPredictor:
    """A mix of what an exact base knows, on a scale that is a straight line."""
    space = mixed()
    basis = BasisFunctions(Additive(space.template), space, kind)
    size = len(basis.columns)
    mix = LinearTransfer(np.array([0.2, *np.linspace(0.5, -0.2, size)]), 0.01 * np.eye(1 + size), 0.1)
    line = NormalScores(1)
    line.grid.copy_(torch.linspace(-REACH, REACH, len(line.grid)))
    line.values[0] = line.grid
    addition = TransferHead(basis, f"{kind}@mine", mix, line, line.grid.double().numpy() / 20 + 0.5)
    return AdaptedPredictor(basis.predictor, [addition]).eval()


@pytest.mark.parametrize("kind", ["accuracy", "latency_ms"])
def test_masked_graphs_are_the_mean_of_their_completions(kind: str) -> None:
    space, adapted = mixed(), straight(kind)
    graph = partly_masked(space, 12)
    with torch.inference_mode():
        mean, std = adapted.score(graph)
        for row in range(12):
            every = GraphBatch.from_archs(completions(graph[torch.tensor([row])], space), space.template)
            assert torch.allclose(mean[row], adapted.score(every)[0].mean(0), atol=5e-3)
    # The first is whole, of the second nothing is decided.
    assert (std[1] > std[0]).all()


@pytest.mark.parametrize("kind", ["accuracy", "latency_ms"])
def test_choices_are_scored_as_the_graphs_they_make(kind: str) -> None:
    space, adapted = mixed(), straight(kind)
    graph = partly_masked(space, 12)
    decisions, allowed = asked_of(graph, None), decisions_of(space.template).allowed
    with torch.inference_mode():
        mean, std = adapted.score_choices(graph, decisions)
        masked = graph.masked_decisions()
        for row, decision in masked.nonzero().tolist():
            for choice in allowed[decision].nonzero()[:, 0].tolist():
                at = 1 + decision * allowed.shape[1] + choice
                made = graph[torch.tensor([row])].decide(torch.tensor([[decision]]), torch.tensor([[choice]]))
                expected = adapted.score(made)
                assert torch.allclose(mean[row, at], expected[0][0], atol=1e-4)
                assert torch.allclose(std[row, at], expected[1][0], atol=1e-4)


def test_stds_of_masked_graphs_cover_their_completions() -> None:
    space = NB201
    adapted, graph = adapted_to(Additive(space.template), space, "hardware", 15), whole(space, 400)
    masked = torch.rand(400, 6, generator=torch.Generator().manual_seed(0)) < 0.6
    with torch.inference_mode():
        truth = adapted.score(graph)[0][:, -1]
        mean, std = (part[:, -1] for part in adapted.score(graph.with_mask(masked)))
    inside = ((truth - mean).abs() <= 1.6449 * std)[masked.any(1)]
    assert 0.82 < float(inside.float().mean()) < 0.98


@pytest.mark.parametrize("kind", ["hardware", "task"])
def test_adapted_predictors_keep_the_contract(kind: str) -> None:
    for space in (NB201, mixed()):
        check_predictor(adapted_to(Additive(space.template), space, kind, 10), space)


def test_adapted_predictors_of_a_trained_one_keep_the_contract(tiny_checkpoint: Path) -> None:
    base, _ = load_predictor(tiny_checkpoint)
    archs = drawn(NB201, 10)
    cpu = base.predict(GraphBatch.from_archs(archs, NB201.template))[0][:, base.metrics.index("latency_ms@cpu")]
    predictor, report = adapt_hardware(base, NB201, "mine", archs, 2 * cpu.double().numpy() ** 0.9)
    assert report.spearman > 0.9
    predictor, _ = adapt_task(predictor, NB201, "digits", archs, np.linspace(0.5, 0.9, 10))
    assert predictor.metrics == (*base.metrics, "latency_ms@mine", "accuracy@digits")
    check_predictor(predictor, NB201)
    mean, std = predictor.predict(whole(NB201))
    assert torch.allclose(mean[:, : len(base.metrics)], base.predict(whole(NB201))[0], rtol=1e-5)
    assert spearmanr(mean[:, -2], mean[:, base.metrics.index("latency_ms@cpu")]).statistic > 0.95
    assert (mean[:, -2] > 0).all()
    assert (std > 0).all()


def test_a_linear_combination_of_devices_is_recovered() -> None:
    base, archs = Additive(NB201.template), drawn(NB201, 12)
    measured = new_device(base, GraphBatch.from_archs(archs, NB201.template))
    predictor, report = adapt_hardware(base, NB201, "mine", archs, measured)
    graph = whole(NB201, 400)
    mean, std = predictor.predict(graph)
    truth = new_device(base, graph)
    assert predictor.metrics == (*METRICS, "latency_ms@mine")
    assert np.abs(mean[:, -1].numpy() / truth - 1).mean() < 0.05
    assert spearmanr(mean[:, -1], truth).statistic > 0.97
    assert (mean[:, -1] > 0).all()
    assert (std[:, -1] > 0).all()
    assert report.archs == 12
    assert report.spearman > 0.9
    assert report.relative_error < 0.15
    assert report.coverage90 > 0.7
    assert report.advice == ""
    # Nothing is ever below zero, however little is decided.
    nothing = GraphBatch.undecided_batch(NB201.template, 1)
    assert float(predictor.predict(nothing)[0][0, -1]) > 0


def test_the_unit_of_latencies_is_free() -> None:
    base, archs, graph = Additive(NB201.template), drawn(NB201, 8), whole(NB201, 50)
    measured = new_device(base, GraphBatch.from_archs(archs, NB201.template))
    one, other = (adapt_hardware(base, NB201, "mine", archs, unit * measured)[0] for unit in (1.0, 1000.0))
    assert torch.allclose(1000 * one.predict(graph)[0][:, -1], other.predict(graph)[0][:, -1], rtol=1e-3)
    assert torch.allclose(one.score(graph)[0], other.score(graph)[0], atol=1e-3)


def test_three_measurements_give_an_answer_and_advice() -> None:
    base, archs = Additive(NB201.template), drawn(NB201, 3)
    measured = new_device(base, GraphBatch.from_archs(archs, NB201.template))
    predictor, report = adapt_hardware(base, NB201, "mine", archs, measured)
    assert predictor.predict(whole(NB201))[0].isfinite().all()
    assert np.isnan(report.spearman)
    assert 0 < report.relative_error < np.inf
    assert report.advice == (
        "3 measurements are too few to estimate the error; choose 10 or more archs with: gennas hardware choose -n 20"
    )


@pytest.mark.parametrize(
    ("latency", "words"),
    [
        ([], "hardware 'mine': 0 distinct archs measured; expected at least 3"),
        ([7.0], "hardware 'mine': 1 distinct arch measured; expected at least 3, ideally 10 or more"),
        ([7.0, 8.0], "2 distinct archs measured"),
        ([7.0] * 5, "all 5 archs have the same latency, 7 ms"),
        ([7.0, 8.0, np.nan], "latency_ms is nan; must be in"),
        ([7.0, 8.0, -1.0], "latency_ms is -1; must be in"),
        ([7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0], "7 latencies of 6 archs"),
    ],
)
def test_invalid_measurements_are_refused(latency: list[float], words: str) -> None:
    archs = drawn(NB201, min(len(latency), 6))
    with pytest.raises(InvalidInputError, match=words):
        adapt_hardware(Additive(NB201.template), NB201, "mine", archs, np.array(latency))


def test_measurements_without_a_std_do_not_count_as_missed() -> None:
    basis, prior = np.random.default_rng(0).normal(size=(4, 2)), np.full(2, 0.5)
    values = np.array([2.0, 2.0, 2.0, 2.1])
    left, std = leave_one_out(basis, values, prior)
    assert np.isnan(std).tolist() == [False, False, False, True], "without the last, the others are all equal"
    covered = (np.abs(left - values) <= Z90 * std)[:3].mean()
    assert FewShotReport.of_logs(basis, values, prior).coverage90 == covered > 0


def test_the_error_is_not_that_of_one_arch_that_the_others_say_nothing_of() -> None:
    basis, prior = np.random.default_rng(0).normal(size=(10, 2)), np.full(2, 0.5)
    values = basis @ prior
    values[0] -= 6  # dropped by the device, as what ignores its input may be
    report = FewShotReport.of_logs(basis, values, prior)
    left, _ = leave_one_out(basis, values, prior)
    assert report.relative_error == pytest.approx(np.median(np.abs(np.exp(left - values) - 1)))
    assert report.relative_error < 5 < np.abs(np.exp(left - values) - 1).mean()


@pytest.mark.parametrize("values", [[0.1] * 11 + [0.9], [0.1] * 4 + [0.9], [0.0, *[1.0] * 11]])
def test_quality_is_not_told_where_only_equal_labels_are_predicted(values: list[float]) -> None:
    rng = np.random.default_rng(0)
    known = KnownTasks(rng.normal(size=(300, 2)), np.full(2, 0.5), np.linspace(-6, 6, 131))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = FewShotReport.of_task(rng.normal(size=(len(values), 2)), np.array(values), known)
    assert report.archs == len(values)
    assert np.isnan([report.spearman, report.coverage90]).all()


def test_equal_predictions_rank_nothing() -> None:
    values, std = np.linspace(0.5, 0.9, 6), np.full(6, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = FewShotReport.of_predictions(values, np.full(6, 0.7), std)
    assert np.isnan(report.spearman)
    assert report.coverage90 == pytest.approx(2 / 3)
    assert _advice(report, NB201).startswith("all archs are predicted alike, so that they cannot be ranked; measure ")


def test_noise_gives_advice() -> None:
    for count, words in (
        (10, r"measure more archs, chosen with: gennas hardware choose -n 20"),
        (25, "Repeat the measurements"),
    ):
        values = np.exp(np.random.default_rng(0).normal(size=count))
        report = adapt_hardware(Additive(NB201.template), NB201, "mine", drawn(NB201, count), values)[1]
        assert report.spearman < 0.9
        assert words in report.advice


# Tasks


@pytest.mark.parametrize("count", [0, 1, 3, 10])
def test_a_task_is_predicted_from_few_archs_or_none(count: int) -> None:
    base, archs = Additive(NB201.template), drawn(NB201, count)
    accuracy = new_accuracy(base, GraphBatch.from_archs(archs, NB201.template))
    predictor, report = adapt_task(base, NB201, "mine", archs, accuracy)
    graph = whole(NB201, 300)
    mean, std = predictor.predict(graph)
    truth = new_accuracy(base, graph)
    assert predictor.metrics == (*METRICS, "accuracy@mine")
    assert report.archs == count
    assert np.isnan(report.spearman) == (count < 5)
    assert mean[:, -1].isfinite().all()
    assert (std[:, -1] > 0).all()
    assert ((mean[:, -1] >= 0) & (mean[:, -1] <= 1)).all()
    # By nothing but the known tasks it is ranked well already.
    assert spearmanr(mean[:, -1], truth).statistic > (0.9 if count < 10 else 0.93)
    if count == 10:
        assert np.abs(mean[:, -1].numpy() - truth).mean() < 0.01
    check_predictor(predictor, NB201)


def test_without_any_evaluation_a_task_is_the_mean_of_the_known_ones() -> None:
    base = Additive(NB201.template)
    predictor, _ = adapt_task(base, NB201, "mine", [], np.array([]))
    graph = whole(NB201, 300)
    mean = predictor.predict(graph)[0]
    assert np.corrcoef(mean[:, -1], mean[:, :2].mean(1))[0, 1] > 0.99
    assert float(mean[:, -1].mean()) == pytest.approx(float(mean[:, :2].mean()), abs=0.01)


@pytest.mark.parametrize("count", [2, 6])
def test_equal_accuracies_give_the_prior(count: int) -> None:
    base, graph = Additive(NB201.template), whole(NB201)
    predictor, report = adapt_task(base, NB201, "mine", drawn(NB201, count), np.full(count, 0.7))
    nothing, _ = adapt_task(base, NB201, "mine", [], np.array([]))
    assert report.archs == count
    assert np.isnan(report.spearman)
    assert torch.equal(predictor.score(graph)[0], nothing.score(graph)[0])


def test_accuracies_stay_fractions() -> None:
    base, archs = Additive(NB201.template), drawn(NB201, 6)
    predictor, _ = adapt_task(base, NB201, "mine", archs, np.array([0.0, 1.0, 0.0, 1.0, 0.3, 1.0]))
    mean = predictor.predict(whole(NB201))[0][:, -1]
    assert ((mean >= 0) & (mean <= 1)).all()


def test_task_mix_and_normal_scores() -> None:
    assert normal_scores(np.array([5.0, 1.0, 3.0])) == pytest.approx([0.967, -0.967, 0], abs=1e-3)
    assert normal_scores(np.array([])).shape == (0,)
    inputs = np.random.default_rng(0).normal(size=(4, 2))
    prior = np.array([0.5, 0.5])
    for values in (np.empty(0), np.array([0.3]), np.full(4, 0.3)):
        mix = task_transfer(inputs[: len(values)], values, prior)
        assert mix.coefficients.tolist() == [0, 0.5, 0.5]
    # Only the order of accuracies counts.
    values = np.array([0.1, 0.5, 0.9, 0.91])
    one, other = (task_transfer(inputs, of, prior) for of in (values, values**3))
    assert np.array_equal(one.coefficients, other.coefficients)


# What is kept


def test_a_metric_of_the_same_name_is_replaced() -> None:
    base, archs, graph = Additive(NB201.template), drawn(NB201, 10), whole(NB201)
    predictor, _ = adapt_task(base, NB201, "cifar10", archs, np.linspace(0.1, 0.9, 10))
    assert predictor.metrics == (*METRICS[1:], "accuracy@cifar10")
    mean, std = predictor.predict(graph)
    assert torch.allclose(mean[:, :-1], base.predict(graph)[0][:, 1:])
    assert torch.allclose(std[:, :-1], base.predict(graph)[1][:, 1:])
    assert predictor.noise()[:-1].tolist() == pytest.approx(base.noise()[1:].tolist())
    again, _ = adapt_task(predictor, NB201, "cifar10", archs, np.linspace(0.9, 0.1, 10))
    assert again.metrics == predictor.metrics
    check_predictor(again, NB201)


def test_adaptations_commute() -> None:
    base, graph = Additive(NB201.template), whole(NB201)
    archs = drawn(NB201, 10)
    of = GraphBatch.from_archs(archs, NB201.template)
    one, _ = adapt_hardware(base, NB201, "mine", archs, new_device(base, of))
    both, _ = adapt_task(one, NB201, "mine", archs, new_accuracy(base, of))
    assert both.metrics == (*METRICS, "latency_ms@mine", "accuracy@mine")
    other, _ = adapt_task(base, NB201, "mine", archs, new_accuracy(base, of))
    turned, _ = adapt_hardware(other, NB201, "mine", archs, new_device(base, of))
    mean, found = both.predict(graph)[0], turned.predict(graph)[0]
    assert torch.allclose(mean[:, -2:], found[:, [-1, -2]])
    # The same device again takes the place of the first.
    again, _ = adapt_hardware(both, NB201, "mine", archs, 5 * new_device(base, of))
    assert again.metrics == (*METRICS, "accuracy@mine", "latency_ms@mine")
    assert torch.allclose(again.predict(graph)[0][:, -1], 5 * mean[:, -2], rtol=1e-3)
    assert both.metrics[-2:] == ("latency_ms@mine", "accuracy@mine"), "the other is as it was"


@pytest.mark.parametrize("kind", ["hardware", "task"])
def test_units_rise_with_the_mix_and_noise_is_positive(kind: str) -> None:
    base, graph = Additive(NB201.template), whole(NB201, 300)
    predictor = adapted_to(base, NB201, kind, 10)
    assert (predictor.scores.values.diff(dim=1) >= 0).all()
    with torch.inference_mode():
        score, units = predictor.score(graph)[0][:, -1], predictor(graph)[0][:, -1]
    assert spearmanr(score, units).statistic > 0.999
    # Over the space the new metric is a normal score like any other.
    assert abs(float(score.mean())) < 0.15
    assert float(score.std()) == pytest.approx(1, abs=0.2)
    assert predictor.noise().shape == (6,)
    assert (predictor.noise() > 0).all()


def test_bounds_on_known_metrics_hold_as_before_and_on_new_ones_as_a_gaussian() -> None:
    base = Additive(NB201.template)
    rng = np.random.default_rng(0)
    base.residuals.fit(1, rng.normal(size=2000), rng.exponential(size=2000) - 1)
    predictor, _ = adapt_task(base, NB201, "cifar10", drawn(NB201, 5), np.linspace(0.1, 0.9, 5))
    mean, margin = torch.zeros(9), torch.linspace(-2, 2, 9)
    assert not torch.allclose(base.satisfaction_quantile(1, mean, margin), margin, atol=0.1)
    assert torch.equal(predictor.satisfaction_quantile(0, mean, margin), base.satisfaction_quantile(1, mean, margin))
    assert torch.equal(predictor.satisfaction_quantile(4, mean, margin), margin)


# What cannot be adapted


def test_unsupported_predictors_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="StubPredictor does not support few-shot adaptation"):
        adapt_task(StubPredictor(METRICS), NB201, "mine", [], np.array([]))
    base = Additive(NB201.template, METRICS[:2], described=0)
    with pytest.raises(InvalidInputError, match="predictor predicts no latency_ms, so it cannot be adapted"):
        adapt_hardware(base, NB201, "mine", drawn(NB201, 3), np.array([1.0, 2.0, 3.0]))


def test_without_devices_latency_is_predicted_from_descriptors() -> None:
    base, archs = Additive(NB201.template, METRICS[:2]), drawn(NB201, 25)

    def latency(graph: GraphBatch) -> np.ndarray:
        with torch.inference_mode():
            both = base.score_everything(graph, graph.no_decision())[0][:, 0, 2:].double().numpy()
        return np.exp(both @ np.array([0.3, 0.2]))

    predictor, _ = adapt_hardware(base, NB201, "mine", archs, latency(GraphBatch.from_archs(archs, NB201.template)))
    graph = whole(NB201, 300)
    mean = predictor.predict(graph)[0][:, -1]
    assert (mean > 0).all()
    assert spearmanr(mean, latency(graph)).statistic > 0.9
    check_predictor(predictor, NB201)


@pytest.mark.parametrize("count", [0, 12])
def test_without_tasks_accuracy_is_predicted_from_descriptors(count: int) -> None:
    base, archs = Additive(NB201.template, METRICS[2:]), drawn(NB201, count)
    predictor, _ = adapt_task(base, NB201, "mine", archs, np.linspace(0.5, 0.8, count))
    mean, std = predictor.predict(whole(NB201))
    assert mean.isfinite().all()
    assert std.isfinite().all()
    assert ((mean[:, -1] >= 0) & (mean[:, -1] <= 1)).all()
    check_predictor(predictor, NB201)


# Which archs to measure


def test_informative_archs_are_distinct_and_the_same_for_a_seed() -> None:
    base = Additive(NB201.template)
    archs = informative_archs(base, NB201, 12, seed=0)
    assert len(archs) == len(set(archs)) == 12
    assert informative_archs(base, NB201, 12, seed=0) == archs
    assert informative_archs(base, NB201, 5, seed=0) == archs[:5]
    assert informative_archs(base, NB201, 12, seed=1) != archs
    assert [NB201.is_constant(arch) for arch in archs] == [place == 5 for place in range(12)]
    # An adapted predictor asks for what its base asks for.
    assert informative_archs(adapted_to(base, NB201, "hardware", 5), NB201, 12, seed=0) == archs


def test_there_are_no_more_informative_archs_than_archs() -> None:
    space = mixed()
    archs = informative_archs(Additive(space.template), space, 100, seed=0)
    assert len(archs) == len(set(archs)) == sum(not space.is_constant(arch) for arch in space.enumerate()) + 1
