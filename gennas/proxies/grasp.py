"""GraSP: the effect of removing weights on gradient flow."""

import torch
from torch import nn

from gennas.proxies.base import ProxyBatch, defined, layers, untouched
from gennas.proxies.gradients import weight_gradients


def grasp(network: nn.Module, batch: ProxyBatch) -> float:
    """Wang, Zhang and Grosse, "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR 2020.

    ``-sum_w w (H g)_w`` with the gradient g and the Hessian H of the mean cross-entropy with respect to the weights of
    all convolutions and linear layers (the sign is that of Abdelfattah et al., ICLR 2021, for whole networks).
    """
    with untouched(network, batch.seed):
        weights = [layer.weight for layer in layers(network)]
        gradients = weight_gradients(network, batch.images, batch.labels, create_graph=True)
        product = sum((gradient.detach() * gradient).sum() for gradient in gradients)
        if not isinstance(product, torch.Tensor) or not product.requires_grad:
            return 0.0
        hessian_products = torch.autograd.grad(product, weights, allow_unused=True)
        pairs = zip(weights, hessian_products, strict=True)
        return defined(-sum(float((weight.detach() * hg).sum()) for weight, hg in pairs if hg is not None))
