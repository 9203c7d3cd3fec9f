"""Ensembles: small networks that keep the limits together, chosen so that their mean is best, as one network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np

from gennas.arch import Arch
from gennas.design.blocks import Blocks
from gennas.design.chance import wilson
from gennas.design.context import Context, Workshop
from gennas.design.estimate import Pace, seconds_of
from gennas.design.latencies import SECONDS, Latencies, predicted
from gennas.design.records import Records
from gennas.design.result import Designed
from gennas.design.settings import Effort
from gennas.design.stages import Reach, Training, generated_archs, reach_of
from gennas.design.tuning import Tuned
from gennas.documents import read_json
from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.timing import time_network
from gennas.export.ensemble import KeptEnsemble, MeanOfNetworks, ensemble_facts
from gennas.export.trained import KeptNetwork
from gennas.files import write_json, write_parquet
from gennas.studies.study import Study
from gennas.tasks.base import image_shape
from gennas.training.batches import Normalisation
from gennas.training.network_files import FACTS, PREDICTIONS, folder_name
from gennas.training.quality import predict, predictions_frame

_LOG = logging.getLogger(__name__)

#: Of a run folder: what was measured of ensembles.
FOLDER = "ensembles"
#: Networks that are trained beyond those of an ensemble, so that there is a choice.
SPARE = 2
#: Least share of the latency that resizing images, the mean, and weights that are out of the cache take.
OVERHEAD = 0.03
#: Weight of the diversity of probabilities, beside the mean log-probability of the right classes.
DIVERSITY = 0.1


def chosen(probabilities: np.ndarray, labels: np.ndarray, count: int) -> list[int]:
    """The members of an ensemble, one after the other: each makes the mean of those chosen so far best.

    What counts is the accuracy of the mean; on few images it is often equal, and then the mean log-probability of the
    right classes, and how much a member's probabilities differ from those of the others. Caruana et al., "Ensemble
    Selection from Libraries of Models", ICML 2004; the diversity is that of Chen et al., "One-Shot Neural Ensemble
    Architecture Search by Diversity-Guided Search Space Shrinking", CVPR 2021, https://arxiv.org/abs/2104.00597, with
    probabilities in place of features.

    Args:
        probabilities: ``(networks, n, classes)`` on validation images.
        labels: ``(n,)`` true classes.
        count: of members, at most the number of networks.
    """
    found: list[int] = []
    rows = np.arange(len(labels))

    def merit(candidate: int) -> tuple[float, float]:
        mean = probabilities[[*found, candidate]].mean(0)
        likelihood = np.log(np.maximum(mean[rows, labels], 1e-9)).mean()
        apart = [diversity(probabilities[candidate], probabilities[other]) for other in found]
        return float((mean.argmax(1) == labels).mean()), float(likelihood + DIVERSITY * np.mean(apart or [0.0]))

    while len(found) < count:
        found.append(max((one for one in range(len(probabilities)) if one not in found), key=merit))
    return found


def diversity(first: np.ndarray, second: np.ndarray) -> float:
    """How much the probabilities ``(n, classes)`` of two networks differ: 0 where they are equal, at most 1."""
    return float(np.abs(first - second).sum(1).mean() / 2)


class Ensembling:
    """Designs the networks of an ensemble, each within its share of the limits, and makes one network of the best.

    Args:
        count: of members.
        shops: of the parents.
        context: of the run.

    Raises:
        InvalidInputError: parents take images with different normalisations.
    """

    def __init__(self, count: int, shops: Sequence[Workshop], context: Context) -> None:
        self.count, self.context, self.parents = count, context, shops
        self.shops = self._members(OVERHEAD)
        self._reaches: list[Reach] = []
        self._archs: list[list[Arch]] = []
        if len({str(shop.space.normalisation) for shop in shops}) > 1:
            raise InvalidInputError(
                "take images with different normalisations, of which an ensemble cannot be made; give one of them.",
                argument="parents",
            )

    def seconds(self, pace: Pace, effort: Effort) -> float:
        """What it adds to a design, in seconds."""
        context = replace(self.shops[0].context, effort=effort)
        side = pace.largest_within(self.shops[0].resolutions, context.limits.most_ms)
        own = replace(context, effort=replace(effort, trained=max(effort.trained, self.count + SPARE)))
        return seconds_of(pace, own, side, len(self.shops), 0, adapts=False)

    def _members(self, overhead: float) -> list[Workshop]:
        """The workshops of members, each of which has a share of the limits."""
        own = replace(self.context, limits=self.context.limits.divided(self.count, overhead))
        return [
            replace(shop, folder=shop.folder / f"members{self.count}", context=own, adapted=shop.teacher)
            for shop in self.parents
        ]

    def _overhead(self) -> float:
        """The share of the limit that networks do not have which run in turns: they push each other's weights out of
        the processor's cache. Measured with untrained parents of about a member's latency."""
        context, shop = self.context, self.parents[0]

        def make() -> dict[str, object]:
            with shop.scores() as study:
                model = Latencies(shop, Blocks(shop.space), study).model()
            sides = shop.resolutions
            expected = predicted(model, shop, [shop.parent_at(side) for side in sides])
            fast = [
                side
                for side, value in zip(sides, expected, strict=True)
                if value <= self.shops[0].context.limits.most_ms
            ]
            arch = shop.parent_at(fast[-1] if fast else sides[0])
            task = shop.space.native_task(arch, context.task)
            alone, together = (
                time_network(
                    MeanOfNetworks([shop.space.build(arch, task) for _ in range(count)]).eval(),
                    image_shape(task, "an ensemble"),
                    context.limits.target,
                    LatencySpec(seconds=SECONDS),
                ).median_ms
                for count in (1, self.count)
            )
            return {"arch": arch.key, "alone_ms": alone, "together_ms": together}

        found = Records(context.folder / FOLDER).once(f"overhead_{self.count}", make)
        return max(1 - self.count * float(found["alone_ms"]) / float(found["together_ms"]), OVERHEAD)

    def expect_reachable(self) -> None:
        """Raises InvalidInputError where no network keeps its share of the limits."""
        if self.context.limits.latency:
            self.shops = self._members(self._overhead())
        try:
            self._reaches = [reach_of(shop) for shop in self.shops]
        except InvalidInputError as error:
            raise InvalidInputError(
                f"is {self.count}; each network of it has a share of the limits, and {error} Ask for fewer networks.",
                argument="ensemble",
            ) from error

    def generate(self) -> None:
        """Generates the networks that are to be trained.

        Raises:
            InvalidInputError: fewer keep their share of the limits than are asked for.
        """
        wanted = -(-max(self.context.effort.trained, self.count + SPARE) // len(self.shops))
        self._archs = [
            generated_archs(shop, reach, wanted, self._say)
            for shop, reach in zip(self.shops, self._reaches, strict=True)
        ]
        if (found := sum(map(len, self._archs))) < self.count:
            raise InvalidInputError(
                f"is {self.count}, but only {found} network{'s' * (found != 1)} that differ were found to keep a "
                f"{self.count}th of the limits. Ask for fewer networks, or allow more.",
                argument="ensemble",
            )

    def trained(self, study: Callable[[Workshop], Study]) -> Designed:
        """Trains the networks, chooses among them by validation images, and measures the mean as one network.

        Args:
            study: opens that of a workshop's networks.
        """
        found: list[tuple[Workshop, Tuned]] = []
        total = sum(map(len, self._archs))
        for shop, archs in zip(self.shops, self._archs, strict=True):
            training = Training(shop, study(shop))
            for arch in archs:
                title = f"  for the ensemble: {len(found) + 1}/{total} {arch.key}"
                found.append((shop, training.generated(arch, title)))
        members = self._chosen(found)
        return self._entry(members)

    def _chosen(self, found: Sequence[tuple[Workshop, Tuned]]) -> list[tuple[Workshop, Tuned]]:
        def make() -> dict[str, object]:
            probabilities, labels = [], np.zeros(0, np.int64)
            for shop, tuned in found:
                kept = KeptNetwork.load(tuned.folder, shop.space, tuned.arch, self.context.task)
                split = kept.task.splits().val
                labels = split.labels
                probabilities.append(
                    predict(kept.network, split, Normalisation.of(shop.space, kept.task)).probabilities
                )
            return {"members": [found[row][1].arch.key for row in chosen(np.stack(probabilities), labels, self.count)]}

        by_key = {tuned.arch.key: (shop, tuned) for shop, tuned in found}
        name = f"chosen_{self.count}_of_{len(found)}"
        return [by_key[key] for key in Records(self.context.folder / FOLDER).once(name, make)["members"]]

    def _entry(self, members: Sequence[tuple[Workshop, Tuned]]) -> Designed:
        context = self.context
        kept = [KeptNetwork.load(tuned.folder, shop.space, tuned.arch, context.task) for shop, tuned in members]
        ensemble = KeptEnsemble.of(kept)
        folder = context.folder / FOLDER / folder_name(f"{ensemble.key} {ensemble.facts['recipe_hash']}")
        metrics = _metrics(ensemble, folder)
        latency = self._latency(ensemble, folder)
        costs = [shop.costs(tuned.arch) for shop, tuned in members]
        total = {name: sum(cost[name] for cost in costs) for name in costs[0]}
        test, splits = metrics.get(f"test_{context.accuracy}"), context.task.splits()
        return Designed(
            f"ensemble of {self.count}",
            "ensemble",
            ensemble.arch,
            metrics[context.accuracy],
            test,
            None if test is None or splits.test is None else wilson(test, len(splits.test)),
            latency,
            ensemble.preprocessing.shape[1],
            total,
            context.limits.keeps(total | {context.limits.metric: latency}),
            folder,
            members=tuple((tuned.arch, tuned.folder) for _, tuned in members),
        )

    def _latency(self, ensemble: KeptEnsemble, folder: Path) -> float:
        """Of all members together, with resizing and the mean, in ms."""

        def make() -> dict[str, object]:
            # Timing with torch leaves a network where and in the precision in which it was timed.
            network, target = deepcopy(ensemble.network), self.context.limits.target
            timing = time_network(network, ensemble.preprocessing.shape, target, LatencySpec(seconds=SECONDS))
            return {"ms": timing.median_ms}

        return float(Records(folder).once("latency", make)["ms"])

    def _say(self, stage: int, text: str) -> None:
        # The parent's own stage is done by then.
        if stage > 1:
            _LOG.info("  for the ensemble: %s", text)


def _metrics(ensemble: KeptEnsemble, folder: Path) -> dict[str, float]:
    """What an ensemble reaches on images of its side; its folder keeps the predictions, and last its facts."""
    if (folder / FACTS).is_file():
        return {name: float(value) for name, value in read_json(folder / FACTS)["metrics"].items()}
    task, splits = ensemble.task, ensemble.task.splits()
    normalise = Normalisation.of(ensemble.space, task)
    parts = {"val": splits.val} | ({} if splits.test is None else {"test": splits.test})
    told = {name: predict(ensemble.network, split, normalise) for name, split in parts.items()}
    metrics = {
        f"{'test_' * (name == 'test')}{kind}@{task.name}": value
        for name, one in told.items()
        for kind, value in one.metrics().items()
    }
    write_parquet(predictions_frame(told), folder / PREDICTIONS, {"key": ensemble.key, "task": task.name})
    write_json(folder / FACTS, {**ensemble_facts(ensemble.members), "metrics": metrics})
    return metrics
