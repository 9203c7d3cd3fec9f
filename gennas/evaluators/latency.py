"""LatencyEvaluator: latency of networks on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import torch

from gennas.arch import Arch
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.timing import check_available, time_network
from gennas.hardware.measure import LatencyTiming
from gennas.hardware.target import HardwareTarget
from gennas.metrics import Metric
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import image_shape


def targets_here(metrics: Iterable[Metric]) -> tuple[HardwareTarget, ...]:
    """What of this machine latencies are wanted of, by the names of metrics."""
    names = (str(metric.target) for metric in metrics if metric.kind.name == "latency_ms")
    return tuple(target for name in dict.fromkeys(names) if (target := HardwareTarget.parse(name)) is not None)


class LatencyEvaluator(Evaluator):
    """Measures ``latency_ms`` of networks with random weights on this machine, each target's under its own name.

    Args:
        space: builds the networks.
        targets: what they run on.
        spec: how to measure.

    Raises:
        InvalidInputError: this machine lacks what a target needs.
    """

    source = "measured"
    is_exclusive = True

    def __init__(
        self, space: Space, targets: Sequence[HardwareTarget] = (HardwareTarget(),), spec: LatencySpec | None = None
    ) -> None:
        for target in targets:
            check_available(target)
        self.space, self.targets, self.spec = space, tuple(targets), spec or LatencySpec()
        self._disturbed: list[HardwareTarget] = []

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """All latencies on this machine that are wanted, unless a table answers in place of measurements."""
        targets = () if context.table is not None else targets_here(wanted)
        if not targets:
            return None
        if len(context.problem.task.input_shape) != 3:
            image_shape(context.problem.task, "measuring latency")
        return cls(context.problem.space, targets, context.latency)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return tuple(f"latency_ms@{target.name}" for target in self.targets)

    def timing(self, arch: Arch, target: HardwareTarget, *, task: Task, seed: int = 0) -> LatencyTiming:
        """Median, quartiles and 90th percentile of one arch's latency.

        Raises:
            InvalidInputError: this machine does not support the target, or the task has no images.
        """
        torch.manual_seed(seed)
        image_shape(task, "measuring latency")
        task = self.space.native_task(arch, task)
        return time_network(self.space.build(arch, task), image_shape(task, "measuring latency"), target, self.spec)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        timings = {target: self.timing(arch, target, task=task, seed=seed) for target in self.targets}
        self._disturbed = [target for target, timing in timings.items() if timing.disturbance]
        return {f"latency_ms@{target.name}": timing.median_ms for target, timing in timings.items()}

    def remarks(self) -> tuple[str, ...]:
        """That the machine was busy, however often a network was measured again."""
        return tuple(busy(target.name) for target in self._disturbed)

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        """The batch, where it is not one image: the name of the hardware does not tell it."""
        return EvaluationSettings(recipe="" if self.spec.batch == 1 else f"batch {self.spec.batch}")


def busy(name: str) -> str:
    """What to say of latencies that were measured while other programs ran."""
    return (
        f"latency_ms@{name} was measured while this machine was busy with other programs; it may be too long. For a "
        "limit that matters, measure again when it is idle"
    )
