"""Tiny tasks of printed letters and digits, bent by a program: to read, to add, and large ones made of small ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gennas.tasks.tiny.drawing import SIDE, Drawing, column


@dataclass(frozen=True)
class Letters(Drawing):
    """Letters of Pillow's own font, turned, sheared, stretched and moved.

    Args:
        letters: one per class.
        bending: scale of all distortions; 1 turns by up to a third of a right angle.
    """

    letters: str
    bending: float = 1.0

    @property
    def classes(self) -> int:
        return len(self.letters)

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        from scipy.ndimage import affine_transform

        count = len(labels)
        turn, shear = self.bending * rng.uniform(-0.5, 0.5, (2, count))
        scale = 2.4 * np.exp(self.bending * rng.uniform(-0.25, 0.25, (count, 2)))
        moved = rng.uniform(-1.5, 1.5, (count, 2))
        images = np.empty((count, SIDE, SIDE))
        for index, label in enumerate(labels):
            cos, sin = np.cos(turn[index]), np.sin(turn[index])
            matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, 0], [shear[index], 1]]) * scale[index]
            sheet = _glyph(self.letters[label], 26)
            middle = (np.array(sheet.shape) - 1) / 2
            offset = middle - matrix @ (np.full(2, (SIDE - 1) / 2) + moved[index])
            images[index] = affine_transform(sheet, matrix, offset, (SIDE, SIDE), order=1)
        return 0.15 + column(rng.uniform(0.5, 0.75, count)) * images


@dataclass(frozen=True)
class Sums(Drawing):
    """Two printed digits beside each other; the class is their sum.

    Args:
        largest: of the two digits; there are twice as many classes, and one.
    """

    largest: int

    @property
    def classes(self) -> int:
        return 2 * self.largest + 1

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        first = rng.integers(np.maximum(labels - self.largest, 0), np.minimum(labels, self.largest) + 1)
        images = np.zeros((len(labels), SIDE, SIDE))
        for image, digits in zip(images, np.stack([first, labels - first], axis=1), strict=True):
            for side, digit in enumerate(digits):
                small = _small(str(digit))
                height, width = small.shape
                top = rng.integers(0, SIDE - height + 1)
                left = 8 * side + rng.integers(0, 8 - width + 1)
                image[top : top + height, left : left + width] = small
        return 0.15 + column(rng.uniform(0.5, 0.75, len(labels))) * images


@dataclass(frozen=True)
class Compounds(Drawing):
    """A large figure whose strokes are made of small ones, either of four kinds; the class is that of one of the two.

    Navon, "Forest before trees", Cognitive Psychology 1977.

    Args:
        large: whether the large figure's kind is the class, or the small ones'.
    """

    large: bool
    classes: int = 4

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        other = rng.integers(self.classes, size=len(labels))
        whole, part = (labels, other) if self.large else (other, labels)
        # Each cell of the large figure's 4x4 is filled with a small one of 4x4 pixels, or left empty.
        cells = _FIGURES[whole][:, :, None, :, None] * _FIGURES[part][:, None, :, None, :]
        images = cells.reshape(-1, SIDE, SIDE)
        return 0.15 + column(rng.uniform(0.4, 0.75, len(labels))) * images


# H, O, L and X on four by four cells.
_FIGURES = np.array(
    [
        [[1, 0, 0, 1], [1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1]],
        [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]],
        [[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]],
        [[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]],
    ],
    dtype=float,
)


@lru_cache
def _glyph(letter: str, size: int) -> np.ndarray:
    """A letter in the middle of a sheet of 40x40 pixels, from 0 to 1."""
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("L", (40, 40))
    ImageDraw.Draw(sheet).text((20, 20), letter, fill=255, font=ImageFont.load_default(size), anchor="mm")
    return np.asarray(sheet) / 255


@lru_cache
def _small(digit: str) -> np.ndarray:
    """A digit of some 8x6 pixels, without borders."""
    ink = _glyph(digit, 11)
    rows, columns = (np.flatnonzero(ink.max(axis) > 0.2) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
