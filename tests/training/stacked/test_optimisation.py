"""The loss and the clipping of a stack, against torch's of single networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gennas.spaces.stacks.base import OwnedParameter
from gennas.training.stacked.optimisation import clip_networks, losses_of


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_losses_are_cross_entropies_over_a_networks_own_classes(smoothing: float) -> None:
    logits = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    logits[1, :, 3] = -torch.inf
    logits.requires_grad_()
    labels = torch.tensor([[0, 1, 2, 3, 3, 0], [0, 1, 2, 0, 1, 2]])
    found = losses_of(logits, labels, torch.tensor([4, 3]), smoothing)
    expected = [
        functional.cross_entropy(logits[row, :, :count], labels[row], label_smoothing=smoothing)
        for row, count in enumerate((4, 3))
    ]
    assert found.tolist() == pytest.approx(torch.stack(expected).tolist())
    (grad,) = torch.autograd.grad(found.sum(), logits)
    assert bool(torch.isfinite(grad).all())
    assert grad[1, :, 3].tolist() == [0.0] * 6


def test_gradients_are_clipped_network_by_network() -> None:
    rng = torch.Generator().manual_seed(0)
    # Network 0 has two rows of the first parameter, network 1 has one, network 2 none.
    owned = [
        OwnedParameter(nn.Parameter(torch.zeros(3, 2, 2)), torch.tensor([0, 1, 0]), 2, False),
        OwnedParameter(nn.Parameter(torch.zeros(3, 5)), torch.arange(3), 1, False),
    ]
    for one in owned:
        one.parameter.grad = torch.randn(one.parameter.shape, generator=rng)
    first, second = (one.parameter.grad.clone() for one in owned if one.parameter.grad is not None)
    singles = [[first[0], first[2], second[0]], [first[1], second[1]], [second[2]]]
    clip_networks(owned, 2.0, 3)
    left, right = (one.parameter.grad for one in owned)
    assert left is not None
    assert right is not None
    clipped = [[left[0], left[2], right[0]], [left[1], right[1]], [right[2]]]
    for parts, found in zip(singles, clipped, strict=True):
        parameters = [nn.Parameter(torch.zeros_like(part)) for part in parts]
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.clone()
        nn.utils.clip_grad_norm_(parameters, 2.0)
        for parameter, part in zip(parameters, found, strict=True):
            assert parameter.grad is not None
            assert torch.allclose(parameter.grad, part)
