"""Selection of archs that are both good and diverse."""

from __future__ import annotations

import torch
from torch import Tensor


def select_diverse(order: list[int], choices: Tensor, n: int, diversity: float) -> list[int]:
    """Selects ``n`` rows that rank high and differ from each other.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the first row is the best; each further one
    maximises ``(1 - diversity) * relevance + diversity * distance``. Relevance decreases linearly from 1 for the first
    row of the order to 0 for the last; the distance is that to the nearest selected row, measured as the fraction of
    decisions in which two rows differ.

    Args:
        order: row indices, best first.
        choices: ``(N, D)`` choices of every row.
        n: number of rows to select.
        diversity: 0 selects the first ``n`` rows of the order, 1 considers only distances.
    """
    if diversity == 0 or len(order) <= n:
        return order[:n]
    relevance = torch.empty(len(order), dtype=torch.double)
    relevance[torch.tensor(order)] = torch.linspace(1, 0, len(order), dtype=torch.double)
    nearest = torch.ones_like(relevance)
    picked = [order[0]]
    while len(picked) < n:
        nearest = nearest.minimum((choices != choices[picked[-1]]).double().mean(1))
        score = (1 - diversity) * relevance + diversity * nearest
        score[picked] = -torch.inf
        picked.append(int(score.argmax()))
    return picked
