"""Where the images of a tiny task come from: a program that draws them, or a collection of real ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

#: Height and width in pixels of every image of a tiny task.
SIDE = 16

#: Row and column of every pixel, ``(16, 16)`` each.
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(float)


class Origin(ABC):
    """Gives images with their labels; a frozen dataclass, as it is a part of what a task is known by.

    Attributes:
        hint: how to get the images, where they are not on every machine.
    """

    hint: ClassVar[str] = ""

    @property
    @abstractmethod
    def classes(self) -> int:
        """Number of classes."""

    def found(self) -> bool:
        """Whether the images are on this machine."""
        return True

    @abstractmethod
    def take(self, counts: Sequence[int], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """Disjoint sets of images, balanced over the classes.

        Args:
            counts: sizes of the sets; the last one is smaller where there are not as many images.
            rng: draws the images.

        Returns:
            For each set its images ``(n, 3, 16, 16)``, floats of which 0 is black and 1 is white, and labels ``(n,)``.
        """


class Drawing(Origin):
    """Images that a program draws, as many as are asked for, each independent of all others given its label."""

    @abstractmethod
    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Images of these classes, ``(n, 16, 16)`` grey or ``(n, 3, 16, 16)``; 0 is black and 1 is white."""

    def take(self, counts: Sequence[int], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        sets = []
        for count in counts:
            labels = rng.permutation(np.arange(count) % self.classes)
            images = self.draw(labels, rng)
            sets.append((in_colour(images) if images.ndim == 3 else images, labels))
        return sets


def in_colour(grey: np.ndarray) -> np.ndarray:
    """Grey images ``(n, height, width)`` repeated to three channels."""
    return np.repeat(grey[:, None], 3, axis=1)


def column(values: np.ndarray) -> np.ndarray:
    """A value per image as ``(n, 1, 1)``, to go with pixels."""
    return np.asarray(values)[:, None, None]


def distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Distance in pixels of every pixel from a point of each image, ``(n, 16, 16)``."""
    return np.hypot(ROWS - column(rows), COLUMNS - column(columns))


def disc(rows: np.ndarray, columns: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """A disc with a soft edge in each image, ``(n, 16, 16)`` from 0 to 1."""
    radii = column(radius) if isinstance(radius, np.ndarray) else radius
    return np.clip(radii + 0.5 - distances(rows, columns), 0, 1)


def segments(start: np.ndarray, end: np.ndarray, thickness: float = 1.0) -> np.ndarray:
    """A line with soft edges in each image, ``(n, 16, 16)`` from 0 to 1.

    Args:
        start: ``(n, 2)`` row and column of one end.
        end: the same of the other.
        thickness: in pixels.
    """
    way = end - start
    row, step = ROWS - column(start[:, 0]), COLUMNS - column(start[:, 1])
    length = np.maximum((way**2).sum(1), 1e-9)
    along = np.clip((row * column(way[:, 0]) + step * column(way[:, 1])) / column(length), 0, 1)
    away = np.hypot(row - along * column(way[:, 0]), step - along * column(way[:, 1]))
    return np.clip(thickness / 2 + 0.5 - away, 0, 1)


def moved_down(images: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Each image ``(16, 16)`` moved down by a number of pixels of its own; what leaves comes in again at the top."""
    rows = (np.arange(SIDE) - by[:, None]) % SIDE
    return images[np.arange(len(images))[:, None], rows]


def filtered_noise(count: int, response: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normal noise with that amplitude per frequency, of mean 0 and variance 1 in each image.

    Args:
        count: number of images.
        response: ``(16, 16)`` or ``(count, 16, 16)``, in the order of ``numpy.fft.fft2``.
        rng: draws the noise.
    """
    spectrum = np.fft.fft2(rng.normal(size=(count, SIDE, SIDE))) * response
    spectrum[:, 0, 0] = 0
    images = np.fft.ifft2(spectrum).real
    return np.asarray(images / np.maximum(images.std((1, 2), keepdims=True), 1e-9))


def frequencies() -> np.ndarray:
    """Cycles per image of every entry of ``numpy.fft.fft2``, ``(16, 16)``."""
    one = np.fft.fftfreq(SIDE) * SIDE
    return np.hypot(one[:, None], one[None])
