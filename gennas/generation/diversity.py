"""Choosing some of many archs: by Pareto fronts, and spread over the space."""

from __future__ import annotations

import torch
from torch import Tensor


def spread(order: list[int], choices: Tensor, n: int, diversity: float) -> list[int]:
    """``n`` of the ordered rows that are good and unlike each other.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): after the first, each pick maximises
    ``(1 - diversity) * relevance + diversity * distance`` to the nearest pick so far, with relevance falling evenly
    from 1 for the first row of the order to 0 for the last, and the distance of two archs the share of decisions in
    which they differ.

    Args:
        order: rows, best first.
        choices: ``(N, D)`` the choices of every row.
        n: how many to pick.
        diversity: 0 takes the first ``n`` of the order, 1 cares for nothing but distance.
    """
    if diversity == 0 or len(order) <= n:
        return order[:n]
    relevance = torch.empty(len(order), dtype=torch.double)
    relevance[torch.tensor(order)] = torch.linspace(1, 0, len(order), dtype=torch.double)
    nearest = torch.ones_like(relevance)
    picked = [order[0]]
    while len(picked) < n:
        nearest = nearest.minimum((choices != choices[picked[-1]]).double().mean(1))
        worth = (1 - diversity) * relevance + diversity * nearest
        worth[picked] = -torch.inf
        picked.append(int(worth.argmax()))
    return picked
