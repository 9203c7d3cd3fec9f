"""Layouts: how the feature maps of many networks lie in one tensor, and how each network's own layers act on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional


class Layout(ABC):
    """How feature maps of ``n`` networks lie in one tensor of five axes, height and width last.

    Attributes:
        axis: of the networks.
    """

    name: ClassVar[str]
    axis: ClassVar[int]

    @abstractmethod
    def placed(self, images: Tensor) -> Tensor:
        """Images ``(n, b, c, h, w)`` as feature maps."""

    @abstractmethod
    def convolved(self, x: Tensor, weights: Tensor, stride: int) -> Tensor:
        """Feature maps after each network's own convolution, padded by half its kernel.

        Args:
            x: feature maps with ``c_in`` channels.
            weights: ``(n, c_out, c_in, kernel, kernel)``, of odd kernels.
            stride: of all convolutions.
        """

    @abstractmethod
    def by_channel(self, x: Tensor) -> Tensor:
        """A view as batch norm wants it: the second axis has the ``n * c`` channels of all networks."""

    @abstractmethod
    def pooled(self, x: Tensor) -> Tensor:
        """``(n, b, c)``: the means over height and width."""


class Grouped(Layout):
    """``(b, n, c, h, w)``: convolutions have a group per network. The faster one on a CPU."""

    name = "grouped"
    axis = 1

    def placed(self, images: Tensor) -> Tensor:
        return images.transpose(0, 1).contiguous()

    def convolved(self, x: Tensor, weights: Tensor, stride: int) -> Tensor:
        n, kernel = len(weights), weights.shape[-1]
        y = functional.conv2d(x.flatten(1, 2), weights.flatten(0, 1), stride=stride, padding=kernel // 2, groups=n)
        return y.unflatten(1, (n, -1))

    def by_channel(self, x: Tensor) -> Tensor:
        return x.flatten(1, 2)

    def pooled(self, x: Tensor) -> Tensor:
        return x.mean((3, 4)).transpose(0, 1)


class Multiplied(Layout):
    """``(n, c, b, h, w)``: convolutions are batched products of matrices, whose columns are the kernel's windows.

    Nothing but copies and products, all of which any GPU does well, whatever the number of channels; windows are made
    again for the gradients rather than kept.
    """

    name = "multiplied"
    axis = 0

    def placed(self, images: Tensor) -> Tensor:
        return images.transpose(1, 2).contiguous()

    def convolved(self, x: Tensor, weights: Tensor, stride: int) -> Tensor:
        y: Tensor = _Convolution.apply(x, weights, stride)
        return y

    def by_channel(self, x: Tensor) -> Tensor:
        return x.reshape(1, x.shape[0] * x.shape[1], -1)

    def pooled(self, x: Tensor) -> Tensor:
        return x.mean((3, 4)).transpose(1, 2)


#: Name -> layout.
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (Grouped(), Multiplied())}


class _Convolution(torch.autograd.Function):
    """A convolution of :class:`Multiplied`, whose gradients are convolutions of the same kind."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.stride = stride
        return _multiplied(x, weights, stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weights = ctx.saved_tensors
        (grad,), stride = grads, ctx.stride
        (n, _, b, h, w), kernel = x.shape, weights.shape[-1]
        of_x = of_weights = None
        if ctx.needs_input_grad[1]:
            windows = _windows(x, kernel, stride)
            of_weights = torch.bmm(grad.reshape(n, grad.shape[1], -1), windows.transpose(1, 2)).view_as(weights)
        if ctx.needs_input_grad[0]:
            if stride > 1:
                spread = grad.new_zeros(n, grad.shape[1], b, h, w)
                spread[..., ::stride, ::stride] = grad
                grad = spread
            of_x = _multiplied(grad, weights.transpose(1, 2).flip(3, 4), 1)
        return of_x, of_weights, None


def _multiplied(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    n, _, b, h, w = x.shape
    y = torch.bmm(weights.flatten(2), _windows(x, weights.shape[-1], stride))
    return y.view(n, weights.shape[1], b, -(-h // stride), -(-w // stride))


def _windows(x: Tensor, kernel: int, stride: int) -> Tensor:
    """``(n, c * kernel^2, b * h * w)``: the inputs of every output, for an odd kernel."""
    n, c = x.shape[:2]
    if kernel > 1:
        x = functional.pad(x, (kernel // 2,) * 4)
    windows = x.unfold(3, kernel, stride).unfold(4, kernel, stride)  # (n, c, b, h, w, kernel, kernel)
    return windows.permute(0, 1, 5, 6, 2, 3, 4).reshape(n, c * kernel**2, -1)
