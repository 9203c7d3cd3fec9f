"""Problem: what archs are generated, searched and compared for: a space, a task or several, an objective, bounds."""

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

    With several tasks, ``Problem("nasbench201", ["cifar10", "digits"])``, archs are wanted that are good for each of
    them (Wu et al., "FBNetV5: Neural Architecture Search for Multiple Tasks in One Run", 2021, arXiv 2111.10007), and a
    metric of tasks without a target stands for that of every task. What depends on the arch or the hardware is that of
    the networks for the first task.

    Args:
        space: of the archs; a name of :data:`gennas.spaces.SPACES`, or ``"path/to/file.py:Class"``.
        task: what the networks are for; a name, or the path of a folder of images; or several of these.
        objective: ``m`` metrics, e.g. ``"accuracy, -latency_ms@pixel3"``; by default the score of the task's kind of
            targets, accuracy of classes; of several tasks that of each.
        where: bounds, e.g. ``"params_m <= 0.8"``.
        hardware: the deployment target, which ``latency_ms`` and ``energy_mj`` without a target stand for.
        others: tasks beside the one or the ones of ``task``.
        skeleton: settings of the network around the searched part, for a space given by name.
        image_size: side in pixels to which images are resized, for tasks given by name.
        nested: whether images in subfolders of class folders are read, for the path of a folder of images.
        targets: what a label file holds, e.g. ``regression``, for the path of one; see :func:`gennas.get_task`.
        among: the only archs that may be proposed, e.g. those of a table (:meth:`gennas.tables.Table.within`); None for
            all of the space.

    Attributes:
        task: the first one.
        others: the tasks after it; none for most problems.

    Raises:
        UnknownNameError: a space, a task or a metric that does not exist; the nearest is suggested.
        InvalidInputError: an objective or a bound that cannot be read, or whose metric lacks a target; or no task, or
            two of one name.
    """

    space: Space
    task: Task
    objective: Objective
    where: tuple[Constraint, ...]
    hardware: str | None
    among: Subset | None
    others: tuple[Task, ...]

    def __init__(
        self,
        space: Space | str,
        task: Task | str | Sequence[Task | str],
        objective: Objective | str | None = None,
        where: str | Constraint | Sequence[Constraint | str] = (),
        hardware: str | None = None,
        *,
        skeleton: str = "",
        image_size: int | None = None,
        nested: bool = False,
        targets: TargetKind | str = CLASSIFICATION,
        among: Subset | None = None,
        others: Sequence[Task | str] = (),
    ) -> None:
        if skeleton and not isinstance(space, str):
            raise InvalidInputError(
                f"is {skeleton!r}, but space is an object; give the space by its name.", argument="skeleton"
            )
        given = [*([task] if isinstance(task, Task | str) else task), *others]
        _expect_names(given, image_size, nested, targets)
        tasks = tuple(
            get_task(one, image_size=image_size, nested=nested, targets=targets) if isinstance(one, str) else one
            for one in given
        )
        _expect_different(tasks)
        if objective is None:
            scores = (Objective.parse(one.targets.score).at(one.name, hardware) for one in tasks)
            objective = Objective(tuple(metric for score in scores for metric in score.metrics))
        bounds = [where] if isinstance(where, str | Constraint) else where
        parsed = Objective.parse(objective) if isinstance(objective, str) else objective
        wanted = Objective(tuple(one for metric in parsed.metrics for one in _placed(metric, tasks, hardware)))
        # A metric has one direction, whatever names it.
        metrics = {metric.name: metric for metric in wanted.metrics}
        read = [Constraint.parse(bound) if isinstance(bound, str) else bound for bound in bounds]
        bounded = [replace(bound, metric=one) for bound in read for one in _placed(bound.metric, tasks, hardware)]
        values = {
            "space": get_space(space, skeleton) if isinstance(space, str) else space,
            "task": tasks[0],
            "objective": wanted,
            "where": tuple(replace(one, metric=metrics.get(one.metric.name, one.metric)) for one in bounded),
            "hardware": hardware,
            "among": among,
            "others": tasks[1:],
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        names = [task.name for task in self.tasks]
        facts = [repr(self.space.name), repr(names if self.others else names[0]), repr(str(self.objective))]
        facts += [f"where={[str(bound) for bound in self.where]}"] if self.where else []
        facts += [f"hardware={self.hardware!r}"] if self.hardware else []
        facts += [f"among={self.among!r}"] if self.among is not None else []
        return f"Problem({', '.join(facts)})"

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """What the networks are for: mostly one task."""
        return (self.task, *self.others)

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
        return replace(self, where=tuple(where))

    def for_task(self, task: Task) -> Problem:
        """What is wanted for one of the tasks: its own metrics, and those that are of no task."""
        where = tuple(one for one in self.where if one.metric.kind.scope != "task" or one.metric.target == task.name)
        return replace(self, task=task, others=(), objective=self.objective.of_task(task.name), where=where)

    def metric(self, name: str) -> Metric:
        """The metric of that name, as a user writes it: with its target, or without where the problem has one.

        Raises:
            UnknownNameError: no such metric.
            InvalidInputError: it needs a target, and the problem has none, or several.
        """
        metric = Metric.parse(name)
        if self.others and metric.kind.scope == "task" and metric.target is None:
            names = ", ".join(f"{metric.name}@{task.name}" for task in self.tasks)
            raise InvalidInputError(f"{metric.name!r} may be that of several tasks; write one of {names}.")
        return metric.at(self.task.name, self.hardware)

    def expect_one_task(self, asker: str) -> None:
        """For callers that work for a single task.

        Args:
            asker: the subject of the error message, e.g. ``"a generation"``.

        Raises:
            InvalidInputError: there are several.
        """
        if self.others:
            names = ", ".join(task.name for task in self.tasks)
            raise InvalidInputError(f"names {names}; {asker} is for one task. Give one of them.", argument="task")

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


def _placed(metric: Metric, tasks: Sequence[Task], hardware: str | None) -> tuple[Metric, ...]:
    """A metric with its target; one of tasks that has none is one for each of them."""
    return tuple(dict.fromkeys(metric.at(task.name, hardware) for task in tasks))


def _expect_names(given: Sequence[Task | str], image_size: int | None, nested: bool, targets: TargetKind | str) -> None:
    """Refuses settings of tasks where none is made here."""
    if not given:
        raise InvalidInputError("names no task; expected at least one, e.g. digits.", argument="task")
    if any(isinstance(one, str) for one in given):
        return
    if image_size is not None:
        raise InvalidInputError(
            f"is {image_size}, but task is an object; give the task by its name.", argument="image_size"
        )
    if nested:
        raise InvalidInputError("is given, but task is an object; give the task by its path.", argument="nested")
    if targets != CLASSIFICATION:
        raise InvalidInputError("is given, but task is an object; give the task by its path.", argument="targets")


def _expect_different(tasks: Sequence[Task]) -> None:
    names = [task.name for task in tasks]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InvalidInputError(
            f"names {repeated[0]!r} twice; metrics tell tasks apart by their names, so give tasks of different names.",
            argument="task",
        )
