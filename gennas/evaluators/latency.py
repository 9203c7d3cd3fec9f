"""LatencyEvaluator: latency of networks on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.timing import LatencyTiming, time_network, time_onnx, time_torch
from gennas.export.onnx import to_onnx
from gennas.metrics import Metric
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import image_shape


class LatencyEvaluator(Evaluator):
    """Measures ``latency_ms`` of networks with random weights on this machine.

    Args:
        space: builds the networks.
        spec: how to measure.
        hardware: target of the metric; by default ``cuda`` for that runtime and ``cpu`` for the others.
    """

    source = "measured"
    is_exclusive = True

    def __init__(self, space: Space, spec: LatencySpec | None = None, hardware: str | None = None) -> None:
        self.space = space
        self.spec = spec or LatencySpec()
        self.hardware = hardware or ("cuda" if self.spec.runtime == "cuda" else "cpu")

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """The latency on this machine, unless a table answers in its place."""
        evaluator = cls(context.problem.space, context.latency)
        given = evaluator.metrics(context.problem.task)
        return evaluator if context.table is None and any(one.name in given for one in wanted) else None

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"latency_ms@{self.hardware}",)

    def timing(self, arch: Arch, *, task: Task, seed: int = 0) -> LatencyTiming:
        """Median and quartiles of one arch's latency.

        Raises:
            InvalidInputError: this machine does not support the spec, or the task has no images.
        """
        torch.manual_seed(seed)
        return time_network(self.space.build(arch, task), image_shape(task, "measuring latency"), self.spec)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {f"latency_ms@{self.hardware}": self.timing(arch, task=task, seed=seed).median_ms}


__all__ = ["LatencyEvaluator", "LatencySpec", "LatencyTiming", "time_network", "time_onnx", "time_torch", "to_onnx"]
