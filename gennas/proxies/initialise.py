"""Weight initialisations of published scores that differ from torch's defaults."""

import torch
from torch import nn

from gennas.proxies.base import batch_norms, layers


def kaiming_normal(network: nn.Module) -> None:
    """He et al., ICCV 2015: Gaussian weights of variance 2 / fan-in, no biases (as AZ-NAS does)."""
    for layer in layers(network):
        nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    _neutral(network)


def gaussian(network: nn.Module) -> None:
    """Gaussian weights of variance 1, no biases (as Zen-NAS does)."""
    for layer in layers(network):
        nn.init.normal_(layer.weight)
    _neutral(network)


def _neutral(network: nn.Module) -> None:
    with torch.no_grad():
        for module in (*layers(network), *batch_norms(network)):
            if isinstance(module.bias, nn.Parameter):
                module.bias.zero_()
        for norm in batch_norms(network):
            if isinstance(norm.weight, nn.Parameter):
                norm.weight.fill_(1)
