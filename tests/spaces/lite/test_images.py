"""Images of elastic archs: standardised as the parent expects them, and as large as the arch says."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from elastic_spaces import TinyLite
from PIL import Image

from gennas.collecting.held_images import holding
from gennas.errors import InvalidInputError
from gennas.evaluators.hardware_bundle import write_bundle
from gennas.evaluators.int8 import Int8Evaluator
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.memory import MemoryEvaluator
from gennas.evaluators.train import TrainEvaluator
from gennas.export.agreement import onnx_logits
from gennas.export.onnx import to_onnx
from gennas.export.trained import KeptNetwork
from gennas.hardware.csv_settings import CsvSettings
from gennas.proxies.base import ProxyBatch
from gennas.spaces import SPACES, get_space
from gennas.tasks import Task, get_task
from gennas.training.batches import Normalisation
from gennas.training.network_files import FACTS
from gennas.training.recipe import Recipe

SPACE, TASK = TinyLite(), get_task("digits", image_size=24)
SMALL, EQUAL = SPACE.parent_arch(16), SPACE.parent_arch(24)


def test_the_parent_says_how_images_are_standardised() -> None:
    images = torch.from_numpy(TASK.sample(8).images)
    mean, std = (torch.tensor(values)[:, None, None] for values in SPACE.normalisation)
    expected = (images / 255 - mean) / std
    assert torch.equal(Normalisation.of(SPACE, TASK)(images), expected)
    assert torch.equal(ProxyBatch.from_task(TASK, 8, space=SPACE).images, expected)


def test_images_of_other_channels_have_the_mean_over_the_channels() -> None:
    grey = Normalisation.of(SPACE, Task("grey", (1, 24, 24), 10))
    assert float(grey.mean) == pytest.approx(0.5)
    assert float(grey.std) == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["folder", "values"])
def test_it_is_not_said_how_images_are_resized_where_archs_say_that(kind: str, tmp_path: Path) -> None:
    for number in range(6):
        for label in ("a", "b") if kind == "folder" else (".",):
            (tmp_path / "mine" / label).mkdir(exist_ok=True, parents=True)
            Image.new("RGB", (40, 40), (number, 0, 0)).save(tmp_path / "mine" / label / f"{number}.png")
    if kind == "values":
        rows = "".join(f"{number}.png,{number / 2}\n" for number in range(6))
        (tmp_path / "mine" / "labels.csv").write_text(f"file,dose\n{rows}")
    task = get_task(str(tmp_path / "mine"), targets="classification" if kind == "folder" else "regression")
    (resizing,) = [note for note in task.notes if "shrunk to 32x32" in note]
    assert resizing in get_space("nasbench201").notes_on(task)
    expected = tuple(note for note in task.notes if note != resizing)
    assert expected
    for same in (task, holding(task)):
        assert SPACE.notes_on(same) == expected
    larger = task.resized(36)
    assert sum("to 36x36" in note for note in larger.notes) == 1
    assert not any("to 32x32" in note or "more detail" in note for note in larger.notes)
    assert SPACE.notes_on(larger) == expected


def test_a_std_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="positive stds"):
        Normalisation.fixed((0.5,), (0.0,))


def test_what_is_trained_says_so_and_is_quantised_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = TrainEvaluator(SPACE, Recipe(epochs=1), tmp_path)
    seen = []
    monkeypatch.setattr(
        "gennas.evaluators.int8.quantise_for",
        lambda task, document, *, exclude, normalise: seen.append(normalise) or _Float(),
    )
    Int8Evaluator(trainer).evaluate(SMALL, task=TASK)
    facts = json.loads((trainer.network_folder(SMALL) / FACTS).read_text())
    assert facts["input_shape"] == [3, 16, 16]
    assert KeptNetwork.load(trainer.network_folder(SMALL), SPACE, SMALL, TASK).check_images(2).shape == (2, 3, 16, 16)
    assert np.allclose([facts["mean"], facts["std"]], SPACE.normalisation)
    assert seen[0].mean.flatten().tolist() == facts["mean"]


class _Float:
    is_int8, accuracy = True, 0.5


def test_memory_is_that_of_the_archs_own_images() -> None:
    evaluator = MemoryEvaluator(SPACE)
    values = [evaluator.evaluate(SMALL, task=TASK.resized(side))["peak_memory_mb"] for side in (16, 24)]
    assert values[0] == values[1] < evaluator.evaluate(EQUAL, task=TASK)["peak_memory_mb"]


def test_latency_is_measured_with_the_archs_own_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        "gennas.evaluators.latency.time_network", lambda network, shape, target, spec: seen.append((shape, network[0]))
    )
    evaluator = LatencyEvaluator(SPACE)
    evaluator.timing(SMALL, evaluator.targets[0], task=TASK)
    assert seen[0][0] == (3, 16, 16)
    assert isinstance(seen[0][1], torch.nn.Identity)


def test_a_bundle_has_images_of_several_sizes_in_one_file(tmp_path: Path) -> None:
    SPACES.make_known(TinyLite)
    write_bundle(tmp_path / "b.zip", "board", [SMALL, EQUAL], space=SPACE, task=replace(TASK, input_shape=(3, 9, 9)))
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        bundle.extractall(tmp_path)
    shapes = []
    for number in (1, 2):
        sides = onnx.load(tmp_path / f"networks/0{number}.onnx").graph.input[0].type.tensor_type.shape.dim
        shapes.append([side.dim_value for side in sides])
    assert shapes == [[1, 3, 16, 16], [1, 3, 24, 24]]
    assert CsvSettings.read(tmp_path / "measurements.csv").input_shape is None
    assert "images of the sizes that they chose" in (tmp_path / "README.txt").read_text()


@pytest.mark.parametrize("side", [9, 24, 40])
def test_images_of_another_size_are_resized_in_the_network_and_in_its_file(side: int) -> None:
    torch.manual_seed(0)
    network = SPACE.build(EQUAL, TASK.resized(side)).eval()
    images = torch.randn(3, 3, side, side)
    expected = network[1:](torch.nn.functional.interpolate(images, (24, 24), mode="bilinear", antialias=True))
    assert torch.equal(network(images), expected)
    for batch in (3, None):
        found = onnx_logits(to_onnx(network, (3, side, side), batch), images.numpy())
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-5)
