"""SNIP: the sensitivity of the loss to removing single weights."""

from torch import nn

from gennas.proxies.base import ProxyBatch, defined, layers
from gennas.proxies.gradients import loss_gradients


def snip(network: nn.Module, batch: ProxyBatch) -> float:
    """Lee, Ajanthan and Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019.

    ``sum_w |w dL / dw|`` over the weights of all convolutions and linear layers (without the paper's normalisation to a
    sum of one; as a score of networks: Abdelfattah et al., ICLR 2021).
    """
    pairs = zip(layers(network), loss_gradients(network, batch), strict=True)
    return defined(sum(float((layer.weight.detach() * gradient).abs().sum()) for layer, gradient in pairs))
