"""Layers of stacks: the layers of several networks as one, each with its own weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.spaces.stacks.layouts import Layout


class StackedLayer(nn.Module, ABC):
    """The same layer of several networks; parameters have those of single layers along their first axis.

    Attributes:
        networks: ``(layers,)`` int64: of which network of the stack each layer is.
    """

    networks: Tensor

    def __init__(self, networks: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("networks", torch.tensor(networks), persistent=False)

    @abstractmethod
    def write_back(self) -> None:
        """Writes the weights into the layers that this one was made of."""


class StackedConv2d(StackedLayer):
    """Convolutions without bias, all of one shape, padded by half their kernel.

    Args:
        layers: the single ones, one for each of ``networks``.
        networks: see :class:`StackedLayer`.
        layout: of the feature maps.
    """

    def __init__(self, layers: Sequence[nn.Conv2d], networks: Sequence[int], layout: Layout) -> None:
        super().__init__(networks)
        self.layers, self.layout, self.stride = list(layers), layout, layers[0].stride[0]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        return self.layout.convolved(x, self.weight.to(x.dtype), self.stride)

    @torch.no_grad()
    def write_back(self) -> None:
        for layer, weight in zip(self.layers, self.weight, strict=True):
            layer.weight.copy_(weight)


class StackedBatchNorm2d(StackedLayer):
    """Batch norms over each network's own batch.

    Like a single one, but that it keeps no statistics while it trains: those of the evaluation are made anew when
    training has ended, see :mod:`gennas.training.batch_norm`.

    Args:
        layers: the single ones, one for each of ``networks``.
        networks: see :class:`StackedLayer`.
        layout: of the feature maps.

    Attributes:
        momentum: share of a batch's statistics in the running ones while it trains; 0 keeps these as they are.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, layers: Sequence[nn.BatchNorm2d], networks: Sequence[int], layout: Layout) -> None:
        super().__init__(networks)
        self.layers, self.layout, self.eps = list(layers), layout, layers[0].eps
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))
        self.register_buffer("mean", torch.zeros_like(self.weight))
        self.register_buffer("var", torch.ones_like(self.weight))
        self.momentum = 0.0

    def forward(self, x: Tensor) -> Tensor:
        is_kept = not self.training or self.momentum > 0
        y = functional.batch_norm(
            self.layout.by_channel(x),
            self.mean.view(-1) if is_kept else None,
            self.var.view(-1) if is_kept else None,
            self.weight.flatten(),
            self.bias.flatten(),
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return y.view(x.shape)

    @torch.no_grad()
    def write_back(self) -> None:
        for row, layer in enumerate(self.layers):
            layer.weight.copy_(self.weight[row])
            layer.bias.copy_(self.bias[row])
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.copy_(self.mean[row])
            layer.running_var.copy_(self.var[row])


class StackedLinear(StackedLayer):
    """Linear layers with bias from as many features to different numbers of outputs; there is one for every network.

    Args:
        layers: the single ones, of all networks in their order.

    Attributes:
        is_output: ``(n, 1, outputs)`` which of the outputs a network has.
    """

    is_output: Tensor

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__(range(len(layers)))
        self.layers = list(layers)
        counts = torch.tensor([layer.out_features for layer in layers])
        most = int(counts.max())
        padded = [functional.pad(layer.weight.detach(), (0, 0, 0, most - layer.out_features)) for layer in layers]
        self.weight = nn.Parameter(torch.stack(padded))
        self.bias = nn.Parameter(
            torch.stack([functional.pad(layer.bias.detach(), (0, most - layer.out_features)) for layer in layers])
        )
        self.register_buffer("is_output", torch.arange(most) < counts[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, b, features)`` to ``(n, b, outputs)``, minus infinity where a network has no such output."""
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2)).masked_fill(~self.is_output, -torch.inf)

    @torch.no_grad()
    def write_back(self) -> None:
        for row, layer in enumerate(self.layers):
            layer.weight.copy_(self.weight[row, : layer.out_features])
            layer.bias.copy_(self.bias[row, : layer.out_features])
