"""Gradient norm at initialisation."""

from torch import nn

from gennas.proxies.base import ProxyBatch, defined
from gennas.proxies.gradients import loss_gradients


def grad_norm(network: nn.Module, batch: ProxyBatch) -> float:
    """Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-Cost Proxies for Lightweight NAS", ICLR 2021.

    ``sum_l |dL / dW_l|``: the sum over all convolutions and linear layers of the Euclidean norm of the gradient; L is
    the mean cross-entropy over the batch.
    """
    return defined(sum(float(gradient.norm()) for gradient in loss_gradients(network, batch)))
