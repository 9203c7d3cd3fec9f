"""Batches of training images: normalised, augmented, and in a reproducible order."""

from collections.abc import Callable, Iterator
from hashlib import sha256

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.tasks import Split
from gennas.training.recipe import Augmentation, Recipe


class Normalisation:
    """Standardises uint8 images per channel, with mean and std of the training images.

    Attributes:
        mean: ``(c, 1, 1)`` means, on the scale from 0 to 1.
        std: ``(c, 1, 1)`` stds on the same scale, at least 0.001.
    """

    def __init__(self, train: Split) -> None:
        channels = range(train.images.shape[1])
        pixels = [torch.from_numpy(train.images[:, channel]).double() / 255 for channel in channels]
        self.mean = torch.stack([channel.mean() for channel in pixels]).float()[:, None, None]
        self.std = torch.stack([channel.std() for channel in pixels]).clamp_min(1e-3).float()[:, None, None]

    def __call__(self, images: Tensor) -> Tensor:
        """``(b, c, h, w)`` uint8 to float, channels last: this makes convolutions on a CPU 2 to 4 times as fast."""
        return ((images / 255 - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


class TrainBatches:
    """Iterates over the batches ``(images (b, c, h, w) float, labels (b,))`` of one epoch.

    Order and augmentation depend only on the recipe's seed and the epoch, so a resumed training sees the same batches
    as an uninterrupted one.

    Args:
        train: the training images.
        recipe: gives batch size, augmentation and seed.
        normalise: applied before the augmentation, so that padding has the mean colour.
        epoch: returns the number of the current epoch, from 0.
    """

    def __init__(self, train: Split, recipe: Recipe, normalise: Normalisation, epoch: Callable[[], int]) -> None:
        self.images, self.labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
        self.recipe = recipe
        self.normalise = normalise
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.labels) // self.recipe.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = torch.Generator().manual_seed(epoch_seed(self.recipe.seed, self.epoch()))
        order = torch.randperm(len(self.labels), generator=rng)
        # Batches of nearly equal size: a small last batch would distort the batch norm statistics.
        for rows in order.tensor_split(len(self)):
            images = augmented(self.normalise(self.images[rows]), self.recipe.augmentation, rng)
            yield images, self.labels[rows]


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch, independent of those for other epochs and seeds."""
    return int.from_bytes(sha256(f"{seed} {epoch}".encode()).digest()[:7], "big")


def augmented(images: Tensor, augmentation: Augmentation, rng: torch.Generator) -> Tensor:
    """Images ``(b, c, h, w)``, each shifted by up to an eighth of its side, and mirrored, at random."""
    if augmentation == "none":
        return images
    b, c, h, w = images.shape
    if augmentation == "flip+crop":
        mirrored = torch.rand(b, generator=rng) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    pad = max(h, w) // 8
    padded = functional.pad(images, (pad, pad, pad, pad))
    top, left = torch.randint(0, 2 * pad + 1, (2, b, 1), generator=rng)
    rows, columns = top + torch.arange(h), left + torch.arange(w)  # (b, h), (b, w)
    image, channel = torch.arange(b)[:, None, None, None], torch.arange(c)[None, :, None, None]
    shifted = padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]  # (b, c, h, w)
    return shifted.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def accuracy(network: nn.Module, split: Split, normalise: Normalisation, batch_size: int = 256) -> float:
    """The fraction of correctly classified images; leaves the network in evaluation mode."""
    network.eval()
    device = next(network.parameters()).device
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    correct = 0
    for rows in torch.arange(len(split)).split(batch_size):
        predicted = network(normalise(images[rows]).to(device)).argmax(1).cpu()
        correct += int((predicted == labels[rows]).sum())
    return correct / len(split)
