"""TableEvaluator: values of a tabular benchmark."""

from collections.abc import Mapping, Sequence
from typing import Self

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.metrics import Metric
from gennas.tables.base import Table
from gennas.tasks import Task


class TableEvaluator(Evaluator):
    """Looks up the values of a table.

    Args:
        table: the table.
        metrics: names of metrics with their targets, e.g. ``accuracy@cifar10``.

    Raises:
        InvalidInputError: no metrics were given.
        DataMissingError: the file that holds a metric is not on this machine.
        UnknownNameError: the table has no such metric; the message suggests the nearest one.
    """

    source = "table"
    is_instant = True

    def __init__(self, table: Table, metrics: Sequence[str]) -> None:
        if not metrics:
            available = ", ".join(table.metrics())
            raise InvalidInputError(f"table {table.name!r}: no metrics to look up; choose from {available}.")
        for name in metrics:
            table.column(name)
        self.table = table
        self._metrics = tuple(metrics)

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """What the table has, or would have, were more files on this machine; its test values are reported too.

        Raises:
            DataMissingError: the table would have a metric, but its file is not on this machine.
        """
        table = context.table
        names = [metric.name for metric in wanted if table and metric.name in (*table.metrics(), *table.missing)]
        if table is None or not names:
            return None
        tests = [f"test_{name}" for name in names if f"test_{name}" in table.metrics()]
        return cls(table, [*names, *tests])

    def metrics(self, task: Task) -> tuple[str, ...]:
        """Names of the metrics.

        Raises:
            InvalidInputError: a metric is the accuracy on another task.
        """
        for metric in map(Metric.parse, (name.removeprefix("test_") for name in self._metrics)):
            if metric.kind.scope == "task" and metric.target != task.name:
                raise InvalidInputError(
                    f"{metric.name} is the accuracy on another task; expected metrics for task {task.name!r}."
                )
        return self._metrics

    def noise(self) -> Mapping[str, float]:
        return {name: std for name, std in self.table.noise.items() if name in self._metrics}

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """The values of the table.

        Raises:
            DataMissingError: the table has no value for the arch.
            InvalidInputError: the arch belongs to another space, or a metric is the accuracy on another task.
        """
        return {name: self.table.lookup(arch, name) for name in self.metrics(task)}
