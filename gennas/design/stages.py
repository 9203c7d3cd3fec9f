"""The stages of a design, each of which resumes where it was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from gennas.arch import Arch
from gennas.design.blocks import Blocks
from gennas.design.context import Workshop
from gennas.design.generating import Generating
from gennas.design.latencies import Latencies
from gennas.design.parents import adapted_parent, elastic_network
from gennas.design.records import Records
from gennas.design.tuning import Tuned, tune
from gennas.diffusion.guides.costs import CostModel
from gennas.evaluators.costs import CostEvaluator
from gennas.studies.records import Proposed, evaluations_of
from gennas.studies.study import Study
from gennas.supernets.recalibration import Recalibrated, Recalibration
from gennas.training.network_files import folder_name
from gennas.training.recipe import Recipe

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reach:
    """What of a parent keeps the limits.

    Attributes:
        side: the largest resolution at which the parent does; None where it does at none.
        sides: the resolutions at which sub-networks are looked for, ascending.
        notes: on the measurements.
    """

    side: int | None
    sides: tuple[int, ...]
    notes: tuple[str, ...]


def reach_of(workshop: Workshop) -> Reach:
    """What of a parent keeps the limits, by measurements on this machine.

    Raises:
        InvalidInputError: no network of the space does.
    """

    def make() -> dict[str, object]:
        with workshop.scores() as study:
            latencies = Latencies(workshop, Blocks(workshop.space), study)
            if workshop.context.limits.latency:
                latencies.expect_reachable()
                latencies.measure_some(workshop.context.effort.timed)
            side = latencies.largest_parent()
            return {"side": side, "sides": latencies.wanted_resolutions(side), "notes": latencies.notes}

    found = Records(workshop.folder).once("reach", make)
    return Reach(found["side"], tuple(found["sides"]), tuple(found["notes"]))


def expect_keepable(workshop: Workshop) -> None:
    """Raises where no network of a space keeps one of the limits, so that nobody waits for a parent to be adapted, and
    no folder is bound to a limit that has to be changed.

    Raises:
        InfeasibleError: none keeps a bound on costs.
        InvalidInputError: none keeps that on the latency.
    """
    limits, space = workshop.context.limits, workshop.space
    for bound in limits.costs:
        CostModel(space, workshop.context.task, bound.metric).check(bound)
    if limits.latency:
        with Study.in_memory() as study:
            Latencies(workshop, Blocks(space), study).expect_reachable()


def generated_archs(workshop: Workshop, reach: Reach, count: int, say: Callable[[int, str], None]) -> list[Arch]:
    """The archs of a parent that are worth training: the parent adapted, its elastic network, and the generation.

    Args:
        workshop: of the parent.
        reach: what keeps the limits.
        count: of archs.
        say: receives the number of a stage and what it does.

    Raises:
        InfeasibleError: none keeps all limits together.
    """
    records, space, name = Records(workshop.folder), workshop.space, f"candidates_{count}"
    if (known := records.find(name)) is not None:
        return [space.parse(key) for key in known["archs"]]
    limits = workshop.context.limits
    if len(limits.costs) + len(limits.latency) > 1 and not workshop.teacher.exists():
        # Each can be kept; whether all can is to be known before the long stages.
        with workshop.scores() as study:
            blocks = Blocks(space)
            Generating(workshop, blocks, Latencies(workshop, blocks, study), study, reach.sides).expect_some()
    say(1, f"adapting {workshop.title} at {workshop.context.pixels} pixels")
    adapted_parent(workshop)
    say(2, f"the elastic network of {workshop.title}, at {reach.sides[0]} to {reach.sides[-1]} pixels")
    supernet = elastic_network(workshop, reach.sides)
    say(3, f"generating sub-networks of {workshop.title}")

    def make() -> dict[str, object]:
        with workshop.scores() as study:
            blocks = Blocks(space)
            latencies = Latencies(workshop, blocks, study)
            generating = Generating(workshop, blocks, latencies, study, reach.sides)
            recalibration = Recalibration(supernet, workshop.context.task, seed=workshop.context.seed)
            generating.run(lambda arch: _told(recalibration(arch)))
            return {"archs": [arch.key for arch in generating.candidates(count)]}

    return [space.parse(key) for key in records.once(name, make)["archs"]]


def _told(found: Recalibrated) -> tuple[float, float]:
    """Accuracy, and mean probability of the true classes."""
    predictions = found.predictions
    probabilities = predictions.probabilities[np.arange(len(predictions.labels)), predictions.labels]
    return found.accuracy, float(probabilities.mean())


class Training:
    """Fine-tunes networks of a parent, and measures them.

    Args:
        workshop: of the parent.
        study: open for writing; networks are kept beside it.
    """

    def __init__(self, workshop: Workshop, study: Study) -> None:
        self.workshop, self.study = workshop, study

    def generated(self, arch: Arch, title: str) -> Tuned:
        """A generated network, fine-tuned with the adapted parent's answers.

        It begins with the parent's pretrained weights: those of the elastic network know the images better, but have
        forgotten more of what was seen before.
        """
        context, workshop = self.workshop.context, self.workshop
        recipe = context.recipe(context.effort.epochs, workshop.teacher)
        return self._tuned(arch, lambda: workshop.sub_network(arch), recipe, title, "generated")

    def baseline(self, side: int, title: str) -> Tuned:
        """The parent at a resolution, fine-tuned as anybody would."""
        context, workshop = self.workshop.context, self.workshop
        return self._tuned(
            workshop.parent_at(side),
            lambda: workshop.network(side),
            context.recipe(context.effort.epochs),
            title,
            "baseline",
        )

    def latency(self, arch: Arch) -> tuple[float, list[str]]:
        """The latency of an arch in ms, and notes on its measurement.

        It was measured before it was trained, or one like it. What disturbs a measurement only makes it longer, so that
        the shorter one counts.
        """
        context = self.workshop.context
        with self.workshop.scores() as scores:
            before = [row.value for row in scores.find(arch=arch.key, metric=context.limits.metric)]
        latencies = Latencies(self.workshop, Blocks(self.workshop.space), self.study)
        return latencies.of(arch, before), latencies.notes

    def _tuned(self, arch: Arch, build: Callable[[], nn.Module], recipe: Recipe, title: str, by: str) -> Tuned:
        workshop, study, task = self.workshop, self.study, self.workshop.context.task
        proposed = [row.arch for row in study.proposals()]
        if arch.key not in proposed:
            study.add([Proposed(number=len(proposed), batch=0, arch=arch.key, proposed_by=by)])
        folder = study.folder / "networks" / folder_name(arch.key)
        tuned = tune(workshop, arch, build, recipe, folder, title)
        costs = CostEvaluator(workshop.space)
        study.add([*evaluations_of(costs, arch, task, costs.evaluate(arch, task=task)), *tuned.rows(task.name)])
        return tuned
