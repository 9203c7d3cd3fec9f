"""Augmentation of image tensors, each image by random numbers of its own, all from one seeded generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gennas.tasks.targets import CLASSIFICATION, TargetKind
from gennas.training.recipe import Augmentation, Recipe

#: ``(images (b, c, h, w) float, strengths (b,) from -1 to 1) -> images``, with the mean colour at 0.
Operation = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Moves:
    """How each image of a batch is mirrored and shifted.

    Attributes:
        mirrored: ``(b,)`` bool.
        top: ``(b,)`` int64: rows by which an image is cut from the top of its padded self.
        left: ``(b,)`` int64: columns likewise.
    """

    mirrored: Tensor
    top: Tensor
    left: Tensor


def moves_of(count: int, shape: Sequence[int], augmentation: Augmentation, rng: torch.Generator) -> Moves | None:
    """Random moves of so many images ``(..., h, w)``; None where the augmentation moves none."""
    if augmentation == "none":
        return None
    mirrored = torch.zeros(count, dtype=torch.bool)
    if augmentation == "flip+crop":
        mirrored = torch.rand(count, generator=rng) < 0.5
    top, left = torch.randint(0, 2 * _padding(shape) + 1, (2, count, 1), generator=rng).flatten(1)
    return Moves(mirrored, top, left)


def moved(images: Tensor, moves: Moves) -> Tensor:
    """Images ``(b, c, h, w)``, mirrored and then shifted; what comes in from outside has the mean colour."""
    b, c, h, w = images.shape
    pad, device = _padding(images.shape), images.device
    images = torch.where(moves.mirrored[:, None, None, None], images.flip(3), images)
    padded = functional.pad(images, (pad, pad, pad, pad))
    rows = moves.top[:, None] + torch.arange(h, device=device)  # (b, h)
    columns = moves.left[:, None] + torch.arange(w, device=device)  # (b, w)
    image = torch.arange(b, device=device)[:, None, None, None]
    channel = torch.arange(c, device=device)[None, :, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]  # (b, c, h, w)


def augmented(images: Tensor, augmentation: Augmentation, rng: torch.Generator) -> Tensor:
    """Images ``(b, c, h, w)``, each shifted by up to an eighth of its side, and mirrored, at random."""
    moves = moves_of(len(images), images.shape, augmentation, rng)
    return images if moves is None else moved(images, moves).contiguous(memory_format=torch.channels_last)


def _padding(shape: Sequence[int]) -> int:
    """By how many pixels images of that shape are shifted at most."""
    return max(shape[-2:]) // 8


def rotated(images: Tensor, strengths: Tensor) -> Tensor:
    """By up to 30 degrees about the centre, against the clock where the strength is above 0."""
    angle = strengths * math.radians(30)
    h, w = images.shape[2:]
    zero = torch.zeros_like(angle)
    # affine_grid's coordinates run from -1 to 1 along each side, whatever its length.
    rows = [torch.stack([angle.cos(), -angle.sin() * h / w, zero], 1)]
    rows += [torch.stack([angle.sin() * w / h, angle.cos(), zero], 1)]
    return _warped(images, torch.stack(rows, 1))


def sheared_x(images: Tensor, strengths: Tensor) -> Tensor:
    """Rows shifted by up to 0.3 times their height above the centre."""
    return _warped(images, _affine(strengths, (0, 1), 0.3 * images.shape[2] / images.shape[3]))


def sheared_y(images: Tensor, strengths: Tensor) -> Tensor:
    """Columns shifted by up to 0.3 times their distance from the centre."""
    return _warped(images, _affine(strengths, (1, 0), 0.3 * images.shape[3] / images.shape[2]))


def moved_x(images: Tensor, strengths: Tensor) -> Tensor:
    """By up to a fifth of the width, to the left where the strength is above 0."""
    return _warped(images, _affine(strengths, (0, 2), 0.4))


def moved_y(images: Tensor, strengths: Tensor) -> Tensor:
    """By up to a fifth of the height, upwards where the strength is above 0."""
    return _warped(images, _affine(strengths, (1, 2), 0.4))


def brightened(images: Tensor, strengths: Tensor) -> Tensor:
    """By up to 0.6 standard deviations of the pixels; this is a shift, as images are standardised."""
    return images + 0.6 * strengths[:, None, None, None]


def contrasted(images: Tensor, strengths: Tensor) -> Tensor:
    """The distance of each pixel from its image's mean changed by up to 60 %."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 + 0.6 * strengths[:, None, None, None])


def coloured(images: Tensor, strengths: Tensor) -> Tensor:
    """The distance of each channel from the pixel's grey changed by up to 60 %; grey images stay as they are."""
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * (1 + 0.6 * strengths[:, None, None, None])


def sharpened(images: Tensor, strengths: Tensor) -> Tensor:
    """The distance of each pixel from the mean of its 3x3 neighbours changed by up to 90 %."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    blurred = functional.avg_pool2d(padded, 3, stride=1)
    return blurred + (images - blurred) * (1 + 0.9 * strengths[:, None, None, None])


def unchanged(images: Tensor, strengths: Tensor) -> Tensor:
    """The images."""
    return images


#: Those of RandAugment that work on standardised tensors; posterise, solarise and equalise need bytes.
OPERATIONS: tuple[Operation, ...] = (
    unchanged,
    rotated,
    sheared_x,
    sheared_y,
    moved_x,
    moved_y,
    brightened,
    contrasted,
    coloured,
    sharpened,
)


def rand_augmented(images: Tensor, count: int, magnitude: float, rng: torch.Generator) -> Tensor:
    """``count`` operations, one after the other, drawn for every image: Cubuk et al., "RandAugment", 2020.

    Args:
        images: ``(b, c, h, w)`` standardised images.
        count: operations per image.
        magnitude: from 0, which changes nothing, to 10; the direction of each operation is drawn.
        rng: draws operations and directions.
    """
    for _ in range(count):
        chosen = torch.randint(len(OPERATIONS), (len(images),), generator=rng)
        signs = torch.randint(2, (len(images),), generator=rng) * 2 - 1
        changed = images.clone()
        for number, operation in enumerate(OPERATIONS):
            rows = (chosen == number).nonzero().flatten()
            if len(rows) and operation is not unchanged:
                changed[rows] = operation(images[rows], signs[rows] * (magnitude / 10))
        images = changed
    return images


def mixed(images: Tensor, targets: Tensor, alpha: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images and targets mixed in random pairs, with a share from Beta(alpha, alpha) per image.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.

    Args:
        images: ``(b, c, h, w)``.
        targets: ``(b, classes)`` probabilities.
        alpha: above 0.
        rng: draws pairs and shares.
    """
    partners = torch.randperm(len(images), generator=rng)
    # torch draws from a beta distribution by its global generator only.
    seed = int(torch.randint(2**62, (), generator=rng))
    shares = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(images))).to(images.dtype)
    share = shares[:, None, None, None]
    blended = share * images + (1 - share) * images[partners]
    return blended, shares[:, None] * targets + (1 - shares[:, None]) * targets[partners]


def augmented_batch(
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    classes: int,
    rng: torch.Generator,
    targets: TargetKind = CLASSIFICATION,
) -> tuple[Tensor, Tensor]:
    """A batch as the recipe wants it: ``(images, targets)``.

    Returns:
        The targets are the labels ``(b,)``, or with mixup ``(b, classes)`` probabilities; those of another kind are
        encoded as its loss compares them.
    """
    images = augmented(images, recipe.augmentation, rng)
    if recipe.randaugment:
        images = rand_augmented(images, recipe.randaugment, recipe.magnitude, rng)
    if not recipe.mixup:
        return images, labels
    return mixed(images, targets.soft(labels, classes), recipe.mixup, rng)


def _affine(strengths: Tensor, place: tuple[int, int], most: float) -> Tensor:
    """``(b, 2, 3)`` identity maps, with the strengths times ``most`` at one place."""
    maps = torch.eye(2, 3).repeat(len(strengths), 1, 1)
    maps[:, place[0], place[1]] += most * strengths
    return maps


def _warped(images: Tensor, maps: Tensor) -> Tensor:
    """Images whose pixel at p is the one at ``map(p)``; what lies outside has the mean colour."""
    grid = functional.affine_grid(maps.to(images.dtype), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
