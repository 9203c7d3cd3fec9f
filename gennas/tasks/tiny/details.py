"""Tiny tasks of what neighbouring pixels do, and nothing else: small patterns, weaves, edges, offsets of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.tasks.tiny.drawing import COLUMNS, ROWS, SIDE, Drawing, column, filtered_noise, frequencies

# Patterns of 3x3 black and white pixels, five of them white.
_PATTERNS = ("110100011", "101010101", "010111010", "011001110", "100110011", "001111001")
_MOTIFS = np.array([[int(bit) for bit in bits] for bits in _PATTERNS]).reshape(-1, 3, 3)


@dataclass(frozen=True)
class Motifs(Drawing):
    """Black and white pixels at random, with a pattern of 3x3 of them in many places; the class is the pattern.

    Args:
        copies: number of places; some lie on one another.
        classes: 2 to 6.
    """

    copies: int
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = rng.integers(2, size=(len(labels), SIDE, SIDE))
        each = np.arange(len(labels))[:, None, None]
        for _ in range(self.copies):
            row, step = rng.integers(SIDE - 2, size=(2, len(labels), 1, 1))
            places = each, row + np.arange(3)[:, None], step + np.arange(3)
            images[places] = _MOTIFS[labels]
        return 0.2 + 0.6 * images


@dataclass(frozen=True)
class Blocks(Drawing):
    """Black and white pixels, in every 2x2 of which the number of white ones is even, odd, or either; the class is
    which. Means and correlations of two or three pixels are the same in all classes.

    Julesz, Gilbert and Victor, "Visual discrimination of textures with identical third-order statistics", 1978.

    Args:
        errors: share of pixels that are flipped.
        classes: 2, even or odd; or 3.
    """

    errors: float = 0.0
    classes: int = 3

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = rng.integers(2, size=(len(labels), SIDE, SIDE))
        for row in range(1, SIDE):
            for step in range(1, SIDE):
                others = images[:, row - 1, step - 1] ^ images[:, row - 1, step] ^ images[:, row, step - 1]
                images[:, row, step] = np.where(labels == 2, images[:, row, step], others ^ labels)
        images = images ^ (rng.random(images.shape) < self.errors)
        return 0.2 + 0.6 * images


@dataclass(frozen=True)
class Weaves(Drawing):
    """Two random colours that alternate from pixel to pixel; the class is how: as a checkerboard, by rows, by columns,
    by twos in a row or in a column, or along a slant.

    Args:
        contrast: half the distance of the colours.
        errors: share of pixels with the other colour.
        classes: 2 to 6.
    """

    contrast: float
    errors: float = 0.0
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        row, step = ROWS + column(rng.integers(4, size=count)), COLUMNS + column(rng.integers(4, size=count))
        ways = [row + step, row, step, step // 2 + row, row // 2 + step, (row + step) // 2]
        sign = 1 - 2 * (np.choose(labels[:, None, None], ways[: self.classes]) % 2)
        sign = np.where(rng.random(sign.shape) < self.errors, -sign, sign)
        mean, way = rng.uniform(0.4, 0.6, (count, 3, 1, 1)), rng.normal(size=(count, 3, 1, 1))
        way = way / np.linalg.norm(way, axis=1, keepdims=True)
        return mean + self.contrast * way * sign[:, None]


@dataclass(frozen=True)
class Verniers(Drawing):
    """Two upright lines, one above the other and off by some pixels; the class is by how many, and to which side.

    Args:
        classes: offsets from ``-(classes - 1) / 2`` pixels on.
    """

    classes: int = 5

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        top, middle = rng.uniform(4.5, 6.5, count), rng.uniform(7.5, 9.5, count)
        place = rng.uniform(4.5, 10.5, count)
        tilt = rng.uniform(-0.15, 0.15, count)
        offset = np.where(column(middle) < ROWS, column(labels - (self.classes - 1) / 2), 0)
        line = column(place) + column(tilt) * (ROWS - column(middle)) + offset
        long = (abs(ROWS - column(middle)) < column(top)) & (abs(ROWS - column(middle)) > 0.7)
        return 0.2 + column(rng.uniform(0.4, 0.7, count)) * np.clip(1 - abs(COLUMNS - line), 0, 1) * long


@dataclass(frozen=True)
class Edges(Drawing):
    """Clouds cut into black and white at their mean; the class is how sharp the edges are.

    Args:
        softest: of the last class: the deviation from the mean up to which brightness rises evenly.
        classes: number of degrees; the edges of class 0 are steps.
    """

    softest: float = 1.2
    classes: int = 5

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clouds = filtered_noise(len(labels), np.exp(-((frequencies() / 2.5) ** 2) / 2), rng)
        softness = column(self.softest * labels / (self.classes - 1) + 0.02)
        return 0.5 + column(rng.uniform(0.2, 0.4, len(labels))) * np.clip(clouds / softness, -1, 1)


@dataclass(frozen=True)
class Junctions(Drawing):
    """Small figures of three pixels' length, all alike, anywhere and turned by right angles; the class is their form:
    L, T, plus, Z, bar, or square.

    Args:
        figures: in the image.
        clutter: single pixels of the same brightness.
        classes: 2 to 6.
    """

    figures: int = 4
    clutter: int = 12
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        forms = np.array(
            [
                [[int(pixel) for pixel in row] for row in form.split()]
                for form in ("100 100 111", "111 010 010", "010 111 010", "110 010 011", "010 010 010", "110 110 000")
            ]
        )
        images = np.zeros((len(labels), SIDE, SIDE))
        each = np.arange(len(labels))[:, None, None]
        turned = np.stack([np.rot90(forms, turn, axes=(1, 2)) for turn in range(4)])
        for _ in range(self.figures):
            row, step = rng.integers(SIDE - 2, size=(2, len(labels), 1, 1))
            places = each, row + np.arange(3)[:, None], step + np.arange(3)
            images[places] = np.maximum(images[places], turned[rng.integers(4, size=len(labels)), labels])
        for _ in range(self.clutter):
            row, step = rng.integers(SIDE, size=(2, len(labels)))
            images[each[:, 0, 0], row, step] = 1
        return 0.2 + column(rng.uniform(0.3, 0.7, len(labels))) * images
