"""What can be told of an arch for nothing: its costs, and counts and paths of its operations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from gennas.arch import Arch
from gennas.spaces import Space
from gennas.tasks import Task

#: Labels up to which every set of them is looked at; with more only each alone, and all.
FEW_LABELS = 4
#: Principal components that describe an arch.
DESCRIBED = 8


class GraphFeatures:
    """Numbers that describe the graphs of a space, without any training.

    Kadlecova et al., "Surprisingly Strong Performance Prediction with Neural Graph Features", ICML 2024 (GRAF): how
    often an operation occurs, the shortest and longest path from input to output by operations of a set, degrees of the
    ends. To these come how far an operation is from the ends, and how often operations follow each other, as in the
    Weisfeiler-Lehman features of Ru et al., "Interpretable Neural Architecture Search via Bayesian Optimisation with
    Weisfeiler-Lehman Kernels", ICLR 2021. Only what lies between input and output counts.

    Args:
        space: whose graphs are described.

    Attributes:
        labels: the operations that are counted.
        simple: how many features there are before those that count what follows what, which are many.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        template = space.template
        chosen = np.flatnonzero(template.allowed[list(template.free_slots)].any(axis=0))
        self.labels = [template.vocabulary[op] for op in chosen if template.vocabulary[op] != space.absent]
        ends = len(self.labels) + 2
        one = space.arrays([space.sample(np.random.default_rng(0))])
        self.simple = 2 + self._of_graphs(*one).shape[1] - ends**2

    def of(self, archs: Sequence[Arch], task: Task) -> np.ndarray:
        """``(N, f)`` features of archs; the first two are the logarithms of their costs, for a network for the task."""
        costs = [self.space.costs(arch, task) for arch in archs]
        logs = np.log([[max(cost[name], 1e-9) for name in ("params_m", "macs_m")] for cost in costs])
        return np.hstack([logs, self._of_graphs(*self.space.arrays(archs))])

    def _of_graphs(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """The same without costs, of ``(N, n)`` operation indices and ``(N, n, n)`` booleans of present edges."""
        given = ops, edges
        ops, edges = live(*self.space.dataflow(ops, edges))
        index = [self.space.template.vocabulary.index(label) for label in self.labels]
        of_label = ops[:, :, None] == np.array(index)  # (N, n, labels)
        columns = [of_label.sum(1), edges.sum((1, 2))[:, None], self._distances(of_label, edges)]
        whole = [range(len(index))] if len(index) > FEW_LABELS else []
        sizes = range(1, len(index) + 1) if len(index) <= FEW_LABELS else (1,)
        for chosen in [*(c for size in sizes for c in combinations(range(len(index)), size)), *whole]:
            columns.append(self._paths(of_label[:, :, list(chosen)].any(2), edges))
        width = np.where(ops >= 0, self.space.channel_shares(*given), 0)[:, :, None] * of_label
        columns += [width.sum(1), np.square(width).sum(1), width.max((1, 2), initial=0)[:, None]]
        columns.append(self._runs(of_label, edges))
        return np.hstack([column.astype(float) for column in columns])

    @staticmethod
    def _paths(member: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Of paths from input to output the most and fewest members ``(N, n)`` on one; of paths through members alone
        the longest, shortest, and how many; members that the input feeds, and that feed the output; ``(N, 7)``."""
        size, n = member.shape
        far = n + 1.0
        most, through_most = np.full((2, size, n), -far)
        fewest, through_fewest = np.full((2, size, n), far)
        count = np.zeros((size, n))
        for ends in (most, through_most, fewest, through_fewest):
            ends[:, 0] = 0
        count[:, 0] = 1
        for j in range(1, n):
            inner = j < n - 1
            into = edges[:, :j, j]
            weight = member[:, j] * inner
            through = into & (member[:, j] | (not inner))[:, None]
            most[:, j] = np.where(into, most[:, :j] + weight[:, None], -far).max(1)
            fewest[:, j] = np.where(into, fewest[:, :j] + weight[:, None], far).min(1)
            through_most[:, j] = np.where(through, through_most[:, :j] + 1, -far).max(1)
            through_fewest[:, j] = np.where(through, through_fewest[:, :j] + 1, far).min(1)
            count[:, j] = np.where(through, count[:, :j], 0).sum(1)
        paths = np.stack([most, fewest, through_most, through_fewest])[:, :, -1].T
        ends = np.stack([np.log1p(count[:, -1]), (edges[:, 0] & member).sum(1), (edges[:, :, -1] & member).sum(1)])
        return np.hstack([paths.clip(-2, far), ends.T])

    @staticmethod
    def _distances(of_label: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Per label the sum and the greatest of its longest and shortest distances from input and output."""
        forward, backward = _distances_from(edges), _distances_from(edges.transpose(0, 2, 1)[:, ::-1, ::-1])
        columns = []
        for distance in (*forward, *(part[:, ::-1] for part in backward)):
            masked = np.where(of_label, distance[:, :, None], 0)
            columns += [masked.sum(1), np.where(of_label, masked, -1).max(1)]
        return np.hstack(columns)

    @staticmethod
    def _runs(of_label: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """How often one label follows another along an edge, the ends being labels too."""
        size, n, _ = of_label.shape
        ends = np.zeros((size, n, 2), dtype=bool)
        ends[:, 0, 0] = ends[:, -1, 1] = True
        hot = np.concatenate([ends, of_label], axis=2).astype(np.float32)
        return (hot.transpose(0, 2, 1) @ edges.astype(np.float32) @ hot).reshape(size, -1)


def describe(space: Space, archs: Sequence[Arch], task: Task) -> np.ndarray:
    """``(N, DESCRIBED)`` principal components of the features of archs, each with mean 0 and std 1.

    They are what a predictor learns besides its metrics: no label is needed for them, and most of what few labels can
    tell of an arch is a sum of them. Of archs that differ in fewer ways, the last ones are 0.
    """
    features = GraphFeatures(space).of(archs, task)
    spread = features.std(axis=0)
    described = np.zeros((len(archs), DESCRIBED))
    if not (spread > 1e-9).any():
        return described
    standard = (features[:, spread > 1e-9] - features[:, spread > 1e-9].mean(axis=0)) / spread[spread > 1e-9]
    _, directions = np.linalg.eigh(standard.T @ standard)
    # Signs are free; this choice makes them the same wherever the archs are.
    directions = directions[:, ::-1][:, :DESCRIBED]
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    components = standard @ directions
    # Where archs differ in fewer ways, the last components are rounding.
    real = components.std(axis=0) > 1e-6 * components[:, 0].std()
    described[:, : len(real)][:, real] = components[:, real] / components[:, real].std(axis=0)
    return described


def live(ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same graphs without what does not lie between the first slot and the last: ``-1`` there, and no edges."""
    n = ops.shape[1]
    reached, needed = np.zeros((2, *ops.shape), dtype=bool)
    reached[:, 0] = needed[:, -1] = True
    for j in range(1, n):
        reached[:, j] = (edges[:, :, j] & reached).any(1)
    for i in range(n - 2, -1, -1):
        needed[:, i] = (edges[:, i] & needed).any(1)
    between = reached & needed
    return np.where(between, ops, -1), edges & between[:, :, None] & between[:, None]


def _distances_from(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longest and shortest distance in edges of every slot from the first one; 0 for slots that are not reached."""
    size, n, _ = edges.shape
    far = n + 1.0
    longest, shortest = np.zeros((size, n)), np.full((size, n), far)
    shortest[:, 0] = 0
    for j in range(1, n):
        into = edges[:, :j, j]
        longest[:, j] = np.where(into, longest[:, :j] + 1, 0).max(1)
        shortest[:, j] = np.where(into, shortest[:, :j] + 1, far).min(1)
    return longest, np.where(shortest > n, 0, shortest)
