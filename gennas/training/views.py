"""Views: crops of training images that are made once and shown again and again, with a teacher's answers to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gennas.files import write_safetensors
from gennas.training.accelerator import accelerator
from gennas.training.batches import Normalisation, epoch_seed, num_batches
from gennas.training.memory import halving
from gennas.training.network_files import WEIGHTS
from gennas.training.teacher import Teacher

_LOG = logging.getLogger(__name__)

#: Least share of an image that a crop shows, and the ratios of its sides; those of Szegedy et al., "Going Deeper with
#: Convolutions", 2015, but for the share: small crops of few images do more harm than good.
LEAST_AREA, RATIOS = 0.35, (3 / 4, 4 / 3)


class Views:
    """Random crops of images, half of them mirrored; the same ones at every size.

    A teacher that sees the crops at its own resolution answers once, for all students at all resolutions. Beyer et al.,
    "Knowledge Distillation: A Good Teacher Is Patient and Consistent", CVPR 2022, https://arxiv.org/abs/2106.05237
    (teacher and student see the same crop); Shen and Xing, "A Fast Knowledge Distillation Framework for Visual
    Recognition", ECCV 2022, https://arxiv.org/abs/2112.01528 (answers are stored).

    Args:
        images: ``(n, channels, height, width)`` uint8.
        count: crops of every image.
        seed: of the crops.
        mirrored: whether half of them are mirrored, which is not suitable for digits and letters.
    """

    def __init__(self, images: np.ndarray, count: int, seed: int, *, mirrored: bool) -> None:
        self.images, self.count, self.mirrored = images, count, mirrored
        rng = np.random.default_rng(seed)
        shape = (count, len(images))
        area = rng.uniform(LEAST_AREA, 1, shape)
        narrowest, widest = np.log(RATIOS)
        ratio = np.exp(rng.uniform(narrowest, widest, shape))
        width, height = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
        left, top = rng.uniform(0, 1, shape) * (1 - width), rng.uniform(0, 1, shape) * (1 - height)
        #: ``(count, n, 4)`` left, top, right and bottom, as shares of the sides.
        self.boxes = np.stack([left, top, left + width, top + height], -1)
        self.flips = rng.random(shape) < 0.5 if mirrored else np.zeros(shape, bool)

    @property
    def fingerprint(self) -> str:
        """Identifies the crops."""
        parts = (self.images, self.boxes, self.flips)
        return " ".join(f"{crc32(np.ascontiguousarray(part).data):08x}" for part in parts)

    def at(self, side: int, view: int) -> np.ndarray:
        """``(n, channels, side, side)`` uint8: one crop of every image."""
        n, channels, height, width = self.images.shape
        found = np.empty((n, channels, side, side), np.uint8)
        scale = np.array([width, height, width, height])
        for row, (image, box) in enumerate(zip(self.images, self.boxes[view], strict=True)):
            left, top, right, bottom = (box * scale).tolist()
            for channel, pixels in enumerate(image):
                crop = Image.fromarray(pixels).resize(
                    (side, side), Image.Resampling.BILINEAR, (left, top, right, bottom)
                )
                found[row, channel] = np.asarray(crop)
        found[self.flips[view]] = found[self.flips[view]][..., ::-1]
        return found


def answers(teacher: Teacher, views: Views, batch_size: int = 64) -> Tensor:
    """A teacher's logits ``(count, n, classes)`` for all views, at its own resolution; it answers on an accelerator, if
    there is one.

    Args:
        teacher: trained.
        views: of the training images.
        batch_size: images at a time; halved where memory does not suffice.
    """
    device = accelerator()

    def of(images: Tensor, size: int) -> Tensor:
        return torch.cat([teacher.answer(part.to(device)).float().cpu() for part in images.split(size)])

    # Weights that are moved in inference mode could never be trained again, so only gradients are switched off here.
    teacher.to(device)
    try:
        found = []
        for view in range(views.count):
            images = torch.from_numpy(views.at(teacher.side[0], view))
            found.append(halving(partial(of, images), batch_size))
    finally:
        teacher.to("cpu")
    return torch.stack(found)


def kept_answers(folder: Path, teacher: Teacher, views: Views) -> Tensor:
    """:func:`answers`, computed once for a teacher and its views, and kept beside the teacher.

    Args:
        folder: of the teacher.
        teacher: that was loaded from it.
        views: of the training images.
    """
    identity = f"{crc32((folder / WEIGHTS).read_bytes()):08x} {views.fingerprint} {teacher.side}"
    path = folder / "answers" / f"{sha256(identity.encode()).hexdigest()[:12]}.safetensors"
    with suppress(OSError, SafetensorError, KeyError):
        return load_file(path)["logits"]
    found = answers(teacher, views)
    try:
        write_safetensors(path, {"logits": found})
    except OSError as error:
        _LOG.info("the teacher's answers cannot be kept in %s: %s", path.parent, error)
    return found


class ViewBatches:
    """Iterates over the batches ``(images (b, c, side, side) float, labels (b,))`` of one epoch.

    With a teacher its logits ``(b, classes)`` come third. Epoch ``e`` shows view ``e`` modulo their number. The order
    depends only on the seed and the epoch.

    Args:
        labels: ``(n,)`` of the images; or targets of another kind, encoded.
        views: of the images.
        side: of the images that are shown.
        normalise: of these images.
        batch_size: images per step.
        seed: of the order.
        epoch: returns the number of the current epoch, from 0.
        taught: the teacher's logits ``(count, n, classes)``; None without one.
        parts: into how many nearly equal parts every batch is split; for little memory.
    """

    def __init__(
        self,
        labels: np.ndarray,
        views: Views,
        side: int,
        normalise: Normalisation,
        *,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int],
        taught: Tensor | None = None,
        parts: int = 1,
    ) -> None:
        self.labels = torch.from_numpy(labels)
        self.views, self.side, self.normalise, self.taught = views, side, normalise, taught
        self.batch_size, self.seed, self.epoch, self.parts = batch_size, seed, epoch, parts
        self._made: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return self.steps * self.parts

    @property
    def steps(self) -> int:
        """Optimiser steps, one per batch."""
        return num_batches(len(self.labels), self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        rng = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch()))
        view = self.epoch() % self.views.count
        if view not in self._made:
            self._made[view] = torch.from_numpy(self.views.at(self.side, view))
        images = self._made[view]
        for rows in torch.randperm(len(self.labels), generator=rng).tensor_split(self.steps):
            batch = [self.normalise(images[rows]), self.labels[rows]]
            if self.taught is not None:
                batch.append(self.taught[view, rows])
            yield from zip(*(part.tensor_split(self.parts) for part in batch), strict=True)
