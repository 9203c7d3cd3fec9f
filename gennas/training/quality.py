"""What a trained network makes of images: its predictions, and the metrics that sum them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from gennas.tasks import Split
from gennas.tasks.targets import CLASSIFICATION, TargetKind
from gennas.training.batches import Normalisation
from gennas.training.memory import halving

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of the images of one split.

    Attributes:
        labels: ``(n,)`` true classes; or targets of another kind.
        probabilities: ``(n, classes)``, after softmax; or answers of another kind, e.g. values.
        targets: their kind, as it was fitted to the training images.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    targets: TargetKind = CLASSIFICATION

    @property
    def predicted(self) -> np.ndarray:
        """``(n,)`` most probable classes."""
        return self.probabilities.argmax(1)

    @property
    def accuracy(self) -> float:
        """The fraction of correctly classified images."""
        return float((self.predicted == self.labels).mean())

    @property
    def score(self) -> float:
        """What networks are chosen by: the accuracy, or the score of another kind of targets; larger is better."""
        return self.metrics()[self.targets.score]

    def metrics(self) -> dict[str, float]:
        """Kind of metric -> value; see :meth:`.TargetKind.measured`."""
        return self.targets.measured(self.labels, self.probabilities)


def predict(
    network: nn.Module,
    split: Split,
    normalise: Normalisation,
    batch_size: int = 256,
    targets: TargetKind = CLASSIFICATION,
) -> Predictions:
    """The predictions for the images of a split; leaves the network in evaluation mode.

    Batches are halved where memory does not suffice.
    """
    outputs = halving(lambda size: _outputs(network, split, normalise, size), batch_size)
    return Predictions(split.labels, targets.read(outputs), targets)


def accuracy(network: nn.Module, split: Split, normalise: Normalisation, batch_size: int = 256) -> float:
    """The fraction of correctly classified images; leaves the network in evaluation mode."""
    return predict(network, split, normalise, batch_size).accuracy


def predictions_frame(predictions: Mapping[str, Predictions], names: Sequence[str] = ()) -> pd.DataFrame:
    """A row per image: ``split``, ``row`` in that split, and columns of the kind of targets; of classes ``label``,
    ``predicted``, ``confidence`` (the probability of the predicted class) and ``label_probability`` (that of the true
    one).

    Args:
        predictions: of splits, by name.
        names: of the network's outputs.
    """
    import pandas as pd

    frames = []
    for name, found in predictions.items():
        rows = np.arange(len(found.labels))
        columns = {
            "split": name,
            "row": rows,
            **found.targets.columns(found.labels, found.probabilities, names),
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


@torch.inference_mode()
def _outputs(network: nn.Module, split: Split, normalise: Normalisation, batch_size: int) -> np.ndarray:
    network.eval()
    device = next(network.parameters()).device
    images = torch.from_numpy(split.images)
    batches = torch.arange(len(split)).split(batch_size)
    # Of float32 also where the network computes in less.
    outputs = [network(normalise(images[rows]).to(device)).float().cpu() for rows in batches]
    return torch.cat(outputs).numpy()
