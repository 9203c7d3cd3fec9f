"""The path encoding: which sequences of operations lead from the input of an arch to its output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gennas.arch import Arch
from gennas.predictors.features import dataflow_between_ends
from gennas.spaces import Space

Path = tuple[int, ...]


def paths_of(space: Space, archs: Sequence[Arch]) -> list[frozenset[Path]]:
    """The paths of every arch, each the operations of its slots between input and output.

    White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
    Search", AAAI 2021.
    """
    graphs = zip(*dataflow_between_ends(space, *space.arrays(archs)), strict=True)
    return [_paths(ops.tolist(), edges) for ops, edges in graphs]


def _paths(ops: list[int], edges: np.ndarray) -> frozenset[Path]:
    n = len(ops)
    # Edges go forward: all paths to a slot are complete before the slot is left.
    ending: list[set[Path]] = [{()}, *(set() for _ in range(n - 1))]
    for j in range(1, n):
        for i in np.flatnonzero(edges[:j, j]):
            ending[j] |= {(*path, ops[j]) for path in ending[i]}
    return frozenset(path[:-1] for path in ending[-1])


def encoded(paths: Sequence[frozenset[Path]], columns: Sequence[Path]) -> np.ndarray:
    """``(N, p)`` which of the paths in ``columns`` each arch has."""
    index = {path: column for column, path in enumerate(columns)}
    rows = np.zeros((len(paths), len(columns)), dtype=np.float32)
    for row, found in enumerate(paths):
        rows[row, [index[path] for path in found if path in index]] = 1
    return rows
