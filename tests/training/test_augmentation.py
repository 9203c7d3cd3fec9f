"""Augmentation against closed forms: what each operation does to a pixel, and what pairs are mixed to."""

import math

import pytest
import torch
from torch import Tensor

from gennas.training.augmentation import (
    OPERATIONS,
    Operation,
    brightened,
    coloured,
    contrasted,
    mixed,
    moved_x,
    moved_y,
    rand_augmented,
    rotated,
    sharpened,
    sheared_x,
    sheared_y,
    unchanged,
)


def centroid(images: Tensor) -> Tensor:
    """``(b, 2)`` column and row of the mean mass, from the centre of the image, in pixels."""
    h, w = images.shape[2:]
    mass = images.sum(1)
    mass = mass / mass.sum((1, 2), keepdim=True)
    columns, rows = torch.arange(w) - (w - 1) / 2, torch.arange(h) - (h - 1) / 2
    return torch.stack([(mass.sum(1) * columns).sum(1), (mass.sum(2) * rows).sum(1)], 1)


def spot(column: float, row: float, size: int = 33) -> Tensor:
    """One smooth spot ``(1, 1, size, size)``, so many pixels right of and below the centre."""
    at = torch.arange(size) - (size - 1) / 2
    shape = torch.exp(-((at[None, :] - column) ** 2 + (at[:, None] - row) ** 2) / 8)
    return shape[None, None]


@pytest.mark.parametrize("strength", [1.0, -1.0, 0.5])
@pytest.mark.parametrize(
    ("operation", "moved"),
    [
        # By up to a fifth of 33 pixels; a point right of the centre turns up, against the clock.
        (moved_x, lambda x, y, s: (x - 0.2 * 33 * s, y)),
        (moved_y, lambda x, y, s: (x, y - 0.2 * 33 * s)),
        (sheared_x, lambda x, y, s: (x - 0.3 * s * y, y)),
        (sheared_y, lambda x, y, s: (x, y - 0.3 * s * x)),
        (
            rotated,
            lambda x, y, s: (
                x * math.cos(s * math.pi / 6) + y * math.sin(s * math.pi / 6),
                y * math.cos(s * math.pi / 6) - x * math.sin(s * math.pi / 6),
            ),
        ),
    ],
)
def test_where_a_spot_goes(operation: Operation, moved: object, strength: float) -> None:
    x, y = 4.0, -3.0
    found = centroid(operation(spot(x, y), torch.tensor([strength])))[0].tolist()
    assert found == pytest.approx(moved(x, y, strength), abs=0.1)  # type: ignore[operator]


def test_a_rotation_of_a_wide_image_keeps_its_shape() -> None:
    wide = torch.zeros(1, 1, 33, 65)
    wide[:, :, :, 16:49] = spot(6.0, 0.0)
    found = centroid(rotated(wide, torch.tensor([1.0])))[0].tolist()
    assert found == pytest.approx((6 * math.cos(math.pi / 6), -6 * math.sin(math.pi / 6)), abs=0.1)


def test_colours() -> None:
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    strengths = torch.tensor([1.0, -1.0, 0.5])
    assert torch.allclose(brightened(images, strengths) - images, 0.6 * strengths[:, None, None, None], atol=1e-6)
    spread, mean = images.std((1, 2, 3)), images.mean((1, 2, 3))
    harder = contrasted(images, strengths)
    assert torch.allclose(harder.std((1, 2, 3)), spread * (1 + 0.6 * strengths))
    assert torch.allclose(harder.mean((1, 2, 3)), mean, atol=1e-6)
    grey = images[:, :1].repeat(1, 3, 1, 1)
    assert torch.allclose(coloured(grey, strengths), grey)
    distance = (images - images.mean(1, keepdim=True)).abs()
    changed = coloured(images, strengths)
    assert torch.allclose((changed - changed.mean(1, keepdim=True)).abs()[0], 1.6 * distance[0], atol=1e-6)
    flat = torch.full((1, 3, 5, 5), 0.3)
    assert torch.allclose(sharpened(flat, torch.ones(1)), flat)
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 9.0
    # The mean of the neighbours is 1 there: 1 + 1.9 * 8.
    assert float(sharpened(point, torch.ones(1))[0, 0, 2, 2]) == pytest.approx(16.2)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_strength_changes_nothing(operation: Operation) -> None:
    images = torch.randn(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(operation(images, torch.zeros(2)), images, atol=1e-5)


def test_randaugment_draws_for_every_image_by_its_generator_alone() -> None:
    images = torch.randn(400, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = images.clone()

    def drawn(seed: int, count: int = 1, magnitude: float = 5.0) -> Tensor:
        torch.rand(seed + 3)
        return rand_augmented(images, count, magnitude, torch.Generator().manual_seed(seed))

    first = drawn(0)
    assert torch.equal(first, drawn(0))
    assert torch.equal(images, before)
    same = (first == images).flatten(1).all(1).float().mean()
    assert 0.05 < float(same) < 0.16  # one operation of ten does nothing
    assert not torch.equal(first, drawn(1))
    assert torch.allclose(drawn(0, count=3, magnitude=0.0), images, atol=1e-5)
    assert (drawn(0, count=2) - images).abs().mean() > (first - images).abs().mean()
    assert unchanged in OPERATIONS
    assert len(OPERATIONS) == 10


def test_mixup_mixes_images_and_targets_by_the_same_shares() -> None:
    classes = 4000
    labels = torch.arange(classes)
    images = labels.float()[:, None, None, None].repeat(1, 1, 2, 2)
    targets = torch.eye(classes)
    mixed_images, mixed_targets = mixed(images, targets, 0.4, torch.Generator().manual_seed(0))
    assert torch.allclose(mixed_targets.sum(1), torch.ones(classes), atol=1e-5)
    assert torch.allclose(mixed_images[:, 0, 0, 0], mixed_targets @ labels.float(), rtol=1e-4, atol=1e-2)
    assert int((mixed_targets > 0).sum(1).max()) == 2
    shares = mixed_targets.diagonal()
    # Of Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(shares.var()) == pytest.approx(1 / (4 * 1.8), abs=0.01)
    again = mixed(images, targets, 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], mixed_images)
