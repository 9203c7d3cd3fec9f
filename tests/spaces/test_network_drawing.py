"""Drawings of whole networks, and of the differences of two archs."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from parts_spaces import Cells, DepthChain
from torch import Tensor, nn

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.spaces import SPACES, get_space
from gennas.spaces.base import Space
from gennas.spaces.drawing import draw_diff, draw_network, draw_svg
from gennas.spaces.drawing.blocks import INPUT, blocks_of
from gennas.spaces.drawing.diff import differences
from gennas.spaces.drawing.network import grouped
from gennas.spaces.drawing.table import html_table
from gennas.tasks import get_task

SVG = "{http://www.w3.org/2000/svg}"
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
DIGITS = get_task("digits")


def _texts(drawing: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def test_the_blocks_of_a_cell_space() -> None:
    space = get_space("nasbench201", "channels=8,cells=2")
    found = blocks_of(space, space.parse(CELL), DIGITS)
    assert [block.name for block in found.blocks] == [
        *("stem", "cell", "cell", "residual block", "cell", "cell", "residual block", "cell", "cell", "head")
    ]
    assert [block.sources for block in found.blocks] == [(place,) for place in range(INPUT, 9)]
    assert found.inputs == DIGITS.input_shape
    side = DIGITS.input_shape[1]
    assert found.blocks[1].shape == (8, side, side)
    assert found.blocks[4].shape == (16, side // 2, side // 2)
    assert found.blocks[-1].shape == (10,)
    # 3x3 convolutions of 8 to 8 channels (two) and a 1x1, each with a batch norm, by hand.
    assert found.blocks[1].params == 2 * (9 * 64 + 16) + 64 + 16
    assert found.blocks[1].macs == (2 * 9 + 1) * 64 * side**2
    assert "3\N{MULTIPLICATION SIGN}3 conv" in found.blocks[1].detail


@pytest.mark.parametrize("name", ["fbnet", "mobilenet_v3", "nasbench101", "nasbench201", "transnas_micro"])
def test_blocks_make_up_the_costs_of_the_space(name: str) -> None:
    space = get_space(name)
    arch = space.sample(np.random.default_rng(3))
    found = blocks_of(space, arch, DIGITS)
    costs = space.costs(arch, DIGITS)
    assert sum(block.params for block in found.blocks) == found.params
    assert found.params / 1e6 == pytest.approx(costs["params_m"])
    assert sum(block.macs for block in found.blocks) == pytest.approx(found.macs)
    if name in ("fbnet", "mobilenet_v3"):
        assert found.macs / 1e6 == pytest.approx(costs["macs_m"])


@pytest.mark.parametrize("name", list(SPACES))
def test_every_space_is_drawn(name: str) -> None:
    space, rng = get_space(name), np.random.default_rng(1)
    arch, other = space.sample(rng), space.sample(rng)
    task = get_task("cora") if name == "nasbench_graph" else DIGITS
    for drawing in (draw_network(space, arch, task, "A <b>"), draw_diff(space, arch, other), arch._repr_svg_() or ""):
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        assert [child.tag for child in list(root)[:3]] == [f"{SVG}title", f"{SVG}desc", f"{SVG}rect"]
        assert all(child.text for child in list(root)[:2])
        assert not list(root.iter(f"{SVG}script"))
        assert ' id="' not in drawing  # a page may hold several
        assert "href" not in drawing
        width, height = float(root.get("width", 0)), float(root.get("height", 0))
        for box in root.iter(f"{SVG}rect"):
            assert float(box.get("width", 0)) <= width
            assert float(box.get("height", 0)) <= height
    network = draw_network(space, arch, task)
    assert network == draw_network(space, arch, task)
    assert {"input", "logits", "parameters", "multiply-adds"} <= set(_texts(network))


def test_blocks_of_a_cell_that_reads_two_before() -> None:
    space = get_space("darts", "channels=4,cells=6")
    found = blocks_of(space, space.sample(np.random.default_rng(0)), DIGITS)
    cells = [block for block in found.blocks if block.name == "cell"]
    assert cells[0].sources == (0,)  # the stem, as both
    assert [set(block.sources) for block in cells[1:]] == [{place, place - 1} for place in range(1, 6)]
    drawing = draw_network(space, space.sample(np.random.default_rng(0)), DIGITS)
    assert drawing.count("q-6 0 -6 6") >= 3  # wires past other blocks


def test_choices_of_a_composed_space_are_said_and_equal_blocks_are_one_box() -> None:
    space = DepthChain()
    arch = space.parse("depth_chain:k3/2.3/e2-e1-e1-e2-e2")
    found = blocks_of(space, arch, DIGITS)
    assert [block.detail for block in found.blocks[1:-1]] == [
        *("kernel 3, expansion 2", "kernel 3, expansion 1", "kernel 3, expansion 1"),
        *("kernel 3, expansion 2", "kernel 3, expansion 2"),
    ]
    groups = grouped(found.blocks)
    assert [group.times for group in groups] == [1, 1, 1, 1, 2, 1]
    assert groups[4].block.params == found.blocks[4].params + found.blocks[5].params
    assert "\N{MULTIPLICATION SIGN}2" in _texts(draw_network(space, arch, DIGITS))
    both = _texts(draw_svg(space, arch, "title", DIGITS))
    assert {"title", "e2", "expansion.1.1", "whole network", "logits"} <= set(both)


class Branching(nn.Module):
    """Two branches that are added, of which one hands its input on."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU()
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Identity()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        return self.head(self.left(x) + 2 * self.right(x))


class Pair(nn.Module):
    """Two outputs at once."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :1], x[:, 1:]


class PairNetwork(nn.Module):
    """A network with a part that returns two images."""

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.left, self.right = Pair(), nn.Conv2d(1, 4, 1), nn.Conv2d(2, 4, 1)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.pair(x)
        return self.head(self.left(first) + self.right(second))


class OwnNetwork(type(get_space("nasbench201"))):  # type: ignore[misc]
    """A space whose network is a module of its own."""

    name = "own_network"

    def build(self, arch: Arch, task: object) -> nn.Module:
        return Branching(10)


def test_a_block_that_does_nothing_by_choice_stays_one() -> None:
    space = get_space("fbnet")
    arch = space.parse(f"fbnet:{'-'.join(['k3_e1'] * 3 + ['skip'] + ['k3_e1'] * 18)}")
    found = blocks_of(space, arch, DIGITS)
    assert len(found.blocks) == 24
    assert [block.detail for block in found.blocks[1:-1]].index("op skip") == 3


def test_a_block_with_two_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnNetwork, "build", lambda *_: PairNetwork())
    space = OwnNetwork()
    found = blocks_of(space, space.arch(get_space("nasbench201").parse(CELL).ops), DIGITS)
    assert [block.sources for block in found.blocks] == [(INPUT,), (0,), (0,), (1, 2)]
    assert found.blocks[0].shape == (1, *DIGITS.input_shape[1:])


def test_sources_are_followed_through_what_happens_between_modules() -> None:
    space = OwnNetwork()
    arch = space.arch(get_space("nasbench201").parse(CELL).ops)
    found = blocks_of(space, arch, DIGITS)
    assert [block.name for block in found.blocks] == ["conv", "conv", "identity", "head"]
    assert [block.sources for block in found.blocks] == [(INPUT,), (0,), (0,), (1, 2)]
    assert found.blocks[0].detail.endswith("relu")
    assert arch._repr_svg_() is None  # the space is not registered


def test_shares_of_time() -> None:
    space = DepthChain()
    arch = space.parse("depth_chain:k3/2.3/e2-e1-e1-e2-e2")
    found = blocks_of(space, arch, DIGITS, latency=True)
    assert all(block.seconds is not None and block.seconds > 0 for block in found.blocks)
    shares = [float(text[:-2]) for text in _texts(draw_network(space, arch, DIGITS, latency=True)) if text[-2:] == " %"]
    assert len(shares) == len(grouped(found.blocks))
    assert sum(shares) == pytest.approx(100, abs=0.5)


def test_a_task_that_no_network_is_built_for() -> None:
    space = get_space("nasbench_graph")
    with pytest.raises(InvalidInputError, match="graph"):
        draw_network(space, space.sample(np.random.default_rng(0)), DIGITS)


def test_a_diff_colours_what_differs_and_lists_it() -> None:
    space = get_space("nasbench201")
    first, second = space.parse(CELL), space.parse(CELL.replace("skip_connect", "nor_conv_1x1"))
    drawing = draw_diff(space, first, second)
    assert differences(space, first, second) == ["0->3: skip_connect → nor_conv_1x1"]
    assert drawing.count('fill="#fde5d3"') == drawing.count('fill="#dbe9f6"') == 1
    assert "0->3: skip_connect → nor_conv_1x1" in _texts(drawing)
    same = draw_diff(space, first, first)
    assert "the same arch" in _texts(same)
    assert "#fde5d3" not in same
    assert "#dbe9f6" not in same


def test_a_diff_colours_edges_of_one_arch_only() -> None:
    space = get_space("nasbench101")
    keys = "100/10/1 conv3x3-bn-relu,maxpool3x3", "101/10/1 conv3x3-bn-relu,maxpool3x3"
    first, second = map(space.parse, keys)
    drawing = draw_diff(space, first, second)
    assert "edge input to output: in the second only" in _texts(drawing)
    assert drawing.count('stroke="#2c6399" stroke-width="2.6"') == 1
    assert 'stroke="#c2560c" stroke-width="2.6"' not in drawing


def test_a_diff_says_that_two_archs_compute_the_same() -> None:
    space = get_space("fbnet")
    ops = ["k3_e1"] * 3 + ["skip"] + ["k3_e1"] * 18
    moved = ["k3_e1"] * 2 + ["skip"] + ["k3_e1"] * 19
    first, second = (space.parse(f"fbnet:{'-'.join(words)}") for words in (ops, moved))
    assert space.canonical(first) == space.canonical(second)
    assert "both compute the same function" in _texts(draw_diff(space, first, second))


def test_archs_of_two_spaces_have_no_diff() -> None:
    space = get_space("nasbench201")
    with pytest.raises(InvalidInputError, match="cells"):
        draw_diff(space, space.parse(CELL), Cells().sample(np.random.default_rng(0)))


def test_a_table_for_notebooks() -> None:
    space: Space = get_space("nasbench201")
    archs = [space.parse(CELL), Arch("nowhere", "<key>", (), ())]
    frame = pd.DataFrame({"accuracy": [0.5, float("nan")], "<note>": [None, "fine"]})
    table = html_table("a <title>", archs, frame, ["a & b"])
    assert table.count("<tr>") == 3
    assert table.count("<svg") == 1
    assert "<key>" not in table
    assert "&lt;key&gt;" in table
    assert ' id="' not in table
    assert "<td" in table
    assert "nan" not in table
    assert "and 1 more" in html_table("few", archs, frame, most=1)
