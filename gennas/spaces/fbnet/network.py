"""The blocks of FBNet's networks; needs only torch."""

from __future__ import annotations

from torch import Tensor, nn


def convolution(
    channels_in: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, relu: bool = True
) -> nn.Sequential:
    """A convolution without bias, batch norm, and a ReLU unless ``relu`` is false."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class Shuffle(nn.Module):
    """Deals channels to groups in turn: the first of each group, then the second; ``(b, c, h, w) -> (b, c, h, w)``.

    As ``torch.nn.ChannelShuffle``, which cannot be exported to ONNX.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class Block(nn.Module):
    """An inverted bottleneck: widen, filter every channel, narrow; ``(b, c, h, w) -> (b, channels, h', w')``.

    With two groups, the 1x1 convolutions are grouped, and their channels shuffled between the first and the next
    convolution. The input is added where shapes allow.

    Args:
        channels_in: of the input.
        channels: of the output.
        stride: of the convolution per channel; height and width are divided by it, rounded up.
        kernel: side of the convolution per channel.
        expansion: channels in between, relative to ``channels_in``.
        groups: of the 1x1 convolutions.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, kernel: int, expansion: int, groups: int) -> None:
        super().__init__()
        hidden = expansion * channels_in
        self.widen = convolution(channels_in, hidden, groups=groups)
        self.shuffle = Shuffle(groups) if groups > 1 else nn.Identity()
        self.filter = convolution(hidden, hidden, kernel, stride, groups=hidden)
        self.narrow = convolution(hidden, channels, groups=groups, relu=False)
        self.is_residual = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.narrow(self.filter(self.shuffle(self.widen(x))))
        return x + y if self.is_residual else y


def skip(channels_in: int, channels: int, stride: int) -> nn.Module:
    """The identity; where channels or resolution change, a 1x1 convolution with stride, batch norm and ReLU."""
    return nn.Identity() if stride == 1 and channels_in == channels else convolution(channels_in, channels, 1, stride)
