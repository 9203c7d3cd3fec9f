"""CostEvaluator: exact numbers of parameters and multiply-adds, and the size of the weights."""

from collections.abc import Sequence
from typing import Self

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.metrics import COST_METRICS, DERIVED_COSTS, Metric
from gennas.spaces import Space
from gennas.spaces.costs import all_costs
from gennas.tasks import Task


class CostEvaluator(Evaluator):
    """Computes ``params_m`` and ``macs_m`` exactly, and what follows from them where it is asked for.

    Args:
        space: the space of the archs.
        derived: names of :data:`gennas.metrics.DERIVED_COSTS`.
    """

    source = "computed"
    is_instant = True

    def __init__(self, space: Space, derived: Sequence[str] = ()) -> None:
        self.space, self.names = space, (*COST_METRICS, *derived)

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self:
        """Costs are computed for every arch, wanted or not: they cost nothing, and are worth reporting."""
        derived = [metric.name for metric in context.problem.metrics if metric.name in DERIVED_COSTS]
        return cls(context.problem.space, derived)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return self.names

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        costs = all_costs(self.space, arch, task)
        return {name: costs[name] for name in self.names}
