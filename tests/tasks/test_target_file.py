"""Label files with values or several labels: columns, splits, files that are not there, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.errors import InvalidInputError
from gennas.tasks import CLASSIFICATION, get_task
from gennas.testing import check_task


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))


def write(folder: Path, text: str, count: int = 30) -> Path:
    folder.mkdir(exist_ok=True)
    for row in range(count):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(folder / f"{row}.png")
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"


def ages(count: int = 30) -> str:
    return "\n".join(["path,age", *(f"{row}.png,{row / 2}" for row in range(count))])


def test_numbers_come_with_their_images(tmp_path: Path) -> None:
    task = get_task(str(write(tmp_path / "faces", ages())), image_size=8, targets="regression")
    check_task(task)
    assert (task.name, task.class_names, task.num_classes) == ("labels", ("age",), 1)
    splits = task.splits()
    assert (len(splits.train), len(splits.val)) == (24, 6)
    for split in (splits.train, splits.val):
        assert np.array_equal(split.images[:, 0, 0, 0] / 2, split.labels[:, 0])
    # From the cache, and of the folder in place of the file, the same.
    again = get_task(str(tmp_path / "faces"), image_size=8, targets="regression")
    assert again.name == "faces"
    assert again.splits().fingerprint == splits.fingerprint
    assert task.resized(16).splits().train.images.shape[1:] == (3, 16, 16)


def test_the_same_file_is_one_of_classes_unless_asked(tmp_path: Path) -> None:
    text = "\n".join(["path,label", *(f"{row}.png,{row % 2}" for row in range(30))])
    path = str(write(tmp_path / "faces", text))
    assert get_task(path).targets == CLASSIFICATION
    assert get_task(path).class_names == ("0", "1")
    assert get_task(path, targets="regression").class_names == ("label",)


def test_several_columns_are_several_values(tmp_path: Path) -> None:
    text = "\n".join(
        ["split,path,x,y", *(f"{'val' if row < 5 else 'train'},{row}.png,{row},{-row}" for row in range(30))]
    )
    task = get_task(str(write(tmp_path / "points", text)), image_size=8, targets="regression")
    assert task.class_names == ("x", "y")
    assert task.splits().val.labels.tolist() == [[row, -row] for row in range(5)]


@pytest.mark.parametrize(
    ("header", "cells"), [("path,tags", ("red;round", "", "round")), ("path,red,round", ("1,1", "0,0", "no,TRUE"))]
)
def test_labels_are_lists_or_columns(tmp_path: Path, header: str, cells: tuple[str, ...]) -> None:
    text = "\n".join([header, *(f"{row}.png,{cells[row % 3]}" for row in range(30))])
    task = get_task(str(write(tmp_path / "things", text)), image_size=8, targets="multilabel")
    check_task(task)
    assert task.class_names == ("red", "round")
    splits = task.splits()
    images = np.concatenate([splits.train.images, splits.val.images])[:, 0, 0, 0]
    labels = np.concatenate([splits.train.labels, splits.val.labels])
    assert np.array_equal(labels, np.array([[1, 1], [0, 0], [0, 1]])[images % 3])


def test_rows_without_a_file_or_a_target_are_skipped_and_counted(tmp_path: Path) -> None:
    text = f"{ages()}\n29.png,7\nnowhere.png,1\n".replace("\n3.png,1.5", "\n3.png,")
    path = write(tmp_path / "faces", text)
    (tmp_path / "faces" / "4.png").write_bytes(b"no image")
    task = get_task(str(path), image_size=8, targets="regression")
    splits = task.splits()
    assert len(splits.train) + len(splits.val) == 28
    (note,) = splits.notes
    for reason in ("without a target: 1 (3.png)", "listed twice: 1 (29.png)", "not there: 1 (nowhere.png)", "4.png"):
        assert reason in note


@pytest.mark.parametrize(
    ("text", "targets", "message"),
    [
        ("path,age\n1.png,old", "regression", "labels.csv: column 'age' has 'old'; expected numbers"),
        ("path,age\n1.png,inf", "regression", "column 'age' has 'inf'"),
        ("path,red,round\n1.png,1,2", "multilabel", "column 'round' has '2'; expected 0 or 1 for every label"),
        ("path,tags\n1.png,", "multilabel", "column 'tags' has no labels; expected lists such as 'red;round'"),
        ("path\n1.png", "regression", "has no column beside 'path'; expected the targets"),
        ("age\n1", "regression", "expected one of files"),
        ("path,age\nnone.png,1", "regression", "no file that .* names is there"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, targets: str, message: str) -> None:
    path = write(tmp_path / "bad", text)
    with pytest.raises(InvalidInputError, match=message):
        get_task(str(path), targets=targets)


def test_other_tasks_have_the_kind_that_they_have(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="targets is 'regression', but task 'digits' is a classification"):
        get_task("digits", targets="regression")
    (tmp_path / "cats" / "a").mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="has no label file; expected a CSV with a column of files and the val"):
        get_task(str(tmp_path / "cats"), targets="regression")
