"""FourNodeCell: what spaces share whose archs are a cell of four nodes with an operation on each of its six edges.

The benchmarks put operations on edges. In the template every such edge is a slot, and slot ``a->b`` feeds slot
``b->c``; an input and an output slot are added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, unknown
from gennas.spaces.base import Space
from gennas.spaces.template import FIXED, Template

#: The cell's edges (source node, target node), in the order of the notation.
CELL_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_FORM = "|OP~0|+|OP~0|OP~1|+|OP~0|OP~1|OP~2|"

# A term is (number of average poolings, source); the source is the index of an operation with weights, or -1 for the
# cell's input.
_Term = tuple[int, int]
_Kind = tuple[str, tuple[tuple[int, Any], ...]]


def cell_template(operations: Sequence[str]) -> Template:
    """The template of cells with these operations on all edges."""
    slots = ("input", *(f"{a}->{b}" for a, b in CELL_EDGES), "output")
    vocabulary = ("input", *operations, "output")
    allowed = np.zeros((len(slots), len(vocabulary)), dtype=bool)
    allowed[0, 0] = allowed[-1, -1] = True
    allowed[1:-1, 1:-1] = True
    edges = np.zeros((len(slots), len(slots)), dtype=np.int8)
    for i, (a, b) in enumerate(CELL_EDGES, start=1):
        if a == 0:
            edges[0, i] = FIXED
        if b == 3:
            edges[i, -1] = FIXED
        for j, (c, _) in enumerate(CELL_EDGES, start=1):
            if b == c:
                edges[i, j] = FIXED
    return Template(slots, vocabulary, allowed, edges)


def _certificate(cell_ops: Sequence[str], has_learnt_skips: bool) -> tuple[object, ...]:
    """A value that is equal for two cells if and only if they compute the same function; see ``canonical``."""
    node_terms: list[list[_Term]] = [[(0, -1)], [], [], []]
    learnt: list[tuple[str, list[_Term]]] = []
    for (source, target), op in zip(CELL_EDGES, cell_ops, strict=True):
        terms = node_terms[source]
        if op == "none" or not terms:
            continue
        if op == "skip_connect" and not (has_learnt_skips and source == 0):
            node_terms[target] += terms
        elif op == "avg_pool_3x3":
            node_terms[target] += [(pools + 1, one) for pools, one in terms]
        else:
            learnt.append((op, terms))
            node_terms[target].append((0, len(learnt) - 1))
    output = node_terms[3]
    live: set[int] = set()
    stack = [one for _, one in output]
    while stack:
        one = stack.pop()
        if one >= 0 and one not in live:
            live.add(one)
            stack += [source for _, source in learnt[one][1]]

    # What an operation computes, whatever its weights: only those that are equal in this can stand for each other.
    kinds: list[_Kind] = []
    for op, terms in learnt:
        kinds.append((op, tuple(sorted((pools, () if one < 0 else kinds[one]) for pools, one in terms))))

    def permuted(order: Sequence[int]) -> tuple[object, ...]:
        names = {-1: -1, **{one: name for name, one in enumerate(order)}}
        rows = tuple(
            (learnt[one][0], tuple(sorted((pools, names[source]) for pools, source in learnt[one][1]))) for one in order
        )
        return rows, tuple(sorted((pools, names[source]) for pools, source in output))

    alike = [list(group) for _, group in itertools.groupby(sorted(live, key=kinds.__getitem__), kinds.__getitem__)]
    orders = itertools.product(*map(itertools.permutations, alike))
    return min(permuted([*itertools.chain(*order)]) for order in orders)


@cache
def _canonical_ops(operations: tuple[str, ...], has_learnt_skips: bool) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Operations of a cell -> those of the first cell, in enumeration order, that computes the same function."""
    first: dict[tuple[object, ...], tuple[str, ...]] = {}
    return {
        ops: first.setdefault(_certificate(ops, has_learnt_skips), ops)
        for ops in itertools.product(operations, repeat=len(CELL_EDGES))
    }


@dataclass(frozen=True)
class FourNodeCell(Space):
    """A space of such cells; node 0 is the input, every other node sums its incoming edges, node 3 is the output.

    Attributes:
        has_learnt_skips: whether ``skip_connect`` on an edge from the input has weights in some cell of the network,
            where it changes channels and resolution.
    """

    absent: ClassVar[str | None] = "none"
    has_learnt_skips: ClassVar[bool] = False

    @property
    def operations(self) -> tuple[str, ...]:
        """What an edge may carry."""
        return self.template.vocabulary[1:-1]

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: one group per target node, the source node after ``~``."""
        groups = [
            "|" + "".join(f"{op}~{a}|" for (a, b), op in zip(CELL_EDGES, ops[1:-1], strict=True) if b == node)
            for node in (1, 2, 3)
        ]
        return "+".join(groups)

    def read(self, key: str) -> PartialArch:
        """Parses ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``; ``?`` leaves an operation undecided.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        groups = [group.strip("|").split("|") for group in key.strip().split("+")]
        if [len(group) for group in groups] != [1, 2, 3]:
            raise InvalidArchError(
                f"{key!r} is not a valid {self.name} cell: its groups have {[len(group) for group in groups]} "
                f"operations; expected [1, 2, 3] as in {_FORM}."
            )
        ops: list[str | None] = []
        for (source, _), item in zip(CELL_EDGES, itertools.chain(*groups), strict=True):
            op, _, written = item.partition("~")
            if written != str(source):
                raise InvalidArchError(f"{key!r}: {item!r} must end in '~{source}', as in {_FORM}.")
            if op == "?":
                ops.append(None)
                continue
            if op not in self.operations:
                error = unknown(f"{self.name} operation", op, self.operations)
                raise InvalidArchError(f"{key!r}: {error}")
            ops.append(op)
        return self._partial(ops)

    def _partial(self, ops: Sequence[str | None]) -> PartialArch:
        return PartialArch(self.name, ("input", *ops, "output"), self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        """The first arch that computes the same function.

        Only identities that hold exactly for any shared weights are used: ``none`` and operations on zeros add
        nothing, ``skip_connect`` is the identity, average pooling is linear, what never reaches the output does not
        matter, and the order of operations with weights is irrelevant. Two convolutions of the same input are not one
        convolution used twice. (A convolution of zeros counts as zero, although its batch norm can learn to add a
        constant per channel.)
        """
        return self.arch(("input", *_canonical_ops(self.operations, self.has_learnt_skips)[arch.ops[1:-1]], "output"))

    def enumerate(self) -> Iterator[Arch]:
        for ops in itertools.product(self.operations, repeat=len(CELL_EDGES)):
            yield self.arch(("input", *ops, "output"))
