"""SynFlow: synaptic flow through the network, without any data."""

import torch
from torch import nn
from torch.func import functional_call

from gennas.proxies.base import ProxyBatch, batch_norms, defined, hooked, layers, untouched


def synflow(network: nn.Module, batch: ProxyBatch) -> float:
    """Tanaka, Kunin, Yamins and Ganguli, "Pruning neural networks without any data by iteratively conserving
    synaptic flow", NeurIPS 2020; as a score of networks: Abdelfattah et al., ICLR 2021.

    ``log sum_w |w| dR / d|w|`` with ``R = 1^T f_|w|(1)``: the output of the network, with the absolute values of its
    weights and without batch norm, for an image of ones. Computed in double precision, as R grows exponentially with
    the depth; the logarithm, as published by NAS-Bench-Suite-Zero, does not change the ranking.
    """
    image = torch.ones_like(batch.images[:1], dtype=torch.float64)
    with untouched(network), hooked(batch_norms(network), lambda module, received, output: received):
        # In training mode batch norm fails on a batch of one, even though its output is not used.
        network.eval()
        positive = {name: weight.detach().double().abs() for name, weight in network.named_parameters()}
        positive |= {name: buffer.double() for name, buffer in network.named_buffers() if buffer.is_floating_point()}
        names = {id(parameter): name for name, parameter in network.named_parameters()}
        weights = [positive[names[id(layer.weight)]].requires_grad_() for layer in layers(network)]
        flow = functional_call(network, positive, (image,)).sum()
        gradients = torch.autograd.grad(flow, weights, allow_unused=True)
        pairs = zip(weights, gradients, strict=True)
        return defined(torch.stack([(w.detach() * g).abs().sum() for w, g in pairs if g is not None]).sum().log())
