"""Validation: what is known is reused, failures do not stop the others, and a kill loses nothing that was finished."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy.exc import DatabaseError

from gennas.errors import DataMissingError, InvalidArchError, InvalidInputError, StudyError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.train import TrainEvaluator
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.spaces import Space, get_space
from gennas.studies.records import Row
from gennas.studies.study import Study
from gennas.tasks import Task, get_task
from gennas.training.recipe import Recipe
from gennas.validation import Validation, validate_archs

KEYS = (
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)
RECIPE = Recipe(epochs=1, batch_size=128)
SPEC = LatencySpec(seconds=0.05)
#: What a training gives, on validation and on test images.
TRAINED = ("accuracy", "balanced_accuracy", "macro_f1")
FILES = ["arch.json", "network.onnx", "network.safetensors", "predictions.parquet", "tensorboard", "training.csv"]


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
    hardware: Sequence[str] = ("cpu",),
) -> Validation:
    archs, measuring = [space.parse(key) for key in keys], Measuring(recipe=recipe, latency=latency)
    return validate_archs(Problem(space, task), archs, study=out, measuring=measuring, hardware=hardware)


def test_values_are_stored_and_reused(
    space: Space, task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(space, task, tmp_path, KEYS[0], KEYS[2], KEYS[0])
    assert [result.key for result in first] == [KEYS[0], KEYS[2]]
    for result in first:
        assert set(result.metrics) == {
            *(f"{split}{kind}@digits" for split in ("", "test_") for kind in TRAINED),
            "latency_ms@cpu",
            "params_m",
            "macs_m",
        }
        assert not result.reused
        assert result.error is None
        assert sorted(e.name for e in result.folder.iterdir()) == FILES
        assert result.metrics["params_m"] == space.costs(space.parse(result.key), task)["params_m"]
    rows = Study(tmp_path).frame()
    assert len(rows) == 18
    trained = rows[rows.source == "trained"]
    assert set(trained.recipe) == {RECIPE.hash}
    assert set(trained.fidelity) == {1}
    assert (trained.seconds > 0).all()
    assert set(rows[rows.metric == "latency_ms@cpu"].hardware) == {"cpu"}

    with caplog.at_level(logging.INFO):
        second = run(space, task, tmp_path, *KEYS)
    assert [result.reused for result in second] == [True, False, True]
    assert second[0] == replace(first[0], reused=True)
    assert sum("epoch 1/1" in line for line in caplog.messages) == 1
    assert second.notes[0].startswith("scikit-learn's 8x8 grey digits")
    assert second.archs == tuple(space.parse(key) for key in KEYS)
    assert list(second.frame()["accuracy@digits"]) == [entry.metrics["accuracy@digits"] for entry in second]
    assert len(Study(tmp_path).frame()) == 27


def test_a_folder_without_test_images_reports_no_test_accuracy(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "shades" / "train" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (9, 9), 200 * label + number).save(tmp_path / "shades" / "train" / name / f"{number}.png")
    (tmp_path / "shades" / "train" / "dark" / "bad.png").write_text("no image")
    folder_task = get_task(str(tmp_path / "shades"), image_size=8)
    found = run(space, folder_task, tmp_path / "out", KEYS[1])
    (result,) = found
    assert set(result.metrics) == {*(f"{kind}@shades" for kind in TRAINED), "latency_ms@cpu", "params_m", "macs_m"}
    assert "1 file skipped; not an image: 1 (train/dark/bad.png)." in found.notes
    # Other images under the same settings would give other values.
    (tmp_path / "shades" / "train" / "dark" / "0.png").unlink()
    with pytest.raises(StudyError, match=r"task.images was '16 train, 4 val, crc32 \w+', is now '15 train"):
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
    failed, other = run(space, task, tmp_path, KEYS[0], KEYS[1])
    assert failed.error is not None
    assert "not enough memory" in failed.error
    assert set(failed.metrics) == {"params_m", "macs_m"}
    assert other.error is None
    assert "accuracy@digits" in other.metrics
    assert [one.reason for one in Study(tmp_path).failures()] == ["raised"]
    assert len(Study(tmp_path).frame()) == 11
    monkeypatch.undo()
    mended, reused = run(space, task, tmp_path, KEYS[0], KEYS[1])
    assert mended.error is None
    assert reused.reused


def test_diverging_recipe_is_an_error_of_every_arch(space: Space, task: Task, tmp_path: Path) -> None:
    results = run(space, task, tmp_path, KEYS[0], KEYS[1], recipe=replace(RECIPE, learning_rate=1e30, epochs=2))
    assert all(result.error is not None and "training diverged" in result.error for result in results)


def test_checkpoint_stays_until_the_values_are_stored(
    space: Space, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add = Study.add

    def broken(self: Study, rows: Sequence[Row]) -> int:
        if any(getattr(row, "source", "") == "trained" for row in rows):
            raise DatabaseError("disk full", None, Exception())
        return add(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Study, "add", broken)
        with pytest.raises(DatabaseError):
            run(space, task, tmp_path, KEYS[0])
    with caplog.at_level(logging.INFO):
        (result,) = run(space, task, tmp_path, KEYS[0])
    assert not any("epoch 1/1:" in line for line in caplog.messages)
    assert "accuracy@digits" in result.metrics
    assert not list(tmp_path.glob("networks/*/last.ckpt"))


def test_lost_network_is_trained_again(space: Space, task: Task, tmp_path: Path) -> None:
    (first,) = run(space, task, tmp_path, KEYS[0])
    (first.folder / "network.onnx").unlink()
    (second,) = run(space, task, tmp_path, KEYS[0])
    assert not second.reused
    assert (second.folder / "network.onnx").is_file()
    assert second.metrics == first.metrics


def test_latency_is_measured_as_asked(space: Space, task: Task, tmp_path: Path) -> None:
    hardware = ("cpu", "cpu-torch")
    (many,) = run(space, task, tmp_path / "many", KEYS[0], latency=replace(SPEC, batch=64), hardware=hardware)
    (one,) = run(space, task, tmp_path / "one", KEYS[0], hardware=hardware)
    for name in hardware:
        # 64 images take longer than one, whatever else the machine does.
        assert many.metrics[f"latency_ms@{name}"] > 2 * one.metrics[f"latency_ms@{name}"]
    (again,) = run(space, task, tmp_path / "one", KEYS[0], hardware=hardware)
    assert again.reused
    with pytest.raises(StudyError, match=r"latency_ms@cpu-torch', is now 'accuracy@digits, -latency_ms@cpu'"):
        run(space, task, tmp_path / "one", KEYS[0])
    with pytest.raises(InvalidInputError, match="is 'pixel3', which is not measured here; expected names of this"):
        run(space, task, tmp_path / "three", KEYS[0], hardware=["cpu", "pixel3"])


def test_bad_input(space: Space, task: Task, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="archs is empty"):
        run(space, task, tmp_path / "out")
    stranger = replace(space.parse(KEYS[0]), space="darts")
    with pytest.raises(InvalidArchError, match=r"is of space 'darts'; expected archs of 'nasbench201'"):
        validate_archs(Problem(space, task), [stranger], study=tmp_path / "out")
    with pytest.raises(InvalidArchError, match=r"'nonsense' is not a valid nasbench201"):
        validate_archs(Problem(space, task), ["nonsense"], study=tmp_path / "out")
    with pytest.raises(InvalidArchError, match=r"'7' is no arch; expected archs of 'nasbench201', or keys"):
        validate_archs(Problem(space, task), [7], study=tmp_path / "out")  # type: ignore[list-item]
    with pytest.raises(DataMissingError, match="comes without images"):
        run(space, get_task("cifar100"), tmp_path / "out", KEYS[0])
    assert not (tmp_path / "out").exists()
    run(space, task, tmp_path / "out", KEYS[1])
    with pytest.raises(StudyError, match=r"recipe.epochs was 1, is now 2"):
        run(space, task, tmp_path / "out", KEYS[1], recipe=replace(RECIPE, epochs=2))
    with pytest.raises(StudyError, match=r"space.skeleton.channels was 4, is now 5"):
        run(get_space("nasbench201", "channels=5,cells=1"), task, tmp_path / "out", KEYS[1])


SCRIPT = """
import logging, sys
from gennas.evaluators.latency_spec import LatencySpec
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.training.recipe import Recipe
from gennas.validation import validate_archs
logging.basicConfig(level=logging.INFO)
problem = Problem("nasbench201", "digits", skeleton="channels=4,cells=1", image_size=8)
measuring = Measuring(recipe=Recipe(epochs=12, batch_size=64), latency=LatencySpec(seconds=0.05))
archs = [problem.space.parse(key) for key in sys.argv[2:]]
validate_archs(problem, archs, study=sys.argv[1], measuring=measuring, report=lambda done, note: print(done, note))
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
    assert set(before[before.source != "computed"].arch) == {KEYS[0]}
    assert len(before) == 11

    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    after = Study(tmp_path).frame()
    assert after[:11].equals(before)  # values, and times of creation
    assert set(after[11:].arch) == {KEYS[1]}
    assert len(after) == 18
    assert "resuming from epoch" in done.stderr
    assert "epoch 1/12:" not in done.stderr
    assert done.stderr.count("epoch 12/12:") == 1
    assert not last.exists()


def test_only_the_archs_that_are_asked_for_are_evaluated_again(
    space: Space, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run(space, task, tmp_path, KEYS[0], KEYS[1])
    (first.folder / "network.onnx").unlink()
    trained = []
    train = TrainEvaluator.train
    monkeypatch.setattr(
        TrainEvaluator, "train", lambda self, arch, **how: trained.append(arch.key) or train(self, arch, **how)
    )
    run(space, task, tmp_path, KEYS[1], KEYS[2])
    assert trained == [KEYS[2]]


def test_progress_counts_the_archs_that_are_asked_for(space: Space, task: Task, tmp_path: Path) -> None:
    reports: list[int] = []
    same = KEYS[1].replace("|none~0|+|none~0|none~1|", "|nor_conv_3x3~0|+|none~0|none~1|")

    def run_with(*keys: str, seeds: int = 1) -> list[int]:
        reports.clear()
        validate_archs(
            Problem(space, task),
            list(keys),
            study=tmp_path,
            measuring=Measuring(recipe=RECIPE, latency=SPEC),
            seeds=seeds,
            report=lambda done, note: reports.append(done),
        )
        return reports

    assert run_with(KEYS[0]) == [1]
    # What the study has is not among them, and one that is trained for another counts.
    assert run_with(KEYS[1], same, KEYS[2]) == [2, 3]
    assert run_with(KEYS[0], KEYS[1], seeds=2) == [1, 2, 3, 4]


def test_archs_of_the_same_function_are_trained_once_and_all_reported(space: Space, task: Task, tmp_path: Path) -> None:
    # Edges that lead nowhere: 3x3 has more parameters, and computes the same.
    identity = KEYS[1]
    same = identity.replace("|none~0|+|none~0|none~1|", "|nor_conv_3x3~0|+|none~0|none~1|")
    first, second = results = run(space, task, tmp_path, same, identity)
    assert (first.key, first.same_as) == (same, None)
    assert (second.key, second.same_as) == (identity, same)
    accuracy = f"accuracy@{task.name}"
    assert second.metrics[accuracy] == first.metrics[accuracy]
    assert second.metrics["params_m"] == space.costs(space.parse(identity), task)["params_m"]
    assert second.metrics["params_m"] < first.metrics["params_m"]
    assert second.folder == first.folder
    assert len(list((tmp_path / "networks").iterdir())) == 1
    assert any(f"{identity} computes the same function as {same}" in note for note in results.notes)
    assert results.frame()["same_as"].fillna("").tolist() == ["", same]
    # Another one of that function, later: nothing is trained.
    later = identity.replace("|none~0|+|none~0|none~1|", "|nor_conv_1x1~0|+|none~0|none~1|")
    (third,) = run(space, task, tmp_path, later)
    assert (third.same_as, third.reused) == (same, True)
    assert len(list((tmp_path / "networks").iterdir())) == 1


def test_each_arch_of_a_function_is_trained_where_that_is_asked_for(space: Space, task: Task, tmp_path: Path) -> None:
    same = KEYS[1].replace("|none~0|+|none~0|none~1|", "|nor_conv_3x3~0|+|none~0|none~1|")
    archs = [space.parse(key) for key in (same, KEYS[1])]
    measuring = Measuring(recipe=RECIPE, latency=SPEC)
    results = validate_archs(Problem(space, task), archs, study=tmp_path, measuring=measuring, distinct="archs")
    assert [entry.same_as for entry in results] == [None, None]
    assert len(list((tmp_path / "networks").iterdir())) == 2


def test_several_seeds_give_a_mean_with_its_interval_and_keep_all_networks(
    space: Space, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archs = [space.parse(key) for key in KEYS[:2]]
    measuring = Measuring(recipe=RECIPE, latency=SPEC)

    def run_with(seeds: int) -> Validation:
        return validate_archs(Problem(space, task), archs, study=tmp_path, measuring=measuring, seeds=seeds)

    (one, _) = run_with(1)
    assert (one.repeats, one.intervals) == ({}, {})
    results = run_with(3)
    first = results[0]
    assert first.metrics == one.metrics
    assert list(first.repeats) == [0, 1, 2]
    name = "accuracy@digits"
    values = [first.repeats[seed][name] for seed in range(3)]
    assert values[0] == one.metrics[name]
    interval = first.intervals[name]
    assert interval.n == 3
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.half_width == pytest.approx(4.302653 * np.std(values, ddof=1) / 3**0.5)
    assert set(first.intervals) == {f"{split}{kind}@digits" for split in ("", "test_") for kind in TRAINED}
    assert results.frame()[f"{name} mean"].iloc[0] == interval.mean
    for seed in (1, 2):
        folder = first.folder / f"seed_{seed}"
        assert sorted(entry.name for entry in folder.iterdir()) == FILES
        assert json.loads((folder / "arch.json").read_text())["seed"] == seed
    trained = Study(tmp_path).frame().query("source == 'trained' and metric == 'accuracy@digits'")
    assert sorted(zip(trained["arch"], trained["seed"], strict=True)) == sorted(
        (key, seed) for key in KEYS[:2] for seed in range(3)
    )
    # All is known by now.
    monkeypatch.setattr(TrainEvaluator, "train", lambda *given, **how: pytest.fail("trained again"))
    again = run_with(3)
    assert again[1].repeats == results[1].repeats
    # Other archs of the study are not trained with these seeds.
    with pytest.raises(InvalidInputError, match="seeds is 0; must be at least 1"):
        run_with(0)


def test_a_seed_that_fails_is_said_and_does_not_count(
    space: Space, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = TrainEvaluator.train

    def failing(self: TrainEvaluator, arch, *, seed=0, **settings):  # type: ignore[no-untyped-def]
        if seed == 1:
            raise InvalidInputError("training diverged.")
        return train(self, arch, seed=seed, **settings)

    monkeypatch.setattr(TrainEvaluator, "train", failing)
    measuring = Measuring(recipe=RECIPE, latency=SPEC)
    results = validate_archs(Problem(space, task), [space.parse(KEYS[0])], study=tmp_path, measuring=measuring, seeds=3)
    assert list(results[0].repeats) == [0, 2]
    assert results[0].intervals["accuracy@digits"].n == 2
    assert f"{KEYS[0]} failed with seed 1: training diverged." in results.notes


def test_what_a_training_noted_is_a_note(space: Space, task: Task, tmp_path: Path) -> None:
    recipe = Recipe(epochs=6, batch_size=128, learning_rate=1e-9, patience=1)
    results = run(space, task, tmp_path, KEYS[0], recipe=recipe)
    assert any(note.startswith(f"{KEYS[0]}: training ended after epoch ") for note in results.notes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a machine without a GPU")
def test_a_recipe_that_cannot_be_used_here_is_refused_before_the_work(tmp_path: Path) -> None:
    problem = Problem("nasbench201", "digits", image_size=8)
    arch = problem.space.sample(np.random.default_rng(0))
    measuring = Measuring(recipe=Recipe(epochs=1, precision="float16"))
    with pytest.raises(InvalidInputError, match="needs a GPU"):
        validate_archs(problem, [arch], study=tmp_path / "run", measuring=measuring)
    with pytest.raises(InvalidInputError, match="needs a GPU"):
        search_archs(problem, policy="random", budget=2, study=tmp_path / "run", evaluators=measuring)
    assert not (tmp_path / "run").exists()


def test_a_request_to_end_ends_the_run_and_is_no_failure_of_the_arch(tmp_path: Path) -> None:
    """Docker, systemd and batch systems send SIGTERM, which Lightning raises inside of the training."""
    command = [sys.executable, "-m", "gennas", "validate", "--task", "digits", "--image-size", "8", "--out", "run"]
    command += ["--skeleton", "channels=4,cells=1", "--recipe.epochs", "500", KEYS[0], KEYS[1]]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    running = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if "epoch 2/" in line:
            running.terminate()
            break
    said = running.stderr.read()
    assert running.wait(timeout=120) == 130, said
    study = Study(tmp_path / "run")
    assert study.failures() == []
    assert study.find() == [row for row in study.find() if row.source == "computed"]
