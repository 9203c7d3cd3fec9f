"""NASWOT: how much the activation patterns differ between images."""

import torch
from torch import Tensor, nn

from gennas.proxies.base import ProxyBatch, defined, hooked, untouched

_SWITCHES = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish)


def naswot(network: nn.Module, batch: ProxyBatch) -> float:
    """Mellor, Turner, Storkey and Crowley, "Neural Architecture Search without Training", ICML 2021.

    ``log |det K|`` with ``K_ij = N - hamming(c_i, c_j)``, where the binary code c_i marks which of the N activations
    are positive for image i. Activations are modules (ReLU and its variants); without any the score is undefined.
    """
    b = len(batch.images)
    kernel = torch.zeros(b, b, dtype=torch.float64)

    def count(module: nn.Module, received: Tensor, output: Tensor) -> None:
        # Two codes of +1 and -1 agree in (N + their dot product) / 2 entries.
        code = received.detach().flatten(1).gt(0).to(received.dtype).mul_(2).sub_(1)  # (b, N)
        kernel.add_((code @ code.T).double().add_(code.shape[1]).div_(2))

    switches = [module for module in network.modules() if isinstance(module, _SWITCHES)]
    with untouched(network, batch.seed), torch.no_grad(), hooked(switches, count):
        network(batch.images)
    return defined(torch.linalg.slogdet(kernel).logabsdet)
