"""The task cifar10: its images where GENNAS_DATA has them, and what it is without."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.errors import DataMissingError
from gennas.tasks import get_task
from gennas.tasks.base import balanced

PER_CLASS = {"train_a.npz": 7, "train_b.npz": 3, "test.npz": 2}


def jpeg(label: int, number: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (32, 32), (20 * label, 20 * number, 100)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    first = 0
    for name, count in PER_CLASS.items():
        labels = np.tile(np.arange(10), count)
        files = [jpeg(int(label), first + place // 10) for place, label in enumerate(labels)]
        first += count if name != "train_b.npz" else -7
        offsets = np.cumsum([0, *map(len, files)])
        joined = np.frombuffer(b"".join(files), dtype=np.uint8)
        np.savez(folder / name, jpeg=joined, offsets=offsets, labels=labels.astype(np.uint8))
    monkeypatch.setenv("GENNAS_DATA", str(folder.parent))
    return folder


def test_without_the_files_it_is_a_benchmark_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", str(tmp_path)):
        monkeypatch.setenv("GENNAS_DATA", value) if value is not None else monkeypatch.delenv("GENNAS_DATA", False)
        task = get_task("cifar10")
        assert not task.has_images
        assert (task.input_shape, task.num_classes) == ((3, 32, 32), 10)
        for read in (task.splits, lambda task=task: task.sample(8)):
            with pytest.raises(DataMissingError, match=r"without images.*cifar10/\*\.npz in the folder GENNAS_DATA"):
                read()
    with pytest.raises(DataMissingError, match=r"or digits\.$"):
        get_task("cifar100").splits()


def test_splits_are_stratified_disjoint_and_decoded(data: Path) -> None:
    task = get_task("cifar10")
    assert task.has_images
    assert task.class_names[3] == "cat"
    splits = task.splits()
    assert splits.test is not None
    for part, per_class in ((splits.train, 8), (splits.val, 2), (splits.test, 2)):
        assert np.bincount(part.labels).tolist() == [per_class] * 10
        assert part.images.shape == (10 * per_class, 3, 32, 32)
        # Every image has its class for a colour.
        assert np.abs(part.images[:, 0].mean(axis=(1, 2)) - 20 * part.labels).max() < 3
    colours = [np.rint(part.images[:, :2].mean(axis=(2, 3)) / 20) for part in (splits.train, splits.val)]
    assert len({tuple(colour) for part in colours for colour in part}) == 100
    assert get_task("cifar10") == task
    assert task.splits().fingerprint == splits.fingerprint
    assert task.splits(seed=1).fingerprint != splits.fingerprint


def test_a_sample_is_of_the_training_images(data: Path) -> None:
    task = get_task("cifar10")
    for seed in range(3):
        sample, train = task.sample(25, seed), task.splits(seed).train
        assert len(sample) == 25
        assert set(np.bincount(sample.labels)) == {2, 3}
        whole = {image.tobytes() for image in train.images}
        assert all(image.tobytes() in whole for image in sample.images)
        assert len({image.tobytes() for image in sample.images}) == 25


def test_balanced_takes_what_there_is() -> None:
    labels = np.array([0] * 10 + [2] * 2 + [3] * 1)
    assert np.bincount(labels[balanced(labels, 6, 0)], minlength=4).tolist() == [3, 0, 2, 1]
    assert sorted(balanced(labels, 100, 0)) == list(range(13))
    assert balanced(labels, 6, 1).tolist() == balanced(labels, 6, 1).tolist()
    draws = {tuple(balanced(labels, 6, seed)) for seed in range(20)}
    assert len(draws) > 10
    first = {int(labels[balanced(labels, 1, seed)[0]]) for seed in range(40)}
    assert first == {0, 2, 3}
