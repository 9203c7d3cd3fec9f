"""Whatever a recipe asks for, a training that was interrupted ends as an uninterrupted one, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gennas.arch import Arch
from gennas.evaluators.train import Trained, TrainEvaluator
from gennas.spaces import Space, get_space
from gennas.spaces.nasbench201.space import NasBench201
from gennas.tasks import Split, Task, get_task
from gennas.tasks.base import ImageSource, Splits
from gennas.training.recipe import Recipe

KEY = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
RECIPE = Recipe(epochs=3, batch_size=64)
OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "sgd": {"optimiser": "sgd", "learning_rate": 0.05},
    "stable-decay": {"schedule": "warmup-stable-decay"},
    "smoothing": {"label_smoothing": 0.1, "decay_norms": False},
    "average": {"ema_epochs": 0.5},
    "mixup": {"mixup": 0.4},
    "randaugment": {"randaugment": 2, "augmentation": "flip+crop"},
    "class-weights": {"class_weights": "balanced"},
    "clipping": {"clip_norm": 0.5, "clip_adaptive": 0.05},
    "noise": {"gradient_noise": 0.01},
    "bfloat16": {"precision": "bfloat16"},
    "early-stopping": {"patience": 1},
    "curve": {"val_every": 1},
    "teacher": {"teacher": "teacher", "teacher_weight": 0.7},
    "everything": {
        "ema_epochs": 0.5,
        "mixup": 0.4,
        "randaugment": 1,
        "class_weights": "balanced",
        "clip_norm": 1.0,
        "gradient_noise": 0.01,
        "patience": 2,
        "teacher": "teacher",
    },
}


class Few(ImageSource):
    """The digits, with three hundred images to train on, a third of one class."""

    def read(self, seed: int) -> Splits:
        splits = get_task("digits", image_size=8).splits()
        labels = splits.train.labels
        rows = np.concatenate([np.flatnonzero(labels == 0)[:100], np.flatnonzero(labels != 0)[:200]])
        return Splits(splits.train.take(rows), splits.val, splits.test)


TASK = Task("few", (3, 8, 8), 10, tuple("0123456789"), Few())


class Dropping(NasBench201):
    """With dropout, so that the random numbers of a network matter, too."""

    def build(self, arch: Arch, task: Task) -> nn.Module:
        return nn.Sequential(super().build(arch, task), nn.Dropout(0.2))


@pytest.fixture(scope="module")
def space() -> Space:
    return Dropping(channels=4, cells=1)


@pytest.fixture(scope="module")
def arch(space: Space) -> Arch:
    return space.parse(KEY)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plain = get_space("nasbench201", "channels=4,cells=1")
    evaluator = TrainEvaluator(plain, Recipe(epochs=1), tmp_path_factory.mktemp("teacher"), lambda line: None)
    evaluator.evaluate(plain.parse(KEY), task=TASK)
    return evaluator.network_folder(plain.parse(KEY))


@pytest.fixture(scope="module")
def plain(space: Space, arch: Arch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights that training ends with without any option."""
    return outcome(TrainEvaluator(space, RECIPE, tmp_path_factory.mktemp("plain"), lambda line: None), arch)[1]


class Interrupt(Exception):
    pass


def recipe_of(option: str, teacher: Path) -> Recipe:
    settings = {**OPTIONS[option], **({"teacher": str(teacher)} if "teacher" in OPTIONS[option] else {})}
    return replace(RECIPE, **settings)  # type: ignore[arg-type]


def interrupted(space: Space, arch: Arch, recipe: Recipe, folder: Path, epoch: int) -> TrainEvaluator:
    """Trains until the log of an epoch, before its checkpoint is written."""

    def interrupt(line: str) -> None:
        if f"epoch {epoch}/" in line and "resuming" not in line:
            raise Interrupt

    with pytest.raises(Interrupt):
        TrainEvaluator(space, recipe, folder, interrupt).train(arch, task=TASK)
    torch.rand(7)
    return TrainEvaluator(space, recipe, folder, lambda line: None)


def outcome(evaluator: TrainEvaluator, arch: Arch) -> tuple[Trained, dict[str, torch.Tensor], pd.DataFrame]:
    done = evaluator.train(arch, task=TASK)
    folder = evaluator.network_folder(arch)
    log = pd.read_csv(folder / "training.csv").drop(columns="seconds")
    return done, load_file(folder / "network.safetensors"), log


@pytest.mark.parametrize("option", OPTIONS)
def test_resumed_is_uninterrupted(
    option: str, space: Space, arch: Arch, plain: dict[str, torch.Tensor], teacher: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(option, teacher)
    whole, expected, log = outcome(TrainEvaluator(space, recipe, tmp_path / "whole", lambda line: None), arch)
    resumed, found, its_log = outcome(interrupted(space, arch, recipe, tmp_path / "cut", 2), arch)
    assert (whole.resumed_epoch, resumed.resumed_epoch) == (0, 1)
    assert resumed.metrics == whole.metrics
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    pd.testing.assert_frame_equal(its_log, log, check_exact=True)
    # Early stopping keeps the weights of the last epoch where that is the best.
    if option not in ("plain", "curve", "early-stopping"):
        assert any(not torch.equal(plain[name], expected[name]) for name in plain), "the option does nothing"


def test_a_training_that_ended_early_is_not_continued(space: Space, arch: Arch, tmp_path: Path) -> None:
    # A rate of next to nothing: after the first epoch, no accuracy is better than the best.
    recipe = replace(RECIPE, learning_rate=1e-9, patience=2, epochs=9)
    evaluator = TrainEvaluator(space, recipe, tmp_path, lambda line: None)
    first, weights, log = outcome(evaluator, arch)
    assert 3 <= len(log) < 9
    best = log["val_accuracy"].idxmax()
    assert len(log) == best + 1 + 2
    assert first.metrics["accuracy@few"] == log["val_accuracy"][best]
    assert f"training ended after epoch {len(log)} of 9" in first.notes[0]
    assert f"since epoch {best + 1}," in first.notes[0]
    # Killed before its values were stored: it is only evaluated again.
    lines: list[str] = []
    evaluator.progress = lines.append
    again, same, its_log = outcome(evaluator, arch)
    assert again.resumed_epoch == len(log)
    assert not [line for line in lines if "  epoch " in line]
    assert again.metrics == first.metrics
    assert all(torch.equal(same[name], weights[name]) for name in weights)
    assert its_log.equals(log)
    # Killed in the epoch after the best, whose weights are in the checkpoint.
    cut, found, _ = outcome(interrupted(space, arch, recipe, tmp_path / "cut", best + 2), arch)
    assert cut.resumed_epoch == best + 1
    assert cut.metrics == first.metrics
    assert all(torch.equal(found[name], weights[name]) for name in weights)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    damage: str, space: Space, arch: Arch, plain: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    evaluator = interrupted(space, arch, RECIPE, tmp_path / "cut", 3)
    last = evaluator.network_folder(arch) / "last.ckpt"
    content = bytearray(last.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1  # torch.load reads over it
    last.write_bytes({"cut": content[:200], "flipped": content, "empty": b""}[damage])
    lines: list[str] = []
    evaluator.progress = lines.append
    done, found, _ = outcome(evaluator, arch)
    assert done.resumed_epoch == 1
    assert f"{last} is damaged" in done.notes[0]
    assert "the checkpoint before it" in done.notes[0]
    assert any("is damaged" in line for line in lines)
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_without_a_whole_checkpoint_training_starts_over(space: Space, arch: Arch, tmp_path: Path) -> None:
    evaluator = interrupted(space, arch, RECIPE, tmp_path, 3)
    for name in ("last.ckpt", "before.ckpt"):
        (evaluator.network_folder(arch) / name).write_bytes(b"nothing")
    done, _, log = outcome(evaluator, arch)
    assert done.resumed_epoch == 0
    assert list(log["epoch"]) == [1, 2, 3]
    evaluator.stored(arch)
    assert not list(tmp_path.glob("*/*.ckpt"))


def test_a_kill_between_two_renames_loses_nothing(space: Space, arch: Arch, tmp_path: Path) -> None:
    evaluator = interrupted(space, arch, RECIPE, tmp_path, 2)
    folder = evaluator.network_folder(arch)
    (folder / "last.ckpt").rename(folder / "before.ckpt")
    done = evaluator.train(arch, task=TASK)
    assert (done.resumed_epoch, done.notes) == (1, ())


def test_a_kill_after_a_resumption_from_the_checkpoint_before_leaves_a_whole_one(
    space: Space, arch: Arch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = interrupted(space, arch, RECIPE, tmp_path, 3)
    folder = evaluator.network_folder(arch)
    (folder / "last.ckpt").write_bytes(b"nothing")
    rename = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target.name == "last.ckpt":
            raise Interrupt
        return rename(path, target)

    # The moment at which the last checkpoint has become the one before, and no other is in its place.
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Interrupt):
            evaluator.train(arch, task=TASK)
    # A process that is killed cleans nothing up.
    (folder / ".last.ckpt.abc").write_bytes(b"half")
    done = evaluator.train(arch, task=TASK)
    assert done.resumed_epoch == 1
    evaluator.stored(arch)
    assert not [path for path in folder.iterdir() if "ckpt" in path.name]


def test_split_has_images_of_all_classes() -> None:
    train: Split = TASK.splits().train
    assert np.bincount(train.labels).tolist()[0] == 100
    assert len(np.unique(train.labels)) == 10
