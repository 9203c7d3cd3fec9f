"""Parameters and multiply-adds of networks of cells, counted on their modules part by part."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from gennas.spaces.counting import Beside, Counts, count
from gennas.spaces.darts.cells import GIVEN, Cell
from gennas.spaces.darts.network import Macro, entering, head, stem_channels, stems
from gennas.spaces.darts.operations import operation


def _outputs(module: nn.Module, x: Tensor, y: Tensor) -> float:
    return y.numel()


def _norm(module: nn.BatchNorm2d, x: Tensor, y: Tensor) -> float:
    return (2 if module.affine else 1) * y.numel()


def _window(module: Any, x: Tensor, y: Tensor) -> float:
    return module.kernel_size**2 * y.numel()


def _globally(module: nn.Module, x: Tensor, y: Tensor) -> float:
    return y.numel() * (x.shape[2] + 1) * (x.shape[3] + 1)


#: What the tables of NASLib count beside the products of convolutions and linear layers, as those of NAS-Bench-201 do.
COUNTED: Beside = {
    nn.ReLU: _outputs,
    nn.BatchNorm2d: _norm,
    nn.MaxPool2d: _window,
    nn.AvgPool2d: _window,
    nn.AdaptiveAvgPool2d: _globally,
}


class MacroCosts:
    """What the parts of all networks of a macro cost.

    Args:
        macro: the network around the cells.
        operations: that cells may have.
        shape: of the images, ``(channels, height, width)``.

    Attributes:
        of_operation: ``(2, 2, k, 2)`` parameters and multiply-adds of an operation in all cells of a kind: the kind
            (normal, reduction), whether it reads a node of its own cell, the operation, and the two costs.
    """

    def __init__(self, macro: Macro, operations: tuple[str, ...], shape: tuple[int, int, int]) -> None:
        self.macro, self.shape = macro, shape
        self._counts: dict[object, Counts] = {}
        self._around: dict[tuple[int, int], np.ndarray] = {}
        self.of_operation = np.zeros((2, 2, len(operations), 2))
        channels, (_, height, width) = macro.channels, self._stems()[-1].shape
        for place in range(macro.cells):
            kind, stride = (1, 2) if macro.is_reduction(place) else (0, 1)
            channels *= stride
            halved = -(-height // stride), -(-width // stride)
            for column, name in enumerate(operations):
                for inner, given, size in ((0, stride, (height, width)), (1, 1, halved)):
                    make = partial(operation, name, channels, given, macro.affine)
                    found = self._counted((name, channels, given), (channels, *size), make)
                    self.of_operation[kind, inner, column] += found.params, found.macs
            height, width = halved

    def around(self, concats: tuple[int, int]) -> np.ndarray:
        """``(2,)`` parameters and multiply-adds of all but the operations of cells.

        Args:
            concats: how many nodes make the output of the normal and of the reduction cell.
        """
        if concats not in self._around:
            found = [*self._stems()]
            shapes = [part.shape for part in (found[0], found[-1])]
            channels, reduced = self.macro.channels, self.macro.large
            assert [shape[0] for shape in shapes] == list(stem_channels(self.macro))
            for place in range(self.macro.cells):
                reduces = self.macro.is_reduction(place)
                channels *= 2 if reduces else 1
                for shape, halves in zip(shapes, (reduced, False), strict=True):
                    key = ("entering", shape[0], channels, halves)
                    found.append(self._counted(key, shape, partial(entering, shape[0], channels, halves)))
                _, height, width = found[-1].shape
                stride = 2 if reduces else 1
                output = (concats[reduces] * channels, -(-height // stride), -(-width // stride))
                shapes, reduced = [shapes[1], output], reduces
            found.append(self._counted(("head",), shapes[1], partial(head, shapes[1][0], self.macro)))
            self._around[concats] = np.array([sum(p.params for p in found), sum(p.macs for p in found)], dtype=float)
        return self._around[concats]

    def of(self, cells: tuple[Cell, Cell], concats: tuple[int, int], place_of: dict[str, int]) -> np.ndarray:
        """``(2,)`` parameters and multiply-adds of a network; ``place_of`` are the places of operations."""
        found = self.around(concats).copy()
        for kind, cell in enumerate(cells):
            for node in cell:
                for source, op in node:
                    found += self.of_operation[kind, int(source >= GIVEN), place_of[op]]
        return found

    def _stems(self) -> list[Counts]:
        found: list[Counts] = []
        for place in range(2 if self.macro.large else 1):
            shape = found[-1].shape if found else self.shape
            found.append(self._counted(("stem", place), shape, partial(_stem, self.macro, place)))
        return found

    def _counted(self, key: object, shape: tuple[int, ...], make: Callable[[], nn.Module]) -> Counts:
        if (key, shape) not in self._counts:
            self._counts[key, shape] = count(make, shape, COUNTED)
        return self._counts[key, shape]


def _stem(macro: Macro, place: int) -> nn.Module:
    return stems(macro)[place]


@lru_cache(maxsize=64)
def macro_costs(macro: Macro, operations: tuple[str, ...], shape: tuple[int, int, int]) -> MacroCosts:
    """The costs of a macro, counted once."""
    return MacroCosts(macro, operations, shape)
