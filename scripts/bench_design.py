"""`gennas design` against what a user would do instead, at equal latency on this machine.

    GENNAS_DATA=... python scripts/bench_design.py run --out runs/design --tasks flowers12,cifar5-a --seeds 0,1,2
    python scripts/bench_design.py page --out runs/design

For each task, seed and limit (the latency of EfficientNet-Lite0 at some resolutions) it fine-tunes:

* what `gennas.design_networks` generates, and EfficientNet-Lite0 at the largest resolution within the limit (a),
* Lite0 cut alike in all blocks, at the largest resolution within the limit (b): narrower, shallower, and both,
* random sub-networks of Lite0 within the limit, as many as are generated, trained as these are (c),
* a NAS-Bench-201 cell from scratch (d): the residual block of ResNet, in the largest skeleton within the limit,
* and where asked, `--ensemble 3` of the same design: three small networks that keep the limit together.

All of one task and seed share training, validation and test images, and the epochs. What is compared is the test
accuracy of the network with the best validation accuracy of each kind; test images are all that the sets have. Every
training is kept; a repeated command resumes.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine
from PIL import Image
from scipy.stats import t as student

from gennas.arch import Arch
from gennas.design.blocks import Blocks
from gennas.design.context import Context, Workshop
from gennas.design.latencies import Latencies
from gennas.design.limits import Limits
from gennas.design.records import Records
from gennas.design.result import Design
from gennas.design.run import design_networks
from gennas.design.settings import EFFORTS
from gennas.design.tuning import tune
from gennas.documents import read_json
from gennas.errors import DataMissingError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.train import TrainEvaluator, silent
from gennas.files import write_text
from gennas.hardware.target import HardwareTarget
from gennas.metrics import Constraint
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.studies.study import Study
from gennas.supernets.paths import arch_of
from gennas.tables.base import data_file, how_to_get
from gennas.tasks import Split, Splits, Task, get_task
from gennas.tasks.base import ImageSource, balanced, stratified
from gennas.training.network_files import FACTS, MODEL, folder_name
from gennas.training.recipe import RECIPES

_LOG = logging.getLogger("bench_design")

CIFAR = (("cifar10/train_a.npz", "cifar10/train_b.npz"), ("cifar10/test.npz",))
#: Classes of the tasks, and training images of each.
SUBSETS: dict[str, tuple[tuple[int, ...], int | None]] = {
    "flowers12": (tuple(range(12)), None),
    "flowers4-a": ((0, 3, 6, 9), 20),
    "flowers4-b": ((1, 4, 7, 10), 20),
    "cifar5-a": ((0, 1, 2, 3, 4), 100),
    "cifar5-b": ((5, 6, 7, 8, 9), 100),
}


@dataclass(frozen=True)
class Packed(ImageSource):
    """JPEG images in ``.npz`` files, some classes of them; some training images of each class.

    Attributes:
        files: training files and test files, in the folder ``GENNAS_DATA``.
        prefixes: of the arrays' names in training and test files.
        labels: of the classes.
        per_class: training images of every class, a fifth of which validate; all by default.
        side: that images are decoded at.
    """

    files: tuple[tuple[str, ...], tuple[str, ...]]
    prefixes: tuple[str, str]
    labels: tuple[int, ...]
    per_class: int | None
    side: int

    def read(self, seed: int) -> Splits:
        found = self._split(0)
        if self.per_class is not None:
            found = found.take(np.sort(balanced(found.labels, self.per_class * len(self.labels), seed)))
        val, train = stratified(found.labels, (0.2,), seed)
        return Splits(found.take(train), found.take(val), self._split(1))

    def _split(self, which: int) -> Split:
        images, labels = [], []
        for name in self.files[which]:
            path = data_file(name)
            if path is None:
                raise DataMissingError(how_to_get(name))
            with np.load(path) as file:
                prefix = self.prefixes[which]
                packed, offsets, own = (file[f"{prefix}{part}"] for part in ("jpeg", "offsets", "labels"))
            for row in np.flatnonzero(np.isin(own, self.labels)).tolist():
                with Image.open(BytesIO(packed[offsets[row] : offsets[row + 1]].tobytes())) as image:
                    resized = image.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR)
                images.append(np.asarray(resized).transpose(2, 0, 1))
                labels.append(self.labels.index(int(own[row])))
        return Split(np.stack(images), np.array(labels, np.int64))


def task_of(name: str) -> Task:
    """A task of the benchmark: ``digits``, ``flowers12``, ``flowers4-a``, ``cifar5-b`` and so on."""
    if name == "digits":
        return get_task("digits")
    labels, per_class = SUBSETS[name]
    if name.startswith("flowers"):
        files: tuple[tuple[str, ...], tuple[str, ...]] = (("photos/flowers12.npz",), ("photos/flowers12.npz",))
        source = Packed(files, ("train_", "test_"), labels, per_class, 224)
    else:
        source = Packed(CIFAR, ("", ""), labels, per_class, 32)
    return Task(name, (3, source.side, source.side), len(labels), tuple(map(str, labels)), source)


@dataclass(frozen=True)
class Cut:
    """What uniform scaling leaves of the parent: all blocks alike.

    Attributes:
        expansion: of all blocks.
        fewer: blocks that each stage has less, but for the first of each.
    """

    expansion: int
    fewer: int

    def arch(self, space: ElasticSpace, side: int) -> Arch:
        """The arch at a resolution."""
        options = []
        for decision in space.layout.decisions:
            most = max(map(int, decision.choice.options))
            wanted = {"resolution": side, "expansion": min(self.expansion, most)}.get(decision.choice.name, most)
            if decision.is_depth:
                wanted = max(most - self.fewer, 1)
            options.append(decision.choice.options.index(wanted))
        return arch_of(space, options)


#: The cell of NAS-Bench-201 that is ResNet's block; skeletons and image sizes, the largest first; and its recipe.
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
SKELETONS = tuple(
    (f"channels={width},cells={cells}", side) for side in (64, 32) for width in (16, 8) for cells in (5, 3, 1)
)
SCRATCH = replace(RECIPES["standard"], augmentation="flip+crop")
#: Narrower, shallower, and both.
CUTS = (Cut(4, 0), Cut(3, 0), Cut(6, 1), Cut(4, 1))


def limit_of(folder: Path, space: ElasticSpace, side: int) -> float:
    """The latency of Lite0 at a resolution with 12 classes, in ms; measured once for all contests."""

    def measure() -> dict[str, float]:
        target = HardwareTarget.parse("cpu")
        assert target is not None
        evaluator = LatencyEvaluator(space, [target], LatencySpec(seconds=2.0))
        arch = space.parent_arch(side)
        values = [evaluator.evaluate(arch, task=Task("any", (3, side, side), 12))["latency_ms@cpu"] for _ in range(3)]
        return {"ms": min(values)}

    return float(Records(folder / "limits").once(f"lite0_at{side}", measure)["ms"])


@dataclass(frozen=True)
class Seeded(ImageSource):
    """Images of another source with a seed of its own: another split, and other training images.

    Attributes:
        source: reads them.
        seed: of the split.
    """

    source: ImageSource
    seed: int

    def read(self, seed: int) -> Splits:
        return self.source.read(self.seed)

    @classmethod
    def of(cls, task: Task, seed: int) -> Task:
        """The task with that seed."""
        assert task.source is not None
        return replace(task, source=cls(task.source, seed))


def _rows_of(part: Callable[[], Iterable[Row]]) -> dict[str, object]:
    """As a record keeps them."""
    return {"rows": [vars(row) for row in part()]}


#: In the order of the page.
KINDS = ("generated", "lite0", "scaled", "random", "cell", "ensemble")
#: Networks of an ensemble.
MEMBERS = 3


@dataclass
class Row:
    """A fine-tuned network.

    Attributes:
        task: it is for.
        seed: of everything.
        at: the limit is the latency of Lite0 at this resolution.
        limit_ms: the limit.
        kind: one of :data:`KINDS`.
        key: of the arch.
        validation: accuracy, by which one of a kind is chosen.
        test: accuracy.
        latency_ms: measured.
        seconds: of its training.
    """

    task: str
    seed: int
    at: int
    limit_ms: float
    kind: str
    key: str
    validation: float
    test: float
    latency_ms: float
    seconds: float


class Contest:
    """All that is fine-tuned for one task and seed at one limit.

    Args:
        task: its name.
        seed: of everything.
        at: the limit is the latency of Lite0 at this resolution.
        effort: of the design.
        folder: of all contests.
    """

    def __init__(self, task: str, seed: int, at: int, effort: str, folder: Path) -> None:
        self.name, self.seed, self.at = task, seed, at
        self.task, self.effort = Seeded.of(task_of(task), seed), EFFORTS[effort]
        self.space = cast(ElasticSpace, get_space("lite0"))
        self.folder = folder / task / f"seed{seed}" / f"at{at}"
        self.limit = limit_of(folder, self.space, at)
        self.records = Records(self.folder)

    def run(self, kinds: Sequence[str]) -> list[Row]:
        """Fine-tunes what is missing of some kinds, and returns all of these."""
        found: list[Row] = []
        parts: dict[str, Callable[[], Iterable[Row]]] = {
            "designed": self._designed,
            "scaled": self._scaled,
            "random": self._random,
            "cell": self._cell,
            "ensemble": self._ensemble,
        }
        for name, part in parts.items():
            if name in ("designed", *kinds):
                rows = self.records.once(f"rows_{name}", partial(_rows_of, part))
                found += [Row(**row) for row in rows["rows"]]
        return found

    @property
    def _problem(self) -> Problem:
        where = (Constraint.parse(f"latency_ms@cpu <= {self.limit:.6g}"),)
        return Problem(self.space, self.task, hardware="cpu", where=where)

    def _designed(self) -> Iterator[Row]:
        start = time.perf_counter()
        self._share()
        for entry in self._design():
            if entry.kind == "generated" or entry.name == "Lite0":
                kind = "generated" if entry.kind == "generated" else "lite0"
                yield self._row(kind, entry.arch, entry.accuracy, entry.test, entry.latency_ms, 0.0)
        _LOG.info("%s: design in %.0f s", self.folder, time.perf_counter() - start)

    def _design(self, ensemble: int | None = None) -> Design:
        folder = self.folder / "design"
        return design_networks(self._problem, 1, study=folder, effort=self.effort, seed=self.seed, ensemble=ensemble)

    def _ensemble(self) -> Iterator[Row]:
        """Nothing where its networks, measured as one, break the limit."""
        for entry in self._design(MEMBERS):
            if entry.kind == "ensemble" and entry.keeps:
                yield self._row("ensemble", entry.arch, entry.accuracy, entry.test, entry.latency_ms, 0.0)

    def _scaled(self) -> Iterator[Row]:
        with self._others() as (shop, latencies):
            for cut in CUTS:
                if (arch := self._largest(cut, latencies)) is not None:
                    yield self._fine_tuned("scaled", arch, shop, latencies)

    def _random(self) -> Iterator[Row]:
        """As many as were generated, with the same teacher."""
        rows = self.records.find("rows_designed")
        assert rows is not None
        count = sum(row["kind"] == "generated" for row in rows["rows"])
        with self._others() as (shop, latencies):
            for arch in self._drawn(count, latencies):
                yield self._fine_tuned("random", arch, shop, latencies, shop.teacher)

    @contextmanager
    def _others(self) -> Iterator[tuple[Workshop, Latencies]]:
        """What other networks than those of the design are made with."""
        folder = self.folder / "design" / "parents" / self.space.name
        side = read_json(folder / "teacher" / FACTS)["input_shape"][1]
        shop = Workshop(self.space, folder, self._context(side))
        with Study.open(self.folder / "others", shop.context.config(self.space, "others")) as study:
            yield shop, Latencies(shop, Blocks(self.space), study)

    def _fine_tuned(
        self, kind: str, arch: Arch, shop: Workshop, latencies: Latencies, teacher: Path | None = None
    ) -> Row:
        recipe, metric = shop.context.recipe(self.effort.epochs, teacher), shop.context.accuracy
        folder = self.folder / "others" / "networks" / folder_name(f"{arch.key} {recipe.hash}")
        tuned = tune(shop, arch, lambda: shop.sub_network(arch), recipe, folder, arch.key)
        values = (tuned.metrics[metric], tuned.metrics[f"test_{metric}"])
        return self._row(kind, arch, *values, latencies.of(arch), tuned.seconds)

    def _cell(self) -> Iterator[Row]:
        """A cell from scratch, for as many epochs as its recipe has, or more where images are few."""
        target = HardwareTarget.parse("cpu")
        assert target is not None
        for skeleton, side in SKELETONS:
            space, task = get_space("nasbench201", skeleton), self.task.resized(side)
            arch = space.parse(CELL)
            latency = LatencyEvaluator(space, [target], LatencySpec()).evaluate(arch, task=task)["latency_ms@cpu"]
            if latency > self.limit:
                continue
            epochs = round(SCRATCH.epochs * max(400 / len(task.splits().train), 1))
            recipe = replace(SCRATCH, epochs=epochs, seed=self.seed)
            trained = TrainEvaluator(space, recipe, self.folder / "cell", silent).train(arch, task=task)
            metric = f"accuracy@{task.name}"
            values = (trained.metrics[metric], trained.metrics[f"test_{metric}"])
            yield self._row("cell", arch, *values, latency, trained.seconds)
            return

    def _share(self) -> None:
        """The adapted parent is the same for all limits of a task and seed; it is made once."""
        mine = self.folder / "design" / "parents" / self.space.name / "teacher"
        for other in sorted(self.folder.parent.glob(f"at*/design/parents/{self.space.name}/teacher")):
            if not mine.exists() and (other / MODEL).is_file():
                context = self._context(read_json(other / FACTS)["input_shape"][1])
                # A folder without a study's settings that holds something is nobody's to write to.
                Study.open(context.folder, context.config(self.space, "networks")).close()
                shutil.copytree(other, mine)

    def _context(self, side: int) -> Context:
        task, limits = self.task.resized(side), Limits.of(self._problem)
        return Context(self.folder / "design", task, limits, self.effort, self.seed, "pretrained")

    def _largest(self, cut: Cut, latencies: Latencies) -> Arch | None:
        """A cut of the parent at the largest resolution within the limit."""
        found = None
        for side in self.space.resolutions:
            arch = cut.arch(self.space, side)
            if latencies.of(arch) > 1.3 * self.limit:
                break
            found = arch if latencies.of(arch) <= self.limit else found
        return found

    def _drawn(self, count: int, latencies: Latencies) -> list[Arch]:
        """Uniform archs whose latency is 80 to 100 % of the limit."""
        rng, found, blocks = np.random.default_rng(self.seed), list[Arch](), Blocks(self.space)
        model = latencies.model()
        for _ in range(20_000):
            arch = blocks.at(self.space.sample(rng), int(rng.choice(self.space.resolutions)))
            expected = float(model(self.space.arrays([arch])[0])[0])
            if not 0.7 * self.limit <= expected <= 1.1 * self.limit:
                continue
            if 0.8 * self.limit <= latencies.of(arch) <= self.limit:
                found.append(arch)
            if len(found) == count:
                break
        return found

    def _row(
        self, kind: str, arch: Arch, validation: float, test: float | None, latency: float | None, seconds: float
    ) -> Row:
        assert test is not None
        assert latency is not None
        return Row(self.name, self.seed, self.at, self.limit, kind, arch.key, validation, test, latency, seconds)


def run(
    out: Path,
    tasks: tuple[str, ...] = ("flowers12", "flowers4-a", "flowers4-b", "cifar5-a", "cifar5-b", "digits"),
    seeds: tuple[int, ...] = (0, 1, 2),
    at: tuple[int, ...] = (48, 80, 128),
    effort: str = "standard",
    kinds: tuple[str, ...] = KINDS,
) -> None:
    """Fine-tunes all that is missing.

    Args:
        out: folder of all trainings.
        tasks: names.
        seeds: of the splits, the images that are trained on, and all else.
        at: limits: latencies of Lite0 at these resolutions.
        effort: of the design.
        kinds: of networks; a design has the first two in any case.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    for seed, task, side in product(seeds, tasks, at):
        rows = Contest(task, seed, side, effort, out).run(kinds)
        _LOG.info("%s seed %d at %d:\n%s", task, seed, side, pd.DataFrame(map(vars, rows)).to_string())


def _compared(table: pd.DataFrame, kind: str) -> str:
    """A line on the test accuracies of generated networks less those of another kind."""
    difference = (table["generated"] - table[kind]).dropna()
    values = difference.to_numpy(dtype=float)
    count, mean = len(values), float(values.mean())
    interval = "-"
    if count > 1:
        half = float(student.ppf(0.975, count - 1) * values.std(ddof=1) / count**0.5)
        interval = f"{mean - half:+.4f} to {mean + half:+.4f}"
    tasks = difference.groupby("task").mean()
    return (
        f"| {kind} | {mean:+.4f} ({count} pair{'s' * (count > 1)}) | {interval} | "
        f"{float(tasks.min()):+.4f} ({tasks.idxmin()}) |"
    )


def page(out: Path, write: Path | None = None, remark: str = "") -> None:
    """Prints the comparison of all that was fine-tuned, as Markdown.

    Args:
        out: folder of all trainings.
        write: file that receives it, too. Beside it lies one of the same name with all rows; those of contests that the
            folder does not have are kept.
        remark: a sentence on how it was measured, to be added.
    """
    rows = [
        row | {"machine": machine()}
        for path in sorted(out.glob("*/seed*/at*/rows_*.json"))
        for row in read_json(path)["rows"]
    ]
    frame, contest = pd.DataFrame(rows), ["task", "seed", "at"]
    if write is not None:
        kept = write.with_suffix(".csv")
        if kept.is_file():
            before = pd.read_csv(kept)
            if rows:
                known, own = (pd.MultiIndex.from_frame(one[contest]) for one in (before, frame))
                before = before[~known.isin(own)]
            frame = pd.concat([before, frame])
        frame = frame.sort_values([*contest, "kind", "key"], ignore_index=True)
        write_text(kept, frame.to_csv(index=False))
    best = frame.sort_values("validation", kind="stable").groupby([*contest, "kind"], as_index=False).last()
    table, times = (best.pivot(index=contest, columns="kind", values=name) for name in ("test", "latency_ms"))
    titles = ("generated", "Lite0 (a)", "scaled (b)", "random (c)", "cell (d)", f"ensemble of {MEMBERS}")
    heads = ("task", "limit, ms", "seeds", *titles)
    lines = [HEAD, f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for (task, side), part in table.groupby(["task", "at"]):
        limit = frame[(frame["at"] == side) & (frame["task"] == task)]["limit_ms"].mean()
        shown = []
        for kind in KINDS:
            values = part[kind].dropna() if kind in part else pd.Series(dtype=float)
            spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
            time_ms = f" ({times.loc[values.index, kind].mean():.2f} ms)" if len(values) else ""
            shown.append(f"{values.mean():.3f}{spread}{time_ms}" if len(values) else "")
        lines.append(f"| {task} | {limit:.2f} | {len(part)} | {' | '.join(shown)} |")
    compared = ("generated less", "mean of paired differences", "95 % interval", "least mean of a task")
    lines += ["", f"| {' | '.join(compared)} |", "| --- " * len(compared) + "|"]
    lines += [_compared(table, kind) for kind in KINDS[1:] if kind in table]
    machines = "; ".join(frame["machine"].unique())
    text = "\n".join([*lines, "", f"One thread of {machines}. {remark}".strip()]) + "\n"
    print(text)
    if write is not None:
        write_text(write, text)


#: What the page says of itself.
HEAD = """# Designs against what you would do instead

Written by `scripts/bench_design.py`; do not edit.

Test accuracy of the network with the best validation accuracy of each kind, and its latency; all keep the same limit.
*Generated* are the sub-networks that `gennas design` found and trained, without its baseline row; *Lite0* is the parent
at the largest resolution within the limit; *scaled* the best of four uniform cuts of it, each at its largest
resolution; *random* the best of as many random sub-networks as were generated, trained as these are, with the same
teacher; *cell* a cell of NAS-Bench-201 from scratch; *ensemble* the mean of three generated networks that keep the
limit together (`--ensemble 3`), where it keeps it as a whole. All have the same images and, but for the cell, epochs.
Tasks are twelve species of flowers (720 photos), four of them with 20 photos each, and five classes of CIFAR-10 with
100 images each; a fifth of the images validates, and test images are all that the sets have.
"""


if __name__ == "__main__":
    auto_cli([run, page], as_positional=False)
