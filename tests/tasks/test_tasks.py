"""Tasks: the digits, image folders with all that can be wrong with them, and the cache."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.tasks import TASKS, Split, Task, describe_task, get_task
from gennas.tasks import folder as folder_module
from gennas.tasks.base import feature_count, image_shape


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write_images(folder: Path, count: int, *, size: tuple[int, int] = (10, 10), colour: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", size, (colour, number, 0)).save(folder / f"{number}.png")


def make_folder(path: Path, count: int = 5) -> Path:
    for label, name in enumerate(("cat", "dog")):
        write_images(path / "train" / name, count, colour=100 * label)
    return path


def rows(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def test_digits_are_all_there_disjoint_and_stratified() -> None:
    from sklearn.datasets import load_digits

    task = get_task("digits")
    splits = task.splits()
    assert splits.test is not None
    parts = (splits.train, splits.val, splits.test)
    assert [len(part) for part in parts] == [1079, 359, 359]
    assert sum(len(part) for part in parts) == 1797
    assert task.input_shape == (3, 32, 32)
    assert "upscaled to 32x32 and repeated to 3 channels" in task.notes[0]
    counts = np.bincount(load_digits(return_X_y=True)[1])
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.images.shape[1:] == (3, 32, 32)
        assert np.abs(np.bincount(part.labels) - share * counts).max() <= 1
    # Every image is different, so shared rows would show as shared bytes.
    assert not rows(splits.train) & rows(splits.val)
    assert not (rows(splits.train) | rows(splits.val)) & rows(splits.test)
    assert len(set().union(*map(rows, parts))) == 1797


def test_digits_split_depends_on_the_seed_alone() -> None:
    task = get_task("digits", image_size=8)
    assert task.splits() is task.splits(0)
    assert np.array_equal(get_task("digits", image_size=9).splits().train.labels, task.splits().train.labels)
    assert not np.array_equal(task.splits(1).val.labels, task.splits().val.labels)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "imagenet16-120"])
def test_benchmark_task_has_no_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENNAS_DATA", raising=False)  # where the images of cifar10 may lie
    task = get_task(name)
    assert not task.has_images
    assert name in TASKS
    with pytest.raises(DataMissingError, match=r"comes without images.*a folder per class"):
        task.splits()
    with pytest.raises(InvalidInputError, match="not 64; leave the image size out"):
        get_task(name, image_size=64)


@pytest.mark.parametrize(
    ("name", "features", "classes"),
    [
        ("cora", 1433, 7),
        ("citeseer", 3703, 6),
        ("pubmed", 500, 3),
        ("cs", 6805, 15),
        ("physics", 8415, 5),
        ("photo", 745, 8),
        ("computers", 767, 10),
        ("arxiv", 128, 40),
        ("proteins", 8, 112),
    ],
)
def test_graph_task_has_neither_graph_nor_images(name: str, features: int, classes: int) -> None:
    task = get_task(name)
    assert (task.name, task.input_shape, task.num_classes) == (name, (features,), classes)
    assert f"{features:,} features" in describe_task(name)
    with pytest.raises(DataMissingError, match=f"task {name!r} comes without its graph"):
        task.splits()
    with pytest.raises(InvalidInputError, match="has a graph, no images; leave the image size out"):
        get_task(name, image_size=32)


def test_shapes_are_asked_for_by_what_needs_them() -> None:
    assert image_shape(get_task("imagenet16-120"), "a space") == (3, 16, 16)
    assert feature_count(get_task("cora"), "a space") == 1433
    with pytest.raises(
        InvalidInputError, match=r"a space needs images, but task 'cora' is on a graph with 1433 .* cifar10"
    ):
        image_shape(get_task("cora"), "a space")
    with pytest.raises(
        InvalidInputError, match=r"a space needs a graph, but task 'cifar10' has 3x32x32 images; .* cora"
    ):
        feature_count(get_task("cifar10"), "a space")


def test_unknown_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown task 'digit'. Did you mean 'digits'.*path of a folder"):
        get_task("digit")
    with pytest.raises(UnknownNameError, match="unknown task ''"):
        get_task("")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    near = r"unknown task 'fotos'\. .* No folder here is called 'fotos' either; did you mean 'photos'\?"
    with pytest.raises(UnknownNameError, match=near):
        get_task("fotos")
    with pytest.raises(UnknownNameError, match=r"No folder here is called 'zzz' either\. Your own images"):
        get_task("zzz")
    with pytest.raises(UnknownNameError, match="unknown task ''"):
        get_task("")
    with pytest.raises(DataMissingError, match=r"no folder of images at nowhere/at-all; expected a folder per class"):
        get_task("nowhere/at-all")
    with pytest.raises(InvalidInputError, match="image size 4; expected at least 8"):
        get_task("digits", image_size=4)


def test_folder_is_only_listed_by_get_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "decode", None)
    task = get_task(str(make_folder(tmp_path / "my pets")))
    assert (task.name, task.num_classes, task.class_names) == ("my-pets", 2, ("cat", "dog"))
    assert task.input_shape == (3, 32, 32)
    assert any(
        "no validation split: 20% of every class, chosen by the seed, are held out" in note for note in task.notes
    )
    assert any("no test split: no test accuracy is reported" in note for note in task.notes)


def test_folder_named_like_a_known_task_is_another_task(tmp_path: Path) -> None:
    task = get_task(str(make_folder(tmp_path / "cifar10")))
    assert task.name == "cifar10-folder"
    assert "this task is called cifar10-folder" in task.notes[0]


def test_held_out_validation_is_stratified_and_fixed(tmp_path: Path) -> None:
    splits = get_task(str(make_folder(tmp_path / "pets", count=10)), image_size=10).splits()
    assert splits.test is None
    assert np.bincount(splits.train.labels).tolist() == [8, 8]
    assert np.bincount(splits.val.labels).tolist() == [2, 2]
    assert not rows(splits.train) & rows(splits.val)
    assert splits.notes == ()
    again = get_task(str(make_folder(tmp_path / "elsewhere" / "pets", count=10)), image_size=10).splits()
    assert rows(again.val) == rows(splits.val)
    assert again.fingerprint == splits.fingerprint


def test_given_splits_are_used_as_they_are(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "pets")
    write_images(path / "val" / "dog", 3, colour=50)
    write_images(path / "test" / "cat", 2, colour=60)
    task = get_task(str(path), image_size=10)
    assert task.notes == ("val/ has no images for cat", "test/ has no images for dog")
    splits = task.splits()
    assert splits.test is not None
    assert [len(splits.train), len(splits.val), len(splits.test)] == [10, 3, 2]
    assert splits.val.labels.tolist() == [1, 1, 1]
    assert splits.test.labels.tolist() == [0, 0]
    assert set(splits.val.images[:, 0].flatten()) == {50}


def test_every_kind_of_image_becomes_rgb(tmp_path: Path) -> None:
    cats = make_folder(tmp_path / "pets") / "train" / "cat"
    for file in cats.iterdir():
        file.unlink()
    side = (8, 8)
    Image.new("L", side, 200).save(cats / "a-grey.PNG")
    Image.new("RGBA", side, (10, 20, 30, 128)).save(cats / "b-rgba.png")
    Image.new("RGB", side, (40, 50, 60)).quantize(4).save(cats / "c-palette.png")
    Image.fromarray(np.full(side, 128 * 257, dtype=np.uint16)).save(cats / "d-16bit.png")
    Image.new("RGB", side, (70, 80, 90)).save(cats / "e.JPeG", quality=100)
    turned = Image.fromarray(np.repeat([[0] * 8, [255] * 8], 4, axis=0).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(cats / "f-turned.jpg", exif=exif, quality=100)
    write_images(tmp_path / "pets" / "val" / "dog", 1)
    (cats / "notes.txt").write_text("no image")
    (cats / ".hidden.png").write_text("no image")

    images = get_task(str(tmp_path / "pets"), image_size=8).splits().train.images[:6]
    on_white = (132, 137, 142)  # at 128/255
    expected = [(200,) * 3, on_white, (40, 50, 60), (128,) * 3, (70, 80, 90)]
    for image, colour in zip(images, expected, strict=False):
        assert np.abs(image.reshape(3, -1).mean(1) - colour).max() <= 1
    assert images[5][:, :4].mean() > 250
    assert images[5][:, 4:].mean() < 5


def test_mixed_sizes_and_corrupt_images_are_noted(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "pets")
    Image.new("RGB", (20, 30), "green").save(path / "train" / "cat" / "big.jpg")
    (path / "train" / "dog" / "broken.png").write_bytes(b"\x89PNG no image")
    whole = (path / "train" / "cat" / "big.jpg").read_bytes()
    (path / "train" / "dog" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    task = get_task(str(path))
    for _ in range(2):  # decoded, then from the cache
        splits = folder_module.ImageFolder.open(path, 32).read(0)
        assert len(splits.train) + len(splits.val) == 11
        assert splits.notes == ("2 files skipped; damaged: 2 (train/dog/broken.png, train/dog/cut.jpg).",)
    assert task.notes[2] == (
        "images of different sizes (10x10 to 20x30) are resized to 32x32, without crop or padding, their aspect ratio "
        "is not kept"
    )


def test_cache_is_used_until_the_folder_changes(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_folder(tmp_path / "pets")
    source = folder_module.ImageFolder.open(path, 32)
    first = source.read(0)
    (cache,) = (home / "cache" / "tasks").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "decode", None)
        assert folder_module.ImageFolder.open(path, 32) == source
        assert source.read(0).fingerprint == first.fingerprint
        write_images(path / "train" / "cat", 6, colour=7)
        changed = folder_module.ImageFolder.open(path, 32)
        assert changed != source
        with pytest.raises(TypeError):  # decoding was tried
            changed.read(0)
    assert len(changed.read(0).train) == len(first.train) + 1
    assert [cache] == list((home / "cache" / "tasks").iterdir())
    cache.write_bytes(cache.read_bytes()[:100])
    assert len(changed.read(0).train) == len(first.train) + 1


def test_images_can_be_read_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "file"))
    assert len(folder_module.ImageFolder.open(make_folder(tmp_path / "pets"), 32).read(0).train) == 8


def bad_folder(kind: str, path: Path) -> None:
    if kind == "file":
        path.write_text("")
    elif kind == "empty":
        path.mkdir()
    elif kind == "no train":
        write_images(path / "val" / "cat", 1)
    elif kind == "no classes":
        write_images(path / "train", 2)
    elif kind == "one class":
        write_images(path / "train" / "cat", 2)
    elif kind == "empty class":
        (make_folder(path) / "train" / "fox").mkdir()
    elif kind == "foreign class":
        write_images(make_folder(path) / "val" / "cta", 1)
    elif kind == "empty test":
        (make_folder(path) / "test").mkdir()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("file", "is a file; expected a folder per class"),
        ("empty", "is empty; expected a folder per class"),
        ("no train", "has val/ but no train/; expected a folder per class"),
        ("no classes", "has no class folders, and no label file names its files; expected a folder per class"),
        ("one class", "has only one class, 'cat'; a task has at least two"),
        ("empty class", "has no images for fox (an empty folder); add images, or remove the class"),
        ("foreign class", "has classes that are not in train/: cta; expected those of train/: cat, dog"),
        ("empty test", "test has no images"),
    ],
)
def test_invalid_folders(tmp_path: Path, kind: str, message: str) -> None:
    bad_folder(kind, tmp_path / "pets")
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        get_task(str(tmp_path / "pets"))


def test_class_with_only_corrupt_images(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "pets")
    (path / "train" / "fox").mkdir()
    (path / "train" / "fox" / "bad.png").write_text("no image")
    with pytest.raises(InvalidInputError, match=r"no readable image of class fox: train/fox/bad.png .not an image."):
        get_task(str(path)).splits()


def test_too_few_images_to_hold_some_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="only one readable image per class, too few to hold some out"):
        get_task(str(make_folder(tmp_path / "pets", count=1))).splits()


def test_import_is_light() -> None:
    code = "import sys, gennas.tasks; print([m for m in ('torch', 'sklearn', 'PIL', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


OWN = '''
from gennas.tasks import Task

CLOUDS = Task("clouds", (3, 24, 24), 4)

def rain(image_size):
    """Rain, as drawn by hand."""
    return Task("rain", (3, image_size, image_size), 2)

def nothing():
    return None
'''


def test_a_task_of_ones_own_is_an_object_or_a_function(tmp_path: Path) -> None:
    path = tmp_path / "weather.py"
    path.write_text(OWN)
    assert get_task(f"{path}:CLOUDS").num_classes == 4
    assert get_task("Clouds") is get_task(f"{path}:CLOUDS"), "known by its own name from then on"
    assert get_task(f"{path}:rain").input_shape == (3, 32, 32)
    assert get_task(f"{path}:rain", image_size=9).input_shape == (3, 9, 9)
    with pytest.raises(InvalidInputError, match="task 'clouds' has images of 24x24, not 9"):
        get_task(f"{path}:CLOUDS", image_size=9)
    with pytest.raises(InvalidInputError, match=r"weather.py:nothing' gave None; expected a gennas.Task"):
        get_task(f"{path}:nothing")
    with pytest.raises(UnknownNameError, match="lacks its ':Name'"):
        get_task(str(path))


def test_a_registered_task_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))

    @TASKS.register("snow-flakes")
    def snow() -> Task:
        """Flakes, of six arms.

        And more.
        """
        return Task("snow-flakes", (3, 8, 8), 6)

    assert describe_task("snow_flakes") == "Flakes, of six arms."
    assert get_task("SnowFlakes").num_classes == 6


def test_names_ignore_case_unless_a_folder_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert get_task("ImageNet16_120").name == "imagenet16-120"
    make_folder(tmp_path / "Photo")
    assert get_task("Photo").has_images
    assert get_task("Photo").name == "Photo"
    assert get_task("photo").input_shape == (745,)
