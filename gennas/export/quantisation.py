"""Quantising a trained network with the images of its task; and INT8 as a form of an exported network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gennas.export.block_precision import float_layers
from gennas.export.mixed_precision import Quantised, quantise
from gennas.export.precisions import Comparison, compare
from gennas.export.running import OnnxModel
from gennas.export.trained import KeptNetwork
from gennas.files import write_bytes
from gennas.machine import machine_name
from gennas.tasks import Split, Task
from gennas.training.batches import Normalisation

#: File of an exported network in INT8.
INT8_MODEL = "network_int8.onnx"
#: Training images whose activations give the ranges; a few hundred are enough (Nagel et al., "A White Paper on Neural
#: Network Quantization", 2021, section 3).
CALIBRATION_IMAGES = 256
#: Images that are normalised at a time.
_BATCH = 256


def calibration_images(task: Task, seed: int = 0, normalise: Normalisation | None = None) -> np.ndarray:
    """``(n, c, h, w)`` float32 training images as networks take them, the same for all networks of a task.

    Args:
        task: has the images.
        seed: chooses them.
        normalise: of the task, where it is known already.
    """
    train = task.splits().train
    chosen = np.random.default_rng(seed).permutation(len(train))[:CALIBRATION_IMAGES]
    return _normalised(train.images[np.sort(chosen)], normalise or Normalisation(train))


def score_of(task: Task, split: Split, normalise: Normalisation | None = None) -> Callable[[bytes], float]:
    """A function that gives the accuracy of an ONNX model on a split's images; or the score of another kind of targets.

    Args:
        task: of the split.
        split: the images.
        normalise: of the task, where it is known already.
    """
    train = task.splits().train
    normalise, targets = normalise or Normalisation(train), task.targets.fitted(train.labels)

    def score(document: bytes) -> float:
        model, outputs = OnnxModel(document), []
        for start in range(0, len(split), _BATCH):
            outputs.append(model.logits(_normalised(split.images[start : start + _BATCH], normalise)))
        return targets.measured(split.labels, targets.read(np.concatenate(outputs)))[targets.score]

    return score


def quantise_for(
    task: Task,
    document: bytes,
    *,
    max_drop: float = 0.01,
    exclude: Sequence[str] = (),
    normalise: Normalisation | None = None,
) -> Quantised:
    """:func:`gennas.export.mixed_precision.quantise` with a task's images: training images calibrate, and validation
    images decide. Test images take no part.

    Args:
        task: has the images.
        document: the ONNX model.
        max_drop: as of :func:`~gennas.export.mixed_precision.quantise`.
        exclude: likewise.
        normalise: that the network was trained with; by default, that of the training images.

    Raises:
        DataMissingError: the task has no images.
        InvalidInputError: ``max_drop`` is not in [0, 1).
    """
    splits = task.splits()
    # Its mean and std are of all training images.
    normalise = normalise or Normalisation(splits.train)
    images, score = calibration_images(task, normalise=normalise), score_of(task, splits.val, normalise)
    found = quantise(document, images, score, max_drop=max_drop, exclude=exclude)
    return replace(found, score=task.targets.score)


class Int8Form:
    """INT8 as a form of exported networks: writes ``network_int8.onnx``, unless no INT8 network keeps the accuracy.

    Args:
        max_drop: accuracy on the validation images that may be lost, a fraction; or score of another kind of targets.

    Attributes:
        compared: accuracies and latencies of the network that was exported last, in both precisions.
    """

    def __init__(self, max_drop: float = 0.01) -> None:
        self.max_drop = max_drop
        self.compared: Comparison | None = None

    def __call__(self, trained: KeptNetwork, document: bytes, folder: Path) -> str:
        """Quantises and measures; the sentences for the card.

        Args:
            trained: the network.
            document: its ONNX model.
            folder: of the export.
        """
        exclude = float_layers(trained.network, document)
        normalise = Normalisation.fixed(trained.preprocessing.mean, trained.preprocessing.std)
        found = quantise_for(trained.task, document, max_drop=self.max_drop, exclude=exclude, normalise=normalise)
        compared = self.compared = compare(document, found)
        if not found.is_int8:
            best = found.float_accuracy if found.best_attempt is None else found.best_attempt
            return (
                f"There is no INT8 network: in {len(found.attempts)} attempts the best one had {found.score_words} "
                f"{best:.4f} on validation images, and {found.float_accuracy:.4f} less {self.max_drop:g} was required. "
                "Recommended: float32."
            )
        write_bytes(folder / INT8_MODEL, found.document)
        kept = ", ".join(f"`{name}`" for name in found.excluded) or "none"
        return (
            f"`{INT8_MODEL}` computes in INT8, and takes and returns float32: {found}, {found.score_words} on the "
            f"validation images. Layers in float32: {kept}. One image took {compared.float_ms:.3f} ms in float32 and "
            f"{compared.int8_ms:.3f} ms in INT8 (medians, one thread, in turns, {machine_name()}). Recommended: "
            f"{compared.recommended}, as {compared.reason}."
        )


def _normalised(images: np.ndarray, normalise: Normalisation) -> np.ndarray:
    return np.ascontiguousarray(normalise(torch.from_numpy(images)).numpy())
