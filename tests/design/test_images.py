"""The images of a design."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gennas.design import EFFORTS
from gennas.design.context import MOST_TIMES, Context
from gennas.design.images import counted, expect_enough, native_side, useful_side
from gennas.design.limits import Limits
from gennas.errors import InvalidInputError
from gennas.problem import Problem
from gennas.spaces.lite.elastic import RESOLUTIONS
from gennas.tasks import Task, get_task
from tests.design_toys import colours


@pytest.mark.parametrize(
    ("native", "most", "side"),
    [(224, 192, 192), (224, 128, 128), (300, 260, 260), (32, 192, 96), (8, 192, 48), (100, 192, 96), (20, 192, 56)],
)
def test_the_useful_side(native: int, most: int, side: int) -> None:
    assert useful_side(native, RESOLUTIONS, most) == side


def photos(folder: Path, each: int = 12) -> Path:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", (60 + number, 40), (number, 0, 0)).save(folder / name / f"{number}.png")
    return folder


def test_the_side_of_photos_is_the_shorter_one(tmp_path: Path) -> None:
    assert native_side(get_task(str(photos(tmp_path / "photos")))) == 40
    assert native_side(colours()) == 32


def test_images_are_counted(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 30)
    (folder / "cat" / "broken.png").write_bytes(b"no picture")
    task = get_task(str(folder))
    assert counted(task, task.splits(), "x/design.log") == (
        "photos: 60 images, 2 classes of 30, 12 of them kept for validation, no test images; 1 could not be read "
        "(x/design.log)"
    )


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    task = get_task(str(photos(tmp_path / "photos", 12)))
    with pytest.raises(InvalidInputError, match="4 validation images beside 20 for training: too few"):
        expect_enough(task, task.splits())
    expect_enough(colours(), colours().splits())


def test_letters_and_digits_are_not_mirrored(tmp_path: Path) -> None:
    def context(task: Task) -> Context:
        limits = Limits.of(Problem("lite0", task))
        return Context(tmp_path, task, limits, EFFORTS["quick"], 0, "random")

    assert context(colours()).mirrored
    assert context(colours()).recipe(2).augmentation == "flip+crop"
    letters = replace(colours(), class_names=("b", "d", "p"))
    assert not context(letters).mirrored
    assert context(letters).recipe(2).augmentation == "none"


def test_few_images_are_shown_more_often(tmp_path: Path) -> None:
    limits = Limits.of(Problem("lite0", colours()))
    few, many = (Context(tmp_path, colours(each), limits, EFFORTS["quick"], 0, "random") for each in (12, 200))
    assert few.epochs(6) == 6 * MOST_TIMES
    assert many.epochs(6) == 6
