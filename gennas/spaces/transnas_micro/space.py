"""TransNAS-Bench-101, micro: NAS-Bench-201's cell with four operations, in a deeper network (4,096 archs).

Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural Architecture
Search", CVPR 2021, https://arxiv.org/abs/2105.11871.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces.counting import count
from gennas.spaces.four_node_cell import CELL_EDGES, FourNodeCell, cell_template
from gennas.spaces.nasbench201.notation import native
from gennas.spaces.template import Template
from gennas.spaces.transnas_micro.notation import OPS, decoded, others, written
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.spaces.counting import Beside
    from gennas.tasks import Task


@dataclass(frozen=True)
class TransNasMicro(FourNodeCell):
    """The space ``transnas_micro`` with its macro skeleton.

    Skeleton: two 3x3 convolutions of stride 2; a module of ``cells`` cells for every digit of ``macro``; global average
    pooling and a linear layer. Edges from the input of a cell carry its change of channels and resolution: there, skip
    connections are pairs of 1x1 convolutions.

    Of the benchmark's heads there is the one for classification, whatever the task.

    Args:
        channels: width of the stem (published: 64).
        macro: a digit per module: 1 keeps channels and resolution, 2 doubles the channels, 3 halves the resolution, 4
            does both (published: 41414).
        cells: per module (published: 2).
    """

    name: ClassVar[str] = "transnas_micro"
    template: ClassVar[Template] = cell_template(OPS)
    size: ClassVar[int | None] = 4_096
    has_learnt_skips: ClassVar[bool] = True

    channels: int = 64
    macro: int = 41414
    cells: int = 2

    def __post_init__(self) -> None:
        if set(str(self.macro)) - set("1234"):
            raise InvalidInputError(f"skeleton setting macro={self.macro}; its digits must be 1, 2, 3 or 4.")

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """The benchmark's code, e.g. ``64-41414-1_02_333``; see :func:`.notation.written`."""
        return written(ops[1:-1])

    def notations(self, arch: Arch) -> dict[str, str]:
        """See :func:`.notation.others`."""
        return others(arch.ops[1:-1])

    def read(self, key: str) -> PartialArch:
        """Parses ``64-41414-1_02_333``, ``1_02_333`` or ``(1, 0, 2, 3, 3, 3)``, or a cell of NAS-Bench-201 without
        pooling in any of its notations; ``?`` leaves an operation undecided.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        if (ops := decoded(key)) is not None:
            return self._partial(ops)
        if "|" in key or "_conv_" in key:
            return super().read(native(key))
        raise InvalidArchError(
            f"{key!r} is not a valid {self.name} cell; expected a code like 64-41414-1_02_333, with digits "
            f"{', '.join(f'{digit} for {op}' for digit, op in enumerate(OPS))}."
        )

    def canonical(self, arch: Arch) -> Arch:
        """The first arch that computes the same function; there are 1,376 classes among the 4,096 cells.

        See :meth:`gennas.spaces.four_node_cell.FourNodeCell.canonical`. A skip connection from the input counts as an
        operation of its own: where a cell changes channels it has weights.
        """
        return super().canonical(arch)

    def build(self, arch: Arch, task: Task) -> nn.Module:
        from gennas.spaces.transnas_micro.network import TransNasMicroNetwork, cell_shapes

        channels = image_shape(task, f"space {self.name!r}")[0]
        shapes = list(cell_shapes(self.channels, self.macro, self.cells))
        return TransNasMicroNetwork(arch.ops[1:-1], shapes, in_channels=channels, classes=task.num_classes)

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]]:
        """Parameters and multiply-adds (both in millions), counted on the modules.

        Multiply-adds are counted as NAS-Bench-201 does: products, two per batch-norm output, one per ReLU output, and
        the global pooling's window as (height + 1) x (width + 1). NASLib's tables of the benchmark say the same.
        """
        shape = image_shape(task, f"space {self.name!r}")
        return {
            name: (base, table.copy()) for name, (base, table) in _slot_costs(self, shape, task.num_classes).items()
        }


def _beside() -> Beside:
    """What NAS-Bench-201 counts beside products."""
    from torch import nn

    return {
        nn.BatchNorm2d: lambda layer, x, y: 2 * y.numel(),
        nn.ReLU: lambda layer, x, y: y.numel(),
        nn.AdaptiveAvgPool2d: lambda layer, x, y: (x.shape[2] + 1) * (x.shape[3] + 1) * y.numel(),
    }


@lru_cache(maxsize=64)
def _slot_costs(
    space: TransNasMicro, images: tuple[int, int, int], classes: int
) -> dict[str, tuple[float, np.ndarray]]:
    from gennas.spaces.transnas_micro.network import CellShape, cell_shapes, head, operation, stem

    beside, vocabulary = _beside(), space.template.vocabulary
    last = count(lambda: stem(images[0], space.channels), images, beside)
    base = np.array([last.params, last.macs])
    tables = np.zeros((2, *space.template.allowed.shape))
    for shape in cell_shapes(space.channels, space.macro, space.cells):
        inner = CellShape(shape.c_out, shape.c_out, 1)
        first = {op: count(partial(operation, op, shape), last.shape, beside) for op in OPS[1:]}
        last = first[OPS[-1]]
        others = {op: count(partial(operation, op, inner), last.shape, beside) for op in OPS[1:]}
        for slot, (source, _) in enumerate(CELL_EDGES, start=1):
            for op, own in (others if source else first).items():
                tables[:, slot, vocabulary.index(op)] += own.params, own.macs
    logits = count(lambda: head(last.shape[0], classes), last.shape, beside)
    base += logits.params, logits.macs
    return {name: (float(base[row]) / 1e6, tables[row] / 1e6) for row, name in enumerate(("params_m", "macs_m"))}
