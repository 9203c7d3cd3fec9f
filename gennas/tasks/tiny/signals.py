"""Tiny tasks of signals in time: drawn as curves, written row by row, or as spectrograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.tasks.tiny.drawing import ROWS, SIDE, Drawing, column

_TIME = np.arange(SIDE * SIDE) / (SIDE * SIDE)


@dataclass(frozen=True)
class Curves(Drawing):
    """One period after the other of a wave, drawn as a curve; the class is its form: sine, square, triangle, saw, saw
    backwards, pulses.

    Args:
        noise: deviation of the curve's height in pixels.
        classes: 2 to 6.
    """

    noise: float = 0.5
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        turns = rng.uniform(1.2, 2.5, (count, 1)) * np.linspace(0, 1, SIDE) + rng.random((count, 1))
        phase = turns % 1
        forms = [
            np.sin(2 * np.pi * phase),
            np.where(phase < 0.5, 1.0, -1.0),
            4 * abs(phase - 0.5) - 1,
            2 * phase - 1,
            1 - 2 * phase,
            np.where(phase < 0.2, 1.0, -0.6),
        ]
        height = np.choose(labels[:, None], forms[: self.classes]) * rng.uniform(3.5, 6, (count, 1))
        height = 7.5 - height + rng.normal(0, self.noise, height.shape)
        before = np.concatenate([height[:, :1], height[:, :-1]], axis=1)
        low, high = np.minimum(height, before)[:, None], np.maximum(height, before)[:, None]
        away = np.maximum(low - ROWS, ROWS - high)
        return 0.15 + 0.7 * np.clip(1 - away, 0, 1)


@dataclass(frozen=True)
class Heartbeats(Drawing):
    """Two leads of a heart, each a curve of some beats; the class is the rhythm: regular, with a beat too early, with
    a beat missing, or with broad beats.

    Args:
        noise: deviation of the curves' height in pixels.
    """

    noise: float = 0.3
    classes: int = 4

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count, beats = len(labels), 4
        times = rng.uniform(0, 3, (count, 1)) + 4.2 * np.arange(beats)
        odd = rng.integers(1, beats - 1, count)
        each = np.arange(count)
        times[each, odd] -= np.where(labels == 1, 1.7, 0)
        strength = np.ones((count, beats))
        strength[each, odd] = np.where(labels == 2, 0, 1)
        width = np.where(labels == 3, 1.3, 0.55)[:, None, None]
        since = np.arange(SIDE) - times[:, :, None]
        spike = np.exp(-((since / width) ** 2) / 2) - 0.35 * np.exp(-(((since - 1.3) / width) ** 2) / 2)
        curve = (spike * strength[:, :, None]).sum(1)
        images = np.zeros((count, SIDE, SIDE))
        for base, scale in ((6.0, 5.0), (13.5, -3.5)):
            height = base - scale * curve + rng.normal(0, self.noise, curve.shape)
            before = np.concatenate([height[:, :1], height[:, :-1]], axis=1)
            low, high = np.minimum(height, before)[:, None], np.maximum(height, before)[:, None]
            images = np.maximum(images, np.clip(1 - np.maximum(low - ROWS, ROWS - high), 0, 1))
        return 0.15 + 0.7 * images


@dataclass(frozen=True)
class Tones(Drawing):
    """A signal of 256 samples row by row; the class is its frequency.

    Args:
        low: cycles per image of class 0.
        high: of the last.
        contrast: amplitude.
        classes: number of frequencies.
    """

    low: float
    high: float
    contrast: float
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cycles = self.low * (self.high / self.low) ** (labels / (self.classes - 1))
        turns = cycles[:, None] * _TIME + rng.random((len(labels), 1))
        return (0.5 + self.contrast * np.sin(2 * np.pi * turns)).reshape(-1, SIDE, SIDE)


@dataclass(frozen=True)
class Memories(Drawing):
    """A random signal of 256 samples row by row, each of which follows from the two before; the class is how.

    Args:
        damping: how long it is remembered; below 1.
        classes: number of pairs of coefficients: an oscillation of a period of its own, damped.
    """

    damping: float = 0.9
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = np.pi * (labels + 0.5) / self.classes
        first, second = 2 * self.damping * np.cos(angle), -(self.damping**2)
        samples = rng.normal(size=(len(labels), 64 + SIDE * SIDE))
        for now in range(2, samples.shape[1]):
            samples[:, now] += first * samples[:, now - 1] + second * samples[:, now - 2]
        samples = samples[:, 64:]
        return (0.5 + 0.17 * samples / samples.std(1, keepdims=True)).reshape(-1, SIDE, SIDE)


@dataclass(frozen=True)
class Spectrograms(Drawing):
    """Time to the right, pitch upwards; the class is how the tone goes: up, down, level, up and down, two tones,
    clicks.

    Args:
        contrast: brightness of the tone over noise whose deviation is 0.15.
        classes: 2 to 6.
    """

    contrast: float = 0.4
    classes: int = 6

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = len(labels)
        time, start = np.linspace(0, 1, SIDE), rng.uniform(4, 11, (count, 1))
        rise = rng.uniform(3, 6, (count, 1))
        arch = rise * (1 - abs(2 * time - 1)) - rise / 2
        paths = [start + rise * (0.5 - time), start + rise * (time - 0.5), start + 0 * time, start - arch]
        paths += [start, start]
        pitch = np.choose(labels[:, None], [np.broadcast_to(path, (count, SIDE)) for path in paths[: self.classes]])
        tone = np.exp(-((ROWS - pitch[:, None]) ** 2) / 1.5)
        second = np.exp(-((ROWS - pitch[:, None] - 4) ** 2) / 1.5)
        tone = np.where(column(labels == 4), np.maximum(tone, second), tone)
        clicks = (np.arange(SIDE) % 5 == rng.integers(5, size=(count, 1)))[:, None] * np.ones((SIDE, 1))
        tone = np.where(column(labels == 5), 0.6 * clicks, tone)
        fading = 0.5 + rng.random((count, 1, SIDE))
        return 0.3 + self.contrast * fading * tone + 0.15 * abs(rng.normal(size=tone.shape))
