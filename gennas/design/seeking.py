"""Seeking: generates sub-networks under limits, the best by a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from gennas.arch import Arch, PartialArch
from gennas.checkpoint import generator_for
from gennas.design.blocks import Blocks
from gennas.design.models import LatencyModel
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel
from gennas.diffusion.seeker import Seeker, SeekerConfig
from gennas.diffusion.worth import Worth
from gennas.graph import GraphBatch
from gennas.metrics import Constraint
from gennas.tasks import Task

#: Archs that one search looks at.
EVALUATED = 800
#: Latencies are to be under their limit by so many stds of the model's error.
MARGIN = 0.5

#: ``(N, n)`` indices into the vocabulary -> ``(N,)``; larger is better.
Score = Callable[[np.ndarray], np.ndarray]


class Seeking:
    """Generates archs of an elastic space under limits.

    Args:
        blocks: of the archs.
        task: for which costs are computed.
        where: bounds on costs.
        sides: resolutions that archs may have.
    """

    def __init__(self, blocks: Blocks, task: Task, where: Sequence[Constraint], sides: Sequence[int]) -> None:
        self.blocks, self.space, self.where, self.sides = blocks, blocks.space, tuple(where), list(sides)
        self._generator = generator_for(self.space, None)
        self._costs = {bound.metric.name: CostModel(self.space, task, bound.metric) for bound in where}
        for bound in where:
            self._costs[bound.metric.name].check(bound)

    def best(
        self,
        score: Score,
        count: int,
        *,
        latency: LatencyModel | None,
        most_ms: float,
        start: Sequence[Arch] = (),
        resolution: int | None = None,
        seed: int = 0,
    ) -> list[Arch]:
        """The best archs that keep the limits, as far as the models say, best first.

        Args:
            score: of archs.
            count: how many at the most.
            latency: predicts latencies; None where they do not matter.
            most_ms: the limit of the latency.
            start: archs to begin with.
            resolution: that the archs shall have; any by default.
            seed: of all randomness.
        """

        def worth(graph: GraphBatch) -> Worth:
            ops = graph.ops.cpu().numpy()
            scores = torch.from_numpy(np.asarray(score(ops), dtype=float))[:, None]
            if latency is None:
                return Worth(scores, torch.zeros(len(ops), 0, dtype=torch.double))
            margin = np.log(most_ms / latency(ops)) / latency.error - MARGIN
            return Worth(scores, torch.from_numpy(margin)[:, None])

        def keeps(graph: GraphBatch) -> torch.Tensor:
            kept = torch.from_numpy(np.isin(self.blocks.values(graph.ops.cpu().numpy())[:, 0], self.sides))
            for bound in self.where:
                costs = self._costs[bound.metric.name].of_graphs(graph)
                kept &= (costs <= bound.bound) if bound.relation == "<=" else (costs >= bound.bound)
            return kept

        guides: list[Guide] = [CostConstraintGuide(self._costs[bound.metric.name], bound) for bound in self.where]
        fixed = None if resolution is None else self._with_resolution(resolution)
        seeker = Seeker(
            self._generator,
            worth,
            keeps,
            torch.Generator().manual_seed(seed),
            guides=guides,
            fixed=fixed,
            config=SeekerConfig(batch=60, first=60),
        )
        with torch.inference_mode():
            if start:
                seeker.start(GraphBatch.from_archs(list(start), self.space.template))
            seeker.run(EVALUATED)
        kept = (seeker.worths.violation == 0).nonzero()[:, 0]
        if not len(kept):
            return []
        order = kept[seeker.worths.scores[kept, 0].argsort(descending=True, stable=True)][:count]
        archs = GraphBatch.from_choices(seeker.choices[order], self.space.template).to_archs(self.space)
        return [arch for arch in archs if arch is not None]

    def _with_resolution(self, side: int) -> PartialArch:
        decision = self.blocks.layout.decisions[0]
        return self.space.partial(f"{decision.name}={decision.tokens[decision.choice.options.index(side)]}")

    def differing(self, archs: Sequence[Arch], count: int, least: int) -> list[Arch]:
        """Up to ``count`` archs in their order, each of which differs from all before it in ``least`` decisions."""
        values, chosen = self.blocks.shares(self.space.arrays(archs)[0]) if archs else np.zeros((0, 1)), list[int]()
        for row in range(len(archs)):
            if len(chosen) == count:
                break
            if all(int((values[row] != values[other]).sum()) >= least for other in chosen):
                chosen.append(row)
        return [archs[row] for row in chosen]
