"""Networks as source: it computes the same, loads the same weights, and reads as somebody would write it."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import parts_spaces
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gennas.errors import InvalidInputError
from gennas.export.agreement import TOLERANCE, Difference, clean_logits, expect_input, expect_only_torch, onnx_logits
from gennas.export.onnx import to_onnx
from gennas.export.source import network_source
from gennas.spaces import Space, get_space
from gennas.tasks import Task, get_task

SMALL = {
    "nasbench201": "channels=4,cells=2",
    "nasbench101": "channels=8,stacks=2,modules=1",
    "darts": "channels=4,cells=3",
    "nasnet": "channels=4,cells=3",
    "fbnet": "",
    "mobilenet_v3": "",
    "transnas_micro": "",
}
SPACES = [*(get_space(name, skeleton) for name, skeleton in SMALL.items()), *(kind() for kind in parts_spaces.SPACES)]


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("digits", image_size=16)


def made(source: str) -> nn.Module:
    """The network of a source."""
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, "network.py", "exec"), names)
    network: nn.Module = names["Network"]()
    return network.eval()


def with_random_norms(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            nn.init.normal_(module.running_mean, std=0.2)
    return network.eval()


def agreeing(network: nn.Module, *, side: int = 8) -> str:
    """The source of a network, which computes the same and has the same weights."""
    source = network_source(network, (3, side, side), {})
    again = made(source)
    again.load_state_dict(network.state_dict(), strict=True)
    images = torch.randn(3, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(again(images), network.eval()(images))
    return source


def is_formatted(paths: list[Path]) -> None:
    """As ruff would write it, and nothing that it complains of."""
    for words in (["format", "--diff"], ["check", "--select", "E,F,W,I,UP,B", "--ignore", "E501"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--isolated", "--line-length", "100", *map(str, paths)]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def networks_of(space: Space, task: Task, count: int) -> list[tuple[str, nn.Module]]:
    """Some networks of random archs, with their keys."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    archs = [space.sample(rng) for _ in range(count)]
    return [(arch.key, with_random_norms(space.build(arch, task))) for arch in archs]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_source_and_onnx_compute_what_the_network_does(space: Space, task: Task, tmp_path: Path) -> None:
    images = task.splits().val.images[:3].astype(np.float32) / 255
    paths = []
    for number, (key, network) in enumerate(networks_of(space, task, 3)):
        source = network_source(network, (3, 16, 16), {"Arch": key})
        assert key.split()[0] in source
        paths.append(tmp_path / f"{number}.py")
        paths[-1].write_text(source)
        again = made(source)
        again.load_state_dict(network.state_dict(), strict=True)
        with torch.no_grad():
            expected, found = (one(torch.from_numpy(images)).numpy() for one in (network, again))
        for form in (found, onnx_logits(to_onnx(network, (3, 16, 16), batch=None), images)):
            assert Difference.between(expected, form).largest <= TOLERANCE * np.abs(expected).max()
    is_formatted(paths)


def test_source_computes_the_same_in_a_process_without_gennas(task: Task, tmp_path: Path) -> None:
    images = task.splits().val.images[:3].astype(np.float32) / 255
    expected, files = [], []
    for number, space in enumerate(SPACES):
        ((key, network),) = networks_of(space, task, 1)
        files.append((tmp_path / f"{number}.py", tmp_path / f"{number}.safetensors"))
        files[-1][0].write_text(network_source(network, (3, 16, 16), {"Arch": key}))
        save_file(network.state_dict(), files[-1][1])
        with torch.no_grad():
            expected.append(network(torch.from_numpy(images)).numpy())
    for space, one, other in zip(SPACES, expected, clean_logits(files, [images] * len(files)), strict=True):
        assert Difference.between(one, other).largest <= TOLERANCE * np.abs(one).max(), space.name


def test_a_cell_reads_as_one_writes_it() -> None:
    space = get_space("nasbench201", "channels=4,cells=3")
    arch = space.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|")
    source = agreeing(space.build(arch, get_task("digits", image_size=8)))
    cell = '''class Cell(nn.Module):
    """One cell: node 0 is the input, every other node sums its incoming edges, and node 3 is the
    output.

    ``(b, channels, h, w) -> (b, channels, h, w)``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                ReluConvBn(channels, channels, kernel_size=3),
                nn.Identity(),
                nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
                nn.Identity(),
                ReluConvBn(channels, channels, kernel_size=1),
                nn.Identity(),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[3](x) + self.layers[4](self.layers[0](x))
'''
    assert cell in source
    assert "            *(Cell(4) for _ in range(3)),\n            ResidualBlock(4, 8),\n" in source


class Scaled(nn.Module):
    """Multiplies by weights, a buffer, a constant and a number."""

    def __init__(self, channels: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.gamma = nn.Parameter(torch.rand(1, channels, 1, 1))
        self.register_buffer("shift", torch.rand(channels, 1, 1))
        self.register_buffer("steps", torch.tensor(3))
        self.register_buffer("fixed", torch.tensor([[1.0, 2.0]]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.shift) * self.gamma * self.factor + self.fixed.sum() / self.steps


class InPlace(nn.Module):
    """Needs its input before and after a layer changes it."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        before = y - 1
        z = self.act(y)
        return before * 3 + z + y


class Branches(nn.Module):
    """Modules by names that are none, in a dict, and called twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.add_module("3x3", nn.Conv2d(channels, channels, 3, padding=1))
        self.by_name = nn.ModuleDict({"a-b": nn.Conv2d(channels, channels, 1)})
        self.named = nn.Sequential(OrderedDict(first=nn.Tanh(), second=nn.LeakyReLU(0.2)))
        self.unused = nn.Linear(2, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.named(getattr(self, "3x3")(x) @ self.by_name["a-b"](y)) - self.named(-(x + y) / (1 + x * x))


class Standardised(nn.Conv2d):
    """A convolution with standardised weights."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding)


class Plain(nn.BatchNorm2d):
    """A layer of torch by another name."""


class Odd(nn.Module):
    """All of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Standardised(3, 4, 3, padding="same"), Plain(4), nn.GroupNorm(2, 4))
        self.scales = nn.ModuleList([Scaled(4, 0.5), Scaled(4, 2.0)])
        self.branches = Branches(4)
        self.in_place = InPlace()
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 8 * 8, 2, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        x = self.branches(self.scales[0](x), self.scales[1](x))
        n, c, h, w = x.shape
        x = self.in_place(x.view(n, c, h * w).view(n, c, h, w))
        return self.head(nn.functional.dropout(x, 0.3, self.training))


def test_modules_of_a_users_own(tmp_path: Path) -> None:
    source = agreeing(Odd().eval())
    (tmp_path / "network.py").write_text(source)
    is_formatted([tmp_path / "network.py"])
    assert "def __init__(self, factor: float) -> None:" in source
    assert "nn.functional.dropout(self.in_place(node3), p=0.3, training=self.training)" in source
    assert 'self.register_buffer("fixed", torch.tensor(((1.0, 2.0),)), persistent=False)' in source


class Comparing(nn.Module):
    """Comparisons, which must not be chained, and powers of powers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.layer(images)
        positive = (x > 0) & ~(x >= 1) | (x == 2) ^ (x != x)
        x = torch.where(positive, x, +0.1 * x)
        x = x + ((x < 0) == (x <= -1)) * 2
        return ((x.abs() + 0.5) ** 2) ** 3


class Tied(nn.Module):
    """Layers that share a weight, and a layer of two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.again, self.second.weight = self.first, self.first.weight

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.again(self.first(images)).relu())


@pytest.mark.parametrize("module", [Comparing, Tied])
def test_operators_and_shared_weights(module: type[nn.Module]) -> None:
    torch.manual_seed(0)
    agreeing(module().eval())


class Attending(nn.Module):
    """Attention over the places of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        x = nn.functional.pad(images, (0, 0, 0, 0, 0, 1)).flatten(2).transpose(1, 2)
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


def test_attention_is_written_as_onnx() -> None:
    torch.manual_seed(0)
    network, images = Attending().eval(), np.random.default_rng(0).normal(size=(3, 3, 4, 4)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    found = onnx_logits(to_onnx(network, (3, 4, 4), batch=None), images)
    assert Difference.between(expected, found).largest < TOLERANCE
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("name", ['a"""b', r"C:\users", r"x\N", 'end"', '""""', "back\\"])
def test_facts_may_hold_anything(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(network_source(nn.Conv2d(3, 2, 3), (3, 8, 8), {"Task": name, "Last": name}), namespace)
    assert namespace["__doc__"].splitlines()[-2:] == [f"Task: {name}", f"Last: {name}"]


def test_sides_of_a_tensor_need_no_names() -> None:
    source = agreeing(Odd().eval())
    assert "node2.view(\n            branches.shape[0], branches.shape[1], branches.shape[2]," in source


def test_a_network_of_one_layer() -> None:
    assert "class Network(nn.Conv2d):" in agreeing(nn.Conv2d(3, 2, 3))


class Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Deciding(), "module '0' (Deciding) cannot be written as source: its forward() cannot be traced"),
        (nn.GRU(3, 4), "module '0' (GRU) cannot be written as source: its arguments cannot be told"),
        (torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1)), "cannot be written as source"),
    ],
)
def test_what_cannot_be_written_is_named(module: nn.Module, said: str) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot be written as source") as caught:
        network_source(nn.Sequential(module, nn.Flatten()), (3, 4, 4), {})
    assert said in str(caught.value)


def test_an_operator_that_onnx_lacks_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot be written as ONNX: .*channel_shuffle"):
        to_onnx(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ChannelShuffle(2), nn.Flatten()), (3, 4, 4), batch=None)
    # Nothing of the exporter's graph stands among what a program prints.
    assert capfd.readouterr() == ("", "")


class Constant(nn.Module):
    """The same logits for all images."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits * 2


def test_networks_that_ignore_their_images() -> None:
    with pytest.raises(InvalidInputError, match="ignores its images"):
        expect_input(to_onnx(Constant(), (3, 4, 4), batch=None))
    space, task = get_space("nasbench201", "channels=4,cells=1"), get_task("digits", image_size=8)
    network = space.build(space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), task).eval()
    agreeing(network)
    # The number of images is still asked for.
    document = to_onnx(network, (3, 8, 8), batch=None)
    expect_input(document)
    assert onnx_logits(document, np.zeros((5, 3, 8, 8), np.float32)).shape == (5, 10)


def test_source_that_imports_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="imports numpy; expected torch only"):
        expect_only_torch("import torch\nimport numpy as np\n")
    (tmp_path / "network.py").write_text("import importlib\nimportlib.import_module('gennas')\n")
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInputError, match="an exported network must not import gennas"):
        clean_logits(
            [(tmp_path / "network.py", tmp_path / "weights.safetensors")], [np.zeros((1, 3, 4, 4), np.float32)]
        )


def test_differences_are_relative_to_large_logits_only() -> None:
    small, large = np.full((2, 3), 0.5), np.full((2, 3), 50.0)
    assert Difference.between(small, small + 9e-5).relative == pytest.approx(9e-5)
    Difference.between(large, large + 4e-3).expect_small("it")
    for expected, found in ((small, small + 2e-4), (large, large + 6e-3), (small, small * np.nan), (small, small[:1])):
        with pytest.raises(InvalidInputError, match="computes something else"):
            Difference.between(expected, found).expect_small("it")
