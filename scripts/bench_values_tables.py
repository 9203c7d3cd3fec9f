"""Tables whose choices are numbers or stand in a row: two of our own making, with random truths, and three measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from torch import nn

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError
from gennas.spaces import Space, Template
from gennas.spaces.template import FIXED
from gennas.tasks import Task

LAYERS = 8
#: Std of the noise of one evaluation, in stds of the truth.
NOISE = 0.1


class Row(Space):
    """Slots in a row, whose key is the operations with dashes between them; subclasses set the template and costs."""

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return "-".join(ops)

    def read(self, key: str) -> PartialArch:
        words = key.split("-")
        if len(words) != len(self.template.slots):
            raise InvalidArchError(f"{key!r} has {len(words)} words; expected {len(self.template.slots)}.")
        return PartialArch(self.name, tuple(None if word == "?" else word for word in words), self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        return arch

    def enumerate(self) -> Iterator[Arch]:
        return map(self.arch, product(*self.template.operations))

    def build(self, arch: Arch, task: Task) -> nn.Module:
        raise NotImplementedError("only its table is of use")


def _row(words: Sequence[Sequence[str]], values: Sequence[Sequence[float]] | None = None) -> Template:
    """A template of slots in a row with these operations and the numbers that they stand for."""
    vocabulary = tuple(dict.fromkeys(word for slot in words for word in slot))
    allowed = np.array([[word in slot for word in vocabulary] for slot in words])
    n = len(words)
    numbers = np.full(allowed.shape, np.nan)
    for slot, (names, of) in enumerate(zip(words, values or [[]] * n, strict=True)):
        for name, value in zip(names, of, strict=bool(values)):
            numbers[slot, vocabulary.index(name)] = value
    edges = FIXED * np.eye(n, k=1, dtype=np.int8)
    return Template(tuple(f"s{i}" for i in range(n)), vocabulary, allowed, edges, numbers if values else None)


@dataclass(frozen=True)
class ChainOf8(Row):
    """Eight layers of three choices each, with an input and an output."""

    name = "chain8"
    size = 3**LAYERS
    ops: ClassVar[tuple[str, ...]] = ("conv", "pool", "skip")
    template = _row([["input"], *[ops] * LAYERS, ["output"]])
    channels: int = 16

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]]:
        """Channels double and sides halve after every second layer, so that multiply-adds of all are equal."""
        width = self.channels * 2.0 ** (np.arange(LAYERS) // 2)
        params = np.zeros((LAYERS + 2, 5))
        params[1:-1, 1] = 9 * width**2 / 1e6
        macs = np.where(params > 0, 9 * self.channels**2 * 1024 / 1e6, 0.0)
        return {"params_m": (0.01, params), "macs_m": (0.5, macs)}


WIDTH_LAYERS, WIDTHS = 5, (8, 12, 16, 24, 40, 72, 128)


@dataclass(frozen=True)
class Widths(Row):
    """Five layers whose widths are numbers; there is no slot for an input or an output."""

    name = "widths5"
    size = len(WIDTHS) ** WIDTH_LAYERS
    template = _row([[f"w{width}" for width in WIDTHS]] * WIDTH_LAYERS, [WIDTHS] * WIDTH_LAYERS)
    first: int = 3

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        widths = np.array([self.first, *(int(op[1:]) for op in arch.ops)], dtype=float)
        params = 9 * widths[:-1] * widths[1:]
        sides = 32.0 / 2 ** (np.arange(WIDTH_LAYERS) // 2)
        return {"params_m": params.sum() / 1e6, "macs_m": (params * sides**2).sum() / 1e6}


def _blocks(settings: Sequence[tuple[str, Sequence[int]]], stages: int, depths: Sequence[int]) -> Template:
    """Stages of a variable depth, each its depth and then the settings of its blocks, which are "-" where absent."""
    words: list[list[str]] = [["input"]]
    values: list[list[float]] = [[np.nan]]
    for _ in range(stages):
        words.append([f"d{depth}" for depth in depths])
        values.append([float(depth) for depth in depths])
        for block in range(max(depths)):
            for letter, numbers in settings:
                absent = ["-"] if block >= min(depths) else []
                words.append([*absent, *(f"{letter}{number}" for number in numbers)])
                values.append([*[np.nan] * len(absent), *map(float, numbers)])
    return _row([*words, ["output"]], [*values, [np.nan]])


@dataclass(frozen=True)
class Blocks(Row):
    """Stages of a variable depth, whose absent blocks are passed by."""

    absent = "-"
    channels: int = 16

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return "_".join(ops)

    def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ops, past(ops == self.template.vocabulary.index("-"), edges)


class OnceForAll(Blocks):
    """The MobileNetV3 of "once for all": five stages of two to four blocks, each with a kernel size and an expansion.

    Its costs are those of the table, of whose archs alone it knows them.
    """

    name = "once_for_all"
    template = _blocks((("k", (3, 5, 7)), ("e", (3, 4, 6))), 5, (2, 3, 4))
    known: ClassVar[dict[str, tuple[float, float]]] = {}

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        params, macs = self.known[arch.key]
        return {"params_m": params / 1e6, "macs_m": macs / 1e6}


def past(absent: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The edges ``(b, n, n)`` with what an absent slot ``(b, n)`` reads joined to what reads it."""
    flow = edges.copy()
    for slot in range(absent.shape[1]):
        flow |= absent[:, slot, None, None] & flow[:, :, slot, None] & flow[:, slot, None, :]
    return flow & ~absent[:, :, None] & ~absent[:, None]


@dataclass(frozen=True)
class FBNet(Row):
    """22 layers of nine blocks each; its costs are not known."""

    name = "fbnet"
    ops: ClassVar[tuple[str, ...]] = (
        "k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip",
    )  # fmt: skip
    template = _row([["input"], *[ops] * 22, ["output"]])
    channels: int = 16

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        return {"params_m": 1.0, "macs_m": 1.0}


class VisionTransformer(Blocks):
    """A depth of 10 to 12 and the heads, MLP ratio and width of every layer; its costs are not known."""

    name = "vit"
    template = _blocks((("h", (1, 2, 3)), ("m", (1, 2, 3)), ("w", (1, 2, 3))), 1, (10, 11, 12))

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        return {"params_m": 1.0, "macs_m": 1.0}


def chain_truth(ops: np.ndarray, seed: int) -> np.ndarray:
    """A random function of the ``(N, 8)`` choices, 0 to 2, of a chain.

    What a choice is worth depends on where it stands (smooth weights, and a preference for one place), on its
    neighbours, on how many of a kind there are, and saturates.
    """
    rng = np.random.default_rng([201, seed])
    places = np.arange(LAYERS)
    weights = np.exp(rng.normal(0, 0.5, LAYERS) + rng.normal(0, 0.2) * (places - 3.5))
    worth = rng.normal(0, 1, 3)[:, None] * weights + 0.3 * rng.normal(0, 1, (3, LAYERS)) * weights
    pairs = rng.normal(0, 1, (3, 3))
    between = np.exp(rng.normal(0, 0.5, LAYERS - 1))
    total = worth[ops, places].sum(1)
    neighbours = (pairs[ops[:, :-1], ops[:, 1:]] * between).sum(1)
    counts = (ops[:, :, None] == np.arange(3)).sum(1)
    best = rng.uniform(1, 5, 3)
    crowd = -(rng.exponential(1, 3) * np.abs(counts - best)).sum(1)
    mixed = _unit(total) + rng.uniform(0.3, 0.8) * _unit(neighbours) + rng.uniform(0.2, 0.6) * _unit(crowd)
    return _saturated(mixed, rng)


def width_truth(widths: np.ndarray, seed: int) -> np.ndarray:
    """A random function of ``(N, 5)`` widths: each saturates at a width of its own, jumps between neighbours harm, the
    narrowest layer counts, and so does where the network is widest."""
    rng = np.random.default_rng([202, seed])
    layers = widths.shape[1]
    logs = np.log2(widths / 8.0)
    weights = np.exp(rng.normal(0, 0.5, layers) + rng.normal(0, 0.2) * np.arange(layers))
    enough = rng.uniform(1, 4, layers)
    gain = (weights * (1 - np.exp(-logs / enough) - rng.uniform(0, 0.15, layers) * logs)).sum(1)
    preferred = rng.normal(0.3, 0.5, layers - 1)
    jumps = -(rng.exponential(1, layers - 1) * np.abs(np.diff(logs, axis=1) - preferred)).sum(1)
    narrowest = (logs + rng.uniform(0, 1, layers)).min(1)
    widest = (logs * np.linspace(-1, 1, layers)).sum(1) * rng.choice([-1, 1])
    mixed = _unit(gain) + rng.uniform(0.2, 0.6) * _unit(jumps) + rng.uniform(0.2, 0.6) * _unit(narrowest)
    return _saturated(mixed + rng.uniform(0, 0.4) * _unit(widest), rng)


def _unit(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


def _saturated(mixed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Accuracies that are spread as trained ones are: close to each other at the top, with noise."""
    scores = _unit(mixed)
    scores = _unit(-np.exp(-rng.uniform(0.2, 0.8) * scores))
    scores = scores + NOISE * rng.normal(0, 1, len(scores))
    return 0.9 + 0.02 * (scores - scores.max())


@dataclass(frozen=True)
class ValueTable:
    """Archs of a space and what is known of them: ``(N,)`` values of each metric, larger is better."""

    space: Space
    archs: list[Arch]
    metrics: dict[str, np.ndarray]


def chain_table(functions: Sequence[int]) -> ValueTable:
    """All chains, by these random functions."""
    space = ChainOf8()
    archs = list(space.enumerate())
    ops = space.arrays(archs)[0][:, 1:-1] - 1
    return ValueTable(space, archs, {f"function {seed}": chain_truth(ops, seed) for seed in functions})


def width_table(functions: Sequence[int]) -> ValueTable:
    """All networks of five widths, by these random functions."""
    space = Widths()
    archs = list(space.enumerate())
    widths = np.array(WIDTHS)[space.arrays(archs)[0]]
    return ValueTable(space, archs, {f"function {seed}": width_truth(widths, seed) for seed in functions})


def once_for_all_table() -> ValueTable:
    """ImageNet accuracies of 2,373 sub-networks of once-for-all's MobileNetV3, many of them near its front."""
    frame = _read("ofa_mobilenetv3_imagenet")
    rows = {}
    for ks, e, d, params, macs, top1 in frame[["ks", "e", "d", "params", "macs", "top1"]].itertuples(index=False):
        rows[tuple(_staged(d.split(), [ks.split(), e.split()], "ke", 4))] = (params, macs, top1)
    space = OnceForAll()
    archs = [space.arch(ops) for ops in rows]
    OnceForAll.known.update(
        (arch.key, (params, macs)) for arch, (params, macs, _) in zip(archs, rows.values(), strict=True)
    )
    return ValueTable(space, archs, {"imagenet": np.array([top1 / 100 for _, _, top1 in rows.values()])})


def _staged(depths: Sequence[str], settings: Sequence[Sequence[str]], letters: str, most: int) -> list[str]:
    words = ["input"]
    for stage, depth in enumerate(depths):
        words.append(f"d{depth}")
        for block in range(most):
            at = stage * most + block
            words += [
                f"{letter}{of[at]}" if block < int(depth) else "-" for letter, of in zip(letters, settings, strict=True)
            ]
    return [*words, "output"]


def fbnet_table(devices: Sequence[str] = ("lat_pixel3", "lat_raspi4", "lat_fpga", "lat_titanx_32")) -> ValueTable:
    """Latencies of 5,000 FBNet archs on some devices, larger where they are faster."""
    frame, space = _read("fbnet_latency_ms"), FBNet()
    archs = [space.arch(["input", *(FBNet.ops[int(op)] for op in ops.split()), "output"]) for ops in frame["ops"]]
    return ValueTable(space, archs, {device[4:]: -frame[device].to_numpy(float) for device in devices})


def vit_table() -> ValueTable:
    """Ranks of 500 vision transformers on eight retrieval tasks, as given: which end is better does not matter here."""
    frame, space = _read("vit8_ranks"), VisionTransformer()
    archs = []
    for word in frame["arch"]:
        depth = {"j": "10", "k": "11", "l": "12"}[word[0]]
        layers = [word[1 + part :: 3] for part in range(3)]
        archs.append(space.arch(_staged([depth], layers, "hmw", 12)))
    names = [name for name in map(str, frame) if name.endswith("_rank")]
    return ValueTable(space, archs, {name[:-5]: frame[name].to_numpy(float) for name in names})


def _read(name: str) -> pd.DataFrame:
    return pd.read_parquet(Path(os.environ["GENNAS_DATA"]) / f"{name}.parquet")
