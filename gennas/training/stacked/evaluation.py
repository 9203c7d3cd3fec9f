"""What the networks of a stack make of images: the metrics of each, from its confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gennas.spaces.stacks.base import Stack
from gennas.spaces.stacks.layers import StackedBatchNorm2d
from gennas.tasks.targets import CLASSIFICATION
from gennas.training.stacked.images import StackedImages


@torch.no_grad()
def settle_stack(stack: Stack, batches: Iterable[Tensor]) -> None:
    """Makes the statistics of all batch norms anew; see :func:`gennas.training.batch_norm.settle_batch_norm`.

    Args:
        stack: left in evaluation mode.
        batches: ``(n, b, c, h, w)`` normalised training images.
    """
    norms = [
        layer
        for layer in stack.modules()
        if isinstance(layer, StackedBatchNorm2d) or (isinstance(layer, _BatchNorm) and layer.track_running_stats)
    ]
    momenta = [layer.momentum for layer in norms]
    stack.eval()
    for layer in norms:
        layer.train()
    for number, images in enumerate(batches):
        for layer in norms:
            # The mean over all batches; the first one takes the place of what was there.
            layer.momentum = 1 / (number + 1)
        stack(images)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    stack.eval()


@torch.no_grad()
def confusions(stack: Stack, images: StackedImages, classes: int, dtype: torch.dtype, batch_size: int) -> np.ndarray:
    """``(n, classes, classes)`` how many images of each class were taken for which, by every network.

    Args:
        stack: in evaluation mode.
        images: of a split; tasks may have different numbers of them.
        classes: the largest number of classes.
        dtype: of the arithmetic.
        batch_size: images of each network at a time.
    """
    device, n = images.begins.device, len(images.begins)
    counts = images.counts_of_networks  # (n, 1)
    found = torch.zeros(n * classes**2, dtype=torch.int64, device=device)
    first = torch.arange(n, device=device)[:, None] * classes**2
    for begin in range(0, max(images.counts), batch_size):
        rows = torch.arange(begin, min(begin + batch_size, max(images.counts)), device=device).expand(n, -1)
        is_there = rows < counts
        batch, labels = images.batch(torch.where(is_there, rows, 0))
        predicted = stack(batch.to(dtype)).argmax(2)
        found.index_add_(0, (first + labels * classes + predicted).flatten(), is_there.flatten().long())
    return found.view(n, classes, classes).cpu().numpy()


def metrics_of(confusion: np.ndarray) -> dict[str, float]:
    """Kind of metric -> value, as :meth:`gennas.training.quality.Predictions.metrics` has them.

    Args:
        confusion: ``(classes, classes)`` numbers of images by true and predicted class.
    """
    right, true, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    is_shown, counts = true > 0, true + predicted
    recall = right[is_shown] / true[is_shown]
    f1 = 2 * right[counts > 0] / counts[counts > 0]
    values = (right.sum() / confusion.sum(), recall.mean(), f1.mean())
    return {kind: float(value) for kind, value in zip(CLASSIFICATION.metrics, values, strict=True)}
