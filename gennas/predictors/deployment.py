"""A predictor deployed for one task, one hardware and one network skeleton."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.errors import InvalidInputError, unknown
from gennas.graph import GraphBatch
from gennas.metrics import COST_METRICS, Constraint, Metric, first_implausible
from gennas.predictors.base import Predictor, mixture
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import shape_text

#: A predicted metric in results: mean and std, or the exact value of a cost.
Predicted = dict[str, dict[str, float] | float]


class DeploymentPredictor:
    """Predicts the metrics of archs that are available for a task and a hardware.

    Accuracy on a task that the predictor was not trained on is the mean over its tasks: a prior for ranking archs,
    whose std includes the differences between tasks.

    Args:
        predictor: a trained predictor.
        config: the configuration of its checkpoint.
        space: the space, with the skeleton to deploy.
        task: the task to deploy for.
        hardware: name of the hardware to deploy on, if any.

    Attributes:
        groups: metric name -> the predictor's metrics that it is the mean of.
        has_prior_only: whether the accuracy on the task is such a prior.
        notes: sentences for the user about these predictions.
        conditions: those of the notes that concern how latencies were measured.

    Raises:
        UnknownNameError: no latency is predicted for the hardware.
    """

    def __init__(
        self, predictor: Predictor, config: dict[str, Any], space: Space, task: Task, hardware: str | None
    ) -> None:
        self.predictor, self.space, self.task, self.hardware = predictor, space, task, hardware
        self.notes: list[str] = []
        self.conditions: list[str] = []
        accuracy = f"accuracy@{task.name}"
        self.groups: dict[str, tuple[str, ...]] = {name: (name,) for name in predictor.metrics}
        tasks = predictor.targets("accuracy")
        self.has_prior_only = accuracy not in self.groups and bool(tasks)
        if self.has_prior_only:
            self.groups[accuracy] = tuple(f"accuracy@{name}" for name in tasks)
            self.notes.append(
                f"the predictor was not trained on task {task.name!r}: {accuracy} is the mean over "
                f"{', '.join(tasks)}; use it for ranking, not as an estimate."
            )
        if hardware is not None:
            devices = predictor.targets("latency_ms")
            if hardware not in devices:
                raise unknown("hardware", hardware, devices)
            self.conditions = self._conditions(config)
            self.notes += self.conditions

    def _conditions(self, config: dict[str, Any]) -> list[str]:
        notes = []
        measured_at, asked = tuple(config["latency_input_shape"]), self.task.input_shape
        # An empty shape means that the hardware's name tells the input.
        if measured_at and measured_at != asked:
            notes.append(
                f"latencies were measured on {shape_text(measured_at)} images; "
                f"networks for {self.task.name!r} take {shape_text(asked)} images."
            )
        if config["skeleton"] != self.space.skeleton:
            notes.append(
                f"the predictor was trained on networks with skeleton {_settings(config['skeleton'])}, not "
                f"{_settings(self.space.skeleton)}; use its values for ranking, not as estimates."
            )
        return notes

    def check(self, metric: Metric) -> None:
        """Checks that a metric is available.

        Raises:
            UnknownNameError: the metric is not predicted; the message lists those that are.
        """
        if not metric.is_cost and metric.name not in self.groups:
            targets = self.predictor.targets(metric.kind.name)
            if targets:
                raise unknown(metric.kind.scope, str(metric.target), targets, f"{metric.name!r} is not predicted.")
            raise unknown("predicted metric", metric.name, [*self.groups, *COST_METRICS])

    def check_constraint(self, constraint: Constraint) -> None:
        """Checks that a constraint can be predicted.

        Raises:
            UnknownNameError: its metric is not predicted.
            InvalidInputError: its metric is only a prior from other tasks.
        """
        self.check(constraint.metric)
        if self.has_prior_only and constraint.metric.name == f"accuracy@{self.task.name}":
            raise InvalidInputError(
                f"{str(constraint)!r} cannot be predicted: the predictor was not trained on task {self.task.name!r}, "
                "and the mean over other tasks ranks archs but does not estimate their accuracy. Use accuracy as the "
                "objective instead."
            )

    def parts(self, metrics: Sequence[Metric]) -> dict[str, tuple[str, ...]]:
        """Metric name -> the predictor's metrics that it is the mean of; costs are left out."""
        return {metric.name: self.groups[metric.name] for metric in metrics if not metric.is_cost}

    def reported(self, more: Sequence[Metric] = ()) -> list[str]:
        """Names of the predicted metrics to report: those of the task and the hardware, and ``more``."""
        names = [f"accuracy@{self.task.name}"]
        names += [f"latency_ms@{self.hardware}"] if self.hardware else []
        names += [metric.name for metric in more if not metric.is_cost]
        return [name for name in dict.fromkeys(names) if name in self.groups]

    @torch.inference_mode()
    def values(self, archs: Sequence[Arch], names: Sequence[str]) -> list[Predicted]:
        """For each arch, mean and std of the named metrics, and its exact costs.

        Raises:
            InvalidInputError: the predictor, or the space's costs, give a value that the metric cannot have.
        """
        if not archs:
            return []
        mean, std = self.predictor.predict(GraphBatch.from_archs(archs, self.space.template))
        columns: dict[str, tuple[Tensor, Tensor]] = {}
        for name in names:
            parts = [self.predictor.metrics.index(part) for part in self.groups[name]]
            columns[name] = mixture(mean[:, parts], std[:, parts])
        found: list[Predicted] = []
        for row, arch in enumerate(archs):
            predicted = {name: {"mean": float(m[row]), "std": float(s[row])} for name, (m, s) in columns.items()}
            costs = self.space.costs(arch, self.task)
            moments = [(f"{part} of {name}", x) for name, value in predicted.items() for part, x in value.items()]
            defect = next((f"the {what} is {x}; must be finite" for what, x in moments if not math.isfinite(x)), "")
            if defect := defect or first_implausible(costs):
                raise InvalidInputError(f"predicted for {arch.key!r}: {defect}.")
            found.append({**predicted, **costs})
        return found


def _settings(skeleton: dict[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in skeleton.items())
