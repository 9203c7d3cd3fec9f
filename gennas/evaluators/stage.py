"""Stage: an evaluator and the task that it evaluates for, one step of the way of an arch through its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.metrics import Metric
from gennas.tasks import Task


@dataclass(frozen=True, eq=False)
class Stage:
    """An evaluator and the task that it evaluates for.

    Attributes:
        evaluator: the evaluator.
        task: that it is given.
    """

    evaluator: Evaluator
    task: Task

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it promises for every arch."""
        return self.evaluator.metrics(self.task)

    @cached_property
    def scopes(self) -> frozenset[str]:
        """What its values are of: a task, a hardware, or the arch alone."""
        return frozenset(Metric.parse(name.removeprefix("test_")).kind.scope for name in self.metrics)

    @property
    def is_common(self) -> bool:
        """Whether its values belong to no task: they are evaluated once, for all of them."""
        return "task" not in self.scopes


def stages_of(evaluators: Sequence[Evaluator | Stage], tasks: Sequence[Task]) -> tuple[Stage, ...]:
    """Evaluators with their tasks: each is given the first, and of the others those for which it promises more.

    Args:
        evaluators: in their order; what is a stage already stays as it is.
        tasks: of a problem, at least one.

    Raises:
        InvalidInputError: an evaluator that evaluates for none of the tasks.
    """
    found: list[Stage] = []
    for one in evaluators:
        if isinstance(one, Stage):
            found.append(one)
        elif len(tasks) == 1:
            found.append(Stage(one, tasks[0]))
        else:
            found += _of_each_task(one, tasks)
    return tuple(found)


def _of_each_task(evaluator: Evaluator, tasks: Sequence[Task]) -> list[Stage]:
    found: list[Stage] = []
    promised: set[str] = set()
    refusal: InvalidInputError | None = None
    for task in tasks:
        try:
            names = set(evaluator.metrics(task))
        except InvalidInputError as error:
            # A table's, which was made for the metrics of one task.
            refusal = error
            continue
        if not names <= promised:
            promised |= names
            found.append(Stage(evaluator, task))
    if not found and refusal is not None:
        raise refusal
    return found
