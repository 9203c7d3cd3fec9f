"""The FBNet space: notations, the published networks, and which archs compute the same."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from gennas.errors import InvalidArchError
from gennas.spaces import get_space
from gennas.spaces.drawing import draw_svg
from gennas.spaces.fbnet.network import Block, Shuffle, skip
from gennas.spaces.fbnet.space import OPS, FBNet

SPACE = FBNet()
#: FBNet-C and FBNet-A of the paper's Figure 4.
C = (
    "fbnet:k3_e1-k3_e6-skip-k3_e1-k3_e1-k5_e6-k5_e3-k5_e6-k3_e6-k5_e6-k5_e3-k5_e6-k5_e6-k5_e6-k5_e6-k5_e6-k5_e3"
    "-k5_e6-k5_e6-k5_e6-k5_e6-k3_e6"
)
A = (
    "fbnet:skip-k3_e3-k3_e1-skip-skip-k5_e6-k3_e3-k5_e1-k3_e3-k5_e6-k5_e3-k5_e1_g2-k5_e6-k3_e6-k5_e1_g2-k5_e1"
    "-k3_e1_g2-k5_e6-k5_e6-k5_e3-k5_e6-k5_e6"
)
#: A row of a latency table.
DIGITS = "7 8 1 8 4 8 8 8 7 4 1 4 7 3 2 7 3 2 4 2 4 5"


@dataclass(frozen=True)
class ImageNet:
    """As much of the task as a space needs."""

    name: str = "imagenet"
    input_shape: tuple[int, int, int] = (3, 224, 224)
    num_classes: int = 1000
    channels: int = 3
    classes: int = 1000


def test_every_layer_has_every_block() -> None:
    assert SPACE.count == 9**22
    assert SPACE.is_exact
    assert not SPACE.has_rules


@pytest.mark.parametrize(
    ("last", "key", "params_m", "macs_m"),
    [
        # The paper has 5.5 M and 375 M, and 4.3 M and 249 M; timm counts the first as 5.57 M.
        (1984, C, 5.5722, 384.96016),
        (1504, A, 4.264792, 238.989752),
    ],
)
def test_costs_of_the_published_networks(last: int, key: str, params_m: float, macs_m: float) -> None:
    space = get_space("fbnet", f"last={last}")
    costs = space.costs(space.parse(key), ImageNet())
    assert costs == pytest.approx({"params_m": params_m, "macs_m": macs_m}, abs=1e-9)


def test_digits_of_tables_are_read() -> None:
    arch = SPACE.parse(DIGITS)
    assert arch.key.startswith("fbnet:k5_e6-skip-k3_e1_g2-skip-k5_e1-skip")
    assert [OPS.index(op) for op in arch.ops[1:-1]] == list(map(int, DIGITS.split()))
    assert SPACE.parse(f" {DIGITS.replace(' ', '  ')}\n") == arch
    partial = SPACE.read(DIGITS.replace("7 8 1", "? 8 1"))
    assert partial.ops[:3] == ("input", None, "skip")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DIGITS[:-2], "is not an arch of fbnet"),
        (DIGITS.replace("7", "9"), "is not an arch of fbnet"),
        (C.replace("k3_e1-k3", "k3_e2-k3", 1), "'k3_e2' is not a valid block"),
        (C + "-skip", "has 23 of block; expected 22"),
    ],
)
def test_malformed_strings_are_explained(text: str, words: str) -> None:
    with pytest.raises(InvalidArchError, match=words):
        SPACE.parse(text)


def test_a_drawing_has_a_row_for_every_stage() -> None:
    figures = SPACE.figures(SPACE.parse(DIGITS))
    assert [len(figure.boxes) for figure in figures] == [1, 4, 4, 4, 4, 4, 1]
    assert tuple(op for figure in figures for op, _ in figure.boxes) == SPACE.parse(DIGITS).ops[1:-1]
    assert figures[1].title == "stage 2: 24 channels, half the resolution"
    assert draw_svg(SPACE, SPACE.parse(DIGITS)).count("<rect") == 1 + 22


def test_skips_among_layers_that_are_alike_come_last() -> None:
    ops = SPACE.canonical(SPACE.parse(DIGITS)).ops[1:-1]
    # The first layer of a stage changes shapes: its skip stays.
    assert ops[:5] == ("k5_e6", "skip", "k3_e1_g2", "k5_e1", "skip")
    assert ops[5:9] == ("skip", "k5_e6", "skip", "skip")
    assert sorted(ops) == sorted(SPACE.parse(DIGITS).ops[1:-1])


def test_a_third_of_all_archs_is_canonical() -> None:
    rng = np.random.default_rng(0)
    archs = [SPACE.sample(rng) for _ in range(2000)]
    share = np.mean([SPACE.canonical(arch) == arch for arch in archs])
    # Of the 9^3 triples of like layers, those without a block after a skip are 8^3 + 8^2 + 8 + 1.
    assert share == pytest.approx((585 / 729) ** 5, abs=0.03)


def test_archs_of_one_canonical_form_compute_the_same() -> None:
    arch, task = SPACE.parse(DIGITS), ImageNet()
    torch.manual_seed(0)
    network = SPACE.build(arch, task).eval()
    other = SPACE.build(SPACE.canonical(arch), task).eval()
    weights, own = list(network.parameters()), list(other.parameters())
    assert [x.shape for x in weights] == [x.shape for x in own]
    for source, target in zip(weights, own, strict=True):
        target.data.copy_(source.data)
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(network(images), other(images))


def test_skip_changes_shapes_by_a_convolution() -> None:
    assert isinstance(skip(16, 16, 1), nn.Identity)
    assert skip(16, 24, 2)(torch.randn(2, 16, 9, 9)).shape == (2, 24, 5, 5)


def test_the_shuffle_is_that_of_torch() -> None:
    x = torch.randn(2, 6, 3, 3)
    assert torch.equal(Shuffle(2)(x), nn.ChannelShuffle(2)(x))
    assert torch.equal(Shuffle(3)(x), nn.ChannelShuffle(3)(x))


def test_groups_halve_the_weights_and_are_shuffled() -> None:
    block = Block(16, 16, 1, 3, 1, 2).eval()
    assert block.widen[0].weight.shape == (16, 8, 1, 1)
    # Without a shuffle, the first half of the output would see the first half of the input only.
    image = torch.zeros(1, 16, 1, 1)
    changed = image.clone()
    changed[:, 8:] = torch.randn(1, 8, 1, 1)
    assert not torch.allclose(block(image)[:, :8], block(changed)[:, :8])
