"""Image features: what a network pretrained on ImageNet sees in a task's images."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from gennas.errors import DataMissingError
from gennas.spaces.lite.pretrained import pretrained_network
from gennas.spaces.lite.space import Lite0
from gennas.tasks import Task
from gennas.weights import find_weights

#: Side of the images as the network sees them; of larger ones it sees more, in proportion slower.
SIDE = 64
_BATCH = 64


def weights_found() -> bool:
    """Whether the pretrained weights are on this machine."""
    try:
        find_weights(Lite0.name)
    except DataMissingError:
        return False
    return True


@torch.inference_mode()
def image_features(images: Tensor) -> Tensor:
    """``(n, 1280)`` averages of the last features of EfficientNet-Lite0, of ``(n, c, h, w)`` uint8 images.

    Of Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
    https://arxiv.org/abs/1905.11946, trained on ImageNet. Images of one channel are taken for grey ones; of more than
    three channels the first three are seen.

    Raises:
        DataMissingError: the weights are not on this machine; says how to get them.
    """
    trunk, mean, std = _trunk()
    pixels = as_colour(images).float() / 255
    found = []
    for part in pixels.split(_BATCH):
        part = nn.functional.interpolate(part, (SIDE, SIDE), mode="bilinear", antialias=True)
        found.append(trunk((part - mean) / std))
    return torch.cat(found)


def as_colour(images: Tensor) -> Tensor:
    """``(n, 3, h, w)`` of images of any number of channels."""
    if images.shape[1] < 3:
        return images[:, :1].expand(-1, 3, -1, -1)
    return images[:, :3]


class _Trunk(nn.Module):
    """A chain up to the averages that its head classifies."""

    def __init__(self, chain: nn.Module) -> None:
        super().__init__()
        *blocks, head = chain.children()
        # The first resizes to the parent's own resolution.
        self.blocks, self.widen = nn.Sequential(*blocks[1:]), next(head.children())

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(self.widen(self.blocks(x)), dim=(2, 3))


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _trunk() -> tuple[nn.Module, Tensor, Tensor]:
    space = Lite0()
    network = pretrained_network(space, Task("encoded", (3, SIDE, SIDE), 2), side=SIDE)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (space.parent.mean, space.parent.std))
    return _Trunk(network).eval(), mean, std
