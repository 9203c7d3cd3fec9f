"""The blocks of once-for-all MobileNetV3 (needs only torch)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Channels are multiples of this.
DIVISOR = 8
#: Squeeze-excite gates are computed from a quarter of the channels.
REDUCTION = 4


def divisible(channels: float) -> int:
    """The nearest multiple of 8 that is at least 90 % of ``channels``, as MobileNets round them."""
    rounded = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * channels else rounded


def activation(name: str) -> nn.Module:
    """``relu`` or ``h_swish``."""
    return {"relu": nn.ReLU, "h_swish": nn.Hardswish}[name](inplace=True)


def convolution(channels_in: int, channels: int, kernel: int, stride: int, act: str, groups: int = 1) -> nn.Sequential:
    """A convolution with batch norm and, unless ``act`` is empty, an activation."""
    layers = [
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, activation(act)) if act else nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """Scales channels by gates in [0, 1] that are computed from their averages: ``(b, c, h, w) -> (b, c, h, w)``.

    Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018, with the hard sigmoid of MobileNetV3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = divisible(channels // REDUCTION)
        self.gates = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gates(x)


class Bottleneck(nn.Module):
    """The inverted bottleneck of MobileNetV3: widen, filter every channel, weigh channels, narrow.

    ``(b, channels_in, h, w) -> (b, channels, h / stride, w / stride)``, sizes rounded up; the input is added where it
    has the same shape. Howard et al., "Searching for MobileNetV3", ICCV 2019, https://arxiv.org/abs/1905.02244.

    Args:
        channels_in: input channels.
        channels: output channels.
        stride: of the filters.
        kernel: side of the filters.
        expansion: how many times wider the channels between are; with 1 there is no layer that widens them.
        act: ``relu`` or ``h_swish``.
        se: whether squeeze-excite weighs the channels.
    """

    def __init__(
        self, channels_in: int, channels: int, stride: int, kernel: int, expansion: int, act: str, se: bool
    ) -> None:
        super().__init__()
        hidden = divisible(channels_in * expansion)
        layers: list[nn.Module] = [convolution(channels_in, hidden, 1, 1, act)] if expansion > 1 else []
        layers.append(convolution(hidden, hidden, kernel, stride, act, groups=hidden))
        if se:
            layers.append(SqueezeExcite(hidden))
        layers.append(convolution(hidden, channels, 1, 1, ""))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


class Head(nn.Module):
    """Logits ``(b, classes)`` from ``(b, channels, h, w)``: widen, average, mix, classify.

    Args:
        channels: input channels.
        widened: channels of which the averages are taken.
        mixed: features of the classifier.
        classes: number of logits.
    """

    def __init__(self, channels: int, widened: int, mixed: int, classes: int) -> None:
        super().__init__()
        self.widen = convolution(channels, widened, 1, 1, "h_swish")
        self.mix = nn.Linear(widened, mixed, bias=False)
        self.act = activation("h_swish")
        self.classify = nn.Linear(mixed, classes)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.act(self.mix(torch.mean(self.widen(x), dim=(2, 3))))
        logits: Tensor = self.classify(nn.functional.dropout(features, 0.1, self.training))
        return logits
