"""Whatever a proxy does, the network afterwards is bit for bit the one before; and torch's randomness too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gennas.proxies import PROXIES
from gennas.proxies.base import hooked, sharing, untouched
from gennas.proxies.scoring import ProxyBatch
from gennas.spaces import get_space
from gennas.tasks import get_task

TASK = get_task("digits", image_size=16)
SPACES = {"nasbench201": "channels=4,cells=1", "nasbench101": "channels=4,stacks=2,modules=1"}
KEYS = {
    "nasbench201": "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "nasbench101": "1011/110/01/1 conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu",
}
BATCH = ProxyBatch.from_task(TASK, 8)


class Plain(nn.Module):
    """Without batch norm, with dropout, with biases, and with a ReLU that overwrites its input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.Sequential(
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)),
            nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Dropout(0.2), nn.ReLU(inplace=True)),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(self.stem(images)))


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {"plain": Plain()}
    for name, skeleton in SPACES.items():
        space = get_space(name, skeleton)
        made[name] = space.build(space.parse(KEYS[name]), TASK)
    return made


def everything(network: nn.Module) -> dict[str, Any]:
    return {
        "state": {name: tensor.clone() for name, tensor in network.state_dict().items()},
        "grads": {name: parameter.grad for name, parameter in network.named_parameters()},
        "needed": [parameter.requires_grad for parameter in network.parameters()],
        "modes": [module.training for module in network.modules()],
        "hooks": [
            len(hooks)
            for module in network.modules()
            for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        ],
        "forwards": ["forward" in vars(module) for module in network.modules()],
        "attributes": [sorted(vars(module)) for module in network.modules()],
        "random": torch.get_rng_state(),
    }


@pytest.mark.parametrize("proxy", PROXIES.list())
@pytest.mark.parametrize("kind", ["plain", *SPACES])
def test_nothing_is_left_behind(kind: str, proxy: str) -> None:
    network = networks()[kind].eval()
    first = next(network.parameters())
    first.requires_grad_(False)
    last = list(network.parameters())[-1]
    last.grad = torch.full_like(last, 0.5)
    next(iter(network.children())).train()
    before = everything(network)
    score = PROXIES.get(proxy)
    value = score(network, BATCH)
    after = everything(network)
    for name, tensor in before.pop("state").items():
        assert torch.equal(after["state"][name], tensor), name
    after.pop("state")
    assert torch.equal(after.pop("random"), before.pop("random"))
    assert after.pop("grads")[list(dict(network.named_parameters()))[-1]] is last.grad
    assert before.pop("grads") is not None
    assert last.grad is not None
    assert bool((last.grad == 0.5).all())
    assert after == before
    # The same, though torch's randomness has moved on; and a number.
    torch.rand(3)
    assert math.isfinite(value)
    assert score(network, BATCH) == value


def test_the_network_is_restored_after_an_error() -> None:
    network = networks()["nasbench201"]
    before = everything(network)

    def fail(module: nn.Module, received: Tensor, output: Tensor) -> None:
        raise RuntimeError("in the middle")

    def spoil() -> None:
        with untouched(network), hooked(network.children(), fail):
            for parameter in network.parameters():
                parameter.data.zero_()
            network(BATCH.images)

    with pytest.raises(RuntimeError, match="in the middle"):
        spoil()
    after = everything(network)
    assert after["hooks"] == before["hooks"]
    assert all(torch.equal(after["state"][name], tensor) for name, tensor in before["state"].items())


def test_sharing_changes_no_value_and_is_forgotten() -> None:
    network = networks()["nasbench201"]
    names = ("grad_norm", "snip", "knas", "expressivity", "progressivity", "trainability")
    alone = [PROXIES.get(name)(network, BATCH) for name in names]
    passes = []
    handle = network.register_forward_hook(lambda *call: passes.append(1))
    with sharing():
        assert [PROXIES.get(name)(network, BATCH) for name in names] == alone
    assert len(passes) == 2
    PROXIES.get("snip")(network, BATCH)
    assert len(passes) == 3
    handle.remove()


def test_batches_are_balanced_and_standardised() -> None:
    batch = ProxyBatch.from_task(TASK, 40, seed=3)
    assert torch.bincount(batch.labels).tolist() == [4] * 10
    assert batch.images.shape == (40, 3, 16, 16)
    spread, mean = torch.std_mean(batch.images, dim=(0, 2, 3))
    assert mean.abs().max() < 1e-4
    assert (spread - 1).abs().max() < 1e-3
    again, other = ProxyBatch.from_task(TASK, 40, seed=3), ProxyBatch.from_task(TASK, 40, seed=4)
    assert torch.equal(again.images, batch.images)
    assert not torch.equal(other.images, batch.images)
    everything_there = TASK.splits().train
    assert np.bincount(TASK.sample(10**6).labels).tolist() == np.bincount(everything_there.labels).tolist()
