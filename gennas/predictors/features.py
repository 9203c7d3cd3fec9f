"""Training-free features of archs: costs, and counts and paths of operations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from gennas.arch import Arch
from gennas.spaces import Space
from gennas.spaces.network_part import network_of, network_space
from gennas.tasks import Task

#: With at most this many operations, all subsets of them are used; with more, only single operations and the full set.
MAX_SUBSET_LABELS = 4
#: Of more archs, costs that are sums of terms are looked up in tables.
TABULATED = 1000
#: Number of features that are logarithms of costs; they come first.
COSTS = 2
#: Number of descriptors of an arch: principal components of its features.
NUM_DESCRIPTORS = 8


class GraphFeatures:
    """Features of the graphs of a space, without any training.

    Kadlecova et al., "Surprisingly Strong Performance Prediction with Neural Graph Features", ICML 2024 (GRAF): counts
    of operations, shortest and longest paths from input to output through subsets of the operations, and degrees of
    input and output. Added are the distances of operations from input and output, and counts of operation pairs along
    edges, as in the Weisfeiler-Lehman features of Ru et al., "Interpretable Neural Architecture Search via Bayesian
    Optimisation with Weisfeiler-Lehman Kernels", ICLR 2021. Slots that lie on no path from input to output are ignored.
    A space that has :meth:`gennas.spaces.Space.views` of its archs is described by these in place of its graph. Of a
    joint space the networks are described, not what was chosen beside them.

    Args:
        space: space of the archs.

    Attributes:
        space: of the networks.
        labels: the operations that are counted.
        simple: number of features before the many pair counts, which come last; or of costs and the plainest view.
    """

    def __init__(self, space: Space) -> None:
        self._given, space = space, network_space(space)
        self.space, template = space, space.template
        chosen = np.flatnonzero(template.allowed[list(template.free_slots)].any(axis=0))
        self.labels = [template.vocabulary[op] for op in chosen if template.vocabulary[op] != space.absent]
        ends = len(self.labels) + 2
        one = space.arrays([space.sample(np.random.default_rng(0))])
        views = space.views(*one)
        self.simple = COSTS + (views[0].shape[1] if views else self._of_graphs(*one).shape[1] - ends**2)

    def of(self, archs: Sequence[Arch], task: Task) -> np.ndarray:
        """``(N, f)`` features; the first two are the logarithms of the costs of the archs' networks for the task."""
        archs = [network_of(self._given, arch)[1] for arch in archs]
        ops, edges = self.space.arrays(archs)
        return np.hstack([np.log(self._costs(archs, ops, task).clip(1e-9)), self._of_graphs(ops, edges)])

    def _costs(self, archs: Sequence[Arch], ops: np.ndarray, task: Task) -> np.ndarray:
        """``(N, 2)`` params_m and macs_m."""
        space, names = self.space, ("params_m", "macs_m")
        if (slots := space.slot_costs(task)) is not None:
            rows = np.arange(ops.shape[1])
            return np.stack([base + table[rows, ops].sum(1) for base, table in (slots[name] for name in names)], axis=1)
        # Of many archs it pays to tabulate the terms first.
        terms = space.cost_terms(task) if len(archs) > TABULATED else None
        if terms is None:
            return np.array([[cost[name] for name in names] for cost in (space.costs(arch, task) for arch in archs)])
        places = space.template.places[np.arange(ops.shape[1]), ops]
        found = np.empty((len(archs), len(names)))
        for column, name in enumerate(names):
            base, parts = terms[name]
            found[:, column] = base + sum(part.values[tuple(places[:, part.slots].T)] for part in parts)
        return found

    def _of_graphs(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Features without costs, from ``(N, n)`` operation indices and ``(N, n, n)`` boolean edges."""
        if views := self.space.views(ops, edges):
            return np.hstack(views)
        shares = self.space.channel_shares(ops, edges)
        ops, edges = live(*dataflow_between_ends(self.space, ops, edges))
        if ops.shape[1] > shares.shape[1]:
            shares = np.pad(shares, ((0, 0), (1, 1)))
        index = [self.space.template.vocabulary.index(label) for label in self.labels]
        of_label = ops[:, :, None] == np.array(index)  # (N, n, labels)
        columns = [of_label.sum(1), edges.sum((1, 2))[:, None], self._distances(of_label, edges)]
        whole = [range(len(index))] if len(index) > MAX_SUBSET_LABELS else []
        sizes = range(1, len(index) + 1) if len(index) <= MAX_SUBSET_LABELS else (1,)
        for chosen in [*(c for size in sizes for c in combinations(range(len(index)), size)), *whole]:
            columns.append(self._paths(of_label[:, :, list(chosen)].any(2), edges))
        width = np.where(ops >= 0, shares, 0)[:, :, None] * of_label
        columns += [width.sum(1), np.square(width).sum(1), width.max((1, 2), initial=0)[:, None]]
        columns.append(self._runs(of_label, edges))
        return np.hstack([column.astype(float) for column in columns])

    @staticmethod
    def _paths(member: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """``(N, 7)`` path features of a subset of the operations; ``member (N, n)`` marks its slots.

        The most and the fewest members on a path from input to output; the length of the longest and shortest path
        through members only, and the logarithm of their number; members next to the input, and next to the output.
        """
        size, n = member.shape
        far = n + 1.0
        ends_of_member = [(edges[:, 0] & member).sum(1), (edges[:, :, -1] & member).sum(1)]
        if GraphFeatures._are_chains(edges):
            inner, own = edges.sum((1, 2)) - 1, (member & edges.any(2))[:, 1:-1].sum(1)
            whole = own == inner
            lengths = [np.where(whole, inner + 1.0, other) for other in (-2, far)]
            return np.stack([own, own, *lengths, np.log1p(whole.astype(float)), *ends_of_member]).T
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
        ends_of_paths = np.stack([np.log1p(count[:, -1]), *ends_of_member])
        return np.hstack([paths.clip(-2, far), ends_of_paths.T])

    @staticmethod
    def _are_chains(edges: np.ndarray) -> bool:
        """Whether all graphs are one path from the first slot to the last, of which everything is known at once."""
        into, out = edges.sum(1), edges.sum(2)
        ends = (out[:, 0] == 1).all() and (into[:, -1] == 1).all()
        return bool(ends and into.max() == 1 and out.max() == 1 and (into[:, 1:-1] == out[:, 1:-1]).all())

    @staticmethod
    def _distances(of_label: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Sum and maximum, per label, of its slots' longest and shortest distances from input and from output."""
        forward, backward = _distances_from(edges), _distances_from(edges.transpose(0, 2, 1)[:, ::-1, ::-1])
        columns = []
        for distance in (*forward, *(part[:, ::-1] for part in backward)):
            masked = np.where(of_label, distance[:, :, None], 0)
            columns += [masked.sum(1), np.where(of_label, masked, -1).max(1)]
        return np.hstack(columns)

    @staticmethod
    def _runs(of_label: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Number of edges from one label to another, for all pairs of labels, input and output included."""
        size, n, _ = of_label.shape
        ends = np.zeros((size, n, 2), dtype=bool)
        ends[:, 0, 0] = ends[:, -1, 1] = True
        hot = np.concatenate([ends, of_label], axis=2).astype(np.float32)
        return (hot.transpose(0, 2, 1) @ edges.astype(np.float32) @ hot).reshape(size, -1)


def describe(space: Space, archs: Sequence[Arch], task: Task) -> np.ndarray:
    """``(N, NUM_DESCRIPTORS)`` descriptors: principal components of the archs' features, with mean 0 and std 1.

    A predictor is trained on them in addition to its metrics: they need no labels, and most of what a few labels say
    about archs is linear in them. If the features have a lower rank, the last descriptors are 0.
    """
    return descriptors_of(GraphFeatures(space).of(archs, task))


def descriptors_of(features: np.ndarray) -> np.ndarray:
    """:func:`describe`, from the ``(N, f)`` features of the archs."""
    std = features.std(axis=0)
    descriptors = np.zeros((len(features), NUM_DESCRIPTORS))
    if not (std > 1e-9).any():
        return descriptors
    standardised = (features[:, std > 1e-9] - features[:, std > 1e-9].mean(axis=0)) / std[std > 1e-9]
    _, directions = np.linalg.eigh(standardised.T @ standardised)
    # The signs of eigenvectors are arbitrary; this fixes them.
    directions = directions[:, ::-1][:, :NUM_DESCRIPTORS]
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    components = standardised @ directions
    # Components beyond the rank of the features are rounding errors.
    real = components.std(axis=0) > 1e-6 * components[:, 0].std()
    descriptors[:, : len(real)][:, real] = components[:, real] / components[:, real].std(axis=0)
    return descriptors


def dataflow_between_ends(space: Space, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """:meth:`Space.dataflow`, from a first slot that is the input to a last one that is the output.

    A template need not have slots for these. Unless its first slot is its only source, its last slot its only sink, and
    neither has a choice, two slots are added: one in front that feeds all sources, and one that all sinks feed. Their
    operations are ``k`` and ``k + 1``, which the vocabulary does not have.

    Args:
        space: of the graphs.
        ops: ``(b, n)`` indices into the vocabulary.
        edges: ``(b, n, n)`` boolean, the present edges.

    Returns:
        Operations ``(b, n)`` and edges ``(b, n, n)``, with ``n + 2`` in place of ``n`` if the ends are added.
    """
    template, (ops, edges) = space.template, space.dataflow(ops, edges)
    n, k = len(template.slots), len(template.vocabulary)
    sources, sinks = template.sources, template.sinks
    if sources == (0,) and sinks == (n - 1,) and n > 1 and not {0, n - 1} & set(template.free_slots):
        return ops, edges
    ops = np.pad(ops, ((0, 0), (1, 1)))
    ops[:, 0], ops[:, -1] = k, k + 1
    edges = np.pad(edges, ((0, 0), (1, 1), (1, 1)))
    edges[:, 0, [slot + 1 for slot in sources]] = True
    edges[:, [slot + 1 for slot in sinks], -1] = True
    return ops, edges


def live(ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The graphs without slots that lie on no path from input to output: these become ``-1`` and lose their edges."""
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
    """Longest and shortest distance, in edges, from the first slot to each slot; 0 for unreachable ones."""
    size, n, _ = edges.shape
    far = n + 1.0
    longest, shortest = np.zeros((size, n)), np.full((size, n), far)
    shortest[:, 0] = 0
    for j in range(1, n):
        into = edges[:, :j, j]
        longest[:, j] = np.where(into, longest[:, :j] + 1, 0).max(1)
        shortest[:, j] = np.where(into, shortest[:, :j] + 1, far).min(1)
    return longest, np.where(shortest > n, 0, shortest)
