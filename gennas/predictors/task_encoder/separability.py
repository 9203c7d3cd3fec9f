"""Separability: how well simple classifiers tell a task's classes apart, from different views of its images.

Which views suffice says which operations pay: colours are seen by a 1x1 convolution, textures by a 3x3 one, shapes by
many of them in a row, and what survives pooling needs no more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

#: Side of the images as the views see them.
SIDE = 16
#: Ridges of the classifiers, relative to the mean of the kernel's diagonal; the best one counts.
RIDGES = (0.003, 0.03, 0.3, 3.0)
#: Random filters of a view, and neighbours that vote on a label.
_FILTERS, _NEIGHBOURS = 96, 5
#: Filters whose maps are not averaged over the whole image.
_PLACED = 32


def kernel_of(values: Tensor) -> Tensor:
    """``(n, n)`` Gaussian kernel of ``(n, d)`` values, standardised by column, scaled by the median distance."""
    std, mean = torch.std_mean(values, dim=0)
    scaled = (values - mean)[:, std > 1e-6] / std[std > 1e-6]
    distances = torch.cdist(scaled, scaled).square()
    upper = distances[torch.triu(torch.ones_like(distances, dtype=torch.bool), 1)]
    return torch.exp(-distances / upper.median().clamp_min(1e-9))


def leave_one_out(kernel: Tensor, labels: Tensor, classes: int) -> float:
    """Accuracy of kernel ridge regression on the classes, every image being predicted from all others.

    In closed form: with ``H = K (K + r I)^-1`` the prediction without image i is off by ``(y - H y)_i / (1 - H_ii)``
    (Allen, "The relationship between variable selection and data augmentation and a method for prediction",
    Technometrics 16, 1974).

    Args:
        kernel: ``(n, n)`` of the images.
        labels: ``(n,)``.
        classes: how many there are.
    """
    targets = nn.functional.one_hot(labels, classes).to(kernel) - 1 / classes
    n = len(labels)
    values, vectors = torch.linalg.eigh(kernel.double())
    rotated, scale = vectors.T @ targets.double(), float(kernel.diagonal().mean())
    best = 0.0
    for ridge in RIDGES:
        shrunk = values.clamp_min(0) / (values.clamp_min(0) + ridge * scale)
        fitted, own = vectors @ (shrunk[:, None] * rotated), vectors.square() @ shrunk
        without = targets - (targets - fitted) / (1 - own).clamp_min(1e-9)[:, None]
        best = max(best, float((without.argmax(1) == labels).sum()) / n)
    return best


def views(images: Tensor, seed: int) -> Mapping[str, Tensor]:
    """Name -> ``(n, d)`` numbers that a view keeps of ``(n, 3, 16, 16)`` images with values in 0..1."""
    rng = torch.Generator().manual_seed(seed)
    std, mean = torch.std_mean(images, dim=(0, 2, 3), keepdim=True)
    x = (images - mean) / std.clamp_min(1e-3)
    grey, low = x.mean(1), nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    spectrum = torch.fft.rfft2(grey).abs().log1p()
    quantiles = x.flatten(2).quantile(torch.linspace(0, 1, 9), dim=2).permute(1, 2, 0).flatten(1)  # (n, c * 9)
    pixels = x.flatten(2)
    products = torch.einsum("ncp,ndp->ncd", pixels, pixels) / pixels.shape[2]
    return {
        "pixels": x.flatten(1),
        "blurred": nn.functional.avg_pool2d(x, 2).flatten(1),
        "coarse": nn.functional.avg_pool2d(x, 4).flatten(1),
        "colours": torch.cat([quantiles, products.flatten(1)], dim=1),
        "means": x.mean((2, 3)),
        "rows": torch.cat([x.mean(2).flatten(1), x.mean(3).flatten(1)], dim=1),
        "spectrum": spectrum.flatten(1),
        "filters1": _filtered(x, 1, rng),
        "filters3": _filtered(x, 3, rng),
        "filters5": _filtered(x, 5, rng),
        "fine3": _filtered(x - low, 3, rng),
        "smooth3": _filtered(low, 3, rng),
        "halved3": _filtered(nn.functional.avg_pool2d(x, 2), 3, rng),
        "placed3": nn.functional.adaptive_avg_pool2d(_maps(x, 3, rng)[:, :_PLACED], 4).flatten(1),
        "stacked1": _stacked(x, 1, rng),
        "stacked3": _stacked(x, 3, rng),
    }


def _filtered(x: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """Means and stds over the image of random filters after a ReLU: an untrained convolution."""
    return _pooled(_maps(x, side, rng))


def _stacked(x: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """The same of three convolutions in a row, with pools of stride 2 between them."""
    first = nn.functional.avg_pool2d(_maps(x, side, rng), 2)
    second = nn.functional.avg_pool2d(_maps(_normalised(first), side, rng), 2)
    return _pooled(_maps(_normalised(second), side, rng))


def _maps(x: Tensor, side: int, rng: torch.Generator) -> Tensor:
    weights = torch.randn(_FILTERS, x.shape[1], side, side, generator=rng) / (x.shape[1] * side**2) ** 0.5
    bias = torch.randn(_FILTERS, generator=rng) * 0.5
    return nn.functional.conv2d(x, weights, bias, padding=side // 2).relu()


def _normalised(maps: Tensor) -> Tensor:
    std, mean = torch.std_mean(maps, dim=(0, 2, 3), keepdim=True)
    return (maps - mean) / std.clamp_min(1e-3)


def _pooled(maps: Tensor) -> Tensor:
    return torch.cat([maps.mean((2, 3)), maps.std((2, 3))], dim=1)


def disagreement(values: Tensor, labels: Tensor) -> float:
    """Share of the nearest neighbours with another label, of every image's five; high where labels are noisy."""
    std, mean = torch.std_mean(values, dim=0)
    scaled = (values - mean) / std.clamp_min(1e-6)
    distances = torch.cdist(scaled, scaled)
    distances.fill_diagonal_(float("inf"))
    nearest = distances.topk(min(_NEIGHBOURS, len(labels) - 1), largest=False).indices
    return float((labels[nearest] != labels[:, None]).double().mean())


def logit_of(accuracy: float, images: int) -> float:
    """The logit of an accuracy among so many images, finite at 0 and 1."""
    hits = accuracy * images
    return float(np.log((hits + 0.5) / (images - hits + 0.5)))
