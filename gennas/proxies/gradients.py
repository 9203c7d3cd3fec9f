"""The gradient of the loss, of which several proxies are made."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.proxies.base import ProxyBatch, layers, shared, untouched


def weight_gradients(network: nn.Module, images: Tensor, labels: Tensor, again: bool = False) -> list[Tensor]:
    """The gradient of the mean cross-entropy with respect to every layer's weight, zero where it does not matter.

    Args:
        network: in the mode it shall be in.
        images: ``(b, c, h, w)``.
        labels: ``(b,)``.
        again: whether the gradients shall be differentiable themselves.
    """
    weights = [layer.weight for layer in layers(network)]
    loss = functional.cross_entropy(network(images), labels)
    found = torch.autograd.grad(loss, weights, create_graph=again, allow_unused=True)
    return [torch.zeros_like(weight) if g is None else g for weight, g in zip(weights, found, strict=True)]


@shared
def loss_gradients(network: nn.Module, batch: ProxyBatch) -> list[Tensor]:
    """:func:`weight_gradients` of the whole batch, with batch norm as in training."""
    with untouched(network, batch.seed):
        return weight_gradients(network, batch.images, batch.labels)
