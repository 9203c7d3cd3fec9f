"""Sub-networks as prunings of their parent: generated ones against uniform pruning, at equal multiply-adds.

    GENNAS_DATA=... python scripts/bench_pruning.py run --out runs/pruning --tasks [flowers4-a] --seeds [0]
    python scripts/bench_pruning.py page --out runs/pruning

For each task and seed it fine-tunes, at one resolution, EfficientNet-Lite0 and what is left of it at some shares of its
multiply-adds:

* generated: the arch whose cuts destroy least by what cuts destroyed on other images, sought under the bound,
* channels: all blocks with the same expansion, their most important channels first (Li et al., "Pruning Filters for
  Efficient ConvNets", ICLR 2017, https://arxiv.org/abs/1608.08710),
* depth: every stage with the same number of blocks less.

Uniform cuts come in steps: each is the one that is nearest to the share, and the generated arch has no more
multiply-adds than either of them and the share. All start from the pretrained weights and have the same recipe, without
a teacher. Every training is kept; a repeated command resumes. Validation images choose nothing here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from bench_design import Cut, Seeded, task_of
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.design.blocks import Blocks
from gennas.design.context import Context, Workshop
from gennas.design.cuts import CutModel
from gennas.design.limits import Limits
from gennas.design.records import Records
from gennas.design.seeking import Seeking
from gennas.design.settings import EFFORTS
from gennas.design.tuning import tune
from gennas.documents import read_json
from gennas.files import write_text
from gennas.metrics import Constraint
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.training.network_files import folder_name

_LOG = logging.getLogger("bench_pruning")

HEAD = """# Sub-networks as prunings

Written by `scripts/bench_pruning.py`; do not edit.

EfficientNet-Lite0 and what is left of it at a share of its multiply-adds, fine-tuned alike from the pretrained weights,
without a teacher: test accuracies, and in brackets the share. *Generated* is the arch whose cuts destroy least by what
cuts destroyed on other images (`datasets/lite/cuts.parquet`), with no more multiply-adds than the two others:
*channels* has the same expansion in all blocks, the most important channels of each (Li et al., "Pruning Filters for
Efficient ConvNets", ICLR 2017, https://arxiv.org/abs/1608.08710), and *depth* the same number of blocks less in every
stage. Tasks are those of [designs](design.md).
"""

KINDS = ("generated", "channels", "depth")
CHANNELS = tuple(Cut(expansion, 0) for expansion in (2, 3, 4))
DEPTHS = tuple(Cut(6, fewer) for fewer in (1, 2, 3))


@dataclass(frozen=True)
class Row:
    """A fine-tuned network.

    Attributes:
        task: it is for.
        seed: of everything.
        side: of the images, in pixels.
        share: of the parent's multiply-adds; 1 for the parent.
        kind: ``parent``, or one of :data:`KINDS`.
        key: of the arch.
        macs: its share of the parent's multiply-adds.
        params_m: weights in millions.
        validation: accuracy.
        test: accuracy.
        seconds: of its training.
    """

    task: str
    seed: int
    side: int
    share: float
    kind: str
    key: str
    macs: float
    params_m: float
    validation: float
    test: float
    seconds: float


class Pruning:
    """All that is fine-tuned for one task and seed at one resolution.

    Args:
        task: its name.
        seed: of the images and of everything else.
        side: of the images, in pixels.
        effort: says how many epochs.
        folder: of all trainings.
    """

    def __init__(self, task: str, seed: int, side: int, effort: str, folder: Path) -> None:
        self.name, self.seed, self.side = task, seed, side
        self.space = cast(ElasticSpace, get_space("lite0"))
        self.folder = folder / task / f"seed{seed}" / f"at{side}"
        images = Seeded.of(task_of(task), seed).resized(side)
        limits = Limits.of(Problem(self.space, images, hardware="cpu"))
        context = Context(self.folder, images, limits, EFFORTS[effort], seed, "pretrained")
        self.shop = Workshop(self.space, self.folder, context)
        self.whole = self._macs(self.space.parent_arch(side))

    def row(self, share: float, kind: str) -> Row:
        """Fine-tunes what is left at a share of the multiply-adds, unless that is done."""
        name = f"row_{kind}_{round(100 * share)}"
        return Row(**Records(self.folder).once(name, lambda: vars(self._tuned(share, kind))))

    def _tuned(self, share: float, kind: str) -> Row:
        context, shop = self.shop.context, self.shop
        arch = self._arch(share, kind)
        recipe = context.recipe(context.effort.epochs)
        folder = self.folder / "networks" / folder_name(f"{arch.key} {recipe.hash}")
        tuned = tune(
            shop, arch, lambda: shop.sub_network(arch), recipe, folder, f"{self.name} {kind} {share:g}: {arch.key}"
        )
        accuracies = (tuned.metrics[context.accuracy], tuned.metrics[f"test_{context.accuracy}"])
        macs, params = self._macs(arch) / self.whole, shop.costs(arch)["params_m"]
        return Row(self.name, self.seed, self.side, share, kind, arch.key, macs, params, *accuracies, tuned.seconds)

    def _arch(self, share: float, kind: str) -> Arch:
        if kind == "parent":
            return self.space.parent_arch(self.side)
        if kind != "generated":
            return self._uniform(share, CHANNELS if kind == "channels" else DEPTHS)
        uniform = [self._macs(self._uniform(share, cuts)) for cuts in (CHANNELS, DEPTHS)]
        bound = Constraint.parse(f"macs_m <= {min(share * self.whole, *uniform):.6f}")
        blocks = Blocks(self.space)
        seeking = Seeking(blocks, self.shop.context.task, (bound,), (self.side,))
        found = seeking.best(
            CutModel(blocks).cuts, 1, latency=None, most_ms=float("inf"), resolution=self.side, seed=self.seed
        )
        return found[0]

    def _uniform(self, share: float, cuts: tuple[Cut, ...]) -> Arch:
        archs = [cut.arch(self.space, self.side) for cut in cuts]
        return min(archs, key=lambda arch: abs(self._macs(arch) / self.whole - share))

    def _macs(self, arch: Arch) -> float:
        return self.shop.costs(arch)["macs_m"]


def run(
    out: Path,
    tasks: tuple[str, ...] = ("flowers4-a", "flowers4-b", "digits", "cifar5-a", "cifar5-b", "flowers12"),
    seeds: tuple[int, ...] = (0, 1, 2),
    side: int = 64,
    shares: tuple[float, ...] = (0.5, 0.7),
    effort: str = "standard",
) -> None:
    """Fine-tunes all that is missing.

    Args:
        out: folder of all trainings.
        tasks: names, as `bench_design.py` has them.
        seeds: of the splits, the images that are trained on, and all else.
        side: of the images, in pixels.
        shares: of the parent's multiply-adds.
        effort: of a design, which says for how many epochs networks are fine-tuned.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    for seed, task in product(seeds, tasks):
        pruning = Pruning(task, seed, side, effort, out)
        for share, kind in [*product(shares, KINDS), (1.0, "parent")]:
            row = pruning.row(share, kind)
            _LOG.info(
                "%s seed %d, %s at %.2f: validation %.3f, test %.3f",
                task,
                seed,
                kind,
                row.macs,
                row.validation,
                row.test,
            )


def page(out: Path, write: Path | None = None) -> None:
    """Prints the comparison of all that was fine-tuned, as Markdown.

    Args:
        out: folder of all trainings.
        write: file that receives it, too.
    """
    rows: list[dict[str, Any]] = [read_json(path) for path in sorted(out.glob("*/seed*/at*/row_*.json"))]
    frame = pd.DataFrame(rows)
    lines = [HEAD, "| task | pixels | share | seeds | generated | channels | depth | parent |", "| --- " * 8 + "|"]
    parents = frame[frame["kind"] == "parent"]
    for (task, side, share), part in frame[frame["kind"] != "parent"].groupby(["task", "side", "share"]):
        whole = parents[(parents["task"] == task) & (parents["side"] == side)]
        cells = [_cell(part[part["kind"] == kind]) for kind in KINDS]
        lines.append(
            f"| {task} | {side} | {share:.0%} | {part['seed'].nunique()} | {' | '.join(cells)} | {_cell(whole)} |"
        )
    table = frame.pivot_table(index=["task", "side", "seed", "share"], columns="kind", values="test")
    lines += ["", "| generated less | mean of paired differences | least |", "| --- " * 3 + "|"]
    for kind in KINDS[1:]:
        if kind in table and "generated" in table:
            difference = (table["generated"] - table[kind]).dropna()
            if len(difference):
                lines.append(
                    f"| {kind} | {difference.mean():+.4f} ({len(difference)} pairs) | {difference.min():+.4f} |"
                )
    text = "\n".join([*lines, "", f"One thread of {machine()}."]) + "\n"
    print(text)
    if write is not None:
        write_text(write, text)


def _cell(part: pd.DataFrame) -> str:
    """Mean test accuracy, and the share of the multiply-adds."""
    if not len(part):
        return ""
    spread = f" ± {part['test'].std():.3f}" if len(part) > 1 else ""
    return f"{part['test'].mean():.3f}{spread} (at {part['macs'].mean():.0%})"


if __name__ == "__main__":
    auto_cli([run, page], as_positional=False)
