"""The shapes that go through the modules of a definition, in the words of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from gennas.export.structure import CHANNELS, Definition, Part

_BATCH = 2


class Shapes:
    """Inputs and outputs of all modules of a network.

    Args:
        network: in evaluation mode.
        input_shape: ``(c, h, w)`` of its images.
    """

    def __init__(self, network: nn.Module, input_shape: tuple[int, ...]) -> None:
        self.seen: dict[int, tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]] = {}

        def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if all(isinstance(one, torch.Tensor) for one in (*inputs, output)):
                self.seen.setdefault(id(module), (tuple(tuple(one.shape) for one in inputs), tuple(output.shape)))

        hooks = [module.register_forward_hook(note) for module in network.modules()]
        try:
            with torch.no_grad():
                network(torch.zeros(_BATCH, *input_shape))
        finally:
            for hook in hooks:
                hook.remove()

    def channels(self, parts: Sequence[Part]) -> tuple[tuple[int, ...], ...]:
        """Channels of the first input, of the output, and of further inputs, each in all of some modules.

        Empty where they are not known.
        """
        found = [self.seen.get(id(part.module)) for part in parts]
        rows = [(one[0][0], one[1], *one[0][1:]) for one in found if one is not None and one[0]]
        if len(rows) < len(parts) or len({len(row) for row in rows}) > 1:
            return ()
        if any(len(shape) < 2 for row in rows for shape in row):
            return ()
        return tuple(zip(*([shape[1] for shape in row] for row in rows), strict=True))

    def of(self, definition: Definition) -> str:
        """Like ``(b, in_channels, h, w) -> (b, out_channels, h / 2, w / 2)``; empty where nothing is known."""
        parts = [part for part in definition.parts if id(part.module) in self.seen]
        found = [self.seen[id(part.module)] for part in parts]
        kinds = {(tuple(map(len, inputs)), len(output)) for inputs, output in found}
        if len(kinds) != 1:
            return ""
        inputs = [[row[0][n] for row in found] for n in range(len(found[0][0]))]
        outputs = [row[1] for row in found]
        texts = [_text(definition, parts, shapes, shapes) for shapes in inputs]
        return f"``{', '.join(texts)} -> {_text(definition, parts, outputs, inputs[-1])}``"


def _text(
    definition: Definition,
    parts: Sequence[Part],
    shapes: Sequence[tuple[int, ...]],
    reference: Sequence[tuple[int, ...]],
) -> str:
    """Shapes of all modules of a definition as one, sides relative to those of the last input."""
    names = ["b", *("c" for _ in shapes[0][1:2]), *("h", "w")[: len(shapes[0]) - 2]]
    if len(shapes[0]) > 4:
        return "(b, ...)"
    words = ["b"]
    for dimension in range(1, len(shapes[0])):
        sizes = [shape[dimension] for shape in shapes]
        if len({*sizes}) == 1 and len({shape[dimension] for shape in reference if len(shape) > dimension}) <= 1:
            words.append(str(sizes[0]))
        elif dimension == 1:
            words.append(_parameter(definition, parts, sizes) or "c")
        else:
            sides = [shape[dimension] for shape in reference]
            words.append(_strided(definition, parts, names[dimension], sizes, sides))
    return f"({', '.join(words)})"


def _parameter(definition: Definition, parts: Sequence[Part], sizes: Sequence[int]) -> str:
    if len({*sizes}) == 1:
        return str(sizes[0])
    for parameter in definition.parameters:
        if parameter.family == CHANNELS and [parameter.value_in(part) for part in parts] == list(sizes):
            return parameter.name
    return ""


def _strided(
    definition: Definition, parts: Sequence[Part], name: str, sizes: Sequence[int], reference: Sequence[int]
) -> str:
    """A side, named after that of the input where it follows from it."""
    for factor in (1, 2, 4, 8):
        if all(size == -(-side // factor) for size, side in zip(sizes, reference, strict=True)):
            return name if factor == 1 else f"{name} / {factor}"
    for parameter in definition.parameters:
        strides = [parameter.value_in(part) for part in parts] if parameter.family == "stride" else []
        if strides and all(isinstance(stride, int) for stride in strides):
            rows = zip(sizes, reference, strides, strict=True)
            if all(size == -(-side // stride) for size, side, stride in rows):
                return f"{name} / {parameter.name}"
    return str(sizes[0]) if len({*sizes}) == 1 else f"{name}'"
