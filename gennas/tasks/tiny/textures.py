"""Tiny tasks of textures: the same everywhere in an image, with no place that counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.tasks.tiny.drawing import COLUMNS, ROWS, SIDE, Drawing, column, filtered_noise, frequencies


@dataclass(frozen=True)
class Gratings(Drawing):
    """Sinusoidal stripes of any phase; the class is their orientation.

    Args:
        cycles: per image: 2 is coarse, 7 nearly the finest there is.
        contrast: amplitude; 0.5 is from black to white.
        classes: number of orientations, evenly over half a turn.
    """

    cycles: float
    contrast: float
    classes: int = 8

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = column(np.pi * labels / self.classes + rng.normal(0, 0.06, len(labels)))
        phase = column(rng.uniform(0, 2 * np.pi, len(labels)))
        cycles = column(self.cycles * rng.uniform(0.9, 1.1, len(labels)))
        wave = np.sin(2 * np.pi * cycles / SIDE * (np.cos(angle) * COLUMNS + np.sin(angle) * ROWS) + phase)
        return 0.5 + self.contrast * wave


@dataclass(frozen=True)
class Bands(Drawing):
    """Noise of a band of frequencies in all directions; the class is the band.

    Args:
        low: middle of the first band, in cycles per image.
        high: middle of the last.
        contrast: deviation of the brightness.
        classes: number of bands between ``low`` and ``high``, evenly in octaves.
    """

    low: float
    high: float
    contrast: float = 0.17
    classes: int = 8

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        middle = self.low * (self.high / self.low) ** (labels / (self.classes - 1))
        octaves = np.log2(np.maximum(frequencies(), 0.5)) - np.log2(column(middle))
        return 0.5 + self.contrast * filtered_noise(len(labels), np.exp(-((octaves / 0.35) ** 2) / 2), rng)


@dataclass(frozen=True)
class Slopes(Drawing):
    """Clouds whose amplitude falls with frequency as a power, the class.

    Args:
        steepest: power of the last class; that of the first is 0, white noise.
        classes: number of powers.
    """

    steepest: float = 2.0
    classes: int = 5

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        power = self.steepest * labels / (self.classes - 1) + rng.normal(0, 0.1, len(labels))
        return 0.5 + 0.17 * filtered_noise(len(labels), np.maximum(frequencies(), 1) ** -column(power), rng)


@dataclass(frozen=True)
class Automata(Drawing):
    """Rows that follow each other by the rule of an elementary cellular automaton; the class is the rule.

    Wolfram, "Statistical mechanics of cellular automata", 1983.

    Args:
        rules: a number from 0 to 255 per class.
        errors: share of cells that are flipped after all rows were made.
    """

    rules: tuple[int, ...]
    errors: float = 0.0

    @property
    def classes(self) -> int:
        return len(self.rules)

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        tables = (np.array(self.rules)[:, None] >> np.arange(8)) & 1
        rows = [rng.integers(2, size=(len(labels), SIDE))]
        # A few rows first, so that the rule has forgotten the even share of its first one.
        for _ in range(SIDE + 3):
            above = rows[-1]
            code = 4 * np.roll(above, 1, axis=1) + 2 * above + np.roll(above, -1, axis=1)
            rows.append(tables[labels[:, None], code])
        cells = np.stack(rows[-SIDE:], axis=1)
        return cells ^ (rng.random(cells.shape) < self.errors)


@dataclass(frozen=True)
class Domains(Drawing):
    """Black and white domains of a lattice in which neighbours agree (Ising's); the class is the temperature.

    Args:
        temperatures: one per class; the critical one is 2.27.
        sweeps: of the Metropolis algorithm, on the two colours of a checkerboard in turn.
    """

    temperatures: tuple[float, ...]
    sweeps: int = 20

    @property
    def classes(self) -> int:
        return len(self.temperatures)

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        heat = column(np.array(self.temperatures)[labels])
        spins = rng.choice(np.array([-1, 1], dtype=np.int8), (len(labels), SIDE, SIDE))
        board = (ROWS + COLUMNS) % 2
        for sweep in range(2 * self.sweeps):
            around = sum(np.roll(spins, by, axis=axis) for by in (-1, 1) for axis in (1, 2))
            flips = rng.random(spins.shape) < np.exp(-2 * spins * around / heat)
            spins = np.where(flips & (board == sweep % 2), -spins, spins)
        return 0.5 + 0.4 * spins


@dataclass(frozen=True)
class Glass(Drawing):
    """Glass patterns: pairs of dots, whose directions form circles, rays, spirals or parallels.

    Glass, "Moire effect from random dots", Nature 1969.

    Args:
        pairs: number of pairs of dots.
        classes: 2 to 4: circles, rays, and the two kinds of spirals between them.
        distance: of the dots of a pair, in pixels.
    """

    pairs: int
    classes: int = 4
    distance: float = 2.2

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        middle = (SIDE - 1) / 2
        first = rng.uniform(0, SIDE - 1, (len(labels), self.pairs, 2)) - middle
        turned = np.array([np.pi / 2, 0, np.pi / 4, -np.pi / 4])[labels][:, None]
        angle = np.arctan2(first[..., 0], first[..., 1]) + turned
        second = first + self.distance * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        images = np.zeros((len(labels), SIDE, SIDE))
        each = np.arange(len(labels))[:, None]
        for dots in (first, second):
            spot = np.rint(dots + middle).astype(int)
            inside = ((spot >= 0) & (spot < SIDE)).all(-1)
            spot = np.clip(spot, 0, SIDE - 1)
            np.maximum.at(images, (each, spot[..., 0], spot[..., 1]), inside.astype(float))
        return 0.1 + 0.8 * images
