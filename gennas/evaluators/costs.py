"""CostEvaluator: exact numbers of parameters and multiply-adds."""

from collections.abc import Sequence
from typing import Self

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.metrics import COST_METRICS, Metric
from gennas.spaces import Space
from gennas.tasks import Task


class CostEvaluator(Evaluator):
    """Computes ``params_m`` and ``macs_m`` exactly.

    Args:
        space: the space of the archs.
    """

    source = "computed"
    is_instant = True

    def __init__(self, space: Space) -> None:
        self.space = space

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self:
        """Costs are computed for every arch, wanted or not: they cost nothing, and are worth reporting."""
        return cls(context.problem.space)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return COST_METRICS

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        costs = self.space.costs(arch, task)
        return {name: costs[name] for name in COST_METRICS}
