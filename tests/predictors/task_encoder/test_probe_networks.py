"""Probe networks: their kernels are products of gradients, and the same every time."""

from __future__ import annotations

import pytest
import torch

from gennas.predictors.task_encoder import probe_networks
from gennas.predictors.task_encoder.probe_networks import PROBES, probe_arch, standardised, tangent_kernels
from gennas.spaces import get_space
from gennas.tasks import Task


def test_every_probe_is_an_arch_of_the_space() -> None:
    space = get_space("nasbench201")
    archs = [space.parse(probe_arch(name)) for name in PROBES]
    assert len({space.canonical(arch) for arch in archs}) == len(PROBES)
    assert not any(space.is_constant(arch) for arch in archs)


def test_a_kernel_is_that_of_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_networks, "PROBES", {"skip": PROBES["skip"]})
    images = standardised(torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    state = torch.random.get_rng_state()
    kernel = tangent_kernels(images, 3)["skip"]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(kernel, tangent_kernels(images, 3)["skip"])
    space = get_space("nasbench201", "channels=8,cells=1")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = space.build(space.parse(probe_arch("skip")), Task("probed", (3, 8, 8), 2))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(images)
    network.eval()
    rows = []
    for image in images:
        network.zero_grad()
        network(image[None]).sum().backward()
        rows.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    jacobian = torch.stack(rows)
    torch.testing.assert_close(kernel, jacobian @ jacobian.T, rtol=1e-4, atol=1e-4)
