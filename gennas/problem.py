"""Problem: what is searched, generated for or compared: a space, a task, an objective and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gennas.metrics import Constraint, Metric, Objective
from gennas.spaces import Space
from gennas.tasks import Task


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Attributes:
        space: of the archs.
        task: what the networks are for.
        objective: ``m`` metrics with their targets.
        where: bounds, with their targets.
    """

    space: Space
    task: Task
    objective: Objective
    where: tuple[Constraint, ...] = ()

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The objective's metrics, then those that are only bounded: the ``M`` columns of :attr:`History.values`."""
        bounded = (constraint.metric for constraint in self.where)
        return tuple(dict.fromkeys((*self.objective.metrics, *bounded)))

    @cached_property
    def bounds_on_costs(self) -> tuple[Constraint, ...]:
        """Those of :attr:`where` that are known to hold or not before any evaluation."""
        return tuple(constraint for constraint in self.where if constraint.metric.is_cost)

    def gains(self, values: np.ndarray) -> np.ndarray:
        """``(N, m)`` the objective, larger is better, of values ``(N, M)``."""
        signs = [metric.kind.sign for metric in self.objective.metrics]
        return values[:, : len(signs)] * np.array(signs)

    def feasible(self, values: np.ndarray) -> np.ndarray:
        """``(N,)`` whether every bound is known to hold, for values ``(N, M)``."""
        fits = np.ones(len(values), dtype=bool)
        for constraint in self.where:
            column = values[:, self.metrics.index(constraint.metric)]
            fits &= column <= constraint.bound if constraint.relation == "<=" else column >= constraint.bound
        return fits
