"""Parameters and multiply-adds: the scores that are hardest to beat."""

import torch
from torch import Tensor, nn

from gennas.proxies.base import ProxyBatch, batch_norms, hooked, layers, untouched


def params_m(network: nn.Module, batch: ProxyBatch) -> float:
    """All parameters of the network, in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def macs_m(network: nn.Module, batch: ProxyBatch) -> float:
    """Multiply-adds for one image, in millions.

    Counted are the products of convolutions and linear layers, and two for every output of a batch norm. Where the
    network is that of an arch, ``proxy_scores`` takes ``space.costs`` instead, which counts as the space's table does.
    """
    counts: list[int] = []

    def count(module: nn.Module, received: Tensor, output: Tensor) -> None:
        # Of a weight (out, in, *window), what one output needs is one row.
        weight = module.weight if module in scored else None
        counts.append(output[0].numel() * (2 if weight is None else weight[0].numel()))

    scored = set(layers(network))
    with untouched(network), torch.no_grad(), hooked([*scored, *batch_norms(network)], count):
        network.eval()(batch.images[:1])
    return sum(counts) / 1e6
