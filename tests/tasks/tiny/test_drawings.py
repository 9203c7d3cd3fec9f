"""What tiny tasks' programs draw: the label, found again in the image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gennas.tasks.tiny.drawing import SIDE, Drawing, in_colour
from gennas.tasks.tiny.glyphs import Compounds, Letters, Sums
from gennas.tasks.tiny.pixels import ChannelDelays, Histograms, Motions
from gennas.tasks.tiny.relations import (
    Above,
    Connections,
    Containments,
    Majorities,
    Order,
    Pairs,
    Parities,
    Sameness,
    Symmetries,
)
from gennas.tasks.tiny.shapes import Counts, OddOneOut, Places, Ramps, Sizes
from gennas.tasks.tiny.signals import Spectrograms, Tones
from gennas.tasks.tiny.textures import Automata, Bands, Domains, Glass, Gratings

COUNT = 120


def drawn(drawing: Drawing, seed: int = 0, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, each class as often as any other."""
    labels = np.arange(count) % drawing.classes
    return drawing.draw(labels, np.random.default_rng(seed)), labels


def middles(images: np.ndarray) -> np.ndarray:
    """Row and column of the middle of what is brighter than the darkest pixel, ``(n, 2)``."""
    return np.array([ndimage.center_of_mass(image - image.min()) for image in images])


@pytest.mark.parametrize("patches", [2, 4])
def test_parities_are_of_white_squares(patches: int) -> None:
    images, labels = drawn(Parities(patches))
    white = [
        sum(image[row, step] > 0.5 for row, step in [(4, 4), (11, 11), (4, 11), (11, 4)][:patches]) for image in images
    ]
    assert np.array_equal(np.array(white) % 2, labels)
    # Every corner is white as often as not in each class, so that none of them alone says anything.
    assert abs((images[labels == 1, 4, 4] > 0.5).mean() - 0.5) < 0.2


@pytest.mark.parametrize("equal_ink", [False, True])
def test_dots_are_counted(equal_ink: bool) -> None:
    images, labels = drawn(Counts(2, equal_ink))
    lowest, highest = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    found = [ndimage.label(mask)[1] for mask in images - lowest > 0.4 * (highest - lowest)]
    assert np.array_equal(found, labels + 2)
    if equal_ink:
        ink = (images - lowest).sum((1, 2))
        assert ink[labels == 4].mean() == pytest.approx(ink[labels == 0].mean(), rel=0.1)


def test_places_are_cells_of_a_grid() -> None:
    images, labels = drawn(Places(4, clutter=3))
    brightest = images.reshape(COUNT, -1).argmax(1)
    assert np.array_equal(brightest // SIDE // 4 * 4 + brightest % SIDE // 4, labels)


def test_discs_grow_with_their_class() -> None:
    images, labels = drawn(Sizes(1, 4, classes=4))
    ink = ((images - images.min((1, 2), keepdims=True)) > 0.2).sum((1, 2))
    assert (np.diff([ink[labels == label].mean() for label in range(4)]) > 5).all()
    assert np.ptp(ink[labels == 2]) < 8


def test_red_lies_where_the_class_says() -> None:
    images, labels = drawn(Above(7))
    way = middles(images[:, 0]) - middles(images[:, 1])
    found = np.where(abs(way[:, 0]) > abs(way[:, 1]), np.where(way[:, 0] < 0, 0, 1), np.where(way[:, 1] < 0, 2, 3))
    assert np.array_equal(found, labels)


def test_the_channel_that_lies_alone_is_the_class() -> None:
    images, labels = drawn(Pairs())
    spots = np.stack([middles(images[:, channel]) for channel in range(3)], axis=1)
    away = np.linalg.norm(spots[:, :, None] - spots[:, None], axis=-1).sum(2)
    assert np.array_equal(away.argmax(1), labels)


def test_more_dots_are_of_the_colour_of_the_class() -> None:
    images, labels = drawn(Majorities(3, 20))
    dots = (images > 0.5).sum((2, 3))
    assert np.array_equal(dots[:, :2].argmax(1), labels)
    assert np.array_equal(np.sort(dots, axis=1), np.tile([0, 20, 23], (COUNT, 1)))


@pytest.mark.parametrize("block", [2, 4])
def test_mirrored_images_are_their_own_mirrors(block: int) -> None:
    images, labels = drawn(Symmetries(block))
    assert np.array_equal((images == images[:, :, ::-1]).all((1, 2)), labels == 0)
    assert np.array_equal((images == images[:, ::-1]).all((1, 2)), labels == 1)


def test_patterns_are_the_same_where_the_class_says() -> None:
    images, labels = drawn(Sameness())
    assert np.array_equal((images[:, :, 1:7] == images[:, :, 9:15]).all((1, 2)), labels == 1)


def test_squares_are_ordered_by_brightness() -> None:
    images, labels = drawn(Order())
    rows = abs(images[:, :, 2] - 0.5).argmax(1)
    levels = images[np.arange(COUNT)[:, None], rows[:, None], [2, 7, 12]]
    ranks = levels.argsort(1).argsort(1)
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    # A middle level of exactly grey hides the square's row: hardly ever, and then the ranks tell nothing.
    assert np.mean([tuple(rank) == orders[label] for rank, label in zip(ranks, labels, strict=True)]) > 0.9


def test_spots_lie_in_the_ring_or_not() -> None:
    images, labels = drawn(Containments(gap=0))
    for image, label in zip(images, labels, strict=True):
        blobs, count = ndimage.label(image >= 0.5, structure=np.ones((3, 3)))
        assert count == 2
        ring = 1 + int(np.argmax(ndimage.sum_labels(np.ones_like(image), blobs, [1, 2])))
        spot = blobs == 3 - ring
        assert (ndimage.binary_fill_holes(blobs == ring) & spot).any() == label


def test_paths_are_whole_where_the_class_says() -> None:
    images, labels = drawn(Connections(2))
    whole = []
    for image in images:
        parts, _ = ndimage.label(image > 0.5)
        whole.append(bool(set(parts[:, 0]) & set(parts[:, -1]) - {0}))
    # A stray line may bridge the gap.
    assert all(np.array(whole)[labels == 1])
    assert np.mean(np.array(whole)[labels == 0]) < 0.1


def test_cells_follow_their_rule() -> None:
    rules = (30, 90, 110)
    images, labels = drawn(Automata(rules))
    cells = images.astype(int)
    code = 4 * np.roll(cells[:, :-1], 1, axis=2) + 2 * cells[:, :-1] + np.roll(cells[:, :-1], -1, axis=2)
    following = np.array([[(rules[label] >> c) & 1 for c in range(8)] for label in labels])
    assert np.array_equal(np.take_along_axis(following, code.reshape(COUNT, -1), 1), cells[:, 1:].reshape(COUNT, -1))


def test_cold_neighbours_agree() -> None:
    images, labels = drawn(Domains((1.5, 3.5)))
    alike = (images[:, 1:] == images[:, :-1]).mean((1, 2))
    assert alike[labels == 0].min() > 0.7
    assert alike[labels == 1].mean() < 0.75


def test_stripes_run_at_the_angle_of_their_class() -> None:
    images, labels = drawn(Gratings(4, 0.3, classes=2))
    across, down = abs(np.diff(images, axis=2)).mean((1, 2)), abs(np.diff(images, axis=1)).mean((1, 2))
    assert np.array_equal(across < down, labels == 1)


@pytest.mark.parametrize(("drawing", "wanted"), [(Bands(1, 7, classes=3), (1, 2.65, 7)), (Tones(5, 40, 0.3), None)])
def test_frequencies_rise_with_the_class(drawing: Drawing, wanted: tuple[float, ...] | None) -> None:
    images, labels = drawn(drawing)
    rough = abs(np.diff(images.reshape(COUNT, -1), axis=1)).mean(1)
    means = [rough[labels == label].mean() for label in range(drawing.classes)]
    assert means == sorted(means)
    if wanted is not None:
        one = np.fft.fftfreq(SIDE) * SIDE
        radius = np.hypot(one[:, None], one[None])
        power = abs(np.fft.fft2(images - images.mean((1, 2), keepdims=True))) ** 2
        centres = (power * radius).sum((1, 2)) / power.sum((1, 2))
        assert [centres[labels == label].mean() for label in range(3)] == pytest.approx(wanted, rel=0.25)


def test_distributions_have_one_mean_and_variance() -> None:
    images, labels = drawn(Histograms(), count=600)
    spread = images.std((1, 2))
    assert [spread[labels == label].mean() for label in range(6)] == pytest.approx([0.15] * 6, rel=0.05)
    assert len(np.unique(images[0].round(9))) == 2
    assert len(np.unique(images[1].round(9))) == SIDE**2


def test_one_channel_is_the_odd_one() -> None:
    images, labels = drawn(ChannelDelays(2, 0.0))
    for image, label in zip(images, labels, strict=True):
        odd, (first, second) = image[label % 3], np.delete(image, label % 3, axis=0)
        assert np.array_equal(first, second)
        assert np.allclose(odd, 1 - first if label >= 3 else np.roll(first, 2, axis=1))


def test_clouds_move_in_the_direction_of_their_class() -> None:
    images, labels = drawn(Motions(1, 0.0, classes=4))
    for label, (axis, by) in enumerate([(2, 1), (1, 1), (2, -1), (1, -1)]):
        before, after = images[labels == label, 0], images[labels == label, 1]
        assert np.allclose(np.roll(before, by, axis=axis), after, atol=0.03)


def test_light_comes_from_the_side_of_the_class() -> None:
    images, labels = drawn(Ramps(0.2, classes=4))
    sides = np.stack([images[:, :, -1], images[:, -1], images[:, :, 0], images[:, 0]]).mean(2)
    assert np.array_equal(sides.argmax(0), labels)


def test_turned_bars_lie_in_the_corner_of_the_class() -> None:
    images, labels = drawn(OddOneOut())
    cells = images.reshape(COUNT, 4, 4, 4, 4).transpose(0, 1, 3, 2, 4).reshape(COUNT, 16, 16)
    odd = abs(cells - np.median(cells, axis=1, keepdims=True)).sum(2).argmax(1)
    assert np.array_equal(odd // 4 // 2 * 2 + odd % 4 // 2, labels)


def test_pairs_of_dots_have_directions() -> None:
    images, labels = drawn(Glass(1, distance=4), count=400)
    for label, radial in ((0, 0.0), (1, 4.0)):
        lengths = []
        for image in images[labels == label]:
            dots = np.argwhere(image > 0.5) - (SIDE - 1) / 2
            lengths += [abs(np.diff(np.hypot(*dots.T))).item()] if len(dots) == 2 else []
        # Along a ray the distance to the middle grows by the whole way, along a circle by little.
        assert abs(np.median(lengths) - radial) < 1.5


def test_tones_go_up_or_down() -> None:
    images, labels = drawn(Spectrograms(1.0))
    pitch = images.argmax(1)
    rising = pitch[:, :4].mean(1) - pitch[:, -4:].mean(1)
    assert (rising[labels == 0] > 1).mean() > 0.9
    assert (rising[labels == 1] < -1).mean() > 0.9
    assert abs(rising[labels == 2].mean()) < 1


@pytest.mark.parametrize("large", [True, False])
def test_figures_are_made_of_figures(large: bool) -> None:
    images, labels = drawn(Compounds(large))
    cells = images.reshape(COUNT, 4, 4, 4, 4)
    coarse, fine = cells.max((2, 4)) > 0.3, cells.max((1, 3)) > 0.3
    kinds = [coarse, fine] if large else [fine, coarse]
    names = {tuple(figure.ravel()) for figure in kinds[0]}
    of = [{tuple(figure.ravel()) for figure in kinds[0][labels == label]} for label in range(4)]
    assert len(names) == 4
    assert all(len(figures) == 1 for figures in of)
    assert all(len({tuple(figure.ravel()) for figure in kinds[1][labels == label]}) > 1 for label in range(4))


def test_letters_are_read_by_their_nearest_mean() -> None:
    images, labels = drawn(Letters("AOX", bending=0.3), count=300)
    flat = images.reshape(300, -1)
    means = np.stack([flat[:150][labels[:150] == label].mean(0) for label in range(3)])
    nearest = np.linalg.norm(flat[150:, None] - means, axis=-1).argmin(1)
    assert (nearest == labels[150:]).mean() > 0.7


def test_sums_are_of_the_two_halves() -> None:
    # Of 0 and 1 there is one way each to make 0 and 2; sums of 1 have both orders.
    images, labels = drawn(Sums(1))
    halves = [(image[:, :8] > 0.3).sum() for image in images], [(image[:, 8:] > 0.3).sum() for image in images]
    alike = np.array([abs(int(left) - int(right)) for left, right in zip(*halves, strict=True)])
    assert alike[labels != 1].mean() < alike[labels == 1].mean() - 2


def test_grey_images_become_three_channels() -> None:
    grey = np.random.default_rng(0).random((2, SIDE, SIDE))
    assert np.array_equal(in_colour(grey), np.stack([grey, grey, grey], axis=1))
