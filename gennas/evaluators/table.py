"""Values of a tabular benchmark, as an evaluator."""

from collections.abc import Sequence

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.metrics import Metric
from gennas.tables.base import Table
from gennas.tasks import Task


class TableEvaluator(Evaluator):
    """Looks measured values up.

    Args:
        table: holds them.
        metrics: names with their target, e.g. ``accuracy@cifar10``.

    Raises:
        InvalidInputError: no metrics.
        DataMissingError: the file that holds a metric is not on this machine.
        UnknownNameError: the table has no such metric; the nearest is suggested.
    """

    source = "table"
    is_instant = True

    def __init__(self, table: Table, metrics: Sequence[str]) -> None:
        if not metrics:
            raise InvalidInputError(f"table {table.name!r}: no metrics to look up; give some of {table.metrics()}.")
        for name in metrics:
            table.column(name)
        self.table = table
        self._metrics = tuple(metrics)

    def metrics(self, task: Task) -> tuple[str, ...]:
        """What is looked up.

        Raises:
            InvalidInputError: the accuracy of another task.
        """
        for metric in map(Metric.parse, (name.removeprefix("test_") for name in self._metrics)):
            if metric.kind.scope == "task" and metric.target != task.name:
                raise InvalidInputError(f"{metric.name} is of another task than {task.name!r}; look up that task's.")
        return self._metrics

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """The table's values.

        Raises:
            DataMissingError: the arch was not measured.
            InvalidInputError: an arch of another space, or the accuracy of another task.
        """
        return {name: self.table.lookup(arch, name) for name in self.metrics(task)}
