"""Reading a folder of images: what is said about it, equal images, and what identifies it."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.errors import DataMissingError, InvalidInputError
from gennas.metrics import Constraint, Objective
from gennas.paths import gennas_home, readable
from gennas.problem import Problem
from gennas.search.policies.choice import ChosenPolicy
from gennas.search.policies.random_search import RandomSearch
from gennas.search.settings import study_config
from gennas.studies.formats import upgraded_settings
from gennas.tasks import Splits, get_task
from gennas.tasks.folder import ImageFolder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))


def draw(path: Path, seed: int, side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)).save(path)
    return path


def draw_classes(folder: Path, *classes: str, count: int = 5, side: int = 8) -> Path:
    for label, name in enumerate(classes):
        for number in range(count):
            draw(folder / name / f"{number}.png", 100 * label + number, side)
    return folder


def read(path: Path, **how: bool) -> Splits:
    return ImageFolder.open(path, 8, **how).read(0)


def test_the_log_says_per_class_what_was_read_and_what_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pets = draw_classes(tmp_path / "pets", "cat", "dog", side=20)
    (pets / "cat" / "notes.txt").write_text("todo")
    (pets / "cat" / "cut.png").write_bytes((pets / "cat" / "0.png").read_bytes()[:200])
    draw(pets / "dog" / "2023" / "old.webp", 7)
    for _ in range(2):  # decoded, then from the cache
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="gennas"):
            read(pets)
        assert caplog.messages == [
            "pets: images of 2 classes read: 10 train; files skipped: 3",
            "  cat  5 train; skipped: damaged 1, not an image 1",
            "  dog  5 train; skipped: in a subfolder 1",
            "  no validation split: 20% of every class, chosen by the seed, are held out for validation",
            "  no test split: no test accuracy is reported",
            "  images of 20x20 are shrunk to 8x8, without crop or padding; for more detail give `image_size`, e.g. 20",
            "  3 files skipped; in a subfolder: 1 (dog/2023/old.webp); damaged: 1 (cat/cut.png); not an image: 1 "
            "(cat/notes.txt). Give `nested` to read those in subfolders.",
            "skipped dog/2023/old.webp: in a subfolder",
            "skipped cat/cut.png: damaged",
            "skipped cat/notes.txt: not an image",
        ]
    assert len(read(pets, nested=True).train) + len(read(pets, nested=True).val) == 11


def test_many_classes_are_summed_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    many = draw_classes(tmp_path / "many", *(f"c{number:02}" for number in range(25)), count=2)
    draw(many / "c07" / "2.png", 1)
    (many / "c07" / "bad.png").write_bytes(b"\x89PNG")
    with caplog.at_level(logging.INFO):
        read(many)
    assert caplog.messages[1:3] == ["  c07  3 train; skipped: damaged 1", "  from 2 to 3 images per class"]


def test_the_same_picture_in_two_splits_or_classes_is_told(tmp_path: Path) -> None:
    pets = draw_classes(tmp_path / "pets" / "train", "cat", "dog").parent
    draw(pets / "val" / "dog" / "other.png", 55)
    # Another file of the same pixels.
    Image.open(pets / "train" / "dog" / "1.png").save(draw(pets / "val" / "dog" / "copy.png", 0), compress_level=0)
    Image.open(pets / "train" / "cat" / "2.png").save(pets / "train" / "dog" / "wrong.bmp")
    assert read(pets).notes == (
        "1 picture is there in several splits (equal pixels at 8x8): train/dog/1.png = val/dog/copy.png",
        "1 picture is there in several classes (equal pixels at 8x8): train/cat/2.png = train/dog/wrong.bmp",
    )


def test_copies_that_are_held_out_are_counted(tmp_path: Path) -> None:
    pets = draw_classes(tmp_path / "pets", "cat", "dog", count=4)
    for number in range(4):
        os.link(pets / "cat" / f"{number}.png", pets / "cat" / f"{number}-copy.png")
    notes = read(pets).notes
    assert notes[0].startswith("4 pictures are there more than once in one class (equal pixels at 8x8): cat/0-copy.png")
    assert "2 of 3 images held out for validation equal one that is trained on" in notes[1]


def test_a_class_with_one_image_is_named(tmp_path: Path) -> None:
    pets = draw_classes(tmp_path / "pets", "cat", "dog")
    draw(pets / "fox" / "only.png", 1000)
    assert read(pets).notes == ("nothing is held out of classes with one image: fox",)


def test_a_class_of_one_picture_is_named(tmp_path: Path) -> None:
    pets = draw_classes(tmp_path / "pets" / "train", "cat", "dog").parent
    draw_classes(pets / "val", "dog", count=1)
    for number in range(5):
        Image.new("RGB", (9, 9)).save(pets / "train" / "cat" / f"{number}.png")
    assert "all 5 images of class cat are equal" in read(pets).notes


def test_a_class_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    pets = draw_classes(tmp_path / "pets", "cat", "dog")
    (pets / "fox").mkdir()
    (pets / "fox" / "f.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    with pytest.raises(InvalidInputError, match=r"no readable image of class fox: fox/f.heic \(HEIC, which has to be"):
        read(pets)


def config_of(path: Path) -> dict[str, object]:
    problem = Problem("nasbench201", str(path), image_size=8)
    return study_config(problem, ChosenPolicy(RandomSearch(problem), "random", {}, "none"), seed=0)


def test_images_are_known_by_their_pixels_and_not_by_their_place(tmp_path: Path) -> None:
    first = draw_classes(tmp_path / "here" / "pets", "cat", "dog")
    before = config_of(first)
    second = tmp_path / "there" / "pets"
    second.parent.mkdir()
    first.rename(second)
    for file in second.rglob("*.png"):
        os.utime(file, (1, 1))
    assert config_of(second) == before
    draw(second / "cat" / "0.png", 77)
    assert config_of(second) != before


def test_settings_of_0_2_had_a_path(tmp_path: Path) -> None:
    pets = draw_classes(tmp_path / "pets", "cat", "dog")
    now = config_of(pets)
    assert isinstance(now["task"], dict)
    old = {**now, "task": {**now["task"], "path": "/somewhere/pets"}}
    assert upgraded_settings(old, 1, "config.yaml") == now


def test_plain_images_are_decoded_as_0_2_did(tmp_path: Path) -> None:
    """Of the pixels a study's checksum is made: another order or another resizing would refuse every old study."""
    pets = draw_classes(tmp_path / "pets" / "train", "cat", "dog", side=21).parent
    for name, mode in (("grey.png", "L"), ("palette.png", "P"), ("opaque.png", "RGBA")):
        Image.open(pets / "train" / "cat" / "1.png").convert(mode).save(pets / "train" / "cat" / name)
    files = [file for name in ("cat", "dog") for file in sorted((pets / "train" / name).glob("*"))]
    old = [np.asarray(Image.open(file).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)) for file in files]
    decoded = ImageFolder.open(pets, 8)._decode().splits["train"]
    assert np.array_equal(decoded.images, np.stack(old).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0, 4095, "values from 0 to 4,095 only, of 65,535: 16 of 256 grey levels are left of them; .*, times 16"),
        (40_000, 44_095, r"values from 40,000 to 44,095 only, of 65,535: 17 of 256 grey levels .* whole range\."),
        (0, 65_520, ""),
    ],
)
def test_16_bit_files_with_data_of_fewer_bits_are_said(tmp_path: Path, low: int, high: int, said: str) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(3):
            values = rng.integers(low, high + 1, (8, 8)).astype(np.uint16)
            values[0, :2] = low, high
            Image.fromarray(values).save(tmp_path / "pets" / name / f"{number}.png")
    source = get_task(str(tmp_path / "pets"), image_size=8).source
    assert source is not None
    for splits in (source.read(0), source.read(0)):  # the second time from the cache
        notes = [note for note in splits.notes if "of 16 bits" in note]
        assert len(notes) == bool(said)
        assert not said or re.match(f"6 images of 16 bits hold {said}", notes[0] + ".")


def test_what_reading_would_skip_is_known_before(tmp_path: Path) -> None:
    pets = draw_classes(tmp_path / "pets", "cat", "dog")
    (pets / "cat" / "note.txt").write_text("no image")
    draw(pets / "dog" / "more" / "7.png", 7)
    source = ImageFolder.open(pets, 8)
    (sentence,) = source.unreadable()
    assert sentence.startswith("2 files skipped; ")
    assert "not an image: 1 (cat/note.txt)" in sentence
    assert "Give `nested` to read those in subfolders." in sentence
    assert sentence in source.read(0).notes


def test_preprocessing_is_stored_in_words_that_json_holds(tmp_path: Path) -> None:
    source = get_task(str(draw_classes(tmp_path / "pets", "cat", "dog")), image_size=8).source
    assert source is not None
    facts = source.preprocessing()
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["size"], facts["crop"], facts["padding"], facts["channels"]) == ([8, 8], None, None, "RGB")


@pytest.mark.skipif(os.name == "nt", reason="names are text on Windows")
def test_names_that_are_not_utf8(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pets = Path(os.fsdecode(os.fsencode(tmp_path) + b"/t\xe2sk\x1b[31m"))
    draw_classes(pets, "cat", os.fsdecode(b"d\xf6g"))
    (pets / "cat" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    task = get_task(str(pets), image_size=8)
    assert task.name == r"t\xe2sk\x1b[31m"
    assert task.class_names == ("cat", r"d\xf6g")
    with caplog.at_level(logging.DEBUG, logger="gennas"):
        notes = task.splits().notes
    for text in (*caplog.messages, *notes, task.name, *task.class_names):
        text.encode()
        assert text.isprintable()
    assert r"not an image: 1 (cat/\xff.png)" in notes[0]


@pytest.mark.parametrize("name", ["a@b, c:d", "-photos", "photos.csv", "own.py", "own.py:Task", "x <= 3"])
def test_any_name_of_a_folder_is_a_task_that_metrics_can_name(tmp_path: Path, name: str) -> None:
    task = get_task(str(draw_classes(tmp_path / name, "cat", "dog")), image_size=8)
    assert [metric.target for metric in Objective.parse(f"accuracy@{task.name}, -params_m").metrics] == [
        task.name,
        None,
    ]
    assert Constraint.parse(f"accuracy@{task.name} >= 0.5").metric.target == task.name


def test_paths_in_messages() -> None:
    assert readable("plain/ü.png") == "plain/ü.png"
    assert readable(os.fsdecode(b"a\xff\n")) == r"a\xff\n"


def test_an_account_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENNAS_HOME")

    def homeless(cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(homeless))
    with pytest.raises(DataMissingError, match="set the environment variable GENNAS_HOME"):
        gennas_home()


def test_nested_is_for_folders(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nested is given, but task 'digits' is no folder of images"):
        get_task("digits", nested=True)
    with pytest.raises(InvalidInputError, match="nested is given, but task is an object"):
        Problem("nasbench201", get_task("digits"), nested=True)


@pytest.mark.parametrize(("counts", "rare"), [((30, 30, 3), "c2 (3 of 63 images)"), ((30, 30, 6), ""), ((4, 3), "")])
def test_rare_classes_are_named(tmp_path: Path, counts: tuple[int, ...], rare: str) -> None:
    for label, count in enumerate(counts):
        (tmp_path / "odd" / f"c{label}").mkdir(parents=True)
        for row in range(count):
            Image.new("RGB", (8, 8), (row, label, 0)).save(tmp_path / "odd" / f"c{label}" / f"{row}.png")
    notes = [note for note in get_task(str(tmp_path / "odd"), image_size=8).notes if "rare classes" in note]
    assert notes == ([f"rare classes hardly count in the accuracy, look at balanced_accuracy: {rare}"] if rare else [])


def test_the_log_names_the_task(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gennas"):
        read(draw_classes(tmp_path / "my photos, ü", "a", "b"))
    assert caplog.messages[0].startswith("my-photos-ü: images of 2 classes")
