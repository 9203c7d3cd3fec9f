"""DARTS: a normal and a reduction cell of four nodes, each the sum of two operations on earlier nodes.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.

Every node has a slot for the pair of nodes that it reads, and one for each of its two operations. All of these are
chosen freely, so that uniform choices are uniform archs, and whatever is changed or refilled is an arch again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidInputError
from gennas.spaces.base import Space
from gennas.spaces.darts import notation
from gennas.spaces.darts.cells import GIVEN, Cell, CellPlan, Node, canonical, concat_of
from gennas.spaces.darts.slots import CELLS, slots_of, template_of
from gennas.spaces.darts.views import Decoder
from gennas.spaces.figure import Figure
from gennas.spaces.template import Template
from gennas.spaces.terms import CostTerm
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.spaces.darts.costs import MacroCosts
    from gennas.spaces.darts.network import Macro
    from gennas.tasks import Task

#: The greatest percentage that drop path may have.
_MOST_DROPPED = 90


@dataclass(frozen=True)
class GenotypeSpace(Space):
    """A space of normal and reduction cells that a ``Genotype`` describes; a subclass has a ``plan`` of its cells.

    Skeleton: a stem, and ``cells`` cells, each of which reads the two before; those at a third and at two thirds are
    reduction cells, which halve the resolution and double the channels; global average pooling and a linear layer.

    Args:
        channels: of every node of the first cells.
        cells: number of cells.
        imagenet: 1 for the stem of large images, which divides their resolution by 8; 0 for a 3x3 convolution.
        affine: 1 for batch norms with scale and shift inside of operations, and none after poolings, as DARTS trains
            networks at last; 0 for those without, and one after every pooling, as in the networks that it searches with
            and in those that NASLib counts.
        drop_path: percentage of the operations on single images that are left out at the end of a training
            (ScheduledDropPath); it grows linearly from 0.

    Raises:
        InvalidInputError: a setting has a value that is none of these.
    """

    plan: ClassVar[CellPlan]

    channels: int = 32
    cells: int = 8
    imagenet: int = 0
    affine: int = 0
    drop_path: int = 0

    def __post_init__(self) -> None:
        for name in ("imagenet", "affine"):
            if getattr(self, name) not in (0, 1):
                raise InvalidInputError(f"skeleton setting {name}={getattr(self, name)}; must be 0 or 1.")
        if not 0 <= self.drop_path <= _MOST_DROPPED:
            raise InvalidInputError(
                f"skeleton setting drop_path={self.drop_path}; must be a percentage from 0 to {_MOST_DROPPED}."
            )

    @property
    def count(self) -> int:
        """Number of archs: of choices of inputs and operations. Cells that differ by the numbers of nodes count."""
        per_node = [len(self.plan.pairs(node)) * len(self.plan.operations) ** 2 for node in self.plan.numbers]
        return int(np.prod(np.array(per_node, dtype=object))) ** 2

    def cells_of(self, ops: Sequence[str]) -> tuple[Cell, Cell]:
        """The normal and the reduction cell, given the operations of all slots."""
        found = []
        for nodes in slots_of(self.plan):
            cell: list[Node] = []
            for slots in nodes:
                word = "0+1" if slots.inputs is None else ops[slots.inputs]
                first, second = map(int, word.split("+"))
                cell.append(((first, ops[slots.first]), (second, ops[slots.second])))
            found.append(tuple(cell))
        return found[0], found[1]

    def arch_of(self, normal: Cell, reduce: Cell) -> Arch:
        """The arch of a pair of cells.

        Raises:
            InvalidArchError: a node reads what it cannot, or an operation is unknown.
        """
        return self.parse(notation.written(self.plan, normal, reduce))

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], ...)``.

        For every node two pairs of an operation and the node that it reads; 0 and 1 are the cell before the last and
        the last. The inputs of a node are in order.
        """
        return notation.written(self.plan, *self.cells_of(ops))

    def read(self, key: str) -> PartialArch:
        """Parses a ``Genotype``, or another notation of :func:`gennas.spaces.darts.notation.read`; ``?`` leaves an
        operation, or both inputs of a node, undecided. Nothing is executed.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        ops: list[str | None] = [None] * len(self.template.slots)
        ops[0], ops[-1] = "input", "output"
        read = notation.read(self.plan, key, self.name)
        for nodes, cell in zip(slots_of(self.plan), read, strict=True):
            for slots, ((first, one), (second, other)) in zip(nodes, cell, strict=True):
                if slots.inputs is not None:
                    ops[slots.inputs] = None if first is None else f"{first}+{second}"
                ops[slots.first], ops[slots.second] = one, other
        return PartialArch(self.name, tuple(ops), self.template.fixed_edges)

    def partial(self, text: str) -> PartialArch:
        # A genotype has '=', by which the choices of others are told.
        return self.partial_of(text) if "Genotype" in text else super().partial(text)

    def canonical(self, arch: Arch) -> Arch:
        """The arch whose cells have the nodes in the first of all orders.

        The order decides nothing but which channels of a cell's output are whose, and the convolution or classifier
        that reads them has weights for each anyway. :meth:`build` takes the first order for all, so that networks of
        archs with one canonical form are the same network.

        Rarer coincidences, such as a sum of skips that can be written in two ways, are kept apart.
        """
        cells = self.cells_of(arch.ops)
        first = canonical(cells[0]), canonical(cells[1])
        return arch if first == cells else self.arch_of(*first)

    def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The operations of a node feed those on which it is an input; those of the output's nodes feed the output."""
        return ops, self._decoder().dataflow(ops)

    def views(self, ops: np.ndarray, edges: np.ndarray) -> list[np.ndarray]:
        """See :meth:`gennas.spaces.darts.views.Decoder.views`: both cells apart, which one graph would mix."""
        return self._decoder().views(ops)

    def figures(self, arch: Arch) -> list[Figure]:
        """The two cells: the cells before, operations, the nodes that sum them, and what is concatenated."""
        cells = zip(CELLS, self.cells_of(arch.ops), strict=True)
        return [_figure(f"{name} cell", cell, concat_of(self.plan, cell)) for name, cell in cells]

    @classmethod
    @cache
    def _decoder(cls) -> Decoder:
        return Decoder(cls.plan, cls.template)

    def is_constant(self, arch: Arch) -> bool:
        """Never: every node reads earlier ones, and none of the operations is constant."""
        return False

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        """Exact ``params_m`` and ``macs_m`` (both in millions), as NASLib counts them.

        Multiply-adds are the products of convolutions and of the linear layer, and one for every output of a ReLU, two
        of a batch norm (one without scale and shift), and the size of its window for every output of a pooling.
        """
        cells = self.cells_of(arch.ops)
        concats = len(concat_of(self.plan, cells[0])), len(concat_of(self.plan, cells[1]))
        place_of = {op: place for place, op in enumerate(self.plan.operations)}
        params, macs = self._counted(task).of(cells, concats, place_of) / 1e6
        return {"params_m": float(params), "macs_m": float(macs)}

    def cost_terms(self, task: Task) -> dict[str, tuple[float, list[CostTerm]]] | None:
        """The costs as sums over operations, which in reduction cells depend on whether they read an earlier cell."""
        if self.plan.loose_ends:
            # How many channels a cell has depends on all of its inputs.
            return None
        counted = self._counted(task)
        around = counted.around((self.plan.nodes, self.plan.nodes)) / 1e6
        terms: tuple[list[CostTerm], list[CostTerm]] = ([], [])
        for kind, nodes in enumerate(slots_of(self.plan)):
            tables = counted.of_operation[kind] / 1e6
            for node, slots in zip(self.plan.numbers, nodes, strict=True):
                for place, slot in enumerate((slots.first, slots.second)):
                    inner = [int(pair[place] >= GIVEN) for pair in self.plan.pairs(node)]
                    own = (slot,) if slots.inputs is None or kind == 0 else (slots.inputs, slot)
                    for row in range(2):
                        values = tables[inner[0], :, row] if len(own) == 1 else tables[inner, :, row]
                        terms[row].append(CostTerm(own, values, np.full(values.shape, 1 / values.size)))
        return {name: (float(around[row]), terms[row]) for row, name in enumerate(("params_m", "macs_m"))}

    def build(self, arch: Arch, task: Task) -> nn.Module:
        """Builds the network of the canonical form: ``(batch, channels, height, width) -> (batch, classes)`` logits."""
        from gennas.spaces.darts.network import DartsNetwork

        normal, reduce = map(canonical, self.cells_of(arch.ops))
        concats = concat_of(self.plan, normal), concat_of(self.plan, reduce)
        return DartsNetwork(normal, reduce, concats, self._macro(task))

    def _macro(self, task: Task) -> Macro:
        from gennas.spaces.darts.network import Macro

        return Macro(
            self.channels,
            self.cells,
            bool(self.imagenet),
            bool(self.affine),
            self.drop_path / 100,
            image_shape(task, f"space {self.name!r}")[0],
            task.num_classes,
        )

    def _counted(self, task: Task) -> MacroCosts:
        from gennas.spaces.darts.costs import macro_costs

        return macro_costs(self._macro(task), self.plan.operations, image_shape(task, f"space {self.name!r}"))


def _figure(title: str, cell: Cell, concat: Sequence[int]) -> Figure:
    boxes, edges = [("c_{k-2}", "0"), ("c_{k-1}", "1")], []
    box_of = list(range(GIVEN))
    for number, node in enumerate(cell, start=GIVEN):
        total = len(boxes) + len(node)
        for source, op in node:
            edges += [(box_of[source], len(boxes)), (len(boxes), total)]
            boxes.append((op, op))
        boxes.append(("+", str(number)))
        box_of.append(total)
    edges += [(box_of[node], len(boxes)) for node in concat]
    boxes.append(("c_{k}", "concat"))
    return Figure(title, tuple(boxes), tuple(edges), tuple(range(GIVEN)), (len(boxes) - 1,))


_DARTS = CellPlan(notation.NASLIB_OPS, nodes=4, repeats=False, loose_ends=False)


@dataclass(frozen=True)
class Darts(GenotypeSpace):
    """The space ``darts``: four nodes, seven operations, two different inputs of each node; about 10^18 archs.

    With the settings' defaults, parameters and multiply-adds are those of the table ``darts``. DARTS itself trains
    ``channels=36,cells=20,affine=1,drop_path=20`` on CIFAR-10, and ``channels=48,cells=14,imagenet=1,affine=1`` on
    ImageNet.
    """

    name: ClassVar[str] = "darts"
    plan: ClassVar[CellPlan] = _DARTS
    template: ClassVar[Template] = template_of(_DARTS)

    def notations(self, arch: Arch) -> dict[str, str]:
        """``genotype``: the key, which DARTS prints; ``naslib``: :meth:`compact`. Both are read."""
        return {"genotype": arch.key, "naslib": self.compact(arch)}

    @staticmethod
    def compact(arch: Arch) -> str:
        """NASLib's compact form of an arch, see :func:`gennas.spaces.darts.notation.compact`."""
        return notation.compact(*Darts().cells_of(arch.ops))


_NASNET = CellPlan(
    (
        *("skip_connect", "conv_3x1_1x3", "conv_7x1_1x7", "dil_conv_3x3", "avg_pool_3x3", "max_pool_3x3"),
        *("max_pool_5x5", "max_pool_7x7", "conv_1x1", "conv_3x3", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"),
    ),
    nodes=5,
    repeats=True,
    loose_ends=True,
)


@dataclass(frozen=True)
class NasNet(GenotypeSpace):
    """The space ``nasnet``: five nodes, thirteen operations, inputs that may be the same, and of the nodes only those
    that no other one reads are part of a cell's output.

    Zoph, Vasudevan, Shlens and Le, "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018. The
    network around the cells, and their notation, are those of DARTS.
    """

    name: ClassVar[str] = "nasnet"
    plan: ClassVar[CellPlan] = _NASNET
    template: ClassVar[Template] = template_of(_NASNET)
