"""The third stage of a design: sub-networks are scored with inherited weights, and better ones generated from that."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gennas.arch import Arch
from gennas.design.blocks import Blocks
from gennas.design.context import Workshop
from gennas.design.cuts import CutModel
from gennas.design.latencies import Latencies, predicted
from gennas.design.models import AccuracyModel, LatencyModel
from gennas.design.seeking import Seeking
from gennas.errors import InfeasibleError
from gennas.progress import progress
from gennas.studies.records import Evaluation
from gennas.studies.study import Study

#: What is scored first, before anything is known: cuts destroy in this order, a step down in resolution for a block.
DOUBLING, LOST_BLOCK, NARROWER, SMALLER_KERNEL = 4.0, 0.6, 1.0, 0.2
#: Stds of the accuracy's model that are added to its mean, so that what is not known is looked at.
CURIOUS = 1.0
#: Networks that are scored together, or trained, differ in so many choices.
DIFFERING = 2
#: Share of the scored networks that are chosen before any score is known.
FIRST = 0.5
#: Rounds of the others, after each of which the model is fitted again.
ROUNDS = 2
#: Archs that are predicted to take so many times the limit are not measured.
HOPELESS = 1.15
#: Sources of what is remembered of an arch with inherited weights: its accuracy, and its certainty.
ACCURACY, CERTAINTY = "inherited", "inherited-certainty"


class Inherited(Protocol):
    """Tells what an arch with inherited weights makes of the validation images."""

    def __call__(self, arch: Arch) -> tuple[float, float]:
        """The accuracy, and the mean probability of the true class."""


class Generating:
    """Scores some sub-networks of a parent, and generates the best ones under the limits.

    Every round seeks archs by what is known so far, and scores some that differ; nothing is drawn at random. What is
    scored is remembered in a study, so that an interrupted run scores nothing twice.

    Args:
        workshop: of the archs.
        blocks: of them.
        latencies: measured ones.
        study: open for writing.
        sides: resolutions of the archs, ascending.
    """

    def __init__(
        self, workshop: Workshop, blocks: Blocks, latencies: Latencies, study: Study, sides: Sequence[int]
    ) -> None:
        self.workshop, self.blocks, self.latencies, self.study, self.sides = workshop, blocks, latencies, study, sides
        context = workshop.context
        #: Key -> certainty of the true classes: on few images accuracies are often equal.
        self.scores = {row.arch: row.value for row in study.find(source=CERTAINTY, metric=context.accuracy)}
        self._seeking = Seeking(blocks, context.task, context.limits.costs, sides)

    def expect_some(self) -> None:
        """Raises InfeasibleError where no arch is found that keeps all limits together."""
        if not self._sought(CutModel(self.blocks).cuts, 1):
            self._measured()

    def run(self, inherited: Inherited) -> None:
        """Scores as many archs as the effort says.

        Args:
            inherited: tells the accuracy of an arch.
        """
        wanted = self.workshop.context.effort.scored
        with progress("scoring sub-networks", wanted) as report:
            report(min(len(self.scores), wanted), "")
            for part in range(ROUNDS + 1):
                count = round(wanted * (FIRST + (1 - FIRST) * part / ROUNDS))
                if len(self.scores) >= count:
                    continue
                archs = self._first(count) if part == 0 else self._further(count - len(self.scores), part)
                for arch in archs:
                    if len(self.scores) >= count:
                        break
                    if arch.key not in self.scores:
                        self._score(arch, inherited)
                    report(len(self.scores), f"{self.scores[arch.key]:.3f}")
            report(wanted, "")

    def candidates(self, count: int) -> list[Arch]:
        """The archs to train: of those that keep the limits by measurement, the best by the model of accuracies.

        No resolution has more than half of them, as long as others keep the limits: how far cuts and resolution can
        replace each other is what inherited weights tell least about.

        Args:
            count: how many; fewer where not so many keep the limits.
        """
        space, accuracy = self.workshop.space, self._accuracy()
        scored = [space.parse(key) for key in self.scores]
        sought = list(scored)
        for side in self.sides:
            sought += self._sought(lambda ops: accuracy(ops)[0], 5 * count, resolution=side, seed=7, start=scored)
        known = list(dict.fromkeys(sought))
        means = accuracy(space.arrays(known)[0])[0]
        ranked = [known[row] for row in np.argsort(-means, kind="stable").tolist()]
        chosen: list[Arch] = []
        with progress("measuring candidates", count) as report:
            for most in (-(-count // 2), count):
                for arch in ranked:
                    if len(chosen) == count:
                        break
                    if self._is_wanted(arch, chosen, most):
                        chosen.append(arch)
                        report(len(chosen), "")
        return chosen

    def _is_wanted(self, arch: Arch, chosen: Sequence[Arch], most: int) -> bool:
        """Whether an arch differs from those that were chosen, and keeps the limits; ``most`` are of one resolution."""
        workshop, limits = self.workshop, self.workshop.context.limits
        side = workshop.space.resolution(arch)
        if sum(workshop.space.resolution(other) == side for other in chosen) >= most:
            return False
        if len(self._seeking.differing([*chosen, arch], len(chosen) + 1, DIFFERING)) <= len(chosen):
            return False
        return limits.keeps_costs(workshop.costs(arch)) and (not limits.latency or self._is_fast(arch))

    def _is_fast(self, arch: Arch) -> bool:
        """Whether an arch keeps the limit of the latency, by a measurement unless it is far from that."""
        most = self.workshop.context.limits.most_ms
        expected = float(predicted(self.latencies.model(), self.workshop, [arch])[0])
        return expected <= HOPELESS * most and self.latencies.of(arch) <= most

    def _first(self, count: int) -> list[Arch]:
        """Archs to begin with: at every resolution those whose cuts destroy least, of what keeps the limits."""
        found: list[list[Arch]] = []
        each, cuts = -(-count // len(self.sides)), CutModel(self.blocks).cuts
        for side in self.sides:
            own = self._sought(cuts, 40 * each, resolution=side)
            found.append(self._seeking.differing(own, each + 1, DIFFERING))
        # In turns, so that all resolutions have their share.
        turns = [own[turn] for turn in range(each + 1) for own in found if turn < len(own)]
        return list(dict.fromkeys(turns)) or self._measured()

    def _measured(self) -> list[Arch]:
        """Archs that keep the limits by measurements: near the shortest latency no model is sure enough of others.

        Raises:
            InfeasibleError: there are none.
        """
        limits, workshop = self.workshop.context.limits, self.workshop
        known = self.latencies.known if limits.latency else {}
        archs = {workshop.space.parse(key): {limits.metric: value} for key, value in known.items()}
        found = [arch for arch, latency in archs.items() if limits.keeps(workshop.costs(arch) | latency)]
        if not found:
            bounds = " and ".join(f"'{bound}'" for bound in (*limits.costs, *limits.latency))
            raise InfeasibleError(
                f"no {workshop.space.name} arch was found that satisfies {bounds} together. Loosen one of them."
            )
        return found

    def _further(self, count: int, seed: int) -> list[Arch]:
        accuracy, scored = self._accuracy(), [self.workshop.space.parse(key) for key in self.scores]

        def curious(ops: np.ndarray) -> np.ndarray:
            mean, std = accuracy(ops)
            return mean + CURIOUS * std

        sought = self._sought(curious, 60 * count, seed=seed, start=scored)
        fresh = [arch for arch in sought if arch.key not in self.scores]
        return self._seeking.differing(fresh, count, DIFFERING) or fresh[:count]

    def _sought(
        self, score: object, count: int, *, resolution: int | None = None, start: Sequence[Arch] = (), seed: int = 0
    ) -> list[Arch]:
        limits = self.workshop.context.limits
        latency: LatencyModel | None = self.latencies.model() if limits.latency else None
        return self._seeking.best(
            score,  # type: ignore[arg-type]
            count,
            latency=latency,
            most_ms=limits.most_ms,
            resolution=resolution,
            start=start,
            seed=self.workshop.context.seed + seed,
        )

    def _accuracy(self) -> AccuracyModel:
        archs = [self.workshop.space.parse(key) for key in self.scores]
        return AccuracyModel(self.blocks, archs, list(self.scores.values()))

    def _score(self, arch: Arch, inherited: Inherited) -> None:
        context, start = self.workshop.context, time.perf_counter()
        accuracy, certainty = inherited(arch)
        seconds = time.perf_counter() - start
        self.study.add(
            [
                Evaluation(
                    arch=arch.key,
                    space=arch.space,
                    task=context.task.name,
                    metric=context.accuracy,
                    value=value,
                    source=source,
                    seed=context.seed,
                    seconds=seconds,
                )
                for source, value in ((ACCURACY, accuracy), (CERTAINTY, certainty))
            ]
        )
        self.scores[arch.key] = certainty
