"""The loss, the optimiser and the gradient clipping of a stack: for each network those of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gennas.spaces.stacks.base import OwnedParameter
from gennas.training.recipe import Recipe

# As in torch.nn.utils.clip_grad_norm_.
_LEAST_NORM = 1e-6


def losses_of(logits: Tensor, labels: Tensor, classes: Tensor, label_smoothing: float) -> Tensor:
    """``(n,)`` mean cross entropies of each network's own batch.

    Args:
        logits: ``(n, b, k)``, minus infinity where a network has no such class.
        labels: ``(n, b)``.
        classes: ``(n,)`` numbers of classes.
        label_smoothing: weight of the uniform distribution over a network's own classes.
    """
    # At least float32, also where the networks compute in less.
    log = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(2)
    losses = -log.gather(2, labels[:, :, None]).squeeze(2)
    if label_smoothing:
        is_absent = torch.arange(log.shape[2], device=log.device) >= classes[:, None, None]
        uniform = -log.masked_fill(is_absent, 0.0).sum(2) / classes[:, None]
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    return losses.mean(1)


def clip_networks(owned: Sequence[OwnedParameter], limit: float, count: int) -> None:
    """Scales the gradients of each network down whose norm over all of its parameters exceeds the limit.

    Args:
        owned: the parameters, after the backward pass.
        limit: largest norm.
        count: number of networks.
    """
    with_grad = [(one, one.parameter.grad) for one in owned if one.parameter.grad is not None]
    squares = owned[0].parameter.new_zeros(count)
    for one, grad in with_grad:
        one.add_sums(squares, grad.square())
    factors = (limit / (squares.sqrt() + _LEAST_NORM)).clamp_max(1.0)
    for one, grad in with_grad:
        grad.mul_(one.per_network(factors))


class StackOptimiser:
    """The recipe's optimiser over the parameters of a stack; on a GPU its steps can be part of a graph.

    Parameters of different networks do not touch each other: both optimisers work element by element.

    Args:
        owned: the parameters.
        recipe: how to train.
    """

    def __init__(self, owned: Sequence[OwnedParameter], recipe: Recipe) -> None:
        self.recipe = recipe
        self.device = owned[0].parameter.device
        groups: dict[tuple[bool, bool], list[Any]] = {}
        for one in owned:
            is_spared = one.ndim <= 1 and not recipe.decay_norms
            groups.setdefault((one.is_head and recipe.head_factor != 1, is_spared), []).append(one.parameter)
        self.factors = [recipe.head_factor if is_head else 1.0 for is_head, _ in groups]
        decays = [0.0 if is_spared else recipe.weight_decay for _, is_spared in groups]
        parameters = [
            {"params": found, "lr": self._rate(recipe.learning_rate), "weight_decay": decay}
            for found, decay in zip(groups.values(), decays, strict=True)
        ]
        on_gpu = self.device.type == "cuda"
        momentum = recipe.momentum
        self.optimiser: torch.optim.Optimizer
        if recipe.optimiser == "sgd":
            rate = self._rate(recipe.learning_rate)
            self.optimiser = torch.optim.SGD(parameters, rate, momentum, nesterov=momentum > 0, fused=True)
        else:
            self.optimiser = torch.optim.AdamW(
                parameters, self._rate(recipe.learning_rate), (momentum, 0.999), fused=True, capturable=on_gpu
            )

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate of the steps that follow; not part of a graph."""
        for group, factor in zip(self.optimiser.param_groups, self.factors, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor

    def clear(self) -> None:
        """Forgets the gradients."""
        self.optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Changes the parameters by their gradients."""
        self.optimiser.step()

    def _rate(self, rate: float) -> Any:
        # In a graph, a number would stay what it was when the graph was made.
        return torch.tensor(rate, device=self.device) if self.device.type == "cuda" else rate
