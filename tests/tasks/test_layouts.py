"""Layouts that folders of images come in, and folders that are a mess: no file is lost without a word."""

from __future__ import annotations

import json
import os
import random
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from gennas.errors import InvalidInputError
from gennas.tasks.folder import ImageFolder
from gennas.tasks.layout import list_images
from gennas.tasks.listing import Listing


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))


def draw(path: Path, colour: tuple[int, int, int] = (1, 2, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), colour).save(path)


def draw_classes(folder: Path, *classes: str, count: int = 3) -> None:
    for label, name in enumerate(classes):
        for number in range(count):
            draw(folder / name / f"{number}.png", (50 * label, number, 0))


def names(listing: Listing, split: str = "train") -> list[str]:
    return [file.name for file in listing.splits[split]]


def counts(listing: Listing) -> dict[str, int]:
    return {split: len(files) for split, files in listing.splits.items()}


def listed(path: Path, *, nested: bool = False) -> Listing:
    return list_images(path, nested=nested)


def refused(path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        listed(path)
    return str(caught.value)


def test_class_folders_without_train(tmp_path: Path) -> None:
    draw_classes(tmp_path, "cat", "dog")
    found = listed(tmp_path)
    assert found.classes == ("cat", "dog")
    assert names(found)[0] == "cat/0.png"
    assert counts(found) == {"train": 6}
    splits = ImageFolder.open(tmp_path, 9).read(0)
    assert (len(splits.train), len(splits.val), splits.test) == (4, 2, None)


@pytest.mark.parametrize("val", ["val", "Val", "valid", "validation", "DEV"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "Testing")])
def test_names_of_splits(tmp_path: Path, train: str, val: str, test: str) -> None:
    draw_classes(tmp_path / train, "cat", "dog")
    draw_classes(tmp_path / val, "cat", "dog", count=2)
    draw_classes(tmp_path / test, "cat", "dog", count=1)
    assert counts(listed(tmp_path)) == {"train": 6, "val": 4, "test": 2}


def test_a_vehicle_may_be_called_train(tmp_path: Path) -> None:
    draw_classes(tmp_path, "bus", "car", "train")
    found = listed(tmp_path)
    assert found.classes == ("bus", "car", "train")
    assert found.notes == ["train/ is taken for a class, as it has no class folders"]


@pytest.mark.parametrize("name", ["train.csv", "labels.csv", "metadata.csv", "anything.tsv", "train.jsonl"])
@pytest.mark.parametrize(("file", "label"), [("image", "label"), ("filename", "class"), ("Path", "Target")])
def test_a_label_file(tmp_path: Path, name: str, file: str, label: str) -> None:
    rows = [(f"{number}.png", ("cat", "dog")[number % 2]) for number in range(6)]
    for number, (image, _) in enumerate(rows):
        draw(tmp_path / "images" / image, (number, 0, 0))
    if name.endswith("jsonl"):
        lines = [json.dumps({file: image, label: what}) for image, what in rows]
    else:
        between = "\t" if name.endswith("tsv") else ","
        lines = [between.join(row) for row in [(file, label), *rows]]
    (tmp_path / name).write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    for path in (tmp_path, tmp_path / name):
        found = listed(path)
        assert found.classes == ("cat", "dog")
        assert names(found) == [f"images/{number}.png" for number in range(6)]
        assert [one.label for one in found.splits["train"]] == [0, 1] * 3
        assert found.notes == [f"{name}: files are those of column {file!r}, labels of column {label!r}"]


def test_a_label_file_with_splits_and_rows_that_cannot_be_used(tmp_path: Path) -> None:
    for number in range(8):
        draw(tmp_path / f"{number}.png")
    (tmp_path / "void.png").write_bytes(b"")
    rows = ["0.png,2,train", "1.png,10,train", "2.png,2,Valid", "3.png,10,test", "4.png,2,fold7", "5.png,,train"]
    rows += ["0.png,2,train", "gone.png,2,train", "void.png,2,train"]
    (tmp_path / "data.csv").write_text("\n".join(["path,label,split", *rows]))
    found = listed(tmp_path)
    assert found.classes == ("2", "10"), "numbers are ordered by value"
    assert counts(found) == {"train": 2, "val": 1, "test": 1}
    assert {(one.name, one.reason) for one in found.skipped} == {
        ("4.png", "of split 'fold7', which is not train, val or test"),
        ("5.png", "without a label"),
        ("0.png", "listed twice"),
        ("gone.png", "not there"),
        ("void.png", "empty"),
        ("6.png", "in no label file"),
        ("7.png", "in no label file"),
    }


def test_identifiers_without_an_ending_and_a_label_of_another_name(tmp_path: Path) -> None:
    for number in range(4):
        draw(tmp_path / "train" / f"ab{number}.jpg")
    draw(tmp_path / "test" / "x.jpg")
    (tmp_path / "train.csv").write_text("id,breed\nab0,pug\nab1,lab\nab2,pug\nab3,lab\n")
    (tmp_path / "test.csv").write_text("id\nx\n")
    found = listed(tmp_path)
    assert names(found) == [f"train/ab{number}.jpg" for number in range(4)]
    assert "test.csv has no labels and is not used" in found.notes
    assert "not used, as no label file names anything in it: test" in found.notes


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("per_split", [True, False])
def test_an_imagefolder_of_hugging_face(tmp_path: Path, form: str, per_split: bool) -> None:
    rows: dict[str, list[tuple[str, str]]] = {}
    for split, count in (("train", 4), ("validation", 2)):
        for number in range(count):
            draw(tmp_path / split / f"{number}.png", (number, 0, 0))
            inside = "" if per_split else f"{split}/"
            rows.setdefault(split if per_split else "", []).append((f"{inside}{number}.png", "ab"[number % 2]))
    for split, listing in rows.items():
        if form == "csv":
            text = "\n".join(["file_name,label", *(",".join(row) for row in listing)])
        else:
            text = "\n".join(json.dumps({"file_name": file, "label": label}) for file, label in listing)
        (tmp_path / split / f"metadata.{form}").write_text(text)
    found = listed(tmp_path)
    assert counts(found) == {"train": 4, "val": 2}
    assert names(found, "val") == ["validation/0.png", "validation/1.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "has the columns a, b; expected one of files (file_name"),
        ("file,x,y\n0.png,1,0\n", "has no column of labels; expected one called label"),
        ("file,x,y\n0.png,1,0\n", "; x, y hold numbers: give `targets` regression, or multilabel where all are 0 or 1"),
        ("file,x,y\n0.png,1,a\n", "; x hold numbers"),
        ("file,x,y\n0.png,a,b\n", "category."),
        ("file,label\nnowhere.png,cat\n", "no file that"),
        ("file,label\n0.png,cat\n", "only one class, 'cat'"),
        ("file,label\n", "has no rows"),
        ("file,label\n,cat\n", "names no file in column 'file'"),
        ('file,label\n"0.png,cat\n', "cannot be read"),
        ("file,label\n0.png\0,cat\n1.png\0,dog\n", "no file that"),
    ],
)
def test_label_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path / "0.png")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        listed(tmp_path / "labels.csv")
    assert message in str(caught.value)


def test_label_files_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    assert "cannot be read" in refused(tmp_path / "deep.jsonl")
    (tmp_path / "list.jsonl").write_text("[1]")
    assert "a line is no object" in refused(tmp_path / "list.jsonl")
    (tmp_path / "latin.csv").write_bytes(b"file,label\n\xe4.png,cat\n")
    assert "expected UTF-8" in refused(tmp_path / "latin.csv")
    draw(tmp_path / "two" / "0.png")
    for name in ("a.csv", "b.csv"):
        (tmp_path / "two" / name).write_text("file,label\n0.png,cat\n")
    assert "several label files: a.csv, b.csv; give the path" in refused(tmp_path / "two")


def test_absolute_paths_and_the_encodings_of_spreadsheets(tmp_path: Path) -> None:
    rows = ["file;label"]
    for number in range(4):
        draw(tmp_path / "img" / f"{number}.png")
        rows.append(f"{tmp_path}/img/{number}.png;{'ab'[number % 2]}")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "labels.csv").write_text("\r\n".join(rows), encoding=encoding)
        found = listed(tmp_path)
        assert counts(found) == {"train": 4}
        assert len(found.notes) == 1, "img/ is used"


@pytest.mark.parametrize(("outside", "words"), [(0, ""), (1, "1 image lies"), (3, "3 images lie")])
def test_images_outside_of_the_folder_are_counted(tmp_path: Path, outside: int, words: str) -> None:
    folder = tmp_path / "set"
    rows = []
    for number in range(6):
        draw(folder / f"{number}.png")
        draw(tmp_path / "elsewhere" / f"{number}.png")
        away = (f"{tmp_path}/elsewhere/{number}.png", f"a/../../elsewhere/{number}.png")[number % 2]
        inside = (f"{folder}/{number}.png", f"../set/{number}.png")[number % 2]
        rows.append(f"{away if number < outside else inside},{'ab'[number // 2 % 2]}")
    (folder / "a").mkdir()
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    for path in (folder, folder / "labels.csv"):
        found = listed(path)
        assert counts(found) == {"train": 6}
        notes = [note for note in found.notes if "outside" in note]
        assert len(notes) == bool(outside)
        assert not notes or notes[0].startswith(f"{words} outside of {folder}")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_label_file_without_end(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gennas.documents.read_bytes.__kwdefaults__", {"most_bytes": 1000})
    path = tmp_path / f"labels.{ending}"
    with path.open("wb") as file:
        file.truncate(1001)
    assert "cannot be read (it has more than 1000 bytes)" in refused(path)


@pytest.mark.parametrize("separator", [" ", ";", "|"])
def test_labels_that_look_like_lists_are_noted(tmp_path: Path, separator: str) -> None:
    lists = ("red", "green", "red green", "red blue", "green blue", "red green blue")
    for breeds in (False, True):
        labels = [one.replace(" ", "_" if breeds else separator) for one in lists]
        for row in range(len(labels)):
            draw(tmp_path / f"{row}.png")
        rows = [f"{row}.png,{label}" for row, label in enumerate(labels)]
        (tmp_path / "labels.csv").write_text("\n".join(["file_name,label", *rows]))
        note = "labels look like lists of blue, green, red; if an image can have several of them, give `targets` "
        note += "multilabel"
        assert (note in listed(tmp_path / "labels.csv").notes) is not breeds


@pytest.mark.parametrize("folder", ["", "images"])
def test_a_label_file_without_known_columns_is_named(tmp_path: Path, folder: str) -> None:
    draw(tmp_path / folder / "0.png")
    (tmp_path / "gt.csv").write_text("image,MEL,NV\n0,1,0\n")
    assert "gt.csv has no column of labels" in refused(tmp_path)
    (tmp_path / "gt.csv").write_text("Dateiname;Klasse\n0.png;cat\n")
    assert "gt.csv has the columns Dateiname, Klasse; expected one of files" in refused(tmp_path)


def test_what_is_beside_the_classes_is_told(tmp_path: Path) -> None:
    draw_classes(tmp_path / "train", "cat", "dog")
    draw(tmp_path / "train" / "stray.png")
    draw(tmp_path / "test" / "1.png")
    draw(tmp_path / "extra" / "1.png")
    (tmp_path / "train.csv").write_text("file,label\n")
    found = listed(tmp_path)
    assert [(one.name, one.reason) for one in found.skipped] == [("train/stray.png", "in no class folder")]
    assert found.notes == [
        "test/ is not used, as no file in it (1) is in a class folder",
        "not used, as the classes are the folders in train/: extra, train.csv",
    ]


def test_names_that_differ_in_case_or_unicode(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "vögel") for form in ("NFC", "NFD"))
    draw_classes(tmp_path / "train", "Cat", decomposed)
    draw_classes(tmp_path / "val", "cat", composed)
    found = listed(tmp_path)
    assert found.classes == ("Cat", composed) or found.classes == ("Cat", decomposed)
    assert counts(found) == {"train": 6, "val": 6}
    assert found.notes == ["val/cat is taken for class Cat"]
    draw(tmp_path / "train" / composed / "more.png")
    assert counts(listed(tmp_path))["train"] == 7
    draw_classes(tmp_path / "train", "CAT")
    assert "classes that are not in train/: cat" in refused(tmp_path)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["val/cat", "val/dog"], "has val/ but no train/"),
        (["train/cat", "train/dog", "val/cat", "valid/cat"], "both name the val split; rename one of them"),
        (["pets/train/cat", "pets/train/dog"], "holds one folder only; did you mean"),
        (["pets/cat", "pets/dog"], "holds one folder only; did you mean"),
        (["cat"], "has only one class, 'cat'"),
        # Classes in the names of files: splits must not become the classes.
        (["train", "test"], "has no class folders, and no label file names its files"),
        (["cat/a", "dog/b"], "no images for cat (1 in a subfolder: give `nested` to read them), dog (1 in a subfolder"),
    ],
)
def test_layouts_that_are_refused(tmp_path: Path, folders: list[str], message: str) -> None:
    for folder in folders:
        draw(tmp_path / folder / "1.png")
    assert message in refused(tmp_path)


def test_links_and_what_is_no_file(tmp_path: Path) -> None:
    draw_classes(tmp_path / "real", "cat", "dog")
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "real" / name)
    cats = tmp_path / "real" / "cat"
    (cats / "loop").symlink_to(tmp_path / "real" / "cat")
    (cats / "broken.png").symlink_to("nowhere.png")
    (cats / "linked.png").symlink_to("0.png")
    (cats / ".hidden.png").write_text("x")
    (cats / ".DS_Store").write_text("x")
    (cats / "__MACOSX").mkdir()
    os.mkfifo(cats / "pipe.png")
    for nested in (False, True):
        found = listed(tmp_path / "photos", nested=nested)
        assert counts(found) == {"train": 7}
        assert {(one.name, one.reason) for one in found.skipped} == {
            ("cat/loop/", "link to a folder above, or one that is read already"),
            ("cat/broken.png", "broken link"),
            ("cat/.hidden.png", "hidden"),
            ("cat/pipe.png", "not a regular file"),
        }


def mess(root: Path, rng: random.Random) -> int:
    """Fills class folders with what people have in them; returns the number of files that somebody meant."""
    made = 0
    for label in range(rng.randint(2, 5)):
        folder = root / rng.choice(["Hund groß {}", "класс{}", "a.b{}", "-x{}", "c{}\n", "d'{}\""]).format(label)
        for number in range(rng.randint(3, 9)):
            inside = folder / "deeper" / "still" if number > 2 and rng.random() < 0.3 else folder
            inside.mkdir(parents=True, exist_ok=True)
            kind = rng.choice(["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"]) if number else "PNG"
            ending = rng.choice([kind, kind.lower(), kind.title(), "jpg", "", "jpg.part"])
            path = inside / f"{rng.choice(['', 'ü', '[1] ', '%s ', '鳥'])}{number}.{ending}"
            if path.exists():
                continue
            made += 1
            if not number or rng.random() < 0.6:
                mode = rng.choice(["RGB", "L"])
                Image.new(mode, (rng.randint(1, 40), rng.randint(1, 40))).save(path, kind)
            elif rng.random() < 0.3:
                path.symlink_to(rng.choice(["nowhere", "/dev/null", ".."]))
            else:
                path.write_bytes(
                    rng.choice([b"", b"\x89PNG\r\n\x1a\n", b"<html>", b"GIF89a", b"\xff\xd8\xff\xe0", b"P6 9 9"])
                )
        (folder / "Thumbs.db").write_bytes(b"litter")
    return made


@pytest.mark.parametrize("seed", range(12))
def test_no_file_of_a_mess_is_lost_without_a_word(tmp_path: Path, seed: int) -> None:
    made = mess(tmp_path / "mess", random.Random(seed))
    for nested in (False, True):
        decoded = ImageFolder.open(tmp_path / "mess", 8, nested=nested)._decode()
        read = sum(len(split) for split in decoded.splits.values())
        assert read + len(decoded.report.skipped) == made
        assert all(one.reason and one.label for one in decoded.report.skipped)
        assert not nested or "in a subfolder" not in {one.reason for one in decoded.report.skipped}
