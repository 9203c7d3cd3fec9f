"""Blocks that choose float stay in float, and all others are quantised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from gennas.evaluators import int8 as int8_module
from gennas.evaluators.int8 import Int8Evaluator
from gennas.evaluators.timing import onnx_document
from gennas.evaluators.train import TrainEvaluator
from gennas.export.block_precision import float_layers, module_of
from gennas.export.int8 import Quantiser
from gennas.export.mixed_precision import Quantised
from gennas.export.onnx import to_onnx
from gennas.hardware.target import HardwareTarget
from gennas.spaces import Choice, PartsSpace, Stage, get_space
from gennas.tasks import Task, get_task
from gennas.training.recipe import Recipe


class Block(nn.Module):
    """A convolution in the precision of its choice."""

    def __init__(self, channels_in: int, channels: int, stride: int, precision: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels_in, channels, 3, stride, 1), nn.ReLU())
        self.precision = precision

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.layers(x)


class Mixed(PartsSpace):
    """Two stages of two blocks, each in float32 or in INT8."""

    name = "mixed"

    def body(self):  # type: ignore[no-untyped-def]
        precision = Choice("precision", ("float32", "int8"))
        for channels, stride in ((4, 1), (8, 2)):
            yield Stage(channels, stride, depth=2, precision=precision.per_block())

    def stem(self, task):  # type: ignore[no-untyped-def]
        return nn.Conv2d(task.channels, 4, 3, 1, 1), 4

    def block(self, channels_in, channels, stride, precision):  # type: ignore[no-untyped-def]
        return Block(channels_in, channels, stride, precision)

    def head(self, channels, task):  # type: ignore[no-untyped-def]
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, task.classes))


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("digits", image_size=8)


@pytest.mark.parametrize("seed", range(4))
def test_what_blocks_choose_is_what_is_excluded(seed: int, task: Task) -> None:
    space = Mixed()
    network = space.build(space.sample(np.random.default_rng(seed)), task)
    document = to_onnx(network, (3, 8, 8))
    chosen = [module.precision for module in network.modules() if isinstance(module, Block)]
    convolutions = [name for name in Quantiser(document).layers if name.endswith("Conv")]
    kept = float_layers(network, document)
    # The stem comes first, and never chooses.
    assert [name in kept for name in convolutions] == [False, *(one == "float32" for one in chosen)]
    assert not any(name.endswith("Gemm") for name in kept)


def test_what_is_timed_in_int8_has_the_chosen_blocks_in_float(task: Task) -> None:
    space, target = Mixed(), HardwareTarget.parse("cpu-int8")
    assert target is not None
    for seed in range(3):
        network = space.build(space.sample(np.random.default_rng(seed)), task)
        model = onnx.load_from_string(onnx_document(network, (3, 8, 8), target))
        tensors = [numpy_helper.to_array(one) for one in model.graph.initializer]
        kernels = [tensor for tensor in tensors if tensor.ndim == 4 and tensor.dtype == np.float32]
        chosen = [module for module in network.modules() if getattr(module, "precision", "") == "float32"]
        assert len(kernels) == len(chosen)


@pytest.mark.parametrize("name", ["nasbench201", "mobilenet_v3"])
def test_layers_are_found_in_networks_of_gennas(name: str) -> None:
    space, task = get_space(name), get_task("cifar10")
    network = space.build(space.sample(np.random.default_rng(0)), task)
    document = to_onnx(network, (3, 32, 32))
    modules = dict(network.named_modules())
    layers = [layer for layer in Quantiser(document).layers if layer.endswith(("/Conv", "/Gemm"))]
    assert len(layers) >= 8
    for layer in layers:
        assert isinstance(modules[module_of(layer)], nn.Conv2d | nn.Linear)


def test_the_evaluator_honours_the_choice(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, found = Mixed(), list[Quantised]()
    quantise_for = int8_module.quantise_for

    def watched(*args: object, **settings: object) -> Quantised:
        found.append(quantise_for(*args, **settings))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(int8_module, "quantise_for", watched)
    evaluator = Int8Evaluator(TrainEvaluator(space, Recipe(epochs=1, batch_size=128), tmp_path))
    precisions = ["float32", "int8", "int8", "float32"]
    arch = next(
        arch
        for arch in (space.sample(np.random.default_rng(seed)) for seed in range(200))
        if [block.precision for block in space.build(arch, task).modules() if isinstance(block, Block)] == precisions
    )
    evaluator.evaluate(arch, task=task)
    kept = [name for name in found[0].attempts[0].excluded if name.endswith("Conv")]
    assert len(kept) == 2
    assert len({module_of(name) for name in kept}) == 2
