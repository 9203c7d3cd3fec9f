"""Gradients of the loss, shared by several proxies."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.proxies.base import ProxyBatch, layers, shared, untouched


def weight_gradients(network: nn.Module, images: Tensor, labels: Tensor, create_graph: bool = False) -> list[Tensor]:
    """The gradient of the mean cross-entropy with respect to each layer's weight; zero for unused layers.

    Args:
        network: the network, in the mode to use.
        images: ``(b, c, h, w)`` images.
        labels: ``(b,)`` labels.
        create_graph: whether the gradients can be differentiated again.
    """
    weights = [layer.weight for layer in layers(network)]
    loss = functional.cross_entropy(network(images), labels)
    gradients = torch.autograd.grad(loss, weights, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(weight) if g is None else g for weight, g in zip(weights, gradients, strict=True)]


@shared
def loss_gradients(network: nn.Module, batch: ProxyBatch) -> list[Tensor]:
    """:func:`weight_gradients` of the whole batch, with batch norm in training mode."""
    with untouched(network, batch.seed):
        return weight_gradients(network, batch.images, batch.labels)
