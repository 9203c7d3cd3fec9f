"""NAS-Bench-101 cells up to isomorphism: graph hash, canonical form, and the enumeration of all classes.

Cells are handled in bulk as *codes*, one int64 each: the number of inner vertices (bits 31 and up), one bit per pair
of slots in the order of ``PAIRS`` (bits 10 to 30), and two bits per inner slot, the first one highest (bits 0 to 9):
the index of its operation, or 3 if it is absent. The canonical form of a cell is the permutation of its inner slots
with the smallest code.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from hashlib import md5

import numpy as np

INNER = 5
SLOTS = INNER + 2
MOST_EDGES = 9
#: Bit number -> pair of slots (source, target).
PAIRS = tuple((i, j) for j in range(SLOTS) for i in range(j))
#: Label of an inner slot without a vertex; 0 to 2 are the operations.
ABSENT = 3
_BIT = {pair: bit for bit, pair in enumerate(PAIRS)}
_SOURCE, _TARGET = np.array(PAIRS).T
_EDGE_SHIFT, _COUNT_SHIFT = 10, 31
_LABEL_SHIFTS = np.arange(2 * INNER - 2, -1, -2)
#: Set in the code of an invalid permutation: an edge goes backwards, or an absent slot precedes a vertex.
_INVALID = np.int64(1) << 40
#: Cells processed at a time: with all their permutations they fit in a CPU cache.
_CHUNK = 1024
#: ``_ORDERS[p][i]``: the inner slot (0 to 4) that permutation ``p`` moves to position ``i``.
_ORDERS = np.array(list(itertools.permutations(range(INNER))))


def hash_module(matrix: np.ndarray, labels: Sequence[int]) -> str:
    """The graph hash of NAS-Bench-101: two of its cells have the same hash if and only if they are isomorphic.

    As published (``graph_util.hash_module``): a vertex's hash starts from its degrees and label, and is combined
    ``v`` times with the sorted hashes of its neighbours.

    Args:
        matrix: ``(v, v)`` upper-triangular adjacency matrix.
        labels: ``v`` labels: -1 for the input, -2 for the output, else the operation's index.
    """
    vertices = range(len(labels))
    before = [[w for w in vertices if matrix[w, v]] for v in vertices]
    after = [[w for w in vertices if matrix[v, w]] for v in vertices]
    hashes = [_md5(str((len(after[v]), len(before[v]), int(labels[v])))) for v in vertices]
    for _ in vertices:
        hashes = [
            _md5("|".join(["".join(sorted(hashes[w] for w in side[v])) for side in (before, after)] + [hashes[v]]))
            for v in vertices
        ]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def codes_of(labels: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """``(b,)`` codes of cells.

    Args:
        labels: ``(b, 5)`` operation of every inner slot, 0 to 2, or ABSENT.
        edges: ``(b, 7, 7)`` boolean, the present edges between slots.
    """
    labels = labels.astype(np.int64)
    bits = edges[:, _SOURCE, _TARGET] @ (np.int64(1) << np.arange(len(PAIRS)))
    count = (labels != ABSENT).sum(axis=1)
    return count << _COUNT_SHIFT | bits << _EDGE_SHIFT | (labels << _LABEL_SHIFTS).sum(axis=1)


def decoded(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ``(b, 5)`` int64 labels and ``(b, 7, 7)`` boolean edges of codes."""
    labels = codes[:, None] >> _LABEL_SHIFTS & 3
    edges = np.zeros((len(codes), SLOTS, SLOTS), dtype=bool)
    for bit, (i, j) in enumerate(PAIRS):
        edges[:, i, j] = codes >> (_EDGE_SHIFT + bit) & 1
    return labels, edges


def canonical_codes(codes: np.ndarray) -> np.ndarray:
    """``(b,)`` the smallest code among all permutations of each cell."""
    label_part, edge_parts = _permuted_parts()
    best = np.empty_like(codes)
    for start in range(0, len(codes), _CHUNK):
        chunk = codes[start : start + _CHUNK]
        permuted = label_part[:, chunk & 1023]  # (120, chunk)
        for part in range(3):
            permuted |= edge_parts[:, part, chunk >> (_EDGE_SHIFT + 7 * part) & 127]
        best[start : start + _CHUNK] = permuted.min(axis=0) | chunk >> _COUNT_SHIFT << _COUNT_SHIFT
    return best


@cache
def _permuted_parts() -> tuple[np.ndarray, np.ndarray]:
    """Look-up tables of the parts of a code under every permutation of the inner slots.

    ``(120, 1024)`` for the labels and ``(120, 3, 128)`` for each seven bits of the edges; combined with ``|`` they
    give the code of the permuted cell, with ``_INVALID`` set if the permutation is not a valid one.
    """
    unpacked = np.arange(1024)[:, None] >> _LABEL_SHIFTS & 3
    labels = unpacked[:, _ORDERS].swapaxes(0, 1)  # (120, 1024, 5)
    gap = (labels[:, :, :-1] == ABSENT) & (labels[:, :, 1:] != ABSENT)
    label_part = (labels << _LABEL_SHIFTS).sum(axis=2) | np.where(gap.any(axis=2), _INVALID, 0)
    edge_bit = np.zeros((len(_ORDERS), len(PAIRS)), dtype=np.int64)
    for row, order in enumerate(_ORDERS):
        position = [0, *(1 + np.argsort(order)).tolist(), SLOTS - 1]
        for bit, (i, j) in enumerate(PAIRS):
            pair = (position[i], position[j])
            edge_bit[row, bit] = np.int64(1) << _EDGE_SHIFT + _BIT[pair] if pair in _BIT else _INVALID
    chosen = (np.arange(128)[:, None] >> np.arange(7) & 1).astype(bool)  # (128, 7)
    parts = np.where(chosen, edge_bit.reshape(-1, 3, 1, 7), 0)  # (120, 3, 128, 7)
    return label_part, np.bitwise_or.reduce(parts, axis=3)


@cache
def all_codes() -> np.ndarray:
    """``(423624,)`` the canonical codes of all cells, ascending: by vertices, then edges, then operations."""
    found = []
    for count in range(INNER + 1):
        slots = [*range(count + 1), SLOTS - 1]
        pairs = [pair for pair in PAIRS if pair[0] in slots and pair[1] in slots]
        subsets = np.arange(1 << len(pairs), dtype=np.int32)
        graphs, size = np.zeros_like(subsets), np.zeros_like(subsets)
        for bit, pair in enumerate(pairs):
            present = subsets >> bit & 1
            graphs |= present << _BIT[pair]
            size += present
        whole = size <= MOST_EDGES
        for side in (0, 1):  # every vertex but the output needs an outgoing edge, and all but the input an incoming one
            for slot in slots[side : len(slots) - 1 + side]:
                whole &= graphs & sum(1 << _BIT[pair] for pair in pairs if pair[side] == slot) != 0
        absent = [ABSENT] * (INNER - count)
        ops = np.array([[*ops, *absent] for ops in itertools.product(range(ABSENT), repeat=count)])
        labels = (ops << _LABEL_SHIFTS).sum(axis=1)
        unlabelled = np.int64(count) << _COUNT_SHIFT | graphs[whole].astype(np.int64) << _EDGE_SHIFT | labels[0]
        # Edges are more significant than operations, so the edges of a canonical code are minimal by themselves.
        unlabelled = unlabelled[canonical_codes(unlabelled) == unlabelled]
        codes = (unlabelled[:, None] - labels[0] + labels).ravel()
        found.append(codes[canonical_codes(codes) == codes])
    codes = np.concatenate(found)
    codes.flags.writeable = False
    return codes


def random_permutations(absent: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(b, 7)`` a permutation of the slots of each graph, uniform among those in which all edges go forward.

    Absent slots stay behind all others.

    Args:
        absent: ``(b, 7)`` boolean.
        edges: ``(b, 7, 7)`` boolean, the present edges.
        rng: draws the permutations.
    """
    orders, counts = _forward_orders()
    # Treating every earlier slot as a predecessor of an absent one keeps the absent slots last.
    inner = [(i, j) for i, j in PAIRS if i >= 1 and j <= INNER]
    patterns = np.zeros(len(edges), dtype=np.int64)
    for bit, (i, j) in enumerate(inner):
        patterns |= (edges[:, i, j] | absent[:, j]).astype(np.int64) << bit
    chosen = (rng.random(len(edges)) * counts[patterns]).astype(np.int64)
    slots = np.tile(np.arange(SLOTS), (len(edges), 1))
    slots[:, 1:-1] = 1 + orders[patterns, chosen]
    return slots


@cache
def _forward_orders() -> tuple[np.ndarray, np.ndarray]:
    """For all 1,024 sets of inner edges: ``(1024, 120, 5)`` orders, forward ones first, and ``(1024,)`` how many."""
    positions = np.argsort(_ORDERS, axis=1)
    inner = [(i - 1, j - 1) for i, j in PAIRS if i >= 1 and j <= INNER]
    backward = sum((positions[:, i] > positions[:, j]).astype(np.int64) << bit for bit, (i, j) in enumerate(inner))
    forward = (np.arange(1024)[:, None] & backward) == 0  # (1024, 120)
    first = np.argsort(~forward, axis=1, kind="stable")
    return _ORDERS[first].astype(np.int8), forward.sum(axis=1)
