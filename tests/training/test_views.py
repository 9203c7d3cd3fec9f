"""Views: the same crops at every size, in a fixed order, with the answers that belong to them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gennas.errors import InvalidInputError
from gennas.tasks import Split
from gennas.training.batches import Normalisation
from gennas.training.network_files import WEIGHTS
from gennas.training.optimisation import optimiser_of
from gennas.training.recipe import Recipe
from gennas.training.teacher import Teacher
from gennas.training.views import LEAST_AREA, ViewBatches, Views, answers, kept_answers

#: Brightness grows from left to right, and differs from image to image.
RAMP = np.linspace(0, 200, 40)[None, None, None] + np.arange(6)[:, None, None, None] * 8
IMAGES = np.broadcast_to(RAMP, (6, 3, 40, 40)).astype(np.uint8)
LABELS = np.arange(6) % 3
NORMALISE = Normalisation(Split(IMAGES, LABELS))


class Brightness(nn.Module):
    """The mean of an image as the logit of class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return torch.stack([self.weight * x.mean((1, 2, 3)), torch.zeros(len(x))], 1)


def teacher_of(network: nn.Module, side: int) -> Teacher:
    return Teacher(network, [0.0] * 3, [1 / 255] * 3, (side, side), NORMALISE)


@pytest.mark.parametrize("mirrored", [True, False])
def test_all_sizes_show_the_same_crops(mirrored: bool) -> None:
    views = Views(IMAGES, 5, 0, mirrored=mirrored)
    for view in range(5):
        small, large = (views.at(side, view).astype(float) for side in (8, 32))
        assert small.shape == (6, 3, 8, 8)
        np.testing.assert_allclose(large.reshape(6, 3, 8, 4, 8, 4).mean((3, 5)), small, atol=2.5)


def test_a_teacher_is_moved_so_that_it_can_be_trained_afterwards() -> None:
    """What is moved to a GPU in inference mode comes back as tensors that refuse gradients."""

    class Moved(Teacher):
        modes: ClassVar[list[bool]] = []

        def to(self, *args: object, **kwargs: object) -> Moved:
            self.modes.append(torch.is_inference_mode_enabled())
            return self

    teacher = Moved(Brightness(), [0.0] * 3, [1 / 255] * 3, (8, 8), NORMALISE)
    found = answers(teacher, Views(IMAGES, 2, 0, mirrored=False))
    assert teacher.modes
    assert not any(teacher.modes)
    assert not found.requires_grad
    assert not found.is_inference()


def test_crops_are_what_their_boxes_say() -> None:
    views = Views(IMAGES, 50, 3, mirrored=True)
    left, top, right, bottom = views.boxes.transpose(2, 0, 1)
    assert views.boxes.min() >= 0
    assert views.boxes.max() <= 1 + 1e-12
    area = (right - left) * (bottom - top)
    # Sides end at the image, so that wide crops of nearly all of it become smaller.
    assert area.min() > 0.8 * LEAST_AREA
    assert 0.55 < area.mean() < 0.72
    assert 0.4 < views.flips.mean() < 0.6
    assert not Views(IMAGES, 50, 3, mirrored=False).flips.any()
    row = views.at(16, 0)[:, 0, 8].astype(float)
    rising = row[:, -1] > row[:, 0]
    np.testing.assert_array_equal(rising, ~views.flips[0])
    middle = RAMP[:, 0, 0].min(1) + 200 * (left + right)[0] / 2
    np.testing.assert_allclose(row.mean(1), middle, atol=4)


def test_seed_and_images_identify_views() -> None:
    first = Views(IMAGES, 2, 0, mirrored=True).fingerprint
    assert first == Views(IMAGES.copy(), 2, 0, mirrored=True).fingerprint
    others = [
        Views(IMAGES, 2, 1, mirrored=True),
        Views(IMAGES, 2, 0, mirrored=False),
        Views(IMAGES + 1, 2, 0, mirrored=True),
    ]
    assert first not in {other.fingerprint for other in others}


def test_answers_are_for_the_crops_of_the_student() -> None:
    views = Views(IMAGES, 3, 0, mirrored=True)
    found = answers(teacher_of(Brightness(), 20), views, batch_size=4)
    assert found.shape == (3, 6, 2)
    for view in range(3):
        np.testing.assert_allclose(found[view, :, 0], views.at(20, view).mean((1, 2, 3)), rtol=1e-5)


def test_batches_show_every_image_with_its_answer() -> None:
    views, epoch = Views(IMAGES, 2, 0, mirrored=True), 0
    taught = torch.arange(12.0).reshape(2, 6, 1).expand(2, 6, 3)
    batches = ViewBatches(
        LABELS, views, 8, NORMALISE, batch_size=4, seed=0, epoch=lambda: epoch, taught=taught, parts=1
    )
    orders = []
    for epoch in range(3):
        shown = list(batches)
        assert len(shown) == len(batches) == 2
        rows = torch.cat([batch[2][:, 0] for batch in shown]).long() - 6 * (epoch % 2)
        images, labels = torch.cat([batch[0] for batch in shown]), torch.cat([batch[1] for batch in shown])
        assert sorted(rows.tolist()) == list(range(6))
        np.testing.assert_array_equal(labels, LABELS[rows])
        expected = NORMALISE(torch.from_numpy(views.at(8, epoch % 2)))[rows]
        torch.testing.assert_close(images, expected)
        orders.append(rows.tolist())
    assert orders[0] != orders[2]
    epoch = 0
    assert torch.cat([batch[2][:, 0] for batch in batches]).tolist() == orders[0]
    batches.parts = 2
    assert [len(batch[1]) for batch in batches] == [2, 1, 2, 1]


def test_answers_are_computed_once(tmp_path: Path) -> None:
    network, views = Brightness(), Views(IMAGES, 2, 0, mirrored=True)
    save_file({"weight": torch.ones(())}, tmp_path / WEIGHTS)
    first = kept_answers(tmp_path, teacher_of(network, 8), views)
    assert network.seen == 12
    torch.testing.assert_close(kept_answers(tmp_path, teacher_of(network, 8), views), first)
    assert network.seen == 12
    # Other crops, another resolution, and other weights are other answers.
    kept_answers(tmp_path, teacher_of(network, 8), Views(IMAGES, 2, 1, mirrored=True))
    kept_answers(tmp_path, teacher_of(network, 16), views)
    save_file({"weight": torch.zeros(())}, tmp_path / WEIGHTS)
    kept_answers(tmp_path, teacher_of(network, 8), views)
    assert network.seen == 48


def test_damaged_answers_are_computed_anew(tmp_path: Path) -> None:
    network, views = Brightness(), Views(IMAGES, 1, 0, mirrored=False)
    save_file({"weight": torch.ones(())}, tmp_path / WEIGHTS)
    first = kept_answers(tmp_path, teacher_of(network, 8), views)
    (path,) = (tmp_path / "answers").iterdir()
    path.write_bytes(path.read_bytes()[:40])
    torch.testing.assert_close(kept_answers(tmp_path, teacher_of(network, 8), views), first)


def test_views_are_not_augmented_further() -> None:
    for setting in ({"mixup": 0.2}, {"randaugment": 1}):
        with pytest.raises(InvalidInputError, match="views are shown as they are"):
            Recipe(views=4, **setting)  # type: ignore[arg-type]


def test_the_classifier_has_a_rate_of_its_own() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    recipe = Recipe(learning_rate=0.01, head_factor=5.0, weight_decay=0.1, decay_norms=False)
    rates = {
        id(weight): (group["lr"], group["weight_decay"])
        for group in optimiser_of(network, recipe).param_groups
        for weight in group["params"]
    }
    expected = [(0.01, 0.1), (0.01, 0.0), (0.01, 0.0), (0.01, 0.0), (0.05, 0.1), (0.05, 0.0)]
    np.testing.assert_allclose([rates[id(weight)] for weight in network.parameters()], expected)
