"""NAS-Bench-101 cells whatever the numbering of their vertices: graph hash, canonical numbering, all classes.

Many cells are handled at once as *codes*, one int64 each: the number of inner vertices (bits 31 and up), one bit
per pair of slots in the order of ``PAIRS`` (bits 10 to 30), and two bits per inner slot, the first one highest
(bits 0 to 9): which of the three operations it has, or 3 where it is absent. Of all numberings of a cell the
canonical one has the smallest code.
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
#: Bit number -> the pair of slots (source, target) it stands for.
PAIRS = tuple((i, j) for j in range(SLOTS) for i in range(j))
#: Label of an inner slot without a vertex, after those of the three operations.
ABSENT = 3
_BIT = {pair: bit for bit, pair in enumerate(PAIRS)}
_SOURCE, _TARGET = np.array(PAIRS).T
_EDGE_SHIFT, _COUNT_SHIFT = 10, 31
_LABEL_SHIFTS = np.arange(2 * INNER - 2, -1, -2)
#: Set in the code of a numbering that is none: an edge goes backwards, or an absent slot precedes a vertex.
_BROKEN = np.int64(1) << 40
#: So many cells in all their numberings fit a processor's cache.
_CHUNK = 1024
#: ``_ORDERS[p][i]``: which inner slot (0 to 4) the permutation ``p`` puts in place ``i``.
_ORDERS = np.array(list(itertools.permutations(range(INNER))))


def hash_module(matrix: np.ndarray, labels: Sequence[int]) -> str:
    """The graph hash of NAS-Bench-101, equal for two of its cells exactly if they are isomorphic.

    As published (``graph_util.hash_module``): a vertex starts from its degrees and its label, and as often as
    there are vertices takes in the sorted hashes of its neighbours.

    Args:
        matrix: ``(v, v)`` adjacency, upper-triangular.
        labels: per vertex -1 for the input, -2 for the output, else the operation's index.
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
    """``(b,)`` codes.

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
    """``(b,)`` the smallest code among all numberings of each cell."""
    label_part, edge_parts = _moved()
    best = np.empty_like(codes)
    for start in range(0, len(codes), _CHUNK):
        chunk = codes[start : start + _CHUNK]
        moved = label_part[:, chunk & 1023]  # (120, chunk)
        for part in range(3):
            moved |= edge_parts[:, part, chunk >> (_EDGE_SHIFT + 7 * part) & 127]
        best[start : start + _CHUNK] = moved.min(axis=0) | chunk >> _COUNT_SHIFT << _COUNT_SHIFT
    return best


@cache
def _moved() -> tuple[np.ndarray, np.ndarray]:
    """What every permutation of the inner slots makes of the parts of a code.

    ``(120, 1024)`` for all labels and ``(120, 3, 128)`` for each seven bits of the edges; joined with ``|``, they
    are the code of the canonicalised cell, with ``_BROKEN`` set where that is no valid numbering.
    """
    of_label = np.arange(1024)[:, None] >> _LABEL_SHIFTS & 3
    labels = of_label[:, _ORDERS].swapaxes(0, 1)  # (120, 1024, 5)
    gap = (labels[:, :, :-1] == ABSENT) & (labels[:, :, 1:] != ABSENT)
    label_part = (labels << _LABEL_SHIFTS).sum(axis=2) | np.where(gap.any(axis=2), _BROKEN, 0)
    edge_bit = np.zeros((len(_ORDERS), len(PAIRS)), dtype=np.int64)
    for row, order in enumerate(_ORDERS):
        place = [0, *(1 + np.argsort(order)).tolist(), SLOTS - 1]
        for bit, (i, j) in enumerate(PAIRS):
            pair = (place[i], place[j])
            edge_bit[row, bit] = np.int64(1) << _EDGE_SHIFT + _BIT[pair] if pair in _BIT else _BROKEN
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
        for side in (0, 1):  # every vertex but the output has an edge out of it, every one but the input one into it
            for slot in slots[side : len(slots) - 1 + side]:
                whole &= graphs & sum(1 << _BIT[pair] for pair in pairs if pair[side] == slot) != 0
        absent = [ABSENT] * (INNER - count)
        ops = np.array([[*ops, *absent] for ops in itertools.product(range(ABSENT), repeat=count)])
        labels = (ops << _LABEL_SHIFTS).sum(axis=1)
        unlabelled = np.int64(count) << _COUNT_SHIFT | graphs[whole].astype(np.int64) << _EDGE_SHIFT | labels[0]
        # The edges rank above the operations, so the edges of a canonical code are themselves the smallest.
        unlabelled = unlabelled[canonical_codes(unlabelled) == unlabelled]
        codes = (unlabelled[:, None] - labels[0] + labels).ravel()
        found.append(codes[canonical_codes(codes) == codes])
    codes = np.concatenate(found)
    codes.flags.writeable = False
    return codes


def random_numberings(absent: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(b, 7)`` for each graph the slots in a new order, uniform among those in which all edges go forward.

    Absent slots keep their place among the others.

    Args:
        absent: ``(b, 7)`` boolean.
        edges: ``(b, 7, 7)`` boolean, the present edges.
        rng: chooses the order.
    """
    orders, counts = _forward_orders()
    # An absent slot stays behind all that precedes it as if these had edges to it.
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
    """For all 1,024 sets of edges between inner slots: ``(1024, 120, 5)`` their forward orders first, and how many."""
    places = np.argsort(_ORDERS, axis=1)
    inner = [(i - 1, j - 1) for i, j in PAIRS if i >= 1 and j <= INNER]
    backward = sum((places[:, i] > places[:, j]).astype(np.int64) << bit for bit, (i, j) in enumerate(inner))
    forward = (np.arange(1024)[:, None] & backward) == 0  # (1024, 120)
    first = np.argsort(~forward, axis=1, kind="stable")
    return _ORDERS[first].astype(np.int8), forward.sum(axis=1)
