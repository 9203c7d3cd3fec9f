"""Tiny tasks of single things: which one, how many, how large, turned how, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.tasks.tiny.drawing import COLUMNS, ROWS, SIDE, Drawing, column, disc, distances, segments

_MIDDLE = (SIDE - 1) / 2


@dataclass(frozen=True)
class Outlines(Drawing):
    """A disc, square, triangle, cross, ring or frame of any size and place, turned a little.

    Args:
        classes: 2 to 6, in this order.
    """

    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        row, step = (
            ROWS - column(rng.uniform(5, SIDE - 6, count)),
            COLUMNS - column(rng.uniform(5, SIDE - 6, count)),
        )
        angle, size = column(rng.uniform(-0.5, 0.5, count)), column(rng.uniform(3, 5, count))
        u, v = np.cos(angle) * step + np.sin(angle) * row, np.cos(angle) * row - np.sin(angle) * step
        far, box = np.hypot(u, v), np.maximum(abs(u), abs(v))
        away = [
            far - size,
            box - 0.88 * size,
            np.maximum(v - 0.6 * size, 0.87 * abs(u) - 0.5 * v - 0.6 * size),
            np.maximum(np.minimum(abs(u), abs(v)) - 0.3 * size, box - size),
            abs(far - 0.8 * size) - 0.25 * size,
            abs(box - 0.75 * size) - 0.22 * size,
        ]
        ink = np.clip(0.5 - np.choose(labels[:, None, None], away[: self.classes]), 0, 1)
        return _inked(ink, rng)


@dataclass(frozen=True)
class Counts(Drawing):
    """Dots that do not touch; the class is how many.

    Args:
        fewest: dots of class 0.
        equal_ink: whether all of the dots together are as large, however many there are, so that brightness says
            nothing.
        classes: number of counts.
    """

    fewest: int
    equal_ink: bool = False
    classes: int = 5

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = np.zeros((len(labels), SIDE, SIDE))
        numbers = labels + self.fewest
        # Places of a lattice of 4x4 squares, moved about within them.
        places = rng.permuted(np.tile(np.arange(16), (len(labels), 1)), axis=1)
        # The soft edge adds pi / 12 to a disc's area, pi r^2.
        radius = np.sqrt((1.1**2 + 1 / 12) * (self.fewest / numbers if self.equal_ink else numbers**0) - 1 / 12)
        for dot in range(int(numbers.max())):
            row, step = (4 * part[:, dot] + rng.uniform(1.2, 1.8, len(labels)) for part in (places // 4, places % 4))
            images = np.maximum(images, disc(row, step, radius) * column(dot < numbers))
        return _inked(images, rng)


@dataclass(frozen=True)
class Sizes(Drawing):
    """One disc of any place and brightness; the class is its radius.

    Args:
        smallest: radius of class 0 in pixels.
        largest: radius of the last class.
        classes: number of radii.
    """

    smallest: float
    largest: float
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        radius = self.smallest + (self.largest - self.smallest) * labels / (self.classes - 1)
        row, step = rng.uniform(4, SIDE - 5, (2, len(labels)))
        return _inked(disc(row, step, radius), rng)


@dataclass(frozen=True)
class Angles(Drawing):
    """One line of any place and length; the class is its angle.

    Args:
        clutter: spots of noise of the same brightness.
        classes: number of angles, evenly over half a turn.
    """

    clutter: int = 0
    classes: int = 8

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        angle = np.pi * (labels + rng.uniform(-0.3, 0.3, count)) / self.classes
        half = rng.uniform(3.5, 6, count)[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        middle = rng.uniform(5, SIDE - 6, (count, 2))
        ink = segments(middle - half, middle + half)
        for _ in range(self.clutter):
            row, step = rng.integers(SIDE, size=(2, count))
            ink = np.maximum(ink, disc(row, step, 0.3))
        return _inked(ink, rng)


@dataclass(frozen=True)
class Bends(Drawing):
    """One curve of any place and angle; the class is how strongly it is bent.

    Args:
        strongest: largest distance from the chord, as a share of half the chord.
        classes: number of curvatures, from straight on.
    """

    strongest: float = 0.9
    classes: int = 4

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        angle = column(rng.uniform(0, 2 * np.pi, count))
        row, step = (ROWS - column(rng.uniform(5, SIDE - 6, count)), COLUMNS - column(rng.uniform(5, SIDE - 6, count)))
        u, v = np.cos(angle) * step + np.sin(angle) * row, np.cos(angle) * row - np.sin(angle) * step
        half = column(rng.uniform(4, 5.5, count))
        bend = column(self.strongest * labels / (self.classes - 1))
        away = abs(v - bend * (half**2 - u**2) / half) / np.sqrt(1 + (2 * bend * u / half) ** 2)
        return _inked(np.clip(1 - away, 0, 1) * (abs(u) <= half), rng)


@dataclass(frozen=True)
class Places(Drawing):
    """One spot; the class is the cell of a grid that it lies in.

    Args:
        grid: cells per row and column.
        clutter: fainter spots anywhere.
    """

    grid: int
    clutter: int = 0

    @property
    def classes(self) -> int:
        return self.grid**2

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count, cell = len(labels), SIDE / self.grid
        row, step = (
            cell * (part + rng.uniform(0.15, 0.85, count)) - 0.5 for part in (labels // self.grid, labels % self.grid)
        )
        images = disc(row, step, 1.0)
        for _ in range(self.clutter):
            row, step = rng.uniform(0, SIDE - 1, (2, count))
            images = np.maximum(images, 0.5 * disc(row, step, 1.0))
        return 0.15 + 0.7 * images


@dataclass(frozen=True)
class OddOneOut(Drawing):
    """A lattice of equal bars with one that is turned; the class is the corner of the image that it lies in.

    Args:
        difference: its angle to the others, as a share of a quarter turn.
    """

    difference: float = 1.0
    classes: int = 4

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        images = np.zeros((count, SIDE, SIDE))
        angle = rng.uniform(0, np.pi, count)
        rows, steps = (2 * part + rng.integers(2, size=count) for part in (labels // 2, labels % 2))
        for row in range(4):
            for step in range(4):
                odd = (rows == row) & (steps == step)
                turned = angle + odd * self.difference * np.pi / 2
                half = 1.5 * np.stack([np.sin(turned), np.cos(turned)], axis=1)
                middle = np.array([4 * row + 1.5, 4 * step + 1.5])
                images = np.maximum(images, segments(middle - half, middle + half))
        return 0.1 + 0.8 * images


@dataclass(frozen=True)
class Ramps(Drawing):
    """Light from one side; the class is which.

    Args:
        strength: half the difference of the brightness of opposite borders.
        classes: number of directions, evenly over a whole turn.
    """

    strength: float
    classes: int = 8

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = column(2 * np.pi * labels / self.classes + rng.normal(0, 0.08, len(labels)))
        along = (np.sin(angle) * (ROWS - _MIDDLE) + np.cos(angle) * (COLUMNS - _MIDDLE)) / _MIDDLE
        return column(rng.uniform(0.4, 0.6, len(labels))) + self.strength * along


@dataclass(frozen=True)
class Rings(Drawing):
    """Rings around any point; the class is the distance from one to the next.

    Args:
        shortest: of class 0, in pixels.
        longest: of the last class.
        classes: number of distances.
    """

    shortest: float = 2.5
    longest: float = 6.0
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        row, step = rng.uniform(3, SIDE - 4, (2, len(labels)))
        length = column(self.shortest + (self.longest - self.shortest) * labels / max(self.classes - 1, 1))
        phase = column(rng.uniform(0, 2 * np.pi, len(labels)))
        return 0.5 + 0.35 * np.sin(2 * np.pi * distances(row, step) / length + phase)


def _inked(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink from 0 to 1 on paper, with a contrast and a brightness of each image's own."""
    paper, contrast = rng.uniform(0.1, 0.3, len(ink)), rng.uniform(0.45, 0.65, len(ink))
    return column(paper) + column(contrast) * ink
