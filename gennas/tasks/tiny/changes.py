"""What is done to the images of a tiny task after they were drawn: noise, fewer pixels, another order of pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from gennas.tasks.tiny.drawing import SIDE


class Change(ABC):
    """Changes images; a frozen dataclass, as it is a part of what a task is known by."""

    @abstractmethod
    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The changed images, ``(n, 3, 16, 16)`` floats as those that are given."""


@dataclass(frozen=True)
class Noise(Change):
    """Independent normal noise on every pixel.

    Args:
        deviation: standard deviation; 1 is the way from black to white.
        grey: whether the channels have the same noise.
    """

    deviation: float
    grey: bool = False

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shape = (len(images), 1 if self.grey else 3, SIDE, SIDE)
        return images + self.deviation * rng.normal(size=shape)


@dataclass(frozen=True)
class Faint(Change):
    """Contrast around middle grey lowered to this share."""

    contrast: float

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return 0.5 + self.contrast * (images - 0.5)


@dataclass(frozen=True)
class Shuffled(Change):
    """The pixels of all images in one other order, so that neighbours say nothing."""

    seed: int = 0

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        order = np.random.default_rng(self.seed).permutation(SIDE * SIDE)
        return images.reshape(len(images), 3, -1)[:, :, order].reshape(images.shape)


@dataclass(frozen=True)
class Coarse(Change):
    """Squares of pixels averaged, and repeated to the size before.

    Args:
        side: pixels of a row that are left; divides 16.
    """

    side: int

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        step = SIDE // self.side
        small = images.reshape(len(images), 3, self.side, step, self.side, step).mean((3, 5))
        return small.repeat(step, axis=2).repeat(step, axis=3)


@dataclass(frozen=True)
class Grey(Change):
    """The mean of the channels in each of them."""

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return images.mean(1, keepdims=True).repeat(3, axis=1)


@dataclass(frozen=True)
class Inverted(Change):
    """Half of the images as negatives, at random."""

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.where(rng.random(len(images))[:, None, None, None] < 0.5, 1 - images, images)


@dataclass(frozen=True)
class Phaseless(Change):
    """Random phases added to those of the images, the same to all channels: amplitudes of frequencies are left."""

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        mean = images.mean((2, 3), keepdims=True)
        # With phases of real noise, images stay real.
        noise = np.fft.fft2(rng.normal(size=(len(images), 1, SIDE, SIDE)))
        spectrum = np.fft.fft2(images - mean) * noise / np.maximum(np.abs(noise), 1e-9)
        return np.asarray(mean + np.fft.ifft2(spectrum).real)


@dataclass(frozen=True)
class Rolled(Change):
    """Images shifted around the border by random amounts, so that no place means anything."""

    def apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        by = rng.integers(SIDE, size=(2, len(images), 1))
        rows, columns = (np.arange(SIDE) + by[0]) % SIDE, (np.arange(SIDE) + by[1]) % SIDE
        each = np.arange(len(images))[:, None, None]
        return images.transpose(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None]].transpose(0, 3, 1, 2)
