"""NAS-Bench-201: cells of four nodes with one of five operations on each of the six edges (15,625 archs).

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020.

The benchmark puts operations on edges. In the template every such edge is a slot, and slot ``a->b`` feeds slot
``b->c``; an input and an output slot are added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, unknown
from gennas.spaces.base import Space
from gennas.spaces.nasbench201.notation import CELL_EDGES, OPS, native
from gennas.spaces.template import FIXED, Template
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.tasks import Task

_KERNEL = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
_FORM = "|OP~0|+|OP~0|OP~1|+|OP~0|OP~1|OP~2|"

# A term is (number of average poolings, source); the source is the index of a convolution, or -1 for the cell's input.
_Term = tuple[int, int]


def _template() -> Template:
    slots = ("input", *(f"{a}->{b}" for a, b in CELL_EDGES), "output")
    vocabulary = ("input", *OPS, "output")
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


def _certificate(cell_ops: Sequence[str]) -> tuple[object, ...]:
    """A value that is equal for two cells if and only if they compute the same function; see ``canonical``."""
    node_terms: list[list[_Term]] = [[(0, -1)], [], [], []]
    convs: list[tuple[str, list[_Term]]] = []
    for (source, target), op in zip(CELL_EDGES, cell_ops, strict=True):
        terms = node_terms[source]
        if op == "none" or not terms:
            continue
        if op == "skip_connect":
            node_terms[target] += terms
        elif op == "avg_pool_3x3":
            node_terms[target] += [(pools + 1, conv) for pools, conv in terms]
        else:
            convs.append((op, terms))
            node_terms[target].append((0, len(convs) - 1))
    output = node_terms[3]
    live: set[int] = set()
    stack = [conv for _, conv in output]
    while stack:
        conv = stack.pop()
        if conv >= 0 and conv not in live:
            live.add(conv)
            stack += [source for _, source in convs[conv][1]]

    def permuted(names: dict[int, int]) -> tuple[object, ...]:
        rows = sorted(
            (
                names[conv],
                convs[conv][0],
                tuple(sorted((pools, names[source]) for pools, source in convs[conv][1])),
            )
            for conv in live
        )
        return tuple(rows), tuple(sorted((pools, names[source]) for pools, source in output))

    # There are at most six convolutions, so trying all permutations is cheap.
    orders = itertools.permutations(range(len(live)))
    return min(permuted({-1: -1, **dict(zip(sorted(live), order, strict=True))}) for order in orders)


@cache
def _canonical_ops() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Operations of a cell -> those of the first cell, in enumeration order, that computes the same function."""
    first: dict[tuple[object, ...], tuple[str, ...]] = {}
    return {ops: first.setdefault(_certificate(ops), ops) for ops in itertools.product(OPS, repeat=len(CELL_EDGES))}


@dataclass(frozen=True)
class NasBench201(Space):
    """The space ``nasbench201`` with its macro skeleton.

    Skeleton: a 3x3 convolution; three stages of ``cells`` cells with 1, 2 and 4 times ``channels``; a residual block
    of stride 2 between stages; batch norm, ReLU, global average pooling and a linear layer.

    Args:
        channels: width C of the first stage (published: 16).
        cells: cells N per stage (published: 5).
    """

    name: ClassVar[str] = "nasbench201"
    template: ClassVar[Template] = _template()
    size: ClassVar[int | None] = 15_625
    absent: ClassVar[str | None] = "none"

    channels: int = 16
    cells: int = 5

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: one group per target node, the source node after ``~``."""
        groups = [
            "|" + "".join(f"{op}~{a}|" for (a, b), op in zip(CELL_EDGES, ops[1:-1], strict=True) if b == node)
            for node in (1, 2, 3)
        ]
        return "+".join(groups)

    def read(self, key: str) -> PartialArch:
        """Parses ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, or another notation of :mod:`.notation`; ``?`` leaves an
        operation undecided.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        groups = [group.strip("|").split("|") for group in native(key).split("+")]
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
            if op not in OPS:
                error = unknown(f"{self.name} operation", op, OPS)
                raise InvalidArchError(f"{key!r}: {error}")
            ops.append(op)
        return PartialArch(self.name, ("input", *ops, "output"), self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        """The first arch that computes the same function; there are 5,044 classes among the 15,625 cells.

        Only identities that hold exactly for any shared weights are used: ``none`` and operations on zeros add
        nothing, ``skip_connect`` is the identity, average pooling is linear, convolutions that never reach the output
        do not matter, and the order of the convolutions is irrelevant. Two convolutions of the same input are not one
        convolution used twice. (A convolution of zeros counts as zero, although its batch norm can learn to add a
        constant per channel.)

        The published count of 6,466 comes from comparing strings, which distinguishes sums of zeros and the order of
        summands, ignores that pooling is linear, and identifies two convolutions of the same input.
        ``tests/spaces/test_nasbench201.py`` reproduces both counts.
        """
        return self.arch(("input", *_canonical_ops()[arch.ops[1:-1]], "output"))

    def enumerate(self) -> Iterator[Arch]:
        for ops in itertools.product(OPS, repeat=len(CELL_EDGES)):
            yield self.arch(("input", *ops, "output"))

    def build(self, arch: Arch, task: Task) -> nn.Module:
        from gennas.spaces.nasbench201.network import NasBench201Network

        return NasBench201Network(
            arch.ops[1:-1],
            self.channels,
            self.cells,
            in_channels=image_shape(task, f"space {self.name!r}")[0],
            classes=task.num_classes,
        )

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]]:
        """Parameters and multiply-adds as counted by the tables of NAS-Bench-201 (both in millions).

        Multiply-adds: a convolution's products, two per batch-norm output, one per ReLU output, the window
        size per pooling output (the global pooling's window counted as (height + 1) x (width + 1)), and a
        linear layer's products.
        """
        in_channels, height, width = image_shape(task, f"space {self.name!r}")
        stages = [(self.channels << s, _halved(height, s), _halved(width, s)) for s in range(3)]
        stem, (last, last_height, last_width) = self.channels, stages[-1]

        params = 9 * in_channels * stem + 2 * stem
        macs = (9 * in_channels + 2) * stem * height * width
        for (c_in, h_in, w_in), (c, h, w) in itertools.pairwise(stages):
            params += 9 * c_in * c + 2 * c + 9 * c * c + 2 * c + c_in * c
            macs += (9 * c_in + 2 + 9 * c + 2 + c_in) * c * h * w  # two convolutions with batch norm, the shortcut
            macs += c_in * h_in * w_in + c * h * w + 4 * c_in * h * w  # their ReLUs, the shortcut's pooling
        params += 2 * last + (last + 1) * task.num_classes
        macs += 3 * last * last_height * last_width + last * (last_height + 1) * (last_width + 1)
        macs += last * task.num_classes

        op_params, op_macs = dict.fromkeys(OPS, 0), dict.fromkeys(OPS, 0)
        for c, h, w in stages:
            for op, kernel in _KERNEL.items():
                op_params[op] += self.cells * (kernel**2 * c * c + 2 * c)
                op_macs[op] += self.cells * (kernel**2 * c + 3) * c * h * w
            op_macs["avg_pool_3x3"] += self.cells * 9 * c * h * w
        return {
            "params_m": (params / 1e6, self._per_slot(op_params)),
            "macs_m": (macs / 1e6, self._per_slot(op_macs)),
        }

    def _per_slot(self, op_costs: dict[str, int]) -> np.ndarray:
        row = np.array([op_costs.get(op, 0) for op in self.template.vocabulary]) / 1e6
        return np.where(self.template.allowed, row, 0.0)


def _halved(size: int, times: int) -> int:
    """The side of a feature map after ``times`` convolutions of stride 2, each rounding up."""
    for _ in range(times):
        size = (size + 1) // 2
    return size
