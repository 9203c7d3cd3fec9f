"""Batches of training images: normalised, augmented, and in a reproducible order."""

from collections.abc import Callable, Iterator
from hashlib import sha256

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from gennas.tasks import Split
from gennas.training.recipe import Augmentation, Recipe

#: Images that batch norm statistics are made of, and how many at a time: means over a thousand hardly change with more.
SETTLING_IMAGES, SETTLING_BATCH = 4096, 256


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
        return num_batches(len(self.labels), self.recipe.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = torch.Generator().manual_seed(epoch_seed(self.recipe.seed, self.epoch()))
        order = torch.randperm(len(self.labels), generator=rng)
        # Batches of nearly equal size: a small last batch would distort the batch norm statistics.
        for rows in order.tensor_split(len(self)):
            images = augmented(self.normalise(self.images[rows]), self.recipe.augmentation, rng)
            yield images, self.labels[rows]


def num_batches(images: int, batch_size: int) -> int:
    """How many batches of nearly equal size, none of a single image unless there is only one.

    In training mode, batch norm has no variance of one image on a map of one pixel. A lone last image joins the batch
    before, which is then larger than ``batch_size`` by one.
    """
    return max(1, min(-(-images // batch_size), images // 2))


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


@torch.no_grad()
def settle_batch_norm(network: nn.Module, train: Split, normalise: Normalisation, seed: int) -> None:
    """Makes the statistics of all batch norms anew, for the weights as they are.

    The running averages of a training lag behind the weights, and after few steps they are still near their initial
    values. Here they are the averages over up to :data:`SETTLING_IMAGES` training images, as evaluation shows them: not
    augmented. The same weights and seed give the same statistics. Wu and Johnson, "Rethinking 'Batch' in BatchNorm",
    2021, section 3.

    Args:
        network: left on its device, in evaluation mode.
        train: the training images.
        normalise: applied to them.
        seed: chooses the images, where there are more.
    """
    device = next(network.parameters()).device
    rng = torch.Generator().manual_seed(epoch_seed(seed, -1))
    chosen = torch.randperm(len(train), generator=rng)[:SETTLING_IMAGES]
    images = torch.from_numpy(train.images)
    batches = chosen.tensor_split(num_batches(len(chosen), SETTLING_BATCH))
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    momenta = [layer.momentum for layer in norms]
    # Only these layers train: torch's own update_bn would let dropout draw random numbers.
    network.eval()
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    if norms:
        for rows in batches:
            network(normalise(images[rows]).to(device))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    network.eval()


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
