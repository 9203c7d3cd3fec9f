"""Stack: networks of one space side by side, and of which network each of its weights is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.spaces.stacks.layers import StackedLayer, StackedLinear

#: How networks lie in a stack: one after the other (:class:`SeparateStack`), or in one tensor by a layout of
#: :data:`gennas.spaces.stacks.layouts.LAYOUTS`.
StackLayout = Literal["separate", "grouped", "multiplied"]


def fastest_layout(device: torch.device) -> StackLayout:
    """The layout in which networks of a few channels are trained fastest; see ``scripts/bench_stacked.py``."""
    # One convolution of 256 networks with 8 channels and 32 images of 16 pixels, forward and backward, took 0.8 ms
    # grouped and 4.6 ms multiplied on an H100 (PyTorch 2.11, TF32); with 32 channels and 4 pixels 1.8 and 1.4 ms.
    return "grouped" if device.type == "cuda" else "separate"


@dataclass(frozen=True, eq=False)
class OwnedParameter:
    """A parameter of a stack.

    Attributes:
        parameter: with those of single networks along its first axis, or that of one network.
        networks: ``(rows,)`` int64: of which network of the stack each row is; of one element for all of it.
        ndim: number of axes that it has in a single network.
        is_head: of the last linear layer, the classifier.
    """

    parameter: nn.Parameter
    networks: Tensor
    ndim: int
    is_head: bool

    def per_network(self, values: Tensor) -> Tensor:
        """Values ``(n,)`` of networks, of a shape that broadcasts against the parameter."""
        return values[self.networks].view(-1, *[1] * (self.parameter.ndim - 1))

    def add_sums(self, sums: Tensor, values: Tensor) -> None:
        """Adds values of the parameter's shape to the sums ``(n,)`` of its networks."""
        sums.index_add_(0, self.networks, values.reshape(len(self.networks), -1).sum(1))


class Stack(nn.Module, ABC):
    """Networks of one space side by side, that compute what each would alone."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """``(n, b, c, h, w)`` images of each network to ``(n, b, classes)`` logits.

        Networks with fewer classes than others have logits of minus infinity for the rest.
        """

    @abstractmethod
    def owned(self) -> list[OwnedParameter]:
        """All parameters."""

    @abstractmethod
    def write_back(self) -> None:
        """Writes weights and statistics into the networks that the stack was made of."""


class LayeredStack(Stack):
    """A stack whose weights are those of its :class:`.StackedLayer`."""

    def owned(self) -> list[OwnedParameter]:
        layers = self._layers()
        heads = [layer for layer in layers if isinstance(layer, StackedLinear)][-1:]
        return [
            OwnedParameter(parameter, layer.networks, parameter.ndim - 1, layer in heads)
            for layer in layers
            for parameter in layer.parameters(recurse=False)
        ]

    def write_back(self) -> None:
        for layer in self._layers():
            layer.write_back()

    def _layers(self) -> list[StackedLayer]:
        return [layer for layer in self.modules() if isinstance(layer, StackedLayer)]


class SeparateStack(Stack):
    """Networks that run one after the other: the fastest on a CPU, whose caches hold one network's feature maps.

    Args:
        networks: the single ones, which are trained themselves.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        # Channels last makes convolutions on a CPU 2 to 4 times as fast.
        self.networks = nn.ModuleList(one.to(memory_format=torch.channels_last) for one in networks)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        each = zip(self.networks, images, strict=True)
        logits = [network(own.contiguous(memory_format=torch.channels_last)) for network, own in each]
        most = max(one.shape[1] for one in logits)
        return torch.stack([functional.pad(one, (0, most - one.shape[1]), value=-torch.inf) for one in logits])

    def owned(self) -> list[OwnedParameter]:
        found = []
        for number, network in enumerate(self.networks):
            last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1:]
            head = {id(weight) for layer in last for weight in layer.parameters()}
            for one in network.parameters():
                networks = torch.tensor([number], device=one.device)
                found.append(OwnedParameter(one, networks, one.ndim, id(one) in head))
        return found

    def write_back(self) -> None:
        return
