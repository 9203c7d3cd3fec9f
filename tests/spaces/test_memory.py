"""Peak memory of activations: by hand for small networks, and by what onnxruntime notes of each operator it runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from gennas.export.onnx import to_onnx
from gennas.spaces import get_space
from gennas.spaces.memory import peak_memory_mb
from gennas.tasks import get_task

SHAPE = (3, 16, 16)
#: Bytes of one channel.
MAP = 4 * 16 * 16
#: What onnxruntime computes in the buffer of an argument.
IN_PLACE = {"Add", "Mul", "Relu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "BatchNormalization", "Div"}
VIEWS = {"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity"}


class Branches(nn.Module):
    """Two convolutions of the input, added; the first result waits for the second."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, first, 1), nn.Conv2d(3, second, 1), nn.Conv2d(second, first, 1)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.convs[0](x)
        return torch.relu(a + self.convs[2](self.convs[1](x)))


def conv(a: int, b: int) -> nn.Conv2d:
    return nn.Conv2d(a, b, 3, padding=1)


def peak(network: nn.Module) -> float:
    """In maps of one channel."""
    return 1e6 * peak_memory_mb(lambda: network, [torch.zeros(1, *SHAPE)]) / MAP


@pytest.mark.parametrize(
    ("network", "maps"),
    [
        (conv(3, 8), 3 + 8),
        (nn.Sequential(conv(3, 8), conv(8, 16), conv(16, 4)), 8 + 16),
        # Activations and batch norms need no memory of their own.
        (nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), nn.ReLU(inplace=True), nn.Hardswish()), 3 + 8),
        # At the second convolution the input, the first result and its own are alive, at the third two and its own.
        (Branches(8, 16), max(3 + 8 + 16, 8 + 16 + 8)),
        (Branches(2, 16), max(3 + 2 + 16, 2 + 16 + 2)),
        # The indices of a max pooling, twice as large as its values, are nobody's.
        (nn.Sequential(conv(3, 8), nn.MaxPool2d(3, 1, 1)), 8 + 8),
        (nn.Sequential(conv(3, 8), nn.Flatten()), 3 + 8),
    ],
)
def test_small_networks_by_hand(network: nn.Module, maps: int) -> None:
    assert peak(network) == maps


def test_neither_weights_nor_random_numbers_are_touched() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    peak_memory_mb(lambda: nn.Conv2d(3, 8, 1), [torch.zeros(1, *SHAPE)])
    assert torch.equal(torch.rand(3), expected)


def test_a_network_that_needs_values() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 1 / torch.ones(1).item()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    assert 1e6 * peak_memory_mb(Normed, [torch.zeros(1, *SHAPE)]) == 3 * MAP


def onnxruntime_peak_mb(network: nn.Module, shape: tuple[int, int, int], folder: Path) -> float:
    """The largest sum of live tensors, by what onnxruntime runs, in its order, with the sizes that it notes."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    session = onnxruntime.InferenceSession(to_onnx(network, shape), options, providers=["CPUExecutionProvider"])
    session.run(None, {"images": np.zeros((1, *shape), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text())
    graph = onnx.load(folder / "optimised.onnx").graph
    nodes = {node.name: node for node in graph.node if node.name}
    unnamed = [node for node in graph.node if not node.name]
    ran = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    assert len(ran) == len(graph.node)
    weights = {one.name for one in graph.initializer}
    sizes = {"images": 4 * math.prod(shape)}
    order = []
    for event, facts in zip([one for one in events if one["name"].endswith("_kernel_time")], ran, strict=True):
        node = nodes.get(event["name"].removesuffix("_kernel_time"))
        if node is None:
            node = next(one for one in unnamed if one.op_type == facts["op_name"])
            unnamed.remove(node)
        assert node.op_type == facts["op_name"]
        noted = [4 * math.prod(next(iter(one.values()))) for one in facts["output_type_shape"]]
        assert sum(noted) == int(facts["output_size"])
        sizes |= zip(node.output, noted, strict=False)
        order.append(node)
    last = {name: at for at, node in enumerate(order) for name in node.input} | {"logits": len(order)}
    # A view is its argument: both end with the later one.
    alias: dict[str, str] = {}
    for node in order:
        if node.op_type in VIEWS:
            base = alias.get(node.input[0], node.input[0])
            alias[node.output[0]] = base
            last[base] = max(last[base], last.get(node.output[0], 0))
    live, largest = {"images"}, 0
    for at, node in enumerate(order):
        new = [name for name in node.output if name and name not in alias]
        ending = {name for name in live if last.get(name, -1) <= at}
        total = sum(sizes[name] for name in live | set(new))
        if node.op_type in IN_PLACE or (node.domain == "com.microsoft" and node.op_type == "FusedConv"):
            args = list(node.input) if node.op_type in IN_PLACE else list(node.input[3:4])
            names = [alias.get(name, name) for name in args if name not in weights]
            total -= next((sizes[name] for name in names if name in ending and sizes[name] == sizes[new[0]]), 0)
        largest = max(largest, total)
        live = (live | set(new)) - ending
    return largest / 1e6


@pytest.mark.parametrize(
    ("name", "skeleton", "tolerance"),
    [
        ("fbnet", "", 1e-9),
        ("mobilenet_v3", "", 1e-9),
        # Where several branches may come first, onnxruntime chooses another order than the network's forward.
        ("nasbench201", "channels=8,cells=1", 0.35),
        ("transnas_micro", "", 0.35),
        ("darts", "channels=4,cells=2", 0.35),
    ],
)
def test_onnxruntime_agrees(name: str, skeleton: str, tolerance: float, tmp_path: Path) -> None:
    space, task = get_space(name, skeleton), get_task("cifar10")
    for seed in range(2):
        (folder := tmp_path / str(seed)).mkdir()
        torch.manual_seed(seed)
        network = space.build(space.sample(np.random.default_rng(seed)), task)
        computed = peak_memory_mb(lambda network=network: network, [torch.zeros(1, *task.input_shape)])
        found = onnxruntime_peak_mb(network, task.input_shape, folder)  # type: ignore[arg-type]
        assert computed == pytest.approx(found, rel=tolerance)
