"""Latencies of the sub-networks of a parent on this machine: some are measured, and the others predicted from them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from gennas.arch import Arch
from gennas.design.blocks import Blocks
from gennas.design.context import Workshop
from gennas.design.models import LatencyModel
from gennas.errors import InvalidInputError
from gennas.evaluators.latency import LatencyEvaluator, busy
from gennas.evaluators.latency_spec import LatencySpec
from gennas.progress import progress
from gennas.studies.records import evaluations_of
from gennas.studies.study import Study

_LOG = logging.getLogger(__name__)

#: Seconds for the runs of a network: enough for a median within some per cent.
SECONDS = 0.5
#: Networks are looked for at resolutions of so many times the largest that their parent keeps the limits at.
LOWEST, HIGHEST = 0.7, 1.7


def latency_evaluator(workshop: Workshop) -> LatencyEvaluator:
    """Measures archs of a workshop on the hardware of the limits."""
    return LatencyEvaluator(workshop.space, [workshop.context.limits.target], LatencySpec(seconds=SECONDS))


class Latencies:
    """Measures latencies, and remembers them in a study.

    Args:
        workshop: of the archs.
        blocks: of them.
        study: open for writing.

    Attributes:
        known: key of an arch -> its measured latency, in ms.
    """

    def __init__(self, workshop: Workshop, blocks: Blocks, study: Study) -> None:
        self.workshop, self.blocks, self.study = workshop, blocks, study
        context = workshop.context
        self.evaluator = latency_evaluator(workshop)
        self.known = {
            row.arch: row.value for row in study.find(source=self.evaluator.source, metric=context.limits.metric)
        }
        self.notes: list[str] = []

    def of(self, arch: Arch, before: Sequence[float] = ()) -> float:
        """The measured latency of an arch, in ms.

        Args:
            arch: the arch.
            before: earlier measurements of it; others can only make a run longer, so that the shortest one counts.
        """
        if arch.key not in self.known:
            context = self.workshop.context
            values = self.evaluator.evaluate(arch, task=context.task)
            values[context.limits.metric] = min([values[context.limits.metric], *before])
            self.study.add(evaluations_of(self.evaluator, arch, context.task, values))
            self.known[arch.key] = values[context.limits.metric]
            if self.evaluator.remarks() and not self.notes:
                self.notes.append(busy(context.limits.target.name))
        return self.known[arch.key]

    def model(self) -> LatencyModel:
        """Predicts latencies from those that are known."""
        space = self.workshop.space
        archs = [space.parse(key) for key in self.known]
        return LatencyModel(self.blocks, archs, list(self.known.values()))

    def measure_some(self, count: int) -> None:
        """Measures archs all over the space: the parent and the smallest arch at several resolutions, and random ones.

        Args:
            count: of archs.
        """
        with progress("measuring latencies", count) as report:
            for number, arch in enumerate(self._spread(count), start=1):
                report(number, f"{self.of(arch):.3g} ms")

    def _spread(self, count: int) -> list[Arch]:
        workshop, space = self.workshop, self.workshop.space
        sides, smallest = workshop.resolutions, self.blocks.smallest()
        some = [sides[round(place)] for place in np.linspace(0, len(sides) - 1, min(len(sides), max(count // 3, 2)))]
        archs = [workshop.parent_at(side) for side in some]
        archs += [self.blocks.at(smallest, side) for side in (some[0], some[-1])]
        rng = np.random.default_rng(workshop.context.seed)
        while len(archs) < count:
            archs.append(self.blocks.at(space.sample(rng), int(rng.choice(sides))))
        return list(dict.fromkeys(archs))[:count]

    def largest_parent(self) -> int | None:
        """The largest resolution at which the parent keeps all limits, by measurements; None where it does at none."""
        workshop, limits, found = self.workshop, self.workshop.context.limits, None
        model = self.model() if limits.latency else None
        for side in workshop.resolutions:
            arch = workshop.parent_at(side)
            costs = workshop.costs(arch)
            if not limits.keeps_costs(costs):
                continue
            if model is None:
                found = side
                continue
            expected = float(model(workshop.space.arrays([arch])[0])[0])
            # What is far from the limit need not be measured.
            if expected > 1.3 * limits.most_ms:
                break
            if expected < 0.7 * limits.most_ms or limits.keeps(costs | {limits.metric: self.of(arch)}):
                found = side
        return found

    def wanted_resolutions(self, largest: int | None) -> list[int]:
        """The resolutions that networks within the limits may have, from what the parent has to well above: those with
        cuts that others need not.

        Args:
            largest: resolution at which the parent keeps the limits.
        """
        sides = self.workshop.resolutions
        middle = largest or sides[0]
        found = [side for side in sides if LOWEST * middle <= side <= HIGHEST * middle]
        if not self.workshop.context.limits.latency:
            return found
        model, smallest = self.model(), self.blocks.smallest()
        archs = [self.blocks.at(smallest, side) for side in found]
        fast = predicted(model, self.workshop, archs) <= self.workshop.context.limits.most_ms
        return [side for side, is_fast in zip(found, fast, strict=True) if is_fast] or sides[:1]

    def expect_reachable(self) -> None:
        """Raises InvalidInputError where even the smallest network takes longer than the limit."""
        limits, space = self.workshop.context.limits, self.workshop.space
        smallest = self.blocks.at(self.blocks.smallest(), self.workshop.resolutions[0])
        if limits.latency and (fastest := self.of(smallest)) > limits.most_ms:
            raise InvalidInputError(
                f"holds '{limits.metric} <= {limits.most_ms:g}', which no network of {space.name} keeps on this "
                f"machine: the fastest takes {fastest:.3g} ms. Allow more.",
                argument="where",
            )


def predicted(model: LatencyModel, workshop: Workshop, archs: Sequence[Arch]) -> np.ndarray:
    """``(N,)`` predicted latencies, in ms."""
    return model(workshop.space.arrays(archs)[0])
