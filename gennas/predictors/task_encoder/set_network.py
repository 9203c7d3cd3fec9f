"""The set network: a task's images as a set of classes, each a set of image features, in a few learnt numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


class SetNetwork(nn.Module):
    """Deep Sets twice: over the images of a class, then over the classes.

    Zaheer et al., "Deep Sets", NeurIPS 2017; in two levels as in Lee, Hyung and Hwang, "Rapid Neural Architecture
    Search by Learning to Generate Graphs from Datasets", ICLR 2021 (MetaD2A), whose set transformers have a thousand
    times as many weights as there are tasks here. A set is its mean and its std, so that neither the order nor the
    number of images or classes changes more than the estimate.

    Shapes: features ``(n, d)``, labels ``(n,)`` -> ``(outputs,)``.

    Args:
        features: numbers per image.
        outputs: what is predicted of a task.
        width: numbers per image, class and task in between.
        components: numbers per image that are seen.
    """

    centre: Tensor
    projection: Tensor

    def __init__(self, features: int, outputs: int, width: int = 24, components: int = 32) -> None:
        super().__init__()
        self.images = nn.Sequential(nn.Linear(components, width), nn.GELU(), nn.Linear(width, width))
        self.classes = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width))
        self.task = nn.Sequential(nn.Linear(4 * width, width), nn.GELU(), nn.Dropout(0.3), nn.Linear(width, outputs))
        # Principal components of the known tasks' images, which are not learnt further.
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("projection", torch.randn(features, components) / features**0.5)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        x = self.images((features - self.centre) @ self.projection)  # (n, width)
        classes = torch.unique(labels)
        sets = torch.stack([_moments(x[labels == label]) for label in classes])  # (classes, 2 * width)
        found: Tensor = self.task(torch.cat([_moments(self.classes(sets)), _moments(x)]))
        return found


def _moments(rows: Tensor) -> Tensor:
    """``(2 d,)`` mean and std of ``(n, d)`` rows."""
    centred = rows - rows.mean(0)
    return torch.cat([rows.mean(0), (centred.square().mean(0) + 1e-4).sqrt()])


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A known task for the set network.

    Attributes:
        features: ``(n, d)`` of its images.
        labels: ``(n,)`` their classes.
        targets: ``(outputs,)`` what is to be predicted of it.
    """

    features: Tensor
    labels: Tensor
    targets: np.ndarray


def train_set_network(
    sets: Sequence[ImageSet], *, steps: int = 200, rate: float = 3e-3, decay: float = 0.1, share: float = 0.6, seed: int
) -> SetNetwork:
    """A network that predicts standardised targets of tasks; every step sees another part of every task's images.

    Args:
        sets: known tasks.
        steps: of the optimiser, each over all tasks.
        rate: learning rate, at most.
        decay: weight decay.
        share: of the images that a step sees.
        seed: of weights and parts.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SetNetwork(sets[0].features.shape[1], len(sets[0].targets))
        every = torch.cat([one.features for one in sets])
        network.centre.copy_(every.mean(0))
        components = network.projection.shape[1]
        values, vectors = torch.linalg.eigh(torch.cov(every.T))
        network.projection.zero_()
        first = vectors[:, -components:] / values[-components:].clamp_min(1e-6).sqrt()
        network.projection[:, : first.shape[1]] = first
        targets = torch.from_numpy(np.array([one.targets for one in sets])).float()
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
        for _ in range(steps):
            found = []
            for one in sets:
                rows = torch.rand(len(one.labels), generator=rng) < share
                rows = rows if int(rows.sum()) > 1 else torch.ones_like(rows)
                found.append(network(one.features[rows], one.labels[rows]))
            loss = (torch.stack(found) - targets).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()
