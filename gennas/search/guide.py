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

#: ``N`` archs -> ``(N, T)`` what each is worth by each of ``T`` trade-offs between the objectives.
Worth = Callable[[Sequence[Arch]], Tensor]

#: Partly masked copies of a reference arch from which the foresight learns, and its trees.
COPIES, TREES = 6, 30
#: Sampled graphs that compete by the same trade-off: an island.
PARTICLES = 64


class WorthGuide(Guide):
    """``strength * worth`` of whole archs, exactly, and a learnt foresight of it for partly masked ones.

    The sampler's particles and corrections make up for what the foresight gets wrong: whatever it says, whole archs
    count by their true worth. All whole archs that were looked at on the way are kept.

    Args:
        space: of the archs.
        worth: says what whole archs are worth; islands take turns with its trade-offs.
        strength: factor of the worth.
        reference: archs from which the foresight is learnt.
        seed: of the foresight's trees.
    """

    def __init__(self, space: Space, worth: Worth, strength: float, reference: Sequence[Arch], seed: int) -> None:
        self.space, self.worth, self.strength = space, worth, strength
        #: Whole archs that were looked at -> ``(T,)`` what each is worth.
        self.looked_at: dict[Arch, Tensor] = {}
        self._known: dict[bytes, Tensor] = {}
        self._allowed = decisions_of(space.template).allowed
        values = worth(reference).clamp_min(FLOOR)
        self.trades = values.shape[1]
        self._foresight = self._learnt(reference, values, seed)

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        choices, trades = graph.choices().cpu(), ((row // PARTICLES) % self.trades).cpu()
        whole = ~graph.masked_decisions().any(1).cpu()
        values = torch.empty(len(graph), self.trades, dtype=torch.double)
        at = whole.nonzero()[:, 0]
        if len(at):
            values[at] = self._of_whole(graph[at.to(graph.device)], choices[at].numpy())
        at = (~whole).nonzero()[:, 0]
        if len(at):
            foreseen = self._foresight.predict(self._hot(choices[at])).reshape(len(at), self.trades)
            values[at] = torch.from_numpy(foreseen)
        chosen = values.gather(1, trades[:, None])[:, 0]
        return (self.strength * chosen).clamp_min(FLOOR).float().to(graph.device)

    def _of_whole(self, graph: GraphBatch, choices: np.ndarray) -> Tensor:
        codes = [row.tobytes() for row in choices.astype(np.int8)]
        new = {code: row for row, code in enumerate(codes) if code not in self._known}
        if new:
            archs = graph[torch.tensor(list(new.values()), device=graph.device)].to_archs(self.space)
            sound = self.space.renumbered([arch for arch in archs if arch is not None])
            told = iter(zip(sound, self.worth(sound), strict=True)) if sound else iter(())
            nothing = torch.full((self.trades,), FLOOR, dtype=torch.double)
            for code, known in zip(new, archs, strict=True):
                arch, worth = (None, nothing) if known is None else next(told)
                self._known[code] = worth
                if arch is not None:
                    self.looked_at[arch] = worth
        return torch.stack([self._known[code] for code in codes])

    def _hot(self, choices: Tensor) -> np.ndarray:
        """``(b, D * c)`` which choice every decision has; none where it is masked."""
        hot = choices[:, :, None] == torch.arange(self._allowed.shape[1])
        return hot[:, self._allowed].numpy().astype(np.float32)

    def _learnt(self, reference: Sequence[Arch], values: Tensor, seed: int) -> ExtraTreesRegressor:
        """Trees that foretell the worth of a random completion of a partly masked arch."""
        rng = torch.Generator().manual_seed(seed)
        rows = torch.arange(len(reference)).repeat(COPIES)
        graph = GraphBatch.from_archs(reference, self.space.template)[rows]
        level = torch.rand(len(rows), 1, generator=rng)
        masked = torch.rand(len(rows), graph.template.decisions, generator=rng) < level
        forest = ExtraTreesRegressor(TREES, max_features=0.3, min_samples_leaf=5, random_state=seed)
        target = values[rows].numpy()
        return forest.fit(self._hot(graph.with_mask(masked).choices()), target if self.trades > 1 else target[:, 0])
