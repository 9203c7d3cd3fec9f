"""What is done to gradients, and which weights decay, against closed forms."""

import pytest
import torch
from torch import nn

from gennas.training.optimisation import add_noise, clip_adaptively, limit_gradients, optimiser_of
from gennas.training.recipe import Recipe


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)


@pytest.fixture
def network() -> Small:
    torch.manual_seed(0)
    small = Small()
    for weight in small.parameters():
        weight.grad = torch.ones_like(weight)
    return small


def test_adaptive_clipping_of_each_unit(network: Small) -> None:
    weight = network.conv.weight.data
    weight[0], weight[1], weight[2] = 3.0, 0.0, 300.0  # norms 3 sqrt 2, 0, 300 sqrt 2
    clip_adaptively(network, 0.1)
    assert network.conv.weight.grad is not None
    grads = network.conv.weight.grad[:, :, 0, 0]
    assert torch.allclose(grads[0], torch.full((2,), 0.3))  # norm 0.1 * 3 sqrt 2
    assert torch.allclose(grads[1].norm(), torch.tensor(0.1 * 1e-3))  # the least norm
    assert torch.equal(grads[2], torch.ones(2))  # small enough
    assert network.norm.weight.grad is not None
    assert torch.allclose(network.norm.weight.grad.norm(), 0.1 * network.norm.weight.norm())
    # The classifier is left as it is.
    assert torch.equal(network.head.weight.grad, torch.ones(2, 3))
    assert torch.equal(network.head.bias.grad, torch.ones(2))


def test_clipping_by_norm(network: Small) -> None:
    limit_gradients(network, Recipe(clip_norm=0.5), 0)
    total = sum(float(weight.grad.square().sum()) for weight in network.parameters())  # type: ignore[union-attr]
    assert total**0.5 == pytest.approx(0.5, abs=1e-4)


def test_noise_has_the_variance_of_its_step() -> None:
    layer = nn.Linear(300, 300)
    found = []
    for step in (0, 99):
        for weight in layer.parameters():
            weight.grad = torch.zeros_like(weight)
        torch.manual_seed(0)
        limit_gradients(layer, Recipe(gradient_noise=0.3), step)
        assert layer.weight.grad is not None
        found.append(float(layer.weight.grad.var()))
    assert found == pytest.approx([0.3, 0.3 / 100**0.55], rel=0.02)
    add_noise(nn.Linear(2, 2), 1.0)  # without gradients there is nothing to add to


def test_nothing_is_done_unasked(network: Small) -> None:
    limit_gradients(network, Recipe(), 0)
    assert all(torch.equal(weight.grad, torch.ones_like(weight)) for weight in network.parameters())


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_decay_only_where_asked(network: Small, name: str) -> None:
    every = optimiser_of(network, Recipe(optimiser=name, weight_decay=0.1))  # type: ignore[arg-type]
    assert [group["weight_decay"] for group in every.param_groups] == [0.1]
    parted = optimiser_of(network, Recipe(optimiser=name, weight_decay=0.1, decay_norms=False))  # type: ignore[arg-type]
    assert [group["weight_decay"] for group in parted.param_groups] == [0.1, 0.0]
    shapes = [[weight.ndim for weight in group["params"]] for group in parted.param_groups]
    assert shapes == [[4, 2], [1, 1, 1, 1]]
