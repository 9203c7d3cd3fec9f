"""Zen-score: how much a small change of the input changes the features before the global pooling."""

import torch
from torch import Tensor, nn

from gennas.proxies import register_proxy
from gennas.proxies.base import ProxyBatch, batch_norms, defined, hooked, untouched
from gennas.proxies.initialise import gaussian

_CHANGE = 1e-2


@register_proxy("zen", initialise=gaussian)
def zen(network: nn.Module, batch: ProxyBatch) -> float:
    """Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Deep Image Recognition", ICCV 2021.

    ``log E |f(x) - f(x + 0.01 e)| + sum_B log sqrt(mean_c var_B)`` with Gaussian noise x and e in the shape of the
    batch, the features f before the global average pooling (the logits if there is none), the L1 norm, and the input
    variances of the batch norms B, which undo their scaling. No data is used. The paper uses Gaussian weights, and so
    does ``proxy_scores``.
    """
    pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    pooled: list[Tensor] = []
    scales: list[Tensor] = []

    def keep(module: nn.Module, received: Tensor, output: Tensor) -> None:
        pooled.append(received)

    def measure(module: nn.Module, received: Tensor, output: Tensor) -> None:
        others = [axis for axis in range(received.dim()) if axis != 1]
        variance = received.var(dim=others, correction=0).mean()
        # The input of a batch norm is constant if no signal reaches it; then there is no scaling to undo.
        if variance > 0:
            scales.append(variance.sqrt().log())

    with untouched(network, batch.seed), torch.no_grad(), hooked(pools[-1:], keep):
        noise = batch.noise()
        changed = noise + _CHANGE * batch.noise()
        with hooked(batch_norms(network), measure):
            outputs = [network(noise)]
        outputs.append(network(changed))
    first, second = pooled or outputs
    difference = (first - second).abs().flatten(1).sum(dim=1).mean()
    return defined(difference.log() + torch.stack(scales).sum() if scales else difference.log())
