"""Problem: what archs are generated, searched and compared for: a space, a task, an objective and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gennas.errors import InvalidInputError
from gennas.metrics import Constraint, Metric, Objective
from gennas.spaces import Space, get_space
from gennas.spaces.subset import Subset
from gennas.tasks import CLASSIFICATION, TargetKind, Task, get_task


@dataclass(frozen=True, init=False, repr=False)
class Problem:
    """What archs are wanted for.

    Strings are read as the command line reads them, and metrics without a target get that of the problem:
    ``Problem("nasbench201", "photos/", "accuracy", ["latency_ms <= 5"], "pixel3")``.

    Args:
        space: of the archs; a name of :data:`gennas.spaces.SPACES`, or ``"path/to/file.py:Class"``.
        task: what the networks are for; a name, or the path of a folder of images.
        objective: ``m`` metrics, e.g. ``"accuracy, -latency_ms@pixel3"``; by default the score of the task's kind of
            targets, accuracy of classes.
        where: bounds, e.g. ``"params_m <= 0.8"``.
        hardware: the deployment target, which ``latency_ms`` and ``energy_mj`` without a target stand for.
        skeleton: settings of the network around the searched part, for a space given by name.
        image_size: side in pixels to which images are resized, for a task given by name.
        nested: whether images in subfolders of class folders are read, for the path of a folder of images.
        targets: what a label file holds, e.g. ``regression``, for the path of one; see :func:`gennas.get_task`.
        among: the only archs that may be proposed, e.g. those of a table (:meth:`gennas.tables.Table.within`); None for
            all of the space.

    Raises:
        UnknownNameError: a space, a task or a metric that does not exist; the nearest is suggested.
        InvalidInputError: an objective or a bound that cannot be read, or whose metric lacks a target.
    """

    space: Space
    task: Task
    objective: Objective
    where: tuple[Constraint, ...]
    hardware: str | None
    among: Subset | None

    def __init__(
        self,
        space: Space | str,
        task: Task | str,
        objective: Objective | str | None = None,
        where: str | Constraint | Sequence[Constraint | str] = (),
        hardware: str | None = None,
        *,
        skeleton: str = "",
        image_size: int | None = None,
        nested: bool = False,
        targets: TargetKind | str = CLASSIFICATION,
        among: Subset | None = None,
    ) -> None:
        if skeleton and not isinstance(space, str):
            raise InvalidInputError(
                f"is {skeleton!r}, but space is an object; give the space by its name.", argument="skeleton"
            )
        if image_size is not None and not isinstance(task, str):
            raise InvalidInputError(
                f"is {image_size}, but task is an object; give the task by its name.", argument="image_size"
            )
        if nested and not isinstance(task, str):
            raise InvalidInputError("is given, but task is an object; give the task by its path.", argument="nested")
        if targets != CLASSIFICATION and not isinstance(task, str):
            raise InvalidInputError("is given, but task is an object; give the task by its path.", argument="targets")
        the_task = (
            get_task(task, image_size=image_size, nested=nested, targets=targets) if isinstance(task, str) else task
        )
        objective = the_task.targets.score if objective is None else objective
        bounds = [where] if isinstance(where, str | Constraint) else where
        wanted = (Objective.parse(objective) if isinstance(objective, str) else objective).at(the_task.name, hardware)
        # A metric has one direction, whatever names it.
        metrics = {metric.name: metric for metric in wanted.metrics}
        bounded = [
            (Constraint.parse(bound) if isinstance(bound, str) else bound).at(the_task.name, hardware)
            for bound in bounds
        ]
        values = {
            "space": get_space(space, skeleton) if isinstance(space, str) else space,
            "task": the_task,
            "objective": wanted,
            "where": tuple(replace(one, metric=metrics.get(one.metric.name, one.metric)) for one in bounded),
            "hardware": hardware,
            "among": among,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        facts = [repr(self.space.name), repr(self.task.name), repr(str(self.objective))]
        facts += [f"where={[str(bound) for bound in self.where]}"] if self.where else []
        facts += [f"hardware={self.hardware!r}"] if self.hardware else []
        facts += [f"among={self.among!r}"] if self.among is not None else []
        return f"Problem({', '.join(facts)})"

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The objective's metrics, then those that are only bounded: ``M`` columns wherever values have some."""
        bounded = (constraint.metric for constraint in self.where)
        return tuple(dict.fromkeys((*self.objective.metrics, *bounded)))

    @cached_property
    def bounds_on_costs(self) -> tuple[Constraint, ...]:
        """Those of :attr:`where` that are known to hold or not before any evaluation."""
        return tuple(constraint for constraint in self.where if constraint.metric.is_cost)

    def within(self, where: Sequence[Constraint]) -> Problem:
        """The same problem with other bounds."""
        return Problem(self.space, self.task, self.objective, where, self.hardware, among=self.among)

    def metric(self, name: str) -> Metric:
        """The metric of that name, as a user writes it: with its target, or without where the problem has one.

        Raises:
            UnknownNameError: no such metric.
            InvalidInputError: it needs a target, and the problem has none.
        """
        return Metric.parse(name).at(self.task.name, self.hardware)

    def gains(self, values: np.ndarray) -> np.ndarray:
        """``(N, m)`` the objective, larger is better, of values ``(N, M)``."""
        signs = [metric.kind.sign for metric in self.objective.metrics]
        return values[:, : len(signs)] * np.array(signs)

    def feasible(self, values: np.ndarray) -> np.ndarray:
        """``(N,)`` whether every bound is known to hold, for values ``(N, M)``."""
        is_feasible = np.ones(len(values), dtype=bool)
        for constraint in self.where:
            column = values[:, self.metrics.index(constraint.metric)]
            is_feasible &= column <= constraint.bound if constraint.relation == "<=" else column >= constraint.bound
        return is_feasible

    def broken(self, values: np.ndarray) -> np.ndarray:
        """``(N,)`` whether some bound is known not to hold, for values ``(N, M)``; NaN breaks none."""
        is_broken = np.zeros(len(values), dtype=bool)
        for constraint in self.where:
            column = values[:, self.metrics.index(constraint.metric)]
            is_broken |= column > constraint.bound if constraint.relation == "<=" else column < constraint.bound
        return is_broken
