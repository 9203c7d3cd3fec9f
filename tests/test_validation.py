"""Validation: what is known is reused, failures do not stop the others, and a kill loses nothing that was finished."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy.exc import DatabaseError

from gennas.errors import DataMissingError, InvalidArchError, InvalidInputError, StudyError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.train import TrainEvaluator
from gennas.spaces import Space, get_space
from gennas.studies.study import Study
from gennas.tasks import Task, get_task
from gennas.training.recipe import Recipe
from gennas.validation import ValidationResult, validate

KEYS = (
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)
RECIPE = Recipe(epochs=1, batch_size=128)
SPEC = LatencySpec(warmup=1, repeats=3)


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("digits", image_size=8)


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("nasbench201", "channels=4,cells=1")


def run(
    space: Space,
    task: Task,
    out: Path,
    *keys: str,
    recipe: Recipe = RECIPE,
    latency: LatencySpec = SPEC,
    lines: list[str] | None = None,
) -> list[ValidationResult]:
    progress = (lambda line: None) if lines is None else lines.append
    archs = [space.parse(key) for key in keys]
    return validate(archs, space=space, task=task, out=out, recipe=recipe, latency=latency, progress=progress)


def test_values_are_stored_and_reused(space: Space, task: Task, tmp_path: Path) -> None:
    first = run(space, task, tmp_path, KEYS[0], KEYS[2], KEYS[0])
    assert [result.key for result in first] == [KEYS[0], KEYS[2]]
    for result in first:
        assert set(result.metrics) == {
            "accuracy@digits",
            "test_accuracy@digits",
            "latency_ms@cpu",
            "params_m",
            "macs_m",
        }
        assert not result.reused
        assert result.error is None
        assert sorted(e.name for e in result.folder.iterdir()) == ["arch.json", "network.onnx", "network.safetensors"]
        assert result.metrics["params_m"] == space.costs(space.parse(result.key), task)["params_m"]
    rows = Study(tmp_path).frame()
    assert len(rows) == 10
    trained = rows[rows.source == "trained"]
    assert set(trained.recipe) == {RECIPE.hash}
    assert set(trained.fidelity) == {1}
    assert (trained.seconds > 0).all()
    assert set(rows[rows.metric == "latency_ms@cpu"].hardware) == {"cpu"}

    lines: list[str] = []
    second = run(space, task, tmp_path, *KEYS, lines=lines)
    assert [result.reused for result in second] == [True, False, True]
    assert second[0] == replace(first[0], reused=True)
    assert sum("epoch 1/1" in line for line in lines) == 1
    assert lines[0].startswith("digits: scikit-learn's 8x8 grey digits")
    assert len(Study(tmp_path).frame()) == 15


def test_a_folder_without_test_images_reports_no_test_accuracy(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "shades" / "train" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (9, 9), 200 * label + number).save(tmp_path / "shades" / "train" / name / f"{number}.png")
    (tmp_path / "shades" / "train" / "dark" / "bad.png").write_text("no image")
    lines: list[str] = []
    folder_task = get_task(str(tmp_path / "shades"), image_size=8)
    (result,) = run(space, folder_task, tmp_path / "out", KEYS[1], lines=lines)
    assert set(result.metrics) == {"accuracy@shades", "latency_ms@cpu", "params_m", "macs_m"}
    assert "shades: 1 corrupt image skipped: train/dark/bad.png" in lines
    # Other images under the same settings would give other values.
    (tmp_path / "shades" / "train" / "dark" / "0.png").unlink()
    with pytest.raises(StudyError, match=r"task.images is 16 train, 4 val, crc32 \w+ there and 15 train"):
        run(space, get_task(str(tmp_path / "shades"), image_size=8), tmp_path / "out", KEYS[1])


def test_a_failed_training_is_reported_and_does_not_stop_the_others(
    space: Space, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = TrainEvaluator.train

    def failing(self: TrainEvaluator, arch, **settings):  # type: ignore[no-untyped-def]
        if arch.key == KEYS[0]:
            raise RuntimeError("not enough memory: you tried to allocate 9 bytes")
        return train(self, arch, **settings)

    monkeypatch.setattr(TrainEvaluator, "train", failing)
    lines: list[str] = []
    failed, other = run(space, task, tmp_path, KEYS[0], KEYS[1], lines=lines)
    assert failed.error is not None
    assert "not enough memory" in failed.error
    assert set(failed.metrics) == {"params_m", "macs_m"}
    assert other.error is None
    assert "accuracy@digits" in other.metrics
    assert any(line.strip().startswith("failed: not enough memory") for line in lines)
    assert len(Study(tmp_path).frame()) == 5
    monkeypatch.undo()
    mended, reused = run(space, task, tmp_path, KEYS[0], KEYS[1])
    assert mended.error is None
    assert reused.reused


def test_diverging_recipe_is_an_error_of_every_arch(space: Space, task: Task, tmp_path: Path) -> None:
    results = run(space, task, tmp_path, KEYS[0], KEYS[1], recipe=replace(RECIPE, learning_rate=1e30, epochs=2))
    assert all(result.error is not None and "training diverged" in result.error for result in results)


def test_checkpoint_stays_until_the_values_are_stored(
    space: Space, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Study, rows: object) -> int:
        raise DatabaseError("disk full", None, Exception())

    with monkeypatch.context() as patch:
        patch.setattr(Study, "add", broken)
        with pytest.raises(DatabaseError):
            run(space, task, tmp_path, KEYS[0])
    lines: list[str] = []
    (result,) = run(space, task, tmp_path, KEYS[0], lines=lines)
    assert not any("epoch 1/1:" in line for line in lines)
    assert "accuracy@digits" in result.metrics
    assert not list(tmp_path.glob("networks/*/last.ckpt"))


def test_lost_network_is_trained_again(space: Space, task: Task, tmp_path: Path) -> None:
    (first,) = run(space, task, tmp_path, KEYS[0])
    (first.folder / "network.onnx").unlink()
    (second,) = run(space, task, tmp_path, KEYS[0])
    assert not second.reused
    assert (second.folder / "network.onnx").is_file()
    assert second.metrics == first.metrics


def test_latency_of_several_images_at_once(space: Space, task: Task, tmp_path: Path) -> None:
    (result,) = run(space, task, tmp_path, KEYS[0], latency=replace(SPEC, batch=4))
    assert result.metrics["latency_ms@cpu"] > 0


def test_bad_input(space: Space, task: Task, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no archs to validate"):
        run(space, task, tmp_path / "out")
    stranger = replace(space.parse(KEYS[0]), space="darts")
    with pytest.raises(InvalidArchError, match=r"is of space 'darts'; expected 'nasbench201'"):
        validate([stranger], space=space, task=task, out=tmp_path / "out")
    with pytest.raises(DataMissingError, match="comes without images"):
        run(space, get_task("cifar100"), tmp_path / "out", KEYS[0])
    assert not (tmp_path / "out").exists()
    run(space, task, tmp_path / "out", KEYS[1])
    with pytest.raises(StudyError, match=r"recipe.epochs is 1 there and 2 here"):
        run(space, task, tmp_path / "out", KEYS[1], recipe=replace(RECIPE, epochs=2))
    with pytest.raises(StudyError, match=r"space.skeleton.channels is 4 there and 5 here"):
        run(get_space("nasbench201", "channels=5,cells=1"), task, tmp_path / "out", KEYS[1])


SCRIPT = """
import logging
import sys
from pathlib import Path
from gennas.evaluators.latency_spec import LatencySpec
from gennas.training.recipe import Recipe
from gennas.spaces import get_space
from gennas.tasks import get_task
from gennas.validation import validate
logging.basicConfig(level=logging.INFO, format="%(message)s")
space = get_space("nasbench201", "channels=4,cells=1")
validate([space.parse(key) for key in sys.argv[2:]], space=space, task=get_task("digits", image_size=8),
         out=Path(sys.argv[1]), recipe=Recipe(epochs=12, batch_size=64), latency=LatencySpec(warmup=1, repeats=3))
"""


def test_kill_9_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), *KEYS[:2]]
    second = TrainEvaluator(get_space("nasbench201"), RECIPE, tmp_path / "networks")
    last = second.network_folder(get_space("nasbench201").parse(KEYS[1])) / "last.ckpt"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        deadline = time.monotonic() + 120
        while not last.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the process was to be killed in the middle"
    assert last.exists()
    before = Study(tmp_path).frame()
    assert set(before.arch) == {KEYS[0]}
    assert len(before) == 5

    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    after = Study(tmp_path).frame()
    assert after[:5].equals(before)  # values, and times of creation
    assert set(after[5:].arch) == {KEYS[1]}
    assert len(after) == 10
    first, _, rest = done.stderr.partition("arch 2/2")
    assert "(reused)" in first
    assert "epoch" not in first
    assert "resuming from epoch" in rest
    assert "epoch 1/12:" not in rest
    assert "epoch 12/12:" in rest
    assert not last.exists()
