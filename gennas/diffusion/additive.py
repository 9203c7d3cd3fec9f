"""AdditiveFit: values of archs as sums over their decisions, fitted to those that are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gennas.graph import decisions_of
from gennas.spaces import Space, Template

#: Ridge penalties of a choice's contribution, in units of one arch that has it.
RIDGES = torch.tensor([0.001, 0.01, 0.1, 1.0, 10.0], dtype=torch.double)


@dataclass(frozen=True, eq=False)
class AdditiveFit:
    """Several values of archs, each a constant plus a contribution of every choice.

    Attributes:
        constant: ``(t,)`` the values without any contribution.
        tables: ``(t, D, c)`` contributions of the choices; 0 where the template forbids one.
        residual: ``(t,)`` std of what the sums leave unexplained.
    """

    constant: Tensor
    tables: Tensor
    residual: Tensor

    @classmethod
    def of(cls, template: Template, choices: Tensor, values: Tensor) -> AdditiveFit:
        """Ridge regression on one-hot choices, for every value with the penalty of the least generalised
        cross-validation (Golub, Heath and Wahba, 1979).

        Args:
            template: of the archs.
            choices: ``(N, D)`` of decided archs.
            values: ``(N, t)``, finite.
        """
        allowed = decisions_of(template).allowed
        columns = torch.full(allowed.shape, -1)
        columns[allowed] = torch.arange(int(allowed.sum()))
        hot = torch.zeros(len(choices), int(allowed.sum()), dtype=torch.double)
        hot.scatter_(1, columns.expand(len(choices), -1, -1).gather(2, choices[..., None]).squeeze(2), 1.0)
        centre, constant = hot.mean(0), values.double().mean(0)
        centred, scaled = hot - centre, values.double() - constant
        eigenvalues, basis = torch.linalg.eigh(centred.T @ centred)
        inside = basis.T @ (centred.T @ scaled)  # (F, t)
        shrunk = 1 / (eigenvalues.clamp_min(0)[:, None] + RIDGES)  # (F, r)
        explained = inside.square()[:, :, None] * (2 * shrunk - eigenvalues[:, None] * shrunk.square())[:, None]
        left = (scaled.square().sum(0)[:, None] - explained.sum(0)).clamp_min(0)  # (t, r)
        freedom = (len(choices) - 1 - (eigenvalues[:, None] * shrunk).sum(0)).clamp_min(1)
        chosen = (left / freedom.square()).argmin(1)
        weights = basis @ (inside * shrunk[:, chosen])  # (F, t)
        tables = torch.zeros(values.shape[1], *allowed.shape, dtype=torch.double)
        tables[:, allowed] = weights.T
        residual = (scaled - centred @ weights).square().mean(0).sqrt()
        return cls(constant - centre @ weights, tables, residual)

    def __call__(self, choices: Tensor) -> Tensor:
        """``(N, t)`` the sums of decided archs ``(N, D)``."""
        made = self.tables.expand(len(choices), *self.tables.shape).gather(
            3, choices[:, None, :, None].expand(-1, len(self.tables), -1, 1)
        )
        return self.constant + made.squeeze(3).sum(2)

    def log_kept(self, values: Tensor) -> Tensor:
        """``(N, t)`` log-probability that values are positive, given these sums."""
        return torch.special.log_ndtr(values / self.residual.clamp_min(1e-9))


def frequencies(space: Space) -> Tensor:
    """``(D, c)`` how often each choice is made among all archs; as if all were alike, where nobody can count them."""
    allowed, template = decisions_of(space.template).allowed, space.template
    probabilities = space.probabilities(np.full((1, len(template.slots)), -1))
    if probabilities is None:
        return allowed.double() / allowed.sum(1, keepdim=True)
    own = torch.from_numpy(np.array(probabilities[0, list(template.free_slots)]))
    return torch.nn.functional.pad(own, (0, allowed.shape[1] - own.shape[1])).double()
