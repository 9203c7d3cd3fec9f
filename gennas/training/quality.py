"""What a trained network makes of images: its predictions, and the metrics that sum them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from gennas.tasks import Split
from gennas.training.batches import Normalisation
from gennas.training.memory import halving

if TYPE_CHECKING:
    import pandas as pd

#: The kinds of metrics that every training gives, all of them fractions.
KINDS = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of the images of one split.

    Attributes:
        labels: ``(n,)`` true classes.
        probabilities: ``(n, classes)``, after softmax.
    """

    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """``(n,)`` most probable classes."""
        return self.probabilities.argmax(1)

    @property
    def accuracy(self) -> float:
        """The fraction of correctly classified images."""
        return float((self.predicted == self.labels).mean())

    def metrics(self) -> dict[str, float]:
        """Kind of metric -> value: accuracy; the mean of the classes' recalls; the mean of their F1 scores.

        Classes count that the labels show, or for F1 the predictions.
        """
        from sklearn.metrics import f1_score, recall_score

        labels, predicted = self.labels, self.predicted
        shown = np.unique(labels)
        recall = recall_score(labels, predicted, labels=shown, average="macro", zero_division=0)
        f1 = f1_score(labels, predicted, average="macro", zero_division=0)
        return dict(zip(KINDS, (self.accuracy, float(recall), float(f1)), strict=True))


def predict(network: nn.Module, split: Split, normalise: Normalisation, batch_size: int = 256) -> Predictions:
    """The predictions for the images of a split; leaves the network in evaluation mode.

    Batches are halved where memory does not suffice.
    """
    return Predictions(split.labels, halving(lambda size: _probabilities(network, split, normalise, size), batch_size))


def accuracy(network: nn.Module, split: Split, normalise: Normalisation, batch_size: int = 256) -> float:
    """The fraction of correctly classified images; leaves the network in evaluation mode."""
    return predict(network, split, normalise, batch_size).accuracy


def predictions_frame(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """A row per image: ``split``, ``row`` in that split, ``label``, ``predicted``, ``confidence`` (the probability of
    the predicted class) and ``label_probability`` (that of the true one).

    Args:
        predictions: of splits, by name.
    """
    import pandas as pd

    frames = []
    for name, found in predictions.items():
        rows = np.arange(len(found.labels))
        columns = {
            "split": name,
            "row": rows,
            "label": found.labels,
            "predicted": found.predicted,
            "confidence": found.probabilities.max(1),
            "label_probability": found.probabilities[rows, found.labels],
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


@torch.inference_mode()
def _probabilities(network: nn.Module, split: Split, normalise: Normalisation, batch_size: int) -> np.ndarray:
    network.eval()
    device = next(network.parameters()).device
    images = torch.from_numpy(split.images)
    batches = torch.arange(len(split)).split(batch_size)
    # Of float32 also where the network computes in less.
    logits = [network(normalise(images[rows]).to(device)).float().cpu() for rows in batches]
    return torch.cat(logits).softmax(1).numpy()
