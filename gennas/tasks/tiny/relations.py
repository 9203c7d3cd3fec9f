"""Tiny tasks in which every part occurs in every class, and only how parts stand to each other says which it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.tasks.tiny.drawing import COLUMNS, ROWS, SIDE, Drawing, column, disc, distances, moved_down

_MIDDLE = (SIDE - 1) / 2


@dataclass(frozen=True)
class Above(Drawing):
    """A red and a green disc; the class is where red lies from green: above, below, left or right.

    Args:
        distance: between their middles in pixels.
    """

    distance: float
    classes: int = 4

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        angle = np.array([-0.5, 0.5, 1, 0])[labels] * np.pi + rng.uniform(-0.4, 0.4, count)
        way = self.distance / 2 * np.stack([np.sin(angle), np.cos(angle)])
        room = _MIDDLE - self.distance / 2 - 1
        middle = _MIDDLE + rng.uniform(-room, room, (2, count))
        images = np.full((count, 3, SIDE, SIDE), 0.2)
        for channel, (row, step) in enumerate((middle + way, middle - way)):
            images[:, channel] += 0.6 * disc(row, step, 1.8)
        return images


@dataclass(frozen=True)
class Parities(Drawing):
    """Squares of black or white on grey; the class is whether the number of white ones is odd.

    Args:
        patches: squares in the image, 2 or 4.
    """

    patches: int = 2
    classes: int = 2

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        white = rng.integers(2, size=(len(labels), self.patches))
        white[:, -1] = (white[:, :-1].sum(1) + labels) % 2
        images = np.full((len(labels), SIDE, SIDE), 0.5)
        corners = [(2, 2), (9, 9), (2, 9), (9, 2)][: self.patches]
        for patch, (row, step) in enumerate(corners):
            images[:, row : row + 5, step : step + 5] += 0.3 * column(2 * white[:, patch] - 1)
        return images


@dataclass(frozen=True)
class Symmetries(Drawing):
    """Random patterns; the class is the axis they mirror at: upright, level, or none.

    Args:
        block: side in pixels of the pattern's squares.
        classes: 2, upright or none; or 3.
    """

    block: int = 2
    classes: int = 3

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        side = SIDE // self.block
        left = rng.random((len(labels), side, side))
        half = side // 2
        mirrored = np.concatenate([left[:, :, :half], left[:, :, :half][:, :, ::-1]], axis=2)
        level = mirrored.transpose(0, 2, 1)
        kinds = [mirrored, left, level] if self.classes == 2 else [mirrored, level, left]
        pattern = np.choose(labels[:, None, None], kinds)
        return 0.1 + 0.8 * pattern.repeat(self.block, axis=1).repeat(self.block, axis=2)


@dataclass(frozen=True)
class Majorities(Drawing):
    """Red and green dots in a jumble; the class is of which there are more.

    Args:
        lead: by how many dots.
        dots: of the colour that has fewer.
    """

    lead: int
    dots: int
    classes: int = 2

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = np.full((len(labels), 3, SIDE, SIDE), 0.15)
        total = 2 * self.dots + self.lead
        # Dots of a pixel's size, never on one another.
        places = rng.permuted(np.tile(np.arange(SIDE**2), (len(labels), 1)), axis=1)[:, :total]
        more = np.arange(total) < self.dots + self.lead
        channel = np.where(more, labels[:, None], 1 - labels[:, None])
        images[np.arange(len(labels))[:, None], channel, places // SIDE, places % SIDE] = 0.85
        return images


@dataclass(frozen=True)
class Sameness(Drawing):
    """Two squares filled with random patterns; the class is whether the patterns are the same."""

    classes: int = 2

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        one, other = rng.integers(2, size=(2, len(labels), 3, 3))
        other = np.where(labels[:, None, None] == 1, one, other)
        # Another pattern by chance may be the same one: one square of it is changed.
        alike = (one == other).all((1, 2)) & (labels == 0)
        other[alike, 0, 0] ^= 1
        images = np.full((len(labels), SIDE, SIDE), 0.5)
        for pattern, step in ((one, 1), (other, 9)):
            images[:, 5:11, step : step + 6] = 0.2 + 0.6 * pattern.repeat(2, axis=1).repeat(2, axis=2)
        return moved_down(images, rng.integers(-4, 5, len(labels)))


@dataclass(frozen=True)
class Containments(Drawing):
    """A ring, and a spot; the class is whether the spot lies in the ring.

    Args:
        gap: share of the ring that is left out, at random, so that no patch of its border says which side is which.
    """

    gap: float = 0.15
    classes: int = 2

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        middle, radius = rng.uniform(5.5, 9.5, (2, count)), rng.uniform(3.5, 5, count)
        far = distances(*middle)
        turn = np.arctan2(ROWS - column(middle[0]), COLUMNS - column(middle[1])) / (2 * np.pi)
        kept = (turn - column(rng.random(count))) % 1 > self.gap
        ring = np.clip(1.2 - abs(far - column(radius)), 0, 1) * kept
        # A random pixel among those that lie clear of the ring, on the side that the label says.
        room = np.where(labels[:, None, None] == 1, far < column(radius) - 2.3, far > column(radius) + 2.3)
        spot = (rng.random(room.shape) * room).reshape(count, -1).argmax(1)
        return 0.15 + 0.7 * np.maximum(ring, disc(spot // SIDE, spot % SIDE, 0.6))


@dataclass(frozen=True)
class Connections(Drawing):
    """A path from the left to the right border; the class is whether it is whole.

    A path goes from left to right, up and down at random; in class 0 some of its columns are missing. A stray line is
    longer by as much there, so that the amount of ink says little.

    Args:
        cut: columns that are missing.
    """

    cut: int = 2
    classes: int = 2

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = np.zeros((len(labels), SIDE, SIDE))
        for image, connected in zip(images, labels == 1, strict=True):
            row, gap = int(rng.integers(3, SIDE - 3)), int(rng.integers(2, SIDE - 2 - self.cut))
            for step in range(SIDE):
                goal = int(np.clip(row + rng.integers(-2, 3), 1, SIDE - 2))
                if connected or not gap <= step < gap + self.cut:
                    image[min(row, goal) : max(row, goal) + 1, step] = 1
                row = goal
            stray, begin = int(rng.integers(0, SIDE)), int(rng.integers(0, SIDE - 6))
            image[stray, begin : begin + (4 if connected else 4 + self.cut)] = 1
        return 0.15 + 0.7 * images


@dataclass(frozen=True)
class Borders(Drawing):
    """Two fields of stripes of equal brightness; the class is how the border between them runs: upright, level, or the
    two slants.

    Args:
        cycles: of the stripes, per image.
    """

    cycles: float = 5.0
    classes: int = 4

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        angle = column(np.pi * labels / 4)
        offset = column(rng.uniform(-2.5, 2.5, count))
        side = np.cos(angle) * (COLUMNS - _MIDDLE) + np.sin(angle) * (ROWS - _MIDDLE) > offset
        first, phase = column(rng.uniform(0, np.pi, count)), column(rng.uniform(0, 2 * np.pi, count))
        turned = first + np.where(side, np.pi / 2, 0)
        wave = np.sin(2 * np.pi * self.cycles / SIDE * (np.cos(turned) * COLUMNS + np.sin(turned) * ROWS) + phase)
        return 0.5 + 0.35 * wave


@dataclass(frozen=True)
class Pairs(Drawing):
    """Three spots, one per colour; the class is which two of them lie close together.

    Args:
        near: distance of those two in pixels.
    """

    near: float = 3.0
    classes: int = 3

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        images = np.full((count, 3, SIDE, SIDE), 0.15)
        turn = rng.uniform(0, 2 * np.pi, count)
        centre = _MIDDLE + 3.5 * np.stack([np.sin(turn), np.cos(turn)])
        opposite = _MIDDLE - 3.5 * np.stack([np.sin(turn), np.cos(turn)])
        other = rng.uniform(0, 2 * np.pi, count)
        way = self.near / 2 * np.stack([np.sin(other), np.cos(other)])
        for channel in range(3):
            # The class is the channel that lies alone; of the two others the first goes one way.
            first = channel == (labels + 1) % 3
            place = np.where(channel == labels, opposite, centre + np.where(first, way, -way))
            images[:, channel] += 0.7 * disc(place[0], place[1], 1.2)
        return images


@dataclass(frozen=True)
class Order(Drawing):
    """Three grey squares in a row; the class is the order of their brightness.

    Args:
        step: between two levels of brightness.
    """

    step: float = 0.2
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        orders = np.array([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])[labels]
        levels = 0.5 + self.step * (orders - 1) + rng.normal(0, 0.1, (len(labels), 1))
        images = np.full((len(labels), SIDE, SIDE), 0.5)
        for place in range(3):
            left = 1 + 5 * place
            images[:, 6:10, left : left + 4] = column(levels[:, place])
        return moved_down(images, rng.integers(-5, 6, len(labels)))
