"""WorthGuide: a search's acquisition function as a guide, so that generated archs are drawn towards it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

from gennas.arch import Arch
from gennas.diffusion.guidance import Guide
from gennas.diffusion.sampler import FLOOR
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import Space

#: ``N`` archs, and a number from 0 to 1 that says by which of several trade-offs they are judged -> ``(N,)`` worth.
Worth = Callable[[Sequence[Arch], float], Tensor]

#: Partly masked copies of a reference arch from which the foresight learns, and its trees.
COPIES, TREES = 6, 30
#: Trade-offs between several objectives, and sampled graphs that compete by the same one: an island.
TRADES, PARTICLES = 8, 64


class WorthGuide(Guide):
    """``strength * worth`` of whole archs, exactly, and a learnt foresight of it for partly masked ones.

    The sampler's particles and corrections make up for what the foresight gets wrong: whatever it says, whole archs
    count by their true worth. All whole archs that were looked at on the way are kept.

    Args:
        space: of the archs.
        worth: says what whole archs are worth.
        strength: factor of the worth.
        trades: how many trade-offs there are; 1 with a single objective.
        reference: archs from which the foresight is learnt.
        seed: of the foresight's trees.
    """

    def __init__(
        self, space: Space, worth: Worth, strength: float, trades: int, reference: Sequence[Arch], seed: int
    ) -> None:
        self.space, self.worth, self.strength, self.trades = space, worth, strength, trades
        #: Whole archs that were looked at -> the best worth by any trade-off that they were judged by.
        self.looked_at: dict[Arch, float] = {}
        self._known: list[dict[bytes, float]] = [{} for _ in range(trades)]
        self._allowed = decisions_of(space.template).allowed
        self._foresights = [self._learnt(reference, trade, seed) for trade in range(trades)]

    def trade_of(self, row: Tensor) -> Tensor:
        """``(b,)`` the trade-off of sampled graphs; an island shares one."""
        return (row // PARTICLES) % self.trades

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        choices, trades = graph.choices().cpu(), self.trade_of(row).cpu()
        whole = ~graph.masked_decisions().any(1).cpu()
        values = torch.full((len(graph),), FLOOR)
        for trade in range(self.trades):
            at = torch.nonzero(whole & (trades == trade)).flatten()
            if len(at):
                values[at] = self._of_whole(graph[at.to(graph.device)], choices[at].numpy(), trade)
            at = torch.nonzero(~whole & (trades == trade)).flatten()
            if len(at):
                values[at] = torch.from_numpy(self._foresights[trade].predict(self._hot(choices[at]))).float()
        return (self.strength * values).clamp_min(FLOOR).to(graph.device)

    def _of_whole(self, graph: GraphBatch, choices: np.ndarray, trade: int) -> Tensor:
        known, codes = self._known[trade], [row.tobytes() for row in choices.astype(np.int8)]
        new = {code: row for row, code in enumerate(codes) if code not in known}
        if new:
            archs = graph[torch.tensor(list(new.values()), device=graph.device)].to_archs(self.space)
            sound = [arch for arch in archs if arch is not None]
            numbered = self.space.renumbered(sound)
            worth = self.worth(numbered, self.share(trade)).tolist()
            told = dict(zip(sound, worth, strict=True))
            for arch, value in zip(numbered, worth, strict=True):
                self.looked_at[arch] = max(value, self.looked_at.get(arch, FLOOR))
            known.update((code, FLOOR if a is None else told[a]) for code, a in zip(new, archs, strict=True))
        return torch.tensor([known[code] for code in codes])

    def share(self, trade: int) -> float:
        """0 to 1: which trade-off it is."""
        return trade / max(self.trades - 1, 1)

    def _hot(self, choices: Tensor) -> np.ndarray:
        """``(b, D * c)`` which choice every decision has; none where it is masked."""
        hot = choices[:, :, None] == torch.arange(self._allowed.shape[1])
        return hot[:, self._allowed].numpy().astype(np.float32)

    def _learnt(self, reference: Sequence[Arch], trade: int, seed: int) -> ExtraTreesRegressor:
        """Trees that foretell the worth of a random completion of a partly masked arch."""
        rng = torch.Generator().manual_seed(seed)
        values = self.worth(reference, self.share(trade)).clamp_min(FLOOR).numpy()
        rows = torch.arange(len(reference)).repeat(COPIES)
        graph = GraphBatch.from_archs(reference, self.space.template)[rows]
        level = torch.rand(len(rows), 1, generator=rng)
        masked = torch.rand(len(rows), graph.template.decisions, generator=rng) < level
        forest = ExtraTreesRegressor(TREES, max_features=0.3, min_samples_leaf=5, random_state=seed)
        return forest.fit(self._hot(graph.with_mask(masked).choices()), values[rows.numpy()])
