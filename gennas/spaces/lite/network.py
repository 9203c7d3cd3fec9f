"""Networks of elastic spaces: inverted residual blocks with the activation and the padding of a parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gennas.spaces.lite.parent import ACTIVATIONS

if TYPE_CHECKING:
    from gennas.spaces.lite.parent import Parent


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after ``size`` pixels, so that a convolution returns ``ceil(size / stride)``.

    TensorFlow's ``SAME``: where the number is odd, the last side gets one more.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SamePad(nn.Module):
    """Pads for a convolution with a stride: ``(b, c, h, w) -> (b, c, h + p, w + q)``, see :func:`same_padding`."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = same_padding(int(x.shape[2]), self.kernel, self.stride)
        left, right = same_padding(int(x.shape[3]), self.kernel, self.stride)
        return nn.functional.pad(x, (left, right, top, bottom))


class Resized(nn.Module):
    """Resizes images to ``size x size`` by area: ``(b, c, h, w) -> (b, c, size, size)``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)


def convolution(
    channels_in: int, channels: int, kernel: int, stride: int, parent: Parent, *, groups: int = 1, acts: bool = True
) -> nn.Sequential:
    """A padded convolution with batch norm and, if it ``acts``, the parent's activation."""
    pads = stride > 1 and parent.padding == "same"
    padding = 0 if pads else kernel // 2
    layers: list[nn.Module] = [SamePad(kernel, stride)] if pads else []
    layers += [
        nn.Conv2d(channels_in, channels, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(channels, eps=parent.norm_eps),
    ]
    if acts:
        layers.append(getattr(nn, ACTIVATIONS[parent.activation])(inplace=True))
    return nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """Widens, filters every channel, narrows: ``(b, channels_in, h, w) -> (b, channels, h / stride, w / stride)``.

    Sizes are rounded up; the input is added where it has the same shape. Sandler et al., "MobileNetV2: Inverted
    Residuals and Linear Bottlenecks", CVPR 2018, https://arxiv.org/abs/1801.04381.

    Args:
        channels_in: input channels.
        channels: output channels.
        stride: of the filters.
        kernel: side of the filters.
        expansion: how many times wider the channels between are; with 1 there is no layer that widens them.
        parent: has the activation, the padding and the eps of the batch norms.
    """

    def __init__(
        self, channels_in: int, channels: int, stride: int, kernel: int, expansion: int, parent: Parent
    ) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.expand = convolution(channels_in, hidden, 1, 1, parent) if expansion > 1 else nn.Identity()
        self.filter = convolution(hidden, hidden, kernel, stride, parent, groups=hidden)
        self.project = convolution(hidden, channels, 1, 1, parent, acts=False)
        self.adds = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.filter(self.expand(x)))
        return x + y if self.adds else y


class Head(nn.Module):
    """Logits ``(b, classes)`` from ``(b, channels, h, w)``: widen, average, classify.

    Args:
        channels: input channels.
        parent: has the features, and the dropout before the classifier.
        classes: number of logits.
    """

    def __init__(self, channels: int, parent: Parent, classes: int) -> None:
        super().__init__()
        self.widen = convolution(channels, parent.head, 1, 1, parent)
        self.dropout = nn.Dropout(parent.dropout)
        self.classify = nn.Linear(parent.head, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.dropout(torch.mean(self.widen(x), dim=(2, 3))))
        return logits


def with_fixed_padding(network: nn.Module, side: int) -> nn.Module:
    """The network with paddings for images of one size, which exports and compilers like better than computed ones.

    Args:
        network: a chain; its modules are called in the order in which they were added.
        side: height and width of the images.
    """
    sizes = {}
    for name, module in network.named_modules():
        if isinstance(module, SamePad):
            before, after = same_padding(side, module.kernel, module.stride)
            sizes[name] = nn.ZeroPad2d((before, after, before, after))
            side = -(-side // module.stride)
    for name, padding in sizes.items():
        owner, _, last = name.rpartition(".")
        setattr(network.get_submodule(owner), last, padding)
    return network
