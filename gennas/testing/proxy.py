"""The contract of training-free scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gennas.proxies import initialise_of
from gennas.proxies.base import Proxy, ProxyBatch, sharing
from gennas.spaces.base import Space
from gennas.tasks import Task
from gennas.testing.contract import check

_SAMPLES = 3


def check_proxy(proxy: Proxy, space: Space, task: Task, batch_size: int = 8, seed: int = 0) -> None:
    """Tests that a training-free score can be taken beside others.

    It is a number, the same for the same network and batch, whatever else draws random numbers and whether or not
    passes are shared; and it leaves the network, and torch's random numbers, as they were.

    Args:
        proxy: the score.
        space: of image classifiers, with a skeleton small enough to build a few networks.
        task: one with images.
        batch_size: how many images the networks see.
        seed: chooses the archs, their weights and the images.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    batch, rng = ProxyBatch.from_task(task, batch_size, seed, space), np.random.default_rng(seed)
    defined = 0
    for arch in [space.sample(rng) for _ in range(_SAMPLES)]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = space.build(arch, task)
            if (initialise := initialise_of(proxy)) is not None:
                initialise(network)
            before, state = _snapshot(network), torch.get_rng_state()
            score = proxy(network, batch)
            check(isinstance(score, float), f"the score of {arch.key!r} is a float", score)
            check(not math.isinf(score), f"the score of {arch.key!r} is finite, or nan", score)
            changed = [name for name, value in _snapshot(network).items() if not _same(value, before[name])]
            check(not changed, "the network is left as it was", changed)
            check(torch.equal(state, torch.get_rng_state()), "torch's random numbers are left as they were", "others")
            torch.manual_seed(seed + 201)
            with sharing():
                again = [proxy(network, batch) for _ in range(2)]
            same = all(one == score or (math.isnan(one) and math.isnan(score)) for one in again)
            check(same, f"the score of {arch.key!r} is the same for the same network and batch, {score}", again)
        defined += not math.isnan(score)
    check(defined > 0, "the score is defined for some networks", f"nan for all {_SAMPLES}")


def _snapshot(network: nn.Module) -> dict[str, Any]:
    """Weights, buffers, gradients and modes."""
    found: dict[str, Any] = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        found[f"gradient of {name}"] = None if parameter.grad is None else parameter.grad.clone()
        found[f"requires_grad of {name}"] = parameter.requires_grad
    for name, module in network.named_modules():
        found[f"mode of {name or 'the network'}"] = module.training
        found[f"hooks of {name or 'the network'}"] = len(module._forward_hooks) + len(module._forward_pre_hooks)
    return found


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        return torch.equal(value, other)
    return bool(value is other or value == other)
