"""Int8Evaluator: the accuracy of trained networks once they are quantised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch

from gennas.arch import Arch
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.train import TrainEvaluator
from gennas.export.block_precision import float_layers
from gennas.export.quantisation import quantise_for
from gennas.metrics import Metric
from gennas.tasks import Task
from gennas.training.batches import Normalisation
from gennas.training.network_files import MODEL


class Int8Evaluator(Evaluator):
    """Trains networks and quantises them: ``accuracy_int8@<task>``, beside what the training gives; or the score of
    another kind of targets, as ``r2_int8@<task>``.

    A network is trained once for both: this evaluator takes the place of the one that trains. Layers are left in float
    as :func:`gennas.export.mixed_precision.quantise` does by default, and where blocks choose it
    (:func:`gennas.export.block_precision.float_layers`). The accuracy of a network that collapses even so
    is that of the best attempt, not that of the float network.

    Args:
        trainer: trains the networks.
    """

    source = "trained"

    def __init__(self, trainer: TrainEvaluator) -> None:
        self.trainer = trainer

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """The accuracy in INT8, where it is asked for; see :meth:`TrainEvaluator.make`."""
        task = context.problem.task
        if all(metric.name != _int8(task) for metric in wanted):
            return None
        trainer = TrainEvaluator.make(context, [*wanted, Metric.parse(f"{task.targets.score}@{task.name}")])
        return None if trainer is None else cls(trainer)

    def expect_usable(self, task: Task) -> None:
        self.trainer.expect_usable(task)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (*self.trainer.metrics(task), _int8(task))

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """What the trainer gives, and ``accuracy_int8@<task>`` on the validation images.

        Raises:
            InvalidInputError: training diverged.
            DataMissingError: the task has no images.
        """
        values = self.trainer.evaluate(arch, task=task, seed=seed, fidelity=fidelity)
        document, task = (self.network_folder(arch) / MODEL).read_bytes(), self.trainer.space.native_task(arch, task)
        exclude, normalise = self._float_layers(arch, task, document), Normalisation.of(self.trainer.space, task)
        found = quantise_for(task, document, exclude=exclude, normalise=normalise)
        collapsed = None if found.is_int8 else found.best_attempt
        return {**values, _int8(task): found.accuracy if collapsed is None else collapsed}

    def _float_layers(self, arch: Arch, task: Task, document: bytes) -> tuple[str, ...]:
        """Layers of blocks that chose float."""
        with torch.random.fork_rng(devices=[]):
            return float_layers(self.trainer.space.build(arch, task), document)

    def network_folder(self, arch: Arch) -> Path:
        return self.trainer.network_folder(arch)

    def is_kept(self, arch: Arch) -> bool:
        return self.trainer.is_kept(arch)

    def stored(self, arch: Arch) -> None:
        self.trainer.stored(arch)

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        return self.trainer.conditions(seed, fidelity)

    def conditions_of(self, arch: Arch, seed: int, fidelity: int | None) -> EvaluationSettings:
        return self.trainer.conditions_of(arch, seed, fidelity)


def _int8(task: Task) -> str:
    """The metric: the score in INT8."""
    return f"{task.targets.score}_int8@{task.name}"
