"""PredictedEvaluator: latency and energy predicted for hardware that is not available here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Self

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.graph import GraphBatch
from gennas.hardware import store
from gennas.hardware.target import HardwareTarget
from gennas.metrics import Metric
from gennas.predictors.deployment import deploy
from gennas.spaces import Space, registered_space
from gennas.spaces.network_part import network_of, network_space
from gennas.tasks import Task


def predictable(checkpoint: Checkpoint, space: Space) -> tuple[str, ...]:
    """Names of the latency and energy metrics that a predictor predicts, including those of the user's own hardware.

    Args:
        checkpoint: with a predictor.
        space: space of the archs; a predictor of another space predicts nothing.

    Raises:
        DataMissingError: the checkpoint has no predictor, or its configuration cannot be read.
    """
    config = checkpoint.config("predictor")
    space = network_space(space)
    if registered_space(config["space"]).name != space.name:
        return ()
    own = (f"latency_ms@{name}" for name in store.names(space.name))
    names = dict.fromkeys((*config["metrics"], *own))
    return tuple(name for name in names if Metric.parse(name).kind.scope == "hardware")


def is_elsewhere(metric: Metric) -> bool:
    """Whether a metric belongs to hardware that is not this machine."""
    return metric.kind.scope == "hardware" and HardwareTarget.parse(str(metric.target)) is None


def predicted_elsewhere(context: EvaluatorContext) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """The checkpoint, and which of its predictions stand in for what neither this machine nor the table gives.

    ``cpu``, and every other name of :class:`gennas.hardware.target.HardwareTarget`, is this machine, or the table's:
    what a predictor knows by such a name is another one.
    """
    space, table = context.problem.space, context.table
    known = () if table is None else (*table.metrics(), *table.missing)
    source = context.checkpoint or Checkpoint.for_space(space, "predictor")
    if source is None or "predictor" not in source.parts:
        return None, ()
    return source, tuple(
        name for name in predictable(source, space) if name not in known and is_elsewhere(Metric.parse(name))
    )


class PredictedEvaluator(Evaluator):
    """Evaluates ``latency_ms`` (ms) and ``energy_mj`` (mJ) as the predicted means of a checkpoint's predictor; where a
    latency is scaled to other networks, as the median.

    Args:
        checkpoint: with a predictor.
        space: space of the archs, with its skeleton settings.
        task: the task of the networks.
        metrics: metrics with their targets, among those that :func:`predictable` lists.

    Attributes:
        basis: hashes of everything the values depend on: ``predictor``, and ``measurements`` of the user's hardware.
        notes: sentences for the user about the values.

    Raises:
        UnknownNameError: a metric is not predicted; the message lists those that are.
        DataMissingError: the checkpoint has no predictor, or a file of it or of stored hardware is damaged.
        InvalidInputError: the predictor does not support few-shot adaptation.
    """

    source = "predicted"
    is_instant = True

    def __init__(self, checkpoint: Checkpoint, space: Space, task: Task, metrics: Sequence[Metric]) -> None:
        self._given, space = space, network_space(space)
        trained, config = checkpoint.predictor, checkpoint.config("predictor")
        targets = list(dict.fromkeys(str(metric.target) for metric in metrics if metric.kind.name == "latency_ms"))
        hardware = targets[0] if targets else None
        deployment, adaptation_notes = deploy(trained, config, space, task, hardware, targets=targets)
        self._deployment = deployment
        for metric in metrics:
            deployment.check(metric)
        self._space = space
        self._metrics = tuple(metric.name for metric in metrics)
        own = [target for target in targets if target not in trained.targets("latency_ms")]
        self.basis = {
            "predictor": checkpoint.fingerprint("predictor"),
            "measurements": {target: _hash_of_measurements(space.name, target) for target in own},
        }
        # What was scaled is no longer what the weights alone say; other studies keep the conditions that they had.
        self.basis |= {"scaled": deployment.conditions} if deployment.conditions else {}
        what = "median" if deployment.conditions else "mean"
        note = f"{', '.join(self._metrics)}: predicted, not measured; bounds apply to the predicted {what}."
        self.notes = (note, *adaptation_notes, *deployment.conditions.values())

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """Latency and energy on hardware that is neither this machine's nor the table's."""
        away = [metric for metric in wanted if is_elsewhere(metric)]
        source, names = predicted_elsewhere(context) if away else (None, ())
        asked = [metric for metric in away if metric.name in names]
        if not source or not asked:
            return None
        return cls(source, context.problem.space, context.problem.task, asked)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return self._metrics

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        _, own = network_of(self._given, arch)
        predictor, graph = self._deployment.predictor, GraphBatch.from_archs([own], self._space.template)
        mean, _ = predictor.predict(graph)
        values = {name: float(mean[0, predictor.metrics.index(name)]) for name in self._metrics}
        scaled = [name for name in self._metrics if name in self._deployment.conditions]
        return values | {name: float(self._deployment.interval(graph, name)[0, 0]) for name in scaled}

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        """The hash of :attr:`basis`, in place of that of a recipe."""
        return EvaluationSettings(recipe=_hash(json.dumps(self.basis, sort_keys=True).encode()))


def _hash_of_measurements(space: str, name: str) -> str:
    measured = store.load(space, name).measurements
    return _hash(json.dumps([[one.key, one.latency_ms] for one in measured]).encode())


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()[:12]
