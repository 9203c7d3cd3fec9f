"""A task at another size: from its files where it has some, from its arrays elsewhere."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.errors import InvalidInputError
from gennas.tasks import ImageSource, Split, Splits, Task, get_task
from gennas.tasks.resizing import resized_images


@dataclass(frozen=True)
class Noise(ImageSource):
    """Twelve images of two channels, of 20x16 pixels."""

    def read(self, seed: int) -> Splits:
        images = np.random.default_rng(seed).integers(0, 256, (12, 2, 20, 16), dtype=np.uint8)
        part = Split(images, np.arange(12) % 3)
        return Splits(part, part.take(np.arange(6)), None, ("a note",))


TASK = Task("noise", (2, 20, 16), 3, ("a", "b", "c"), Noise(), ("of its own",))


@pytest.mark.parametrize("side", [5, 16, 33])
def test_arrays_are_resized_as_pillow_resizes(side: int) -> None:
    images = TASK.splits().train.images
    pillow = [
        [np.asarray(Image.fromarray(channel).resize((side, side), Image.Resampling.BILINEAR)) for channel in image]
        for image in images
    ]
    assert np.abs(resized_images(images, side).astype(int) - np.array(pillow)).max() <= 1


def test_a_resized_task_is_the_same_task() -> None:
    resized = TASK.resized(8)
    assert (resized.name, resized.input_shape, resized.notes) == ("noise", (2, 8, 8), ("of its own",))
    before, after = TASK.splits(1), resized.splits(1)
    assert after.notes == ("a note",)
    assert after.test is None
    np.testing.assert_array_equal(after.train.labels, before.train.labels)
    np.testing.assert_array_equal(after.val.images, resized_images(before.val.images, 8))
    np.testing.assert_array_equal(resized.sample(4, 1).images, resized_images(TASK.sample(4, 1).images, 8))


def test_resizing_twice_loses_no_more_than_once() -> None:
    assert TASK.resized(8).resized(16) == TASK.resized(16)
    small = get_task("digits", image_size=8)
    assert small.resized(16) == get_task("digits", image_size=16)
    assert small.resized(8) is small


def test_a_folder_is_read_again(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 40, 40, 3), dtype=np.uint8)
    for label, images in zip("ab", pixels, strict=True):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / "photos" / label / f"{number}.png")
    small = get_task(str(tmp_path / "photos"), image_size=8)
    assert small.resized(40) == get_task(str(tmp_path / "photos"), image_size=40)
    assert "shrunk to 8x8" in " ".join(small.notes)
    assert "image_size" not in " ".join(small.resized(16).notes)
    assert "8x8" not in " ".join(small.resized(40).notes)
    # The detail is that of the files, not that of 8 pixels.
    rows = {image.tobytes() for image in pixels.reshape(-1, 40, 40, 3).transpose(0, 3, 1, 2).copy()}
    assert {image.tobytes() for image in small.resized(40).splits().train.images} <= rows


def test_what_cannot_be_resized() -> None:
    with pytest.raises(InvalidInputError, match="0 pixels"):
        TASK.resized(0)
    with pytest.raises(InvalidInputError, match="graph"):
        get_task("cora").resized(8)
    assert get_task("imagenet16-120").resized(32).input_shape == (3, 32, 32)
