"""Parameters and multiply-adds as scores: strong baselines."""

import torch
from torch import Tensor, nn

from gennas.proxies.base import ProxyBatch, batch_norms, hooked, layers, untouched


def params_m(network: nn.Module, batch: ProxyBatch) -> float:
    """Number of parameters, in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def macs_m(network: nn.Module, batch: ProxyBatch) -> float:
    """Multiply-adds per image, in millions.

    Counts the products in convolutions and linear layers, and two per output of a batch norm. For the network of an
    arch, ``proxy_scores`` uses ``space.costs`` instead, which counts as the space's table does.
    """
    counts: list[int] = []

    def count(module: nn.Module, received: Tensor, output: Tensor) -> None:
        # Each output takes the products with one row of the weight (out, in, *window).
        weight = module.weight if module in scored else None
        counts.append(output[0].numel() * (2 if weight is None else weight[0].numel()))

    scored = set(layers(network))
    with untouched(network), torch.no_grad(), hooked([*scored, *batch_norms(network)], count):
        network.eval()(batch.images[:1])
    return sum(counts) / 1e6
