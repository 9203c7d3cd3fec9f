"""StackedImages: the images of several tasks on one device, and the batches of several networks from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gennas.tasks import Split
from gennas.training.augmentation import Moves, moved
from gennas.training.batches import Normalisation


class StackedImages:
    """One split of the images of several tasks, as uint8 on one device; networks see them normalised.

    Args:
        splits: of the tasks; images of one shape.
        normalise: of each task's images.
        tasks: ``(n,)`` int64: number of the task of each network.
        device: where batches are made.
    """

    def __init__(
        self, splits: Sequence[Split], normalise: Sequence[Normalisation], tasks: Tensor, device: torch.device
    ) -> None:
        self.counts = [len(split) for split in splits]
        self.images = torch.cat([torch.from_numpy(split.images) for split in splits]).to(device)
        self.labels = torch.cat([torch.from_numpy(split.labels) for split in splits]).to(device)
        begins = torch.tensor([0, *self.counts[:-1]]).cumsum(0)
        self.begins = begins[tasks].to(device)[:, None]  # (n, 1)
        self.counts_of_networks = torch.tensor(self.counts)[tasks].to(device)[:, None]  # (n, 1)
        self.mean = torch.stack([one.mean for one in normalise])[tasks].to(device)[:, None]  # (n, 1, c, 1, 1)
        self.std = torch.stack([one.std for one in normalise])[tasks].to(device)[:, None]

    def batch(self, rows: Tensor, moves: Moves | None = None) -> tuple[Tensor, Tensor]:
        """Images ``(n, b, c, h, w)`` float and labels ``(n, b)``.

        Args:
            rows: ``(n, b)`` int64 on the device: numbers of images in each network's own split.
            moves: of all ``n * b`` images, network by network; None where they stay as they are.
        """
        n, b = rows.shape
        at = (rows + self.begins).flatten()
        images = ((self.images[at].unflatten(0, (n, b)) / 255) - self.mean) / self.std
        if moves is not None:
            images = moved(images.flatten(0, 1), moves).unflatten(0, (n, b))
        return images, self.labels[at].view(n, b)
