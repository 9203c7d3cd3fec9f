"""design_networks: from images and limits to trained networks that run without gennas."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from gennas.design import estimate
from gennas.design.chance import wilson
from gennas.design.choosing import handed_over, ranked
from gennas.design.context import Context, Weights, Workshop, file_of
from gennas.design.ensemble import Ensembling
from gennas.design.handing import export_networks
from gennas.design.images import counted, expect_enough, native_side, useful_side
from gennas.design.limits import Limits
from gennas.design.log import NAME, RunLog
from gennas.design.records import Records
from gennas.design.result import FILE, Design, Designed
from gennas.design.settings import EFFORTS, Effort
from gennas.design.stages import Reach, Training, expect_keepable, generated_archs, reach_of
from gennas.design.tuning import Tuned
from gennas.errors import InvalidInputError
from gennas.files import write_json
from gennas.problem import Problem
from gennas.progress import estimate_text
from gennas.search.settings import Storage
from gennas.spaces import Space, get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.studies.folder import read_note
from gennas.studies.study import Study
from gennas.tasks.base import expect_classes, image_shape
from gennas.weights import PUBLISHED, find_weights, read_weights

_LOG = logging.getLogger(__name__)

#: What anybody would fine-tune.
BASELINE = "lite0"


def design_networks(
    problem: Problem,
    n: int = 3,
    *,
    study: Storage | str | Path,
    effort: Effort | str = "standard",
    parents: Sequence[Space | str] = (),
    weights: Weights = "pretrained",
    seed: int = 0,
    ensemble: int | None = None,
) -> Design:
    """Designs networks for a task's images: sub-networks of a pretrained parent, generated under the problem's limits.

    The parent is adapted to the images at full resolution; an elastic network of all its sub-networks learns from it;
    some are scored with the weights that they inherit, and the best are generated from that, fine-tuned with the
    parent's answers, and measured. Beside them stands, as a row of the answer, what anybody would do without gennas:
    the parent, and EfficientNet-Lite0, fine-tuned at the largest resolution that keeps the limits. The best ``n`` by
    validation accuracy are handed over, whichever they are. Interrupted at any time, the same call resumes.

    Args:
        problem: its space is elastic, e.g. ``lite0``; its task has images, of any size: they are read at the size that
            is of use; its bounds are on ``latency_ms`` of this machine, ``params_m``, ``macs_m`` and ``size_mb``. The
            objective is accuracy.
        n: networks that are handed over.
        study: run folder.
        effort: how much work goes into it.
        parents: elastic spaces, in place of those of the effort.
        weights: that parents start from: the published ones, where their package is installed, or those of a file or a
            folder; random ones are for trying out, as they take far more images and epochs.
        seed: of all randomness.
        ensemble: so many networks, which keep the limits together, are chosen to be handed over as one, too: their
            mean. It takes about as long again.

    Raises:
        InfeasibleError: no network keeps a limit on costs, or all limits together.
        InvalidInputError: a latency that nothing keeps, a limit of another kind, too few images, a task without images,
            a space without a parent, or weights of another one; an ensemble of fewer than two networks, or of more than
            keep their share of the limits.
        DataMissingError: pretrained weights are not on this machine, or the task's images are not.
        UnknownNameError: no such effort or space.
        StudyError: the folder belongs to other settings or something else, or another process is writing to it.
    """
    start = time.monotonic()
    effort, limits = Effort.of(effort), Limits.of(problem)
    if n < 1:
        raise InvalidInputError(f"is {n}; must be at least 1.", argument="n")
    if ensemble is not None and ensemble < 2:
        raise InvalidInputError(f"is {ensemble}; an ensemble has at least 2 networks.", argument="ensemble")
    image_shape(problem.task, "a design")
    storage = Storage.of(study)
    if storage.folder is None:
        raise InvalidInputError("study is None; give a run folder, where networks are kept.")
    expect_classes(
        problem.task,
        "a design",
        "use gennas search on space lite0, whose networks begin with pretrained weights, and gennas export.",
    )
    spaces = _spaces(problem.space, effort, parents)
    baselines = _baselines(spaces, weights)
    largest = min(effort.pixels, max(space.parent.resolution for space in spaces))
    with RunLog() as log, ExitStack() as stack:
        common = [side for side in spaces[0].resolutions if all(side in space.resolutions for space in baselines)]
        task = problem.task.resized(useful_side(native_side(problem.task), common, largest))
        splits = task.splits()
        expect_enough(task, splits)
        given = file_of(weights)
        checksum = "" if given is None else find_weights(spaces[0].name, given).sha256[:12]
        context = Context(storage.folder, task, limits, effort, seed, weights, checksum)
        shops = {space.name: Workshop(space, storage.folder / "parents" / space.name, context) for space in baselines}
        if read_note(storage.folder) is None:
            for space in spaces:
                expect_keepable(shops[space.name])
        first = stack.enter_context(
            storage.open(context.config(spaces[0], "networks"), [problem.task.resized(context.pixels)])
        )
        log.write_to(storage.folder / NAME)
        _LOG.info("%s", counted(task, splits, str(storage.folder / NAME)))
        run = _Run(context, n, first, stack, [shops[space.name] for space in spaces], list(shops.values()), ensemble)
        run.announce()
        entries = run.trained()
        entries = handed_over(ranked(entries), n)
        _LOG.info("[5/5] writing networks")
        export_networks(entries, {space.name: space for space in baselines}, context)
        notes = run.notes(entries)
        write_json(storage.folder / FILE, {"networks": [entry.facts() for entry in entries], "notes": notes})
    seconds = time.monotonic() - start
    return Design(tuple(entries), storage.folder, tuple(notes), seconds, task)


def _spaces(space: Space, effort: Effort, parents: Sequence[Space | str]) -> list[ElasticSpace]:
    """The spaces whose parents are adapted."""
    named: Sequence[Space | str] = parents or (effort.parents if space.name in effort.parents else (space,))
    found = [space if one == space.name else get_space(one) if isinstance(one, str) else one for one in named]
    elastic = [one for one in found if isinstance(one, ElasticSpace)]
    if other := [one.name for one in found if not isinstance(one, ElasticSpace)]:
        raise InvalidInputError(
            f"is {other[0]!r}, a space without a parent; expected {', '.join(PUBLISHED)}, or an ElasticSpace of yours.",
            argument="parents" if parents else "space",
        )
    return list({one.name: one for one in elastic}.values())


def _baselines(spaces: Sequence[ElasticSpace], weights: Weights) -> list[ElasticSpace]:
    """The spaces of all networks that are fine-tuned, those whose parents are adapted first.

    Raises:
        DataMissingError: weights are not on this machine; says how to install them.
        InvalidInputError: they are those of another parent.
    """
    found = list(spaces)
    if weights == "random":
        return found
    for space in spaces:
        read_weights(space.name, file_of(weights))
    known = {space.name for space in spaces}
    if weights == "pretrained" and BASELINE not in known and known <= set(PUBLISHED):
        read_weights(BASELINE)
        baseline = get_space(BASELINE)
        assert isinstance(baseline, ElasticSpace)
        found.append(baseline)
    return found


class _Run:
    """The stages of a design after its images were read."""

    def __init__(
        self,
        context: Context,
        n: int,
        study: Study,
        stack: ExitStack,
        parents: Sequence[Workshop],
        baselines: Sequence[Workshop],
        ensemble: int | None,
    ) -> None:
        self.context, self.n, self.study, self.stack = context, n, study, stack
        self.parents, self.baselines = parents, baselines
        self.records = Records(context.folder)
        self.reaches: dict[str, Reach] = {}
        self.said: list[str] = []
        self.ensembling = None if ensemble is None else Ensembling(ensemble, parents, context)

    def announce(self) -> None:
        """Says how long it will take, and how much memory; of a run that is resumed, that it takes no longer."""
        effort, context = self.context.effort, self.context
        count = len(self.parents), len(self.baselines)

        def make() -> dict[str, object]:
            pace = estimate.pace_of(self.parents[0])
            side = pace.largest_within(self.parents[0].resolutions, context.limits.most_ms)

            def seconds(effort: Effort) -> float:
                own = estimate.seconds_of(pace, replace(context, effort=effort), side, *count)
                return own + (0.0 if self.ensembling is None else self.ensembling.seconds(pace, effort))

            found = {name: seconds(one) for name, one in {"": effort, **EFFORTS}.items()}
            memory = estimate.gigabytes_of(pace, context, side)
            return {"seconds": found, "gigabytes": memory, "pace": estimate.facts_of(pace)}

        name = "estimate" if self.ensembling is None else "estimate_ensemble"
        is_resumed = self.records.find(name) is not None
        found = self.records.once(name, make)
        seconds, quick = found["seconds"], ""
        # The effort of a run cannot be changed once it has begun.
        if not is_resumed and effort != EFFORTS["quick"] and seconds["quick"] <= 0.8 * seconds[""]:
            quick = f" (`effort` quick: {estimate_text(seconds['quick'])})"
        target = context.limits.target
        threads = f"{target.threads} thread{'s' * (target.threads > 1)}"
        where = f"{target.runtime}, {threads}" if target.device == "cpu" else target.name
        _LOG.info(
            "this machine: %s; %s %s, %.1f GB%s",
            where, "at most" if is_resumed else "about", estimate_text(seconds[""]), found["gigabytes"],
            ", as some of it is done" if is_resumed else quick,
        )  # fmt: skip

    def trained(self) -> list[Designed]:
        """All networks, generated and baselines."""
        for shop in self.baselines:
            self.reaches[shop.space.name] = reach_of(shop)
        if self.ensembling is not None:
            self.ensembling.expect_reachable()
        effort, found = self.context.effort, list[Designed]()
        count = -(-max(effort.trained, self.n) // len(self.parents))
        chosen = {
            shop.space.name: generated_archs(shop, self.reaches[shop.space.name], count, self._say)
            for shop in self.parents
        }
        if self.ensembling is not None:
            self.ensembling.generate()
        total = sum(map(len, chosen.values()))
        self._say(4, f"training {total} networks, and what they are compared with")
        number = 0
        jobs: list[tuple[Training, Tuned, str, str]] = []
        for shop in self.parents:
            training = Training(shop, self._study(shop, "generated"))
            for arch in chosen[shop.space.name]:
                number += 1
                jobs.append((training, training.generated(arch, f"  {number}/{total} {arch.key}"), "generated", ""))
        for shop in self.baselines:
            side = self.reaches[shop.space.name].side
            if side is None:
                self.said.append(f"{shop.title} keeps the limits at no resolution, so there is nothing to compare with")
                continue
            training = Training(shop, self._study(shop, "baseline"))
            jobs.append((training, training.baseline(side, f"  {shop.title} at {side} pixels"), "baseline", shop.short))
        ensemble = []
        if self.ensembling is not None:
            ensemble = [self.ensembling.trained(lambda shop: self._study(shop, "generated"))]
        self._say(5, "measuring")
        for training, tuned, kind, name in jobs:
            found.append(self._entry(training, tuned, kind, name))
        generated = ranked([one for one in found if one.kind == "generated"])
        return [
            *(replace(one, name=f"generated {place}") for place, one in enumerate(generated, start=1)),
            *ensemble,
            *(one for one in found if one.kind == "baseline"),
        ]

    def _entry(self, training: Training, tuned: Tuned, kind: str, name: str) -> Designed:
        context, shop = self.context, training.workshop
        latency, notes = training.latency(tuned.arch)
        self.said += [note for note in notes if note not in self.said]
        costs = shop.costs(tuned.arch)
        test = tuned.metrics.get(f"test_{context.accuracy}")
        splits = context.task.splits()
        return Designed(
            name,
            kind,  # type: ignore[arg-type]
            tuned.arch,
            tuned.metrics[context.accuracy],
            test,
            None if test is None or splits.test is None else wilson(test, len(splits.test)),
            latency,
            shop.space.resolution(tuned.arch),
            costs,
            context.limits.keeps(costs | {context.limits.metric: latency}),
            tuned.folder,
        )

    def notes(self, entries: Sequence[Designed]) -> list[str]:
        """What the user should know."""
        notes = list(dict.fromkeys([*(note for reach in self.reaches.values() for note in reach.notes), *self.said]))
        kept = sum(entry.handed_over is not None for entry in entries)
        if kept < self.n:
            notes.append(f"{kept} of {self.n} networks that were asked for keep the limits")
        if entries and entries[0].kind == "baseline" and entries[0].handed_over == 1:
            notes.append(
                f"{entries[0].name} itself is best on the validation images, and is handed over; more effort may find "
                "better ones"
            )
        return notes

    def _study(self, shop: Workshop, part: str) -> Study:
        """Of the networks of a parent: the run's own for those that the first one generated."""
        if part == "generated" and shop is self.parents[0]:
            return self.study
        return self.stack.enter_context(Study.open(shop.folder / part, shop.context.config(shop.space, part)))

    def _say(self, stage: int, text: str) -> None:
        _LOG.info("[%d/5] %s", stage, text)
