"""Drawings of small patterns: the label, found again in the image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gennas.tasks.tiny.details import Blocks, Edges, Junctions, Motifs, Verniers, Weaves
from gennas.tasks.tiny.drawing import SIDE, Drawing

COUNT = 120


def drawn(drawing: Drawing) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, each class as often as any other."""
    labels = np.arange(COUNT) % drawing.classes
    return drawing.draw(labels, np.random.default_rng(0)), labels


def test_blocks_are_even_or_odd() -> None:
    images, labels = drawn(Blocks())
    white = (images > 0.5).astype(int)
    sums = white[:, 1:, 1:] + white[:, 1:, :-1] + white[:, :-1, 1:] + white[:, :-1, :-1]
    odd = (sums % 2).mean((1, 2))
    assert (odd[labels == 0] == 0).all()
    assert (odd[labels == 1] == 1).all()
    assert abs(odd[labels == 2].mean() - 0.5) < 0.02
    # Neither brightness nor neighbours say anything.
    assert [white[labels == label].mean() for label in range(3)] == pytest.approx([0.5] * 3, abs=0.05)
    alike = (white[:, 1:] == white[:, :-1]).mean((1, 2))
    assert [alike[labels == label].mean() for label in range(3)] == pytest.approx([0.5] * 3, abs=0.05)


def test_motifs_are_there_more_often_than_by_chance() -> None:
    images, labels = drawn(Motifs(6))
    first = images[labels == 0] > 0.5
    windows = np.lib.stride_tricks.sliding_window_view(images > 0.5, (3, 3), axis=(1, 2))
    motif = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]], dtype=bool)
    found = (windows == motif).all((-1, -2)).sum((1, 2))
    assert found[labels == 0].mean() > 3
    assert found[labels != 0].mean() < 1
    assert abs(first.mean() - 0.5) < 0.05


def test_weaves_alternate_as_their_class_says() -> None:
    images, labels = drawn(Weaves(0.1))
    along = np.isclose(images[:, 0, :, 1:], images[:, 0, :, :-1]).mean((1, 2))
    down = np.isclose(images[:, 0, 1:], images[:, 0, :-1]).mean((1, 2))
    shares = [(along[labels == label].mean(), down[labels == label].mean()) for label in range(6)]
    wanted = [(0, 0), (1, 0), (0, 1), (0.5, 0), (0, 0.5), (0.5, 0.5)]
    assert np.allclose(shares, wanted, atol=0.06)


def test_lines_are_off_by_pixels() -> None:
    images, labels = drawn(Verniers())
    ink = images - images.min((1, 2), keepdims=True)
    places = (ink * np.arange(SIDE)).sum(2) / np.maximum(ink.sum(2), 1e-9)
    # The break lies between rows 7.5 and 9.5, and both lines are longer than 4 pixels; tilts cancel out on average.
    off = places[:, 11] - places[:, 6]
    assert np.allclose([off[labels == label].mean() for label in range(5)], [-2, -1, 0, 1, 2], atol=0.3)


def test_edges_grow_softer() -> None:
    images, labels = drawn(Edges())
    contrast = images - 0.5
    full = (abs(contrast) > 0.9 * abs(contrast).max((1, 2), keepdims=True)).mean((1, 2))
    shares = [full[labels == label].mean() for label in range(5)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.9


def test_figures_have_their_form() -> None:
    # One figure without clutter: the number of pixels, its box and its symmetry tell all six apart.
    images, labels = drawn(Junctions(figures=1, clutter=0))
    for image, label in zip(images, labels, strict=True):
        ink = image > image.min() + 0.01
        box = ink[ndimage.find_objects(ink.astype(int))[0]]
        assert ink.sum() == (5, 5, 5, 5, 3, 4)[label]
        assert sorted(box.shape) == [[3, 3], [3, 3], [3, 3], [3, 3], [1, 3], [2, 2]][label]
        if label < 4:
            # L has an empty middle; a plus is its own quarter turn; a Z its own half turn; a T neither.
            assert box[1, 1] == (label != 0)
            assert np.array_equal(box, np.rot90(box)) == (label == 2)
            assert np.array_equal(box, np.rot90(box, 2)) == (label in (2, 3))
