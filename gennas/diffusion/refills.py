"""Refills: which decisions of which good archs are masked, to be made anew, and how strongly they are tilted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gennas.diffusion.worth import Worth
from gennas.graph import decisions_of
from gennas.spaces import Space

#: Numbers of decisions that are masked, and strengths of the tilt per std of the scores. Which of them succeed is
#: learnt on the way.
SIZES, TILTS = torch.tensor([1, 2, 3, 4, 6, 9, 14]), torch.tensor([1.0, 3.0, 10.0, 30.0], dtype=torch.double)
#: Shares of children that are masked where two parents differ, and that are drawn from nothing; the latter are drawn
#: all at once every so many rounds, as each takes a step for every decision.
CROSSED, ANEW, ROUNDS_ANEW = 0.2, 0.05, 5
#: How much of the successes is remembered after a round, the prior of a success, and the share chosen at random.
REMEMBERED, PRIOR, EXPLORED = 0.9, (1.0, 5.0), 0.1
#: The parents of higher rank are chosen more often: ranks are this power of uniform numbers.
SKEW = 1.5


@dataclass(frozen=True, eq=False)
class Children:
    """Masked archs that are to be refilled.

    Attributes:
        parent: ``(n,)`` rows of the archs that are masked.
        masked: ``(n, D)`` boolean, their masked decisions.
        weights: ``(n, m)`` of the objectives, for every child its own; they sum to 1.
        tilt: ``(n,)`` strength of the tilt, per std of the scores.
        arm: ``(n,)`` number of mask size and strength; -1 where neither was chosen.
    """

    parent: Tensor
    masked: Tensor
    weights: Tensor
    tilt: Tensor
    arm: Tensor


class Refills:
    """Chooses masks and strengths, the more often the more often they made a child better than its parent.

    Args:
        space: of the archs.
        free: ``(D,)`` boolean, the decisions that may be masked.
        rng: all randomness.
    """

    def __init__(self, space: Space, free: Tensor, rng: torch.Generator) -> None:
        self.free, self.rng = free, rng
        self._together = masked_together(space)
        arms = len(SIZES) * len(TILTS)
        self._won, self._tried = (torch.full((arms,), prior, dtype=torch.double) for prior in PRIOR)
        self._round = 0

    def children(self, count: int, worth: Worth, scale: Tensor, choices: Tensor) -> Children:
        """``count`` children of parents.

        Args:
            count: how many.
            worth: of the parents, best first.
            scale: ``(m,)`` stds of the scores.
            choices: ``(p, D)`` of the parents.
        """
        rng, parents = self.rng, len(choices)
        weights = torch.empty(count, worth.scores.shape[1], dtype=torch.double).exponential_(generator=rng)
        weights = weights / weights.sum(1, keepdim=True)
        # By a child's own weighting another parent is the best; one that breaks bounds is so only among its like.
        value = weights @ (worth.scores.double() / scale).T - 1e6 * worth.violation  # (count, parents)
        rank = (torch.rand(count, generator=rng) ** SKEW * parents).long()
        parent = value.argsort(dim=1, descending=True, stable=True).gather(1, rank[:, None])[:, 0]
        other = torch.randint(parents, (count,), generator=rng)
        share = self._won / self._tried
        share = (1 - EXPLORED) * share / share.sum() + EXPLORED / len(share)
        arm = share.multinomial(count, replacement=True, generator=rng)
        size, tilt = SIZES[arm // len(TILTS)], TILTS[arm % len(TILTS)]
        place = torch.rand(count, len(self.free), generator=rng).masked_fill(~self.free, 2.0).argsort(1).argsort(1)
        kind = torch.rand(count, generator=rng)
        crossed = (kind < CROSSED) & (parent != other)
        masked = torch.where(crossed[:, None], choices[parent] != choices[other], place < size[:, None])
        anew = (kind > 1 - ROUNDS_ANEW * ANEW) & (self._round % ROUNDS_ANEW == 0)
        masked = (masked | anew[:, None] | (masked.float() @ self._together.float() > 0)) & self.free
        self._round += 1
        return Children(parent, masked, weights, tilt, torch.where(crossed | anew, -1, arm))

    def learn(self, arm: Tensor, better: Tensor) -> None:
        """Remembers which children ``(n,)`` were better than their parents."""
        tried = arm[arm >= 0]
        won = arm[(arm >= 0) & better]
        for counts, seen, prior in ((self._won, won, PRIOR[0]), (self._tried, tried, PRIOR[1])):
            counts.mul_(REMEMBERED).add_((1 - REMEMBERED) * prior)
            counts.add_(torch.bincount(seen, minlength=len(counts)))


def masked_together(space: Space) -> Tensor:
    """``(D, D)`` boolean: which decisions are masked with each, as rules would leave it no other choice.

    Beside what the space says of its slots (:attr:`gennas.spaces.Space.binds`), the edges of a slot that may be absent.
    """
    layout, template = decisions_of(space.template), space.template
    together = torch.eye(len(layout.allowed), dtype=torch.bool)
    slots = len(layout.slots)
    binds = torch.from_numpy(np.asarray(space.binds))
    together[:slots, :slots] |= binds[layout.slots][:, layout.slots]
    if space.absent is not None:
        may_be_absent = layout.allowed[:slots, template.vocabulary.index(space.absent)]
        touches = (layout.edges[None] == layout.slots[:, None, None]).any(2)  # (s, e)
        together[:slots, slots:] |= touches & may_be_absent[:, None]
    return together
