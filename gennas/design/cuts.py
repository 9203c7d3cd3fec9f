"""What cuts of a parent destroy, learnt from sub-networks that were fine-tuned on other images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.optimize import lsq_linear

from gennas.design.blocks import Blocks
from gennas.paths import shipped
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace

#: Sub-networks of ``lite0`` with their accuracy on images of CIFAR-10; written by ``scripts/collect_lite_cuts.py``.
MEASURED = "lite/cuts.parquet"
#: Weight of the squares of the effects, whose columns are fractions: effects of cuts that were seldom seen are small.
RIDGE = 1.0
#: What a cut of which nothing is known takes from the logit.
USUAL = 0.02
_KINDS = ("depth", "expansion", "kernel")
#: Accuracies are at least this far from 0 and 1 when their logits are taken.
EDGE = 0.005


def logits(accuracies: np.ndarray) -> np.ndarray:
    """The logits of accuracies, kept away from 0 and 1."""
    clipped = np.clip(np.asarray(accuracies, dtype=float), EDGE, 1 - EDGE)
    found: np.ndarray = np.log(clipped) - np.log(1 - clipped)
    return found


class CutModel:
    """The logit of the accuracy of a fine-tuned sub-network, as a sum of effects of its cuts and its resolution.

    Effects are those of a share of blocks that is missing, of inner channels and of filters that are smaller than the
    parent's, for each stage. Parents with other stages have the effects of those at the same height.

    Args:
        blocks: of the archs.

    Raises:
        DataMissingError: gennas was installed without its data sets.
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self._names, self._effects = _fitted()

    def cuts(self, ops: np.ndarray) -> np.ndarray:
        """``(N,)`` what the cuts take from the logit, of ``(N, n)`` indices into the vocabulary; 0 for the parent."""
        found: np.ndarray = self._of(ops)[:, 2:] @ self._effects[2:]
        return found

    def __call__(self, ops: np.ndarray) -> np.ndarray:
        """``(N,)`` logits up to a constant: cuts and resolution."""
        found: np.ndarray = self._of(ops) @ self._effects
        return found

    def _of(self, ops: np.ndarray) -> np.ndarray:
        own = _features(self.blocks, ops)
        return np.stack([own.get(name, np.zeros(len(ops))) for name in self._names], axis=1)


def _features(blocks: Blocks, ops: np.ndarray) -> dict[str, np.ndarray]:
    """Name of an effect -> ``(N,)`` how much of it archs have; the resolution's two come first."""
    shares = blocks.shares(ops)
    found = {"resolution": shares[:, 0], "resolution²": shares[:, 0] ** 2}
    stages = len(blocks.space.parent.stages)
    for stage in range(1, stages + 1):
        height = round(100 * (stage - 1) / max(stages - 1, 1))
        for kind in _KINDS:
            columns = [
                column
                for column, decision in enumerate(blocks.layout.decisions)
                if decision.choice.name == kind and decision.stage == stage
            ]
            if columns:
                found[f"{kind} {height} %"] = _lost(kind, shares[:, columns])
    return found


def _lost(kind: str, shares: np.ndarray) -> np.ndarray:
    """``(N,)`` of ``(N, blocks)`` shares of the parent's: what is missing, or mean halvings of the present blocks."""
    if kind == "depth":
        return np.asarray(1 - shares[:, 0])
    present = shares > 0
    halvings = np.where(present, -np.log2(np.where(present, shares, 1)), 0)
    return np.asarray(halvings.sum(1) / np.maximum(present.sum(1), 1))


@lru_cache(maxsize=1)
def _fitted() -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the effects, and the effects."""
    names, columns, targets = _told(pd.read_parquet(shipped("datasets") / MEASURED))
    return names, _effects(columns, targets)


def left_out(frame: pd.DataFrame) -> np.ndarray:
    """``(N,)`` logits of archs, each foreseen from all others.

    Args:
        frame: ``key`` of an arch of ``lite0``, and ``accuracy``.
    """
    _, columns, targets = _told(frame)
    found = np.zeros(len(targets))
    for row in range(len(targets)):
        others = np.arange(len(targets)) != row
        effects = _effects(columns[others], targets[others])
        found[row] = targets[others].mean() + (columns[row] - columns[others].mean(0)) @ effects
    return found


def _told(frame: pd.DataFrame) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names of the effects, ``(N, effects)`` how much of them archs have, and ``(N,)`` logits."""
    space = get_space("lite0")
    assert isinstance(space, ElasticSpace)
    features = _features(Blocks(space), space.arrays([space.parse(key) for key in frame["key"]])[0])
    return tuple(features), np.stack(list(features.values()), axis=1), logits(frame["accuracy"].to_numpy())


def _effects(columns: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``(effects,)`` by ridge regression towards a small loss, in which no cut is of use: what fifty archs say to the
    contrary is noise."""
    centred = columns - columns.mean(0)
    bounds = np.full(columns.shape[1], np.inf)
    bounds[2:] = 0
    rows = np.concatenate([centred, np.sqrt(RIDGE) * np.eye(columns.shape[1])])
    usual = np.where(np.arange(columns.shape[1]) < 2, 0, -USUAL)
    wanted = np.concatenate([targets - targets.mean(), np.sqrt(RIDGE) * usual])
    return np.asarray(lsq_linear(rows, wanted, (-np.inf, bounds)).x)
