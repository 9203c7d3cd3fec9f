"""From images to a network that answers: values, and several labels per image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from gennas.cli.main import main
from gennas.collecting.plan import random_archs
from gennas.design import design_networks
from gennas.errors import InvalidInputError
from gennas.evaluators.train import TrainEvaluator
from gennas.export.folder import export_network
from gennas.export.predict import Classifier
from gennas.export.quantisation import Int8Form
from gennas.problem import Problem
from gennas.proxies.base import ProxyBatch
from gennas.report.network import NetworkReport
from gennas.report.run import Run
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.spaces import get_space
from gennas.studies.networks import StudyNetworks
from gennas.studies.study import Study
from gennas.tasks import Task
from gennas.training.recipe import Recipe
from gennas.validation import validate_archs

SPACE = get_space("nasbench201", "channels=8,cells=1")
ARCH = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))


def discs(count: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images ``(n, 3, 16, 16)`` of discs, their radii and brightness, and whether they are red and bright."""
    rng = np.random.default_rng(0)
    radius, is_red, is_bright = rng.uniform(2, 7, count), rng.random(count) < 0.5, rng.random(count) < 0.4
    rows, columns = np.mgrid[:16, :16]
    inside = (rows - 8) ** 2 + (columns - 8) ** 2 < radius[:, None, None] ** 2  # (n, 16, 16)
    colour = np.stack([np.ones(count), 1 - 0.7 * is_red, 1 - 0.7 * is_red], 1) * (0.5 + 0.4 * is_bright)[:, None]
    images = 0.1 * rng.random((count, 3, 16, 16)) + inside[:, None] * colour[:, :, None, None]
    pixels = np.rint(images.clip(0, 1) * 255).astype(np.uint8)
    return pixels, np.stack([10 * radius, 0.5 + 0.4 * is_bright], 1), np.stack([is_red, is_bright], 1)


PIXELS, VALUES, LABELS = discs()


def task_of(targets: str) -> Task:
    wanted = {"regression": VALUES, "multilabel": LABELS.astype(np.int64)}[targets]
    names = {"regression": ("radius", "brightness"), "multilabel": ("red", "bright")}[targets]
    data = TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(wanted))
    return Task.from_dataset(data, name="discs", targets=targets, class_names=names)


def exported(tmp_path: Path, task: Task) -> tuple[dict[str, float], Path, np.ndarray]:
    """What a validation measured, the folder of the exported network, and its answers to three images."""
    problem = Problem(SPACE, task)
    found = validate_archs(problem, [ARCH], study=tmp_path / "run", measuring=Measuring(recipe=Recipe(epochs=7)))
    with Study(tmp_path / "run") as study:
        kept = StudyNetworks(study, task, SPACE).load()
    export_network(kept, tmp_path / "exported", forms=[Int8Form(0.05)])
    for row in range(3):
        Image.fromarray(PIXELS[row].transpose(1, 2, 0)).save(tmp_path / f"{row}.png")
    answers = kept.targets.read(kept.logits(kept.preprocessing.normalised(PIXELS[:3])))
    return found[0].metrics, tmp_path / "exported", answers


def test_values_from_images_to_an_exported_network(tmp_path: Path) -> None:
    task = task_of("regression")
    values, folder, answers = exported(tmp_path, task)
    val, train = task.splits().val.labels, task.splits().train.labels
    # Whoever says the mean for every image has r2 of about 0 and is off by the mean deviation.
    assert values["r2@discs"] > 0.7
    assert values["mae@discs"] < 0.5 * np.abs(val - train.mean(0)).mean()
    assert values["rmse@discs"] >= values["mae@discs"]
    frame = pd.read_parquet(next((tmp_path / "run" / "networks").glob("*/predictions.parquet")))
    assert list(frame.columns) == [
        "split", "row", "target radius", "predicted radius", "target brightness", "predicted brightness",
    ]  # fmt: skip
    assert np.array_equal(frame[["target radius", "target brightness"]].to_numpy(), val)
    error = np.mean([(frame[f"target {n}"] - frame[f"predicted {n}"]).abs().mean() for n in task.class_names])
    assert error == pytest.approx(values["mae@discs"])
    files = [str(tmp_path / f"{row}.png") for row in range(3)]
    told = [list(one["values"].values()) for one in Classifier(folder).classify(files)]
    assert np.allclose(told, answers, rtol=1e-5)
    assert np.abs(np.array(told) - VALUES[:3]).max() < 30  # in own units
    document = json.loads((folder / "preprocess.json").read_text())["targets"]
    assert np.allclose(document["mean"], train.mean(0))
    assert "2 values, standardised" in (folder / "card.md").read_text()
    assert "r2 on the validation images" in (folder / "card.md").read_text()
    small = [list(one["values"].values()) for one in Classifier(folder, "int8").classify(files)]
    assert np.abs(np.array(small) - told)[:, 0].max() < 15
    done = subprocess.run(
        [sys.executable, str(folder / "predict.py"), files[0]], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\t")[1::2] == ["radius", "brightness"]
    assert float(done.stdout.split("\t")[2]) == pytest.approx(told[0][0], rel=1e-4)


def test_labels_from_images_to_an_exported_network(tmp_path: Path) -> None:
    task = task_of("multilabel")
    values, folder, answers = exported(tmp_path, task)
    # Whoever says the frequencies for every image has them as average precisions.
    assert values["mean_average_precision@discs"] > task.splits().val.labels.mean() + 0.3
    assert values["macro_f1@discs"] > 0.8
    assert values["micro_f1@discs"] > 0.8
    files = [str(tmp_path / f"{row}.png") for row in range(3)]
    told = Classifier(folder).classify(files)
    assert np.allclose([list(one["probabilities"].values()) for one in told], answers, atol=1e-5)
    for one, row in zip(told, answers, strict=True):
        assert set(one["labels"]) == {name for name, p in zip(task.class_names, row, strict=True) if p > 0.5}
    done = subprocess.run(
        [sys.executable, str(folder / "predict.py"), "--json", *files], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [{**one, "file": name} for one, name in zip(told, files, strict=True)]


def test_errors_are_minimised_and_bound_a_search(tmp_path: Path) -> None:
    measuring = Measuring(recipe=Recipe(epochs=1))
    problem = Problem(get_space("nasbench201", "channels=2,cells=1"), task_of("regression"), "-mae, -params_m")
    # Worker processes have the images of data sets, too.
    result = search_archs(problem, 2, study=tmp_path / "run", evaluators=measuring, policy="random")
    frame = result.frame()
    assert result.failed == 0
    assert result.best[0].metrics["mae@discs"] == frame["mae@discs"].min()
    best = Problem(problem.space, problem.task, "-mae")
    with Study(tmp_path / "run") as study:
        networks = StudyNetworks(study, best.task, best.space)
        # Of several objectives the score decides.
        assert networks.values(networks.best())["r2@discs"] == max(
            networks.values(k)["r2@discs"] for k in networks.keys
        )
        report = NetworkReport.of(Run.read(tmp_path / "run", task=best.task), networks.best())
    assert report is not None
    assert report.confusion is None
    assert "confusion and mistakes are of classes" in report.missing[0]


def test_the_best_epoch_is_that_of_the_best_score(tmp_path: Path) -> None:
    recipe = Recipe(epochs=4, patience=4, mixup=0.2, label_smoothing=0.1)
    evaluator = TrainEvaluator(SPACE, recipe, tmp_path)
    values = evaluator.evaluate(ARCH, task=task_of("regression"))
    log = pd.read_csv(evaluator.network_folder(ARCH) / "training.csv")
    assert list(log.columns) == ["epoch", "loss", "learning_rate", "val_r2", "seconds"]
    assert values["r2@discs"] == pytest.approx(log["val_r2"].max())


def test_rare_labels_can_be_balanced_and_values_not(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, class_weights="balanced")
    values = TrainEvaluator(SPACE, recipe, tmp_path / "labels").evaluate(ARCH, task=task_of("multilabel"))
    assert 0 <= values["mean_average_precision@discs"] <= 1
    with pytest.raises(InvalidInputError, match=r"recipe.class_weights is 'balanced', but a regression has no classes"):
        TrainEvaluator(SPACE, recipe, tmp_path / "values").expect_usable(task_of("regression"))


def test_a_student_learns_from_a_teacher_of_the_same_kind(tmp_path: Path) -> None:
    task = task_of("regression")
    teacher = TrainEvaluator(SPACE, Recipe(epochs=6), tmp_path / "teacher")
    known = teacher.evaluate(ARCH, task=task)
    recipe = Recipe(epochs=6, teacher=str(teacher.network_folder(ARCH)), teacher_weight=1.0)
    taught = TrainEvaluator(SPACE, recipe, tmp_path / "student").evaluate(ARCH, task=task)
    # It sees no target.
    assert taught["r2@discs"] > 0.5 * known["r2@discs"] > 0.3
    with pytest.raises(InvalidInputError, match="whose network tells a regression, not a multilabel"):
        TrainEvaluator(SPACE, recipe, tmp_path / "other").expect_usable(task_of("multilabel"))


def test_what_needs_classes_says_so(tmp_path: Path) -> None:
    task = task_of("regression")
    with pytest.raises(
        InvalidInputError, match="a training-free score needs a task with classes, but 'discs' is a reg"
    ):
        ProxyBatch.from_task(task, 8)
    with pytest.raises(
        InvalidInputError, match=r"a design needs a task with classes.*use gennas search on space lite0"
    ):
        design_networks(Problem("lite0", task), study=tmp_path / "run")
    with pytest.raises(InvalidInputError, match="optimise what a regression is judged by: r2, mae, rmse"):
        search_archs(Problem(SPACE, task, "accuracy"), 1, study=tmp_path / "run", policy="random")


def test_label_files_of_values_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for row, pixels in enumerate(PIXELS[:60]):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / f"{row}.png")
    rows = [f"{row}.png,{VALUES[row, 0]}" for row in range(60)]
    (tmp_path / "radii.csv").write_text("\n".join(["path,radius", *rows]))
    task = ["--task", str(tmp_path / "radii.csv"), "--targets", "regression", "--image-size", "16"]
    small = ["--skeleton", "channels=4,cells=1", "--recipe.epochs", "1"]
    study = ["--out", str(tmp_path / "run")]
    assert main(["validate", *task, *small, *study, ARCH.key, "--format", "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["archs"]
    assert {"r2@radii", "mae@radii", "rmse@radii"} <= set(entry["measured"])
    # The study knows which kind its task is.
    assert main(["export", "--study", str(tmp_path / "run"), "--out", str(tmp_path / "exported")]) == 0
    capsys.readouterr()
    image = str(tmp_path / "0.png")
    assert main(["predict", "--network", str(tmp_path / "exported"), image, "--format", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["images"]
    assert list(told["values"]) == ["radius"]
    assert main(["predict", "--network", str(tmp_path / "exported"), image, "--top", "2"]) == 2
    assert "--top is 2, but the network tells values" in capsys.readouterr().err
    assert main(["generate", *task, "-n", "2", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert not any(name.startswith("accuracy") for arch in document["archs"] for name in arch["predicted"])
    assert any("no values of r2 of space 'nasbench201' are known" in note for note in document["notes"])
    # Accuracies teach nothing about values; and what comes next is of values, too.
    keys = [arch.key for arch in random_archs(SPACE, 3)]
    known = tmp_path / "known.csv"
    known.write_text("\n".join(["key,accuracy", *(f"{key},0.{row}" for row, key in enumerate(keys, start=1))]))
    for verb in (["generate", "-n", "2"], ["predict", keys[0]]):
        assert main([*verb, *task, "--evaluated", str(known)]) == 2
        assert "--evaluated holds accuracies, but task 'radii' is a regression of 1 value" in capsys.readouterr().err
    assert main(["predict", keys[0], *task]) == 0
    assert "--targets regression" in capsys.readouterr().out.splitlines()[-1]
