"""Tiny tasks that single pixels solve, wherever they lie: colours, distributions of brightness, order of channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.tasks.tiny.drawing import SIDE, Drawing, filtered_noise, frequencies


@dataclass(frozen=True)
class Tints(Drawing):
    """Coloured clouds; the class is the hue of a weak tint over all of the image.

    Args:
        strength: of the tint; the clouds' own colours have a deviation of 0.2.
        classes: number of hues.
    """

    strength: float
    classes: int = 8

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clouds = filtered_noise(3 * len(labels), 1 / (1 + frequencies()), rng).reshape(-1, 3, SIDE, SIDE)
        angle = 2 * np.pi * labels[:, None] / self.classes + np.array([0, 2, 4]) * np.pi / 3
        own = rng.normal(0, 0.03, (len(labels), 3))
        return 0.5 + 0.2 * clouds + (self.strength * np.cos(angle) + own)[:, :, None, None]


@dataclass(frozen=True)
class ColourMixtures(Drawing):
    """Pixels of two colours, each picked alone; all images have the same mean colour on average, and the class is the
    hue of the axis between the two.

    Args:
        spread: half the distance of the two colours.
        noise: deviation of each pixel's channels.
        classes: number of axes.
    """

    spread: float
    noise: float
    classes: int = 8

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = np.pi * labels[:, None] / self.classes + np.array([0, 2, 4]) * np.pi / 3
        sign = rng.choice([-1.0, 1.0], (len(labels), 1, SIDE, SIDE))
        pixels = sign * np.cos(angle)[:, :, None, None] * self.spread
        return 0.5 + pixels + rng.normal(0, self.noise, (len(labels), 3, SIDE, SIDE))


@dataclass(frozen=True)
class Histograms(Drawing):
    """Independent pixels of equal mean and variance; the class is the form of their distribution: two values, even,
    triangular, normal, with tails, or three values.

    Args:
        deviation: of the brightness.
        classes: 2 to 6.
    """

    deviation: float = 0.15
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shape = (len(labels), SIDE, SIDE)
        forms = [
            rng.choice([-1.0, 1.0], shape),
            rng.uniform(-(3**0.5), 3**0.5, shape),
            rng.laplace(0, 0.5**0.5, shape),
            rng.normal(size=shape),
            rng.triangular(-(6**0.5), 0, 6**0.5, shape),
            rng.choice([-(2**0.5), 0.0, 0.0, 2**0.5], shape),
        ]
        pixels = np.choose(labels[:, None, None], forms[: self.classes])
        level, scale = rng.normal(0.5, 0.05, (len(labels), 1, 1)), rng.uniform(0.8, 1.2, (len(labels), 1, 1))
        return level + self.deviation * scale * pixels


@dataclass(frozen=True)
class ChannelDelays(Drawing):
    """One cloud in all channels; the class says in which of them it lies elsewhere, or is a negative.

    Args:
        shift: by how many pixels it is shifted there.
        noise: deviation of each pixel's channels.
    """

    shift: int
    noise: float
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cloud = filtered_noise(len(labels), 1 / (1 + frequencies() ** 2 / 4), rng)
        channel, negative = labels % 3, labels >= 3
        odd = np.where(negative[:, None, None], -cloud, np.roll(cloud, self.shift, axis=2))
        own = channel[:, None] == np.arange(3)
        images = np.where(own[:, :, None, None], odd[:, None], cloud[:, None])
        return 0.5 + 0.17 * images + rng.normal(0, self.noise, images.shape)


@dataclass(frozen=True)
class Motions(Drawing):
    """Three moments, one per channel, of a cloud that moves in one of some directions.

    Args:
        step: pixels between two moments.
        noise: deviation of each pixel's channels.
        classes: number of directions.
    """

    step: float
    noise: float
    classes: int = 8

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cycles = np.fft.fftfreq(SIDE)
        cloud = np.fft.fft2(filtered_noise(len(labels), 1 / (1 + frequencies() ** 2 / 9), rng))
        angle = 2 * np.pi * labels / self.classes
        way = self.step * np.stack([np.sin(angle), np.cos(angle)])[:, :, None, None]
        turn = np.exp(-2j * np.pi * (way[0] * cycles[:, None] + way[1] * cycles[None]))
        moments = np.stack([np.fft.ifft2(cloud * turn**time).real for time in range(3)], axis=1)
        return 0.5 + 0.17 * moments + rng.normal(0, self.noise, moments.shape)
