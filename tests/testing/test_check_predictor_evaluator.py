"""Conformance of predictors and evaluators: sound ones pass, and every broken contract is named."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import StubPredictor, mixed, toy

from gennas.arch import Arch
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.table import TableEvaluator
from gennas.evaluators.train import TrainEvaluator
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import get_space
from gennas.spaces.template import Template
from gennas.tables import load_table
from gennas.tasks import Task, get_task
from gennas.testing import check_evaluator, check_predictor
from gennas.training.recipe import Recipe

METRICS = ("accuracy@cifar10", "latency_ms@cpu")


def test_a_sound_predictor_passes() -> None:
    check_predictor(StubPredictor(METRICS), mixed())


def changed(change: Callable[[GraphBatch, Tensor, Tensor], tuple[Tensor, Tensor]], choices: bool) -> StubPredictor:
    """A predictor that says other things of choices, or of everything."""

    class Changed(StubPredictor):
        def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
            scores = super().score_choices(graph, decisions)
            return scores if choices and not decisions.shape[1] else change(graph, *scores)

    return Changed(METRICS)


@pytest.mark.parametrize(
    ("change", "contract"),
    [
        (lambda graph, mean, std: (mean[..., :1], std), "score() of decided graphs: mean has shape (b, m)"),
        (lambda graph, mean, std: (mean / 0, std), "mean is finite"),
        (lambda graph, mean, std: (mean, std * 0), "std is positive"),
        (lambda graph, mean, std: (mean + torch.rand(1), std), "the same graphs have the same prediction"),
        (lambda graph, mean, std: (mean - mean.mean(), std), "does not depend on the neighbours"),
        (
            lambda graph, mean, std: (mean.masked_fill(_all_masked(graph), torch.nan), std),
            "score() of wholly masked graphs: mean is finite",
        ),
    ],
)
def test_a_broken_prediction_is_named(change: Any, contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_predictor(changed(change, choices=False), mixed())
    assert contract in str(caught.value)


def _all_masked(graph: GraphBatch) -> Tensor:
    return graph.masked_decisions().all(1)[:, None, None]


def _beyond(scores: Tensor, scale: float, of: Callable[[Tensor], Tensor]) -> Tensor:
    """Scores with something added to those of choices, and not to the graphs' own."""
    return torch.cat([scores[:, :1], scores[:, 1:] + scale * of(scores[:, 1:])], dim=1)


@pytest.mark.parametrize(
    ("change", "contract"),
    [
        (lambda graph, mean, std: (mean[:, 1:], std), "mean has shape (b, 1 + q * c, m) = (20, "),
        (lambda graph, mean, std: (mean, std[..., :1]), "std has shape (b, 1 + q * c, m) = (20, "),
        (lambda graph, mean, std: (_beyond(mean, torch.inf, torch.ones_like), std), "mean is finite"),
        (lambda graph, mean, std: (mean, _beyond(std, -1.0, lambda own: own)), "std is positive"),
        (lambda graph, mean, std: (mean + 0.1, std), "begins with what score() says"),
        (lambda graph, mean, std: (mean, std * 1.1), "begins with what score() says"),
        (
            lambda graph, mean, std: (_beyond(mean, 1.0, lambda own: own.mean().expand_as(own)), std),
            "does not depend on the neighbours in the batch, or on what else is asked",
        ),
        (
            lambda graph, mean, std: (mean, _beyond(std, 1.0, lambda own: own.std(0, correction=0).expand_as(own))),
            "does not depend on the neighbours in the batch, or on what else is asked",
        ),
        (
            lambda graph, mean, std: (_beyond(mean, 1.0, lambda own: own.sum(1, keepdim=True).expand_as(own)), std),
            "of wholly masked graphs: does not depend on the neighbours in the batch, or on what else is asked",
        ),
    ],
)
def test_a_broken_score_of_choices_is_named(change: Any, contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_predictor(changed(change, choices=True), mixed())
    assert contract in str(caught.value)
    assert "score_choices() of " in str(caught.value)


def test_choices_that_a_decision_does_not_have_may_have_any_value() -> None:
    class Careless(StubPredictor):
        def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
            mean, std = super().score_choices(graph, decisions)
            exists = decisions_of(graph.template).allowed[decisions].flatten(1)
            nothing = torch.cat([torch.zeros(len(graph), 1, dtype=torch.bool), ~exists], dim=1)
            return mean.masked_fill(nothing[..., None], torch.nan), std.masked_fill(nothing[..., None], -1.0)

    check_predictor(Careless(METRICS), mixed())


def test_a_space_of_one_decision_has_predictors_too() -> None:
    template = mixed().template
    single = toy(Template(template.slots[:1], template.vocabulary, template.allowed[:1], template.edges[:1, :1]))
    check_predictor(StubPredictor(METRICS), single)


@pytest.mark.parametrize(
    ("noise", "contract"),
    [
        (torch.tensor([0.3]), "noise(): has shape (metrics,) = (2,)"),
        (torch.tensor([0.3, -1.0]), "noise(): is finite and not negative"),
        (torch.tensor([0.3, torch.nan]), "noise(): is finite and not negative"),
    ],
)
def test_broken_noise_is_named(noise: Tensor, contract: str) -> None:
    predictor = StubPredictor(METRICS)
    predictor.noise = lambda: noise  # type: ignore[method-assign]
    with pytest.raises(AssertionError) as caught:
        check_predictor(predictor, mixed())
    assert contract in str(caught.value)


@pytest.mark.parametrize(
    ("metrics", "contract"),
    [
        ((), "at least one name"),
        (("acuracy@cifar10",), "names are known"),
        (("accuracy",), "with their place"),
        (("params_m",), "computed, never predicted"),
        (("accuracy@cifar10", "accuracy@cifar10"), "names are distinct"),
    ],
)
def test_broken_metric_names_are_named(metrics: tuple[str, ...], contract: str) -> None:
    with pytest.raises(AssertionError, match=contract):
        check_predictor(StubPredictor(metrics), mixed())


def test_our_evaluators_pass(tmp_path: Path) -> None:
    space, task = get_space("nasbench201", "channels=2,cells=1"), get_task("digits", image_size=8)
    check_evaluator(CostEvaluator(space), space, task)
    check_evaluator(LatencyEvaluator(space, spec=LatencySpec(seconds=0.05)), space, task)
    check_evaluator(TrainEvaluator(space, Recipe(epochs=1, batch_size=256), tmp_path, lambda line: None), space, task)
    table = TableEvaluator(load_table("nasbench201"), ("test_accuracy@cifar10",))
    check_evaluator(table, space, get_task("cifar10"))


class Fixed(Evaluator):
    def __init__(self, values: Callable[[int], Any], source: str = "table", promised: Any = None) -> None:
        self.values, self.source, self.promised, self.calls = values, source, promised, 0
        self.is_instant = True

    def metrics(self, task: Task) -> tuple[str, ...]:
        return tuple(self.values(1)) or ("params_m",) if self.promised is None else self.promised

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        self.calls += 1
        return self.values(self.calls)


def altered(**attributes: Any) -> Fixed:
    """A sound evaluator but for some attributes."""
    evaluator = Fixed(lambda call: {"params_m": 1.0})
    for name, value in attributes.items():
        setattr(evaluator, name, value)
    return evaluator


COUNT = count()


@pytest.mark.parametrize(
    ("evaluator", "contract"),
    [
        (Fixed(lambda call: {"params_m": 1.0}, source=""), "source is one word"),
        (Fixed(lambda call: {"accuracy@digits": 91.0}), "lies between 0 and 1 fraction"),
        (Fixed(lambda call: {}), "at least one metric"),
        (Fixed(lambda call: {"speed@cpu": 1.0}), "keys are metric names"),
        (Fixed(lambda call: {"latency_ms": 1.0}), "with their place"),
        (Fixed(lambda call: {"accuracy@cifar10": 1.0}), "accuracy is that of the task"),
        (Fixed(lambda call: {"latency_ms@cpu": float("nan")}), "is a finite float"),
        (Fixed(lambda call: {"latency_ms@cpu": 1}), "is a finite float"),
        (Fixed(lambda call: {"params_m": 1.0} if call == 1 else {"macs_m": 1.0}), "same arch and seed"),
        (Fixed(lambda call: {"params_m": 1.0} if call < 3 else {"macs_m": 1.0}), "every arch has the same"),
        (Fixed(lambda call: {"params_m": 1.0}, promised=()), "is a tuple with at least one name"),
        (Fixed(lambda call: {"params_m": 1.0}, promised=("macs_m",)), "gives what metrics.. promises"),
        (
            altered(conditions=lambda seed, fidelity: EvaluationSettings(seed=next(COUNT))),
            "are the same for the same seed",
        ),
        (altered(is_exclusive=True), "needs no machine of its own"),
    ],
)
def test_a_broken_evaluator_is_named(evaluator: Evaluator, contract: str) -> None:
    with pytest.raises(AssertionError, match=contract):
        check_evaluator(evaluator, mixed(), get_task("digits"))


class Forgetful(CostEvaluator):
    """Of whose copies something is missing."""

    is_instant = False

    def metrics(self, task: Task) -> tuple[str, ...]:
        return super().metrics(task)[: getattr(self, "known", 1)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "known"}


def test_an_evaluator_whose_copies_differ_is_named() -> None:
    space = get_space("nasbench201")
    evaluator = Forgetful(space)
    evaluator.known = 2
    with pytest.raises(AssertionError, match="a pickled copy has the same metrics"):
        check_evaluator(evaluator, space, get_task("digits"))
    with pytest.raises(AssertionError, match="can be pickled"):
        check_evaluator(altered(is_instant=False), space, get_task("digits"))
