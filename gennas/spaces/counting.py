"""Counting the parameters and multiply-adds of a module without computing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Types of modules, by their names in :mod:`torch.nn`, that have no products and keep the shape of their input.
_IN_PLACE = (
    *("BatchNorm1d", "BatchNorm2d", "ReLU", "ReLU6", "GELU", "SiLU", "Hardswish", "Hardsigmoid", "Sigmoid"),
    *("Dropout", "Dropout2d"),
)

#: Type of a module -> operations of one call, given the module, its input and its output.
Beside = Mapping[type, Callable[[Any, "Tensor", "Tensor"], float]]


@dataclass(frozen=True)
class Counts:
    """What a module costs on one input.

    Attributes:
        params: number of parameters.
        macs: multiply-adds of one call.
        shape: of its output, without the batch.
    """

    params: int
    macs: float
    shape: tuple[int, ...]


def count(make: Callable[[], nn.Module], shape: tuple[int, ...], beside: Beside | None = None) -> Counts:
    """Builds a module on torch's ``meta`` device, where tensors have shapes but no values, and counts.

    Multiply-adds are those of matrix products, convolutions and attention, as :mod:`torch.utils.flop_counter` finds
    them: it counts two operations for each. Batch norms, activations and sums are free, unless ``beside`` prices them.

    Args:
        make: builds the module.
        shape: of its input, without the batch.
        beside: what a convention counts beside products, e.g. ``{nn.ReLU: lambda module, x, y: y.numel()}``.

    Raises:
        RuntimeError: the module does not take such an input; torch says why.
    """
    import torch

    # Initial weights must not depend on what was counted before.
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                module = make()
                example = torch.empty(1, *shape)
            return _counted(module, example, beside or {})
        except RuntimeError:
            # Something needs values, such as initial weights that are computed from others; or it fails there as well.
            return _counted(make(), torch.zeros(1, *shape), beside or {})


def _counted(module: nn.Module, example: Tensor, beside: Beside) -> Counts:
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    if not isinstance(module, nn.Module):
        raise TypeError(f"{module!r} is no torch module; return one")
    module.eval()
    if example.device.type == "meta":
        # On meta they take most of the time, and would find nothing out.
        kinds = {getattr(nn, name) for name in _IN_PLACE}
        for own in module.modules():
            if type(own) in kinds:
                own.forward = _unchanged
    more = [0.0]

    def hook(own: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        more[0] += beside[type(own)](own, inputs[0], output)

    handles = [own.register_forward_hook(hook) for own in module.modules() if type(own) in beside]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        output = module(example)
    for handle in handles:
        handle.remove()
    params = sum(parameter.numel() for parameter in module.parameters())
    return Counts(params, counter.get_total_flops() / 2 + more[0], tuple(output.shape[1:]))


def _unchanged(x: Tensor) -> Tensor:
    return x
