"""A predictor put to use at a target: for one task, one hardware and one network skeleton."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.errors import InvalidInputError, unknown
from gennas.graph import GraphBatch
from gennas.metrics import COST_METRICS, Constraint, Metric
from gennas.predictors.base import Predictor, mixture
from gennas.spaces import Space
from gennas.tasks import Task

#: What a predicted metric looks like in results: mean and std, or the exact value of a cost.
Predicted = dict[str, dict[str, float] | float]


class DeploymentPredictor:
    """Which metrics can be told for a task and a hardware, and the values of archs.

    Accuracy on a task that the predictor has not seen is the mean over the tasks it knows: a prior on which archs
    are good, with a std that includes how much the tasks differ.

    Args:
        predictor: a trained predictor.
        config: its checkpoint's configuration.
        space: the space with the skeleton that is asked about.
        task: what the networks are for.
        hardware: the deployment target, if any.

    Attributes:
        has_prior_only: whether the accuracy of the task is such a prior.
        notes: what the user should know about these predictions, in sentences.
        conditions: of these, the ones on how the latencies were measured.

    Raises:
        UnknownNameError: nothing is predicted for the hardware.
    """

    def __init__(
        self, predictor: Predictor, config: dict[str, Any], space: Space, task: Task, hardware: str | None
    ) -> None:
        self.predictor, self.space, self.task, self.hardware = predictor, space, task, hardware
        self.notes: list[str] = []
        self.conditions: list[str] = []
        accuracy = f"accuracy@{task.name}"
        self.groups: dict[str, tuple[str, ...]] = {name: (name,) for name in predictor.metrics}
        known_tasks = predictor.targets("accuracy")
        self.has_prior_only = accuracy not in self.groups and bool(known_tasks)
        if self.has_prior_only:
            self.groups[accuracy] = tuple(f"accuracy@{name}" for name in known_tasks)
            self.notes.append(
                f"no predictor knows task {task.name!r}: {accuracy} is the mean over {', '.join(known_tasks)}, "
                "a prior that ranks archs but does not foretell the value."
            )
        if hardware is not None:
            known_hardware = predictor.targets("latency_ms")
            if hardware not in known_hardware:
                raise unknown("hardware", hardware, known_hardware)
            self.conditions = self._conditions(config)
            self.notes += self.conditions

    def _conditions(self, config: dict[str, Any]) -> list[str]:
        notes = []
        measured_at, asked = tuple(config["latency_input_shape"]), self.task.input_shape
        # Where nothing is said, the hardware's name tells what was measured.
        if measured_at and measured_at != asked:
            notes.append(
                f"latencies were measured on images of {_times(measured_at)}; "
                f"the networks for {self.task.name!r} see {_times(asked)}."
            )
        if config["skeleton"] != self.space.skeleton:
            notes.append(
                f"the predictor learnt networks with skeleton {_settings(config['skeleton'])}, "
                f"asked are {_settings(self.space.skeleton)}: read its values as a ranking."
            )
        return notes

    def check(self, metric: Metric) -> None:
        """Makes sure that a metric can be told.

        Raises:
            UnknownNameError: there is no predictor for it; the metrics that have one are listed.
        """
        if not metric.is_cost and metric.name not in self.groups:
            targets = self.predictor.targets(metric.kind.name)
            if targets:
                raise unknown(metric.kind.scope, str(metric.target), targets, f"No predictor for {metric.name!r}.")
            raise unknown("predicted metric", metric.name, [*self.groups, *COST_METRICS])

    def check_constraint(self, constraint: Constraint) -> None:
        """Makes sure that a bound can be checked.

        Raises:
            UnknownNameError: there is no predictor for its metric.
            InvalidInputError: its metric has only a prior from other tasks.
        """
        self.check(constraint.metric)
        if self.has_prior_only and constraint.metric.name == f"accuracy@{self.task.name}":
            raise InvalidInputError(
                f"{str(constraint)!r} has no predictor: no accuracy of task {self.task.name!r} is known, only a prior "
                "from other tasks, which ranks archs but cannot tell whether a bound holds. Use it as an objective."
            )

    def parts(self, metrics: Sequence[Metric]) -> dict[str, tuple[str, ...]]:
        """For some metrics the predictor's own that each is the mean of; costs among them are left out."""
        return {metric.name: self.groups[metric.name] for metric in metrics if not metric.is_cost}

    def reported(self, more: Sequence[Metric] = ()) -> list[str]:
        """The predicted metrics that results show: those of the task and the hardware, and ``more``."""
        names = [f"accuracy@{self.task.name}"]
        names += [f"latency_ms@{self.hardware}"] if self.hardware else []
        names += [metric.name for metric in more if not metric.is_cost]
        return [name for name in dict.fromkeys(names) if name in self.groups]

    @torch.inference_mode()
    def values(self, archs: Sequence[Arch], names: Sequence[str]) -> list[Predicted]:
        """Mean and std of the named predicted metrics of every arch, and its exact costs."""
        if not archs:
            return []
        mean, std = self.predictor.predict(GraphBatch.from_archs(archs, self.space.template))
        columns: dict[str, tuple[Tensor, Tensor]] = {}
        for name in names:
            parts = [self.predictor.metrics.index(part) for part in self.groups[name]]
            columns[name] = mixture(mean[:, parts], std[:, parts])
        return [
            {
                **{name: {"mean": float(m[row]), "std": float(s[row])} for name, (m, s) in columns.items()},
                **self.space.costs(arch, self.task),
            }
            for row, arch in enumerate(archs)
        ]


def _times(shape: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape)


def _settings(skeleton: dict[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in skeleton.items())
