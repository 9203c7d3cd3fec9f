"""The norm of the loss's gradient at the start."""

from torch import nn

from gennas.proxies.base import ProxyBatch, defined
from gennas.proxies.gradients import loss_gradients


def grad_norm(network: nn.Module, batch: ProxyBatch) -> float:
    """Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-Cost Proxies for Lightweight NAS", ICLR 2021.

    ``sum_l |dL / dW_l|``: the Euclidean norms of the gradients of all convolutions and linear layers, added up; L is
    the mean cross-entropy of the batch.
    """
    return defined(sum(float(gradient.norm()) for gradient in loss_gradients(network, batch)))
