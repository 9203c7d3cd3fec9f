"""AcquisitionGuide: a search's acquisition function as a guide, so that generated archs are drawn towards it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.tree import ExtraTreeRegressor
from torch import Tensor

from gennas.arch import Arch
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.sampler import FLOOR
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import Space

#: ``N`` archs -> ``(N,)`` acquisition values.
AcquisitionValues = Callable[[Sequence[Arch]], Tensor]

#: Partly masked copies of a reference arch to which the foresight is fitted, and its trees.
COPIES, TREES = 6, 10
#: Sampled graphs that compete with each other: an island.
PARTICLES = 64


class AcquisitionGuide(Guide):
    """``strength * acquisition value`` of whole archs, exactly, and a fitted foresight of it for partly masked ones.

    The sampler's particles and corrections make up for what the foresight gets wrong: whole archs count by their exact
    value. All whole archs that were evaluated on the way are kept.

    Args:
        space: of the archs.
        acquisition_values: of whole archs.
        strength: factor of the acquisition values.
        reference: archs to which the foresight is fitted.
        seed: of the foresight's trees.
        archs: those of whole graphs, by the code of their choices, None where they break a rule: a guide adds what it
            meets, and another may be given the same ones.
    """

    def __init__(
        self,
        space: Space,
        acquisition_values: AcquisitionValues,
        strength: float,
        reference: Sequence[Arch],
        seed: int,
        archs: dict[bytes, Arch | None] | None = None,
    ) -> None:
        self.space, self.acquisition_values, self.strength = space, acquisition_values, strength
        self._archs: dict[bytes, Arch | None] = {} if archs is None else archs
        #: Whole archs that were evaluated -> acquisition value.
        self.candidates: dict[Arch, float] = {}
        self._values: dict[bytes, float] = {}
        self._allowed = decisions_of(space.template).allowed
        self._foresight = self._fitted(reference, acquisition_values(reference).clamp_min(FLOOR), seed)

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        choices = graph.choices().cpu()
        whole = ~graph.masked_decisions().any(1).cpu()
        values = torch.empty(len(graph), dtype=torch.double)
        at = whole.nonzero()[:, 0]
        if len(at):
            values[at] = self._of_whole(graph[at.to(graph.device)], choices[at].numpy())
        at = (~whole).nonzero()[:, 0]
        if len(at):
            values[at] = torch.from_numpy(mean_of_trees(self._foresight, self._hot(choices[at])))
        return (self.strength * values).clamp_min(FLOOR).float().to(graph.device)

    def _of_whole(self, graph: GraphBatch, choices: np.ndarray) -> Tensor:
        codes = [row.tobytes() for row in choices.astype(np.int8)]
        new = {code: row for row, code in enumerate(codes) if code not in self._values}
        if new:
            self._read({code: row for code, row in new.items() if code not in self._archs}, graph)
            valid = {code: arch for code in new if (arch := self._archs[code]) is not None}
            # Several codes may be one arch, which was evaluated under another.
            unseen = [arch for arch in dict.fromkeys(valid.values()) if arch not in self.candidates]
            self.candidates.update(zip(unseen, self.acquisition_values(unseen).tolist() if unseen else (), strict=True))
            self._values.update((code, self.candidates[valid[code]] if code in valid else FLOOR) for code in new)
        return torch.tensor([self._values[code] for code in codes], dtype=torch.double)

    def _read(self, rows: dict[bytes, int], graph: GraphBatch) -> None:
        """Adds the archs of these codes."""
        if rows:
            archs = graph[torch.tensor(list(rows.values()), device=graph.device)].to_archs(self.space)
            canonical = iter(self.space.canonicalised([arch for arch in archs if arch is not None]))
            self._archs.update((code, arch and next(canonical)) for code, arch in zip(rows, archs, strict=True))

    def _hot(self, choices: Tensor) -> np.ndarray:
        """``(b, D * c)`` which choice every decision has; none where it is masked."""
        hot = choices[:, :, None] == torch.arange(self._allowed.shape[1])
        return hot[:, self._allowed].numpy().astype(np.float32)

    def _fitted(self, reference: Sequence[Arch], values: Tensor, seed: int) -> list[ExtraTreeRegressor]:
        """Trees that predict the acquisition value of a random completion of a partly masked arch."""
        rng = torch.Generator().manual_seed(seed)
        rows = torch.arange(len(reference)).repeat(COPIES)
        graph = GraphBatch.from_archs(reference, self.space.template)[rows]
        masked = graph.random_mask(rng)
        forest = ExtraTreesRegressor(TREES, max_features=0.3, min_samples_leaf=5, random_state=seed)
        return list(forest.fit(self._hot(graph.with_mask(masked).choices()), values[rows].numpy()).estimators_)


def mean_of_trees(trees: Sequence[ExtraTreeRegressor], rows: np.ndarray) -> np.ndarray:
    """``(N,)`` the mean of fitted trees, as their forest's ``predict``, without checks that take longer than the trees.

    Args:
        trees: the ``estimators_`` of a fitted forest.
        rows: ``(N, d)``.
    """
    inputs = np.ascontiguousarray(rows, dtype=np.float32)
    mean: np.ndarray = np.mean([tree.tree_.predict(inputs)[:, 0] for tree in trees], axis=0)
    return mean
