"""The conformance of predictors and evaluators: sound ones pass, and every broken contract is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import StubPredictor, mixed

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.evaluators.latency import LatencyEvaluator, LatencySpec
from gennas.evaluators.recipe import Recipe
from gennas.evaluators.train import TrainEvaluator
from gennas.graph import GraphBatch
from gennas.spaces import get_space
from gennas.tasks import Task, get_task
from gennas.testing import check_evaluator, check_predictor

METRICS = ("accuracy@cifar10", "latency_ms@cpu")


def test_a_sound_predictor_passes() -> None:
    check_predictor(StubPredictor(METRICS), mixed())


def changed(change: Callable[[GraphBatch, Tensor, Tensor], tuple[Tensor, Tensor]]) -> StubPredictor:
    class Changed(StubPredictor):
        def score(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
            return change(graph, *super().score(graph))

    return Changed(METRICS)


@pytest.mark.parametrize(
    ("change", "contract"),
    [
        (lambda graph, mean, std: (mean[:, :1], std), "mean has shape (b, m)"),
        (lambda graph, mean, std: (mean / 0, std), "mean is finite"),
        (lambda graph, mean, std: (mean, std * 0), "std is positive"),
        (lambda graph, mean, std: (mean + torch.rand(1), std), "the same graphs have the same prediction"),
        (lambda graph, mean, std: (mean - mean.mean(), std), "does not depend on the neighbours"),
        (
            lambda graph, mean, std: (mean.masked_fill(graph.masked_decisions().all(1, keepdim=True), torch.nan), std),
            "of wholly masked graphs: mean is finite",
        ),
    ],
)
def test_a_broken_prediction_is_named(change: Any, contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_predictor(changed(change), mixed())
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
    check_evaluator(LatencyEvaluator(space, LatencySpec(warmup=1, repeats=3)), space, task)
    recipe = Recipe(epochs=1, batch_size=256)
    check_evaluator(TrainEvaluator(space, recipe, tmp_path, progress=lambda line: None), space, task)


class Fixed(Evaluator):
    def __init__(self, values: Callable[[int], Any], source: str = "table") -> None:
        self.values, self.source, self.calls = values, source, 0

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        self.calls += 1
        return self.values(self.calls)


@pytest.mark.parametrize(
    ("evaluator", "contract"),
    [
        (Fixed(lambda call: {"params_m": 1.0}, source="guessed"), "source is one of table, trained, measured"),
        (Fixed(lambda call: {}), "at least one metric"),
        (Fixed(lambda call: {"speed@cpu": 1.0}), "keys are metric names"),
        (Fixed(lambda call: {"latency_ms": 1.0}), "with their place"),
        (Fixed(lambda call: {"accuracy@cifar10": 1.0}), "accuracy is that of the task"),
        (Fixed(lambda call: {"latency_ms@cpu": float("nan")}), "is a finite float"),
        (Fixed(lambda call: {"latency_ms@cpu": 1}), "is a finite float"),
        (Fixed(lambda call: {"params_m": 1.0} if call == 1 else {"macs_m": 1.0}), "same arch and seed"),
        (Fixed(lambda call: {"params_m": 1.0} if call < 3 else {"macs_m": 1.0}), "every arch has the same"),
    ],
)
def test_a_broken_evaluator_is_named(evaluator: Evaluator, contract: str) -> None:
    with pytest.raises(AssertionError, match=contract):
        check_evaluator(evaluator, mixed(), get_task("digits"))
