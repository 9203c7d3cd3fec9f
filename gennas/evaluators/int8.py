"""Int8Evaluator: the accuracy of trained networks once they are quantised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch

from gennas.arch import Arch
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.train import TrainEvaluator
from gennas.export.mixed_precision import Quantised, quantise
from gennas.export.running import OnnxModel
from gennas.metrics import Metric
from gennas.tasks import Split, Task
from gennas.training.batches import Normalisation

#: Training images whose activations give the ranges; more hardly change them.
CALIBRATION_IMAGES = 256
#: Images that are normalised at a time.
_BATCH = 256


def calibration_images(task: Task, seed: int = 0) -> np.ndarray:
    """``(n, c, h, w)`` float32 training images as networks take them, the same for all networks of a task."""
    train = task.splits().train
    chosen = np.random.default_rng(seed).permutation(len(train))[:CALIBRATION_IMAGES]
    return _normalised(train.images[np.sort(chosen)], Normalisation(train))


def accuracy_of(task: Task, split: Split) -> Callable[[bytes], float]:
    """A function that gives the fraction of a split's images that an ONNX model classifies correctly."""
    normalise = Normalisation(task.splits().train)

    def accuracy(document: bytes) -> float:
        model, correct = OnnxModel(document), 0
        for start in range(0, len(split), _BATCH):
            rows = slice(start, start + _BATCH)
            predicted = model.logits(_normalised(split.images[rows], normalise)).argmax(axis=1)
            correct += int((predicted == split.labels[rows]).sum())
        return correct / len(split)

    return accuracy


def quantise_for(task: Task, document: bytes, *, max_drop: float = 0.01, exclude: Sequence[str] = ()) -> Quantised:
    """:func:`gennas.export.mixed_precision.quantise` with a task's images: training images calibrate, and validation
    images decide. Test images take no part.

    Raises:
        DataMissingError: the task has no images.
        InvalidInputError: ``max_drop`` is not in [0, 1).
    """
    accuracy = accuracy_of(task, task.splits().val)
    return quantise(document, calibration_images(task), accuracy, max_drop=max_drop, exclude=exclude)


class Int8Evaluator(Evaluator):
    """Trains networks and quantises them: ``accuracy_int8@<task>``, beside what the training gives.

    A network is trained once for both: this evaluator takes the place of the one that trains. Layers are left in float
    as :func:`gennas.export.mixed_precision.quantise` does by default. The accuracy of a network that collapses even so
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
        name = context.problem.task.name
        if all(metric.name != f"accuracy_int8@{name}" for metric in wanted):
            return None
        trainer = TrainEvaluator.make(context, [*wanted, Metric.parse(f"accuracy@{name}")])
        return None if trainer is None else cls(trainer)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (*self.trainer.metrics(task), f"accuracy_int8@{task.name}")

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """What the trainer gives, and ``accuracy_int8@<task>`` on the validation images.

        Raises:
            InvalidInputError: training diverged.
            DataMissingError: the task has no images.
        """
        values = self.trainer.evaluate(arch, task=task, seed=seed, fidelity=fidelity)
        found = quantise_for(task, (self.network_folder(arch) / "network.onnx").read_bytes())
        best = found.accuracy
        if not found.is_int8:
            best = max((attempt.accuracy for attempt in found.attempts), default=found.float_accuracy)
        return {**values, f"accuracy_int8@{task.name}": best}

    def network_folder(self, arch: Arch) -> Path:
        return self.trainer.network_folder(arch)

    def is_kept(self, arch: Arch) -> bool:
        return self.trainer.is_kept(arch)

    def stored(self, arch: Arch) -> None:
        self.trainer.stored(arch)

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        return self.trainer.conditions(seed, fidelity)


def _normalised(images: np.ndarray, normalise: Normalisation) -> np.ndarray:
    return np.ascontiguousarray(normalise(torch.from_numpy(images)).numpy())
