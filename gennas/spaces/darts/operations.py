"""The operations of DARTS and NASNet as modules: ``(b, c, h, w) -> (b, c, ceil(h / stride), ceil(w / stride))``."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FactorizedReduce(nn.Module):
    """Halves the resolution by two 1x1 convolutions, of which one sees what the other skips: ``(b, c_in, h, w) ->
    (b, c_out, ceil(h / 2), ceil(w / 2))``.

    Args:
        channels_in: channels of the input.
        channels: output channels, at least 2.
        affine: whether the batch norm has scale and shift.
    """

    def __init__(self, channels_in: int, channels: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(channels_in, channels // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(channels_in, channels - channels // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        # Where a side is odd, the shifted image lacks a row, which is padded.
        shifted = nn.functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))


def relu_conv_norm(channels_in: int, channels: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution and batch norm, as before a cell."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


def operation(name: str, channels: int, stride: int, affine: bool) -> nn.Module:
    """The module of an operation.

    Args:
        name: such as ``sep_conv_3x3``.
        channels: of its input and output.
        stride: 1 or 2.
        affine: whether batch norms have scale and shift; poolings are followed by a batch norm only if they have not,
            as in the networks that DARTS searches with.

    Raises:
        ValueError: an unknown name.
    """
    kind, _, size = name.rpartition("_")
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)
    if name in ("conv_3x1_1x3", "conv_7x1_1x7"):
        return _split_conv(channels, int(size[-1]), stride, affine)
    kernel = int(size[0])
    if kind in ("max_pool", "avg_pool"):
        pool: nn.Module = (
            nn.MaxPool2d(kernel, stride, kernel // 2)
            if kind == "max_pool"
            else nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)
        )
        return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))
    if kind == "sep_conv":
        return nn.Sequential(
            *_separable(channels, kernel, stride, 1, affine), *_separable(channels, kernel, 1, 1, affine)
        )
    if kind == "dil_conv":
        return nn.Sequential(*_separable(channels, kernel, stride, 2, affine))
    if kind == "conv":
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )
    raise ValueError(f"unknown operation {name!r}")


def _separable(channels: int, kernel: int, stride: int, dilation: int, affine: bool) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    ]


def _split_conv(channels: int, kernel: int, stride: int, affine: bool) -> nn.Sequential:
    half = kernel // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, half), bias=False),
        nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (half, 0), bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )
