"""The optimiser of a recipe, and what is done to gradients before each of its steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from gennas.training.recipe import Recipe

# Least norm of a unit's weights in adaptive clipping, so that weights of 0 can leave it.
_LEAST_NORM = 1e-3
# How fast the variance of the noise falls with the steps.
_NOISE_DECAY = 0.55


def optimiser_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters; without ``decay_norms``, vectors and scalars have no weight decay."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    weights: Iterable[nn.Parameter] | list[dict[str, Any]] = network.parameters()
    if not recipe.decay_norms or recipe.head_factor != 1:
        weights = _groups(network, recipe)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(weights, rate, recipe.momentum, weight_decay=decay, nesterov=recipe.momentum > 0)
    return torch.optim.AdamW(weights, rate, (recipe.momentum, 0.999), weight_decay=decay)


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by weight decay and learning rate; the last linear layer has a rate of its own."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1:]
    head = {id(weight) for layer in last for weight in layer.parameters()} if recipe.head_factor != 1 else set()
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for one in network.parameters():
        groups.setdefault((id(one) in head, one.ndim <= 1 and not recipe.decay_norms), []).append(one)
    return [
        {
            "params": found,
            "lr": recipe.learning_rate * (recipe.head_factor if is_head else 1),
            "weight_decay": 0.0 if is_spared else recipe.weight_decay,
        }
        for (is_head, is_spared), found in sorted(groups.items())
    ]


def limit_gradients(network: nn.Module, recipe: Recipe, step: int) -> None:
    """Clips the gradients and adds noise to them, as far as the recipe asks for it.

    Args:
        network: after the backward pass.
        recipe: how much.
        step: number of the optimiser's step, from 0.
    """
    if recipe.clip_adaptive:
        clip_adaptively(network, recipe.clip_adaptive)
    if recipe.clip_norm:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
    if recipe.gradient_noise:
        add_noise(network, recipe.gradient_noise / (1 + step) ** _NOISE_DECAY)


@torch.no_grad()
def clip_adaptively(network: nn.Module, limit: float) -> None:
    """Scales down the gradient of each unit whose norm exceeds ``limit`` times that of the unit's weights.

    A unit is a row of a matrix or an output channel of a convolution; a vector is one unit. The last linear layer, the
    classifier, is left as it is. Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization",
    2021, section 4.
    """
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1:]
    spared = {id(weight) for layer in last for weight in layer.parameters()}
    for weight in network.parameters():
        if weight.grad is None or id(weight) in spared:
            continue
        most = limit * _unit_norms(weight).clamp_min(_LEAST_NORM)
        weight.grad.mul_((most / _unit_norms(weight.grad).clamp_min(1e-12)).clamp_max(1.0))


@torch.no_grad()
def add_noise(network: nn.Module, variance: float) -> None:
    """Adds normal noise to the gradients: Neelakantan et al., "Adding Gradient Noise Improves Learning", 2015."""
    for weight in network.parameters():
        if weight.grad is not None:
            weight.grad.add_(torch.randn_like(weight.grad), alpha=variance**0.5)


def _unit_norms(weights: Tensor) -> Tensor:
    """Norms of the units, of a shape that broadcasts against the weights."""
    axes = tuple(range(1, weights.ndim)) or None
    return torch.linalg.vector_norm(weights, dim=axes, keepdim=True)
