"""Definitions as source: classes with their constructors, and functions that make rows of layers."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from gennas.export.formatting import WIDTH, Bracketed, Expression, call, lines_of, literal
from gennas.export.forward_source import forward_lines, is_identifier
from gennas.export.shapes import Shapes
from gennas.export.structure import Definition, Part

#: Modules in a row that are written as a loop from so many on, and the longest expression that is repeated.
_FEWEST, _LONGEST = 3, 72
_POSITIONAL = re.compile(r"(in_|out_)?channels|in_channels_\d+")


def definition_lines(definition: Definition, shapes: Shapes) -> list[str]:
    """The lines of a class or a function.

    Args:
        definition: with its name and parameters.
        shapes: what goes through its modules.
    """
    part, texts = definition.first, iter(_texts(definition))
    said = _docstring(definition, shapes)
    signature = [
        f"{one.name}: {_type_of(one.value_in(part))}" + ("" if one.default is None else f" = {one.default}")
        for one in definition.parameters
    ]
    if not definition.is_class:
        head = lines_of("", Bracketed(f"def {definition.name}(", _listed(signature)), " -> nn.Sequential:")
        return [*head, *said, *lines_of("return ", _row(part, texts), indent=4)]
    base = "Module" if part.kind == "custom" else (part.container if part.kind == "container" else "")
    if part.layer is not None:
        base = str(part.layer.kind.__name__) if part.layer.kind else str(part.layer.values[0].__name__)
    lines = [f"class {definition.name}(nn.{base}):", *said, ""]
    lines += lines_of("", Bracketed("def __init__(", _listed(["self", *signature])), " -> None:", 4)
    if part.kind != "custom":
        made = (
            _row(part, texts) if part.layer is None else part.layer.written(tuple(_take(texts, len(part.own_slots()))))
        )
        return [*lines, *lines_of("", Bracketed("super().__init__(", made.parts), indent=8)]
    lines.append("        super().__init__()")
    for name, child in part.children.items():
        value = _made(child, texts)
        if is_identifier(name):
            lines += lines_of(f"self.{name} = ", value, indent=8)
        else:
            lines += lines_of("", call("self.add_module", [("", literal(name)), ("", value)]), indent=8)
    assert part.forward is not None, "of a custom module"
    for name, tensor in part.forward.tensors.items():
        lines += _tensor_lines(part, name, tensor, next(texts))
    names = {one.name for one in definition.parameters}
    numbers = []
    for text in texts:
        held = text in names
        if held and f"        self.{text} = {text}" not in lines:
            lines.append(f"        self.{text} = {text}")
        numbers.append(f"self.{text}" if held else text)
    inputs = ", ".join(["self", *(f"{name}: Tensor" for name in part.forward.inputs)])
    if lines[-1] == "        super().__init__()":
        # Nothing to make.
        del lines[-3:]
    return [*lines, "", f"    def forward({inputs}) -> Tensor:", *forward_lines(part, numbers, 8)]


def _texts(definition: Definition) -> list[str]:
    """What stands for every value in a definition."""
    known = definition.expressions()
    return [known.get(place, literal(slot.value)) for place, slot in enumerate(definition.first.own_slots())]


def _made(part: Part, texts: Iterator[str]) -> Expression:
    """The expression that makes a module, given what stands for its values."""
    if part.definition is not None:
        parameters = part.definition.parameters
        values = _take(texts, len(parameters))
        arguments, by_position = list[tuple[str, Expression]](), True
        for parameter, value in zip(parameters, values, strict=True):
            if parameter.default is not None and value == literal(parameter.default):
                by_position = False
                continue
            by_position &= bool(_POSITIONAL.fullmatch(parameter.name)) or len(parameters) == 1
            arguments.append(("" if by_position else parameter.name, value))
        return call(part.definition.name, arguments)
    if part.layer is not None:
        return part.layer.written(tuple(_take(texts, len(part.layer.names))))
    return _row(part, texts)


def _row(part: Part, texts: Iterator[str]) -> Bracketed:
    """A container with what is in it."""
    made = [(name, _made(child, texts)) for name, child in part.children.items()]
    if part.container == "ModuleDict":
        pairs = Bracketed("{", tuple((f"{literal(name)}: ", value) for name, value in made), "}")
        return call("nn.ModuleDict", [("", pairs)])
    if [name for name, _ in made] != [str(number) for number in range(len(made))]:
        listed = Bracketed("{", tuple((f"{literal(name)}: ", value) for name, value in made), "}")
        return call("nn.Sequential", [("", call("OrderedDict", [("", listed)]))])
    parts = _with_loops([value for _, value in made])
    if part.container == "Sequential":
        return Bracketed("nn.Sequential(", tuple(("", value) for value in parts))
    if len(parts) == 1 and len(made) > 1:
        return Bracketed("nn.ModuleList(", (("", f"[{str(parts[0])[2:-1]}]"),))
    return Bracketed("nn.ModuleList(", (("", Bracketed("[", tuple(("", value) for value in parts), "]")),))


def _with_loops(made: Sequence[Expression]) -> list[Expression]:
    """Expressions of modules in a row, those that are equal as a loop."""
    found = list[Expression]()
    place = 0
    while place < len(made):
        end = place
        while end < len(made) and str(made[end]) == str(made[place]):
            end += 1
        text, count = str(made[place]), end - place
        if count >= _FEWEST and len(text) <= _LONGEST:
            found.append(f"*({text} for _ in range({count}))")
        else:
            found += made[place:end]
        place = end
    return found


def _tensor_lines(part: Part, name: str, tensor: torch.Tensor, text: str) -> list[str]:
    """The statement that makes a parameter or a buffer."""
    shape = text[1:-1].rstrip(",") if text.startswith("(") and text != "()" else text
    dtype = "" if tensor.dtype == torch.float32 else f", dtype={tensor.dtype}"
    if isinstance(tensor, nn.Parameter):
        return [f"        self.{name} = nn.Parameter(torch.empty({shape}{dtype}))"]
    if name in part.module.state_dict():
        return [f'        self.register_buffer("{name}", torch.empty({shape}{dtype}))']
    return lines_of("", f'self.register_buffer("{name}", torch.tensor({text}{dtype}), persistent=False)', indent=8)


def _take(texts: Iterator[str], count: int) -> list[str]:
    return [next(texts) for _ in range(count)]


def _listed(texts: Sequence[str]) -> tuple[tuple[str, Expression], ...]:
    return tuple(("", text) for text in texts)


def _type_of(value: Any) -> str:
    if isinstance(value, type):
        return "type[nn.Module]"
    return "tuple" if isinstance(value, tuple) else type(value).__name__


def _docstring(definition: Definition, shapes: Shapes) -> list[str]:
    """What a definition is, in the words of its module, and the shapes that go in and come out."""
    about, form = _about(definition), shapes.of(definition)
    if not about or not form:
        return [f'    """{about or form}."""'] if about or form else []
    first = textwrap.wrap(f'"""{about}.', WIDTH - 4)
    return [*(f"    {line}" for line in first), "", f"    {form}.", '    """']


def _about(definition: Definition) -> str:
    """The first sentence of the docstring of a module's class, as far as it is plain text."""
    kind = type(definition.first.module)
    if not definition.is_class or kind.__module__.startswith("torch."):
        return ""
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
    plain, *formula = re.split(r"``|:\w+:`", text, maxsplit=1)
    if formula and not re.search(r"[:;,.(]$", plain.rstrip()):
        # It breaks off in a sentence.
        return ""
    text = plain
    sentence = re.split(r"(?<=\.)\s", text)[0].rstrip(".:;, (")
    return "" if re.search(r'[`\\"]', sentence) else sentence
