"""What is said of a metric of the user's task that nothing predicts: it does not suit such targets, or is unknown."""

from __future__ import annotations

from collections.abc import Collection

from gennas.errors import InvalidInputError
from gennas.metrics import Metric
from gennas.tasks import TARGET_KINDS, Task


def expect_suited(metric: Metric, task: Task, predicted: Collection[str]) -> None:
    """Refuses a metric that other targets than a task's are judged by.

    Args:
        metric: that is not predicted.
        task: whose networks are wanted.
        predicted: names of the metrics that are.

    Raises:
        InvalidInputError: such as accuracy of values.
    """
    if not _is_of(metric, task) or metric.kind.name in task.targets.metrics:
        return
    kinds = map(TARGET_KINDS.get, TARGET_KINDS)
    # A kind of the user's own is often a variant of one that gennas has, of the same outputs.
    outputs = dict.fromkeys(kind.outputs for kind in kinds if metric.kind.name in kind.metrics)
    if not outputs:
        return
    suited = task.targets.metrics
    known = [name for kind in suited if (name := f"{kind}@{task.name}") in predicted]
    advice = f"{known[0]} is predicted." if known else f"No values of these are known; {_instead('one of them')}"
    raise InvalidInputError(
        f"{metric.kind.name} is for {' or '.join(outputs)}; task {task.name!r} has {task.targets.outputs}, "
        f"which are judged by {', '.join(suited)}. {advice}"
    )


def expect_known(metric: Metric, task: Task) -> None:
    """Refuses a metric of the user's task; of other tasks and of devices, the names of those that are known help.

    Args:
        metric: that is not predicted, though it suits the task.
        task: whose networks are wanted.

    Raises:
        InvalidInputError: it is one of the task.
    """
    if _is_of(metric, task):
        raise InvalidInputError(f"no values of {metric.name} are known; {_instead('it')}")


def _is_of(metric: Metric, task: Task) -> bool:
    return metric.kind.scope == "task" and metric.target == task.name


def _instead(what: str) -> str:
    return f"search for {what} (gennas search), or prefer small networks: `objective` -macs_m."
