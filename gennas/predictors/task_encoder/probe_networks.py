"""Probe networks: what a few untrained networks of extreme archs tell about which archs a task likes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gennas.spaces import get_space
from gennas.tasks import Task

SPACE, SKELETON = "nasbench201", "channels=8,cells=1"
_CELL = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
_SHORT = {"n": "none", "s": "skip_connect", "1": "nor_conv_1x1", "3": "nor_conv_3x3", "p": "avg_pool_3x3"}
#: Name -> the operations of the cell: nothing but the skeleton, shallow and deep 3x3, 1x1 alone, pools alone, and
#: pools before convolutions.
PROBES = {
    "skip": "nnnsnn",
    "shallow3": "nnn3nn",
    "deep3": "3n3sn3",
    "dense1": "111111",
    "pools": "pnpnnp",
    "pooled3": "pn3nn3",
}
#: Images that are looked at, at most: the Jacobian has a row for each.
IMAGES = 160
_CHUNK = 40


def probe_arch(name: str) -> str:
    """The native notation of a probe's cell."""
    return _CELL.format(*(_SHORT[letter] for letter in PROBES[name]))


def tangent_kernels(images: Tensor, seed: int) -> Mapping[str, Tensor]:
    """Name of a probe -> ``(n, n)`` its neural tangent kernel at initialisation.

    A wide network that is trained by gradient descent becomes regression with this kernel (Jacot, Gabriel and Hongler,
    "Neural Tangent Kernel", NeurIPS 2018). It is that of the sum of the logits, which differs little from the whole
    (Mohamadi, Bae and Sutherland, "A Fast, Well-Founded Approximation to the Empirical Neural Tangent Kernel", ICML
    2023). Batch norms have the statistics of all images.

    Args:
        images: ``(n, c, h, w)``, standardised.
        seed: of the weights.
    """
    space = get_space(SPACE, SKELETON)
    task = Task("probed", tuple(images.shape[1:]), 2)
    found = {}
    for name in PROBES:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = space.build(space.parse(probe_arch(name)), task)
        found[name] = _tangent_kernel(network, images)
    return found


def _tangent_kernel(network: nn.Module, images: Tensor) -> Tensor:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        network.train()(images)
    network.eval()
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def total(values: dict[str, Tensor], image: Tensor) -> Tensor:
        logits: Tensor = torch.func.functional_call(network, (values, buffers), (image[None],))
        return logits.sum()

    jacobian = torch.func.vmap(torch.func.grad(total), in_dims=(None, 0), chunk_size=_CHUNK)
    kernel = images.new_zeros(len(images), len(images))
    with torch.inference_mode(False):
        for rows in jacobian(parameters, images).values():
            flat = rows.flatten(1)
            kernel += flat @ flat.T
    return kernel


def standardised(images: Tensor) -> Tensor:
    """``(n, c, h, w)`` images as networks of the space see them: every channel with mean 0 and std 1."""
    std, mean = torch.std_mean(images, dim=(0, 2, 3), keepdim=True)
    return (images - mean) / std.clamp_min(1e-3)
