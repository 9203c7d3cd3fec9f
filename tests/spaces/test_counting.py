"""Counts on the meta device agree with closed forms and with torch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gennas.spaces.counting import Counts, count


class Attention(nn.Module):
    """Self-attention over the pixels of an image of ``width`` channels, with ``heads`` heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        return self.out(attended).transpose(1, 2).view(b, c, h, w)


def conv(c_in: int, c_out: int, kernel: int, stride: int, groups: int) -> nn.Module:
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups)


@pytest.mark.parametrize(
    ("make", "shape", "expected"),
    [
        # Products for every output, and a bias per channel.
        (lambda: conv(6, 8, 3, 1, 1), (6, 10, 12), Counts(6 * 8 * 9 + 8, 6 * 8 * 9 * 120, (8, 10, 12))),
        (lambda: conv(6, 8, 5, 2, 2), (6, 9, 9), Counts(3 * 8 * 25 + 8, 3 * 8 * 25 * 25, (8, 5, 5))),
        (lambda: conv(6, 6, 7, 1, 6), (6, 8, 8), Counts(6 * 49 + 6, 6 * 49 * 64, (6, 8, 8))),
        (lambda: nn.Linear(7, 5), (7,), Counts(7 * 5 + 5, 7 * 5, (5,))),
        # Three projections and one after; scores and weighted sums: 16 tokens, 8 channels.
        (lambda: Attention(8, 2), (8, 4, 4), Counts(4 * 64 + 32, 16 * 4 * 64 + 2 * 16 * 16 * 8, (8, 4, 4))),
        (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), (3, 4, 4), Counts(6, 0, (3, 4, 4))),
    ],
)
def test_closed_forms(make: object, shape: tuple[int, ...], expected: Counts) -> None:
    assert count(make, shape) == expected  # type: ignore[arg-type]


def test_half_of_what_torch_counts() -> None:
    network = nn.Sequential(conv(3, 8, 3, 2, 1), nn.ReLU(), conv(8, 8, 3, 1, 8), Attention(8, 4)).eval()
    # On the CPU, attention is one operation that torch does not count.
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.to("meta")(torch.zeros(1, 3, 8, 8, device="meta"))
    assert count(lambda: network, (3, 8, 8)).macs == counter.get_total_flops() / 2


def test_a_convention_may_count_more() -> None:
    network = nn.Sequential(conv(3, 4, 1, 1, 1), nn.ReLU(), nn.BatchNorm2d(4))
    beside = {nn.ReLU: lambda layer, x, y: y.numel(), nn.BatchNorm2d: lambda layer, x, y: 2 * y.numel()}
    assert count(lambda: network, (3, 5, 5), beside).macs == 12 * 25 + 3 * 100


def test_modules_that_need_values_are_counted_too() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            scale = float(torch.ones(3).sum().item())  # fails on the meta device
            self.linear = nn.Linear(4, round(scale))

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x)

    assert count(Fixed, (4,)) == Counts(15, 12, (3,))


def test_large_networks_take_no_memory() -> None:
    wide = count(lambda: nn.Linear(200_000, 200_000, bias=False), (200_000,))
    assert wide == Counts(40_000_000_000, 40_000_000_000, (200_000,))
