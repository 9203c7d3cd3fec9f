"""Which classes and functions the source of a network has, and what they and their parameters are called."""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch import fx, nn

from gennas.export.shapes import Shapes
from gennas.export.structure import CHANNELS, Definition, Parameter, Part, parameters_of

#: Name of the class of the whole network.
NETWORK = "Network"
#: How parts of a row of layers are called in the name of the function that makes it.
_WORDS = {
    "Conv2d": "conv", "Conv1d": "conv", "ConvTranspose2d": "upconv", "Linear": "linear", "MaxPool2d": "max_pool",
    "AvgPool2d": "avg_pool", "AdaptiveAvgPool2d": "mean", "Flatten": "flatten", "Dropout": "dropout",
}  # fmt: skip
#: Rows of more layers are named after the first ones.
_MOST_WORDS = 6
#: The usual order of parameters; others follow.
_ORDER = {
    "channels": 0, "in_channels": 0, "out_channels": 1, "hidden_channels": 2, "kernel_size": 3, "stride": 4,
}  # fmt: skip
_TAKEN = {"nn", "torch", "Tensor", "self", *keyword.kwlist, *dir(builtins)}


def define(root: Part, shapes: Shapes) -> list[Definition]:
    """Gives every class, and every row of layers that is made in several places, a definition; children come first.

    Args:
        root: the network.
        shapes: of what goes through its modules.
    """
    parts = list(root.walk())
    groups: dict[Hashable, list[Part]] = {}
    places: dict[Hashable, set[Hashable]] = {}
    for part in parts:
        groups.setdefault(part.signature, []).append(part)
        for name, child in part.children.items():
            # Variants of a class are one place: each is to show what it is made of.
            place = type(part.module) if part.kind == "custom" else part.signature
            places.setdefault(child.signature, set()).add((place, name))
    definitions = []
    for signature, group in groups.items():
        first = group[0]
        is_class = first.kind == "custom" or first.is_subclass or first is root
        is_row = first.kind == "container" and first.container == "Sequential" and len(first.children) > 1
        is_row &= all(child.kind == "layer" for child in first.children.values())
        if is_class or (is_row and len(places.get(signature, ())) > 1):
            ends = shapes.channels(group)
            parameters = parameters_of(group, ends)
            _name_parameters(parameters, group, ends)
            definition = Definition("", group, parameters, is_class)
            for part in group:
                part.definition = definition
            definitions.append(definition)
    _name_definitions(definitions, root)
    return definitions


def _name_parameters(parameters: list[Parameter], group: Sequence[Part], ends: Sequence[tuple[int, ...]]) -> None:
    used = Counter[str]()
    for parameter in parameters:
        places = {*parameter.slots, *parameter.derived}
        if parameter.family == CHANNELS:
            values = tuple(parameter.value_in(part) for part in group)
            roles = [role for role, end in zip(_roles(len(ends)), ends, strict=True) if end == values]
            name = "channels" if roles[:2] == ["in_channels", "out_channels"] else [*roles, "hidden_channels"][0]
        elif parameter.family == "number":
            name = _attribute(group, min(places)) or "size"
        else:
            name = parameter.name
        name = re.sub(r"\W", "_", name)
        name = f"{name}_" if name in _TAKEN else name
        used[name] += 1
        parameter.name = name if used[name] == 1 else f"{name}_{used[name]}"
    parameters.sort(
        key=lambda parameter: (
            parameter.default is not None,
            _ORDER.get(parameter.name.rstrip("_0123456789"), len(_ORDER)),
        )
    )


def _roles(ends: int) -> list[str]:
    """What the ends of :meth:`Shapes.channels` are called."""
    return ["in_channels", "out_channels", *(f"in_channels_{number}" for number in range(2, ends))][:ends]


def _attribute(group: Sequence[Part], place: int) -> str:
    """The attribute of the modules of a class that holds a number of their forwards; empty where none does."""
    wanted = [part.own_slots()[place].value for part in group]
    for name in _numbers(group[0].module):
        if [_numbers(part.module).get(name) for part in group] == wanted:
            return name
    return ""


def _numbers(module: nn.Module) -> dict[str, Any]:
    found = {name: value for name, value in vars(module).items() if type(value) in (int, float)}
    for holder in vars(module).values():
        if is_dataclass(holder):
            found |= {field.name: getattr(holder, field.name) for field in fields(holder)}
    return {name.strip("_"): value for name, value in found.items() if name.strip("_").isidentifier()}


def _name_definitions(definitions: Sequence[Definition], root: Part) -> None:
    used = {NETWORK}
    by_class: dict[str, list[Definition]] = {}
    for definition in definitions:
        if definition.is_class and definition.first is not root:
            name = type(definition.first.module).__name__.lstrip("_")
            by_class.setdefault(name[:1].upper() + name[1:], []).append(definition)
    for name, variants in by_class.items():
        adds = [_adds_input(variant.first) for variant in variants]
        base = [f"Residual{name}" if some and not all(adds) else name for some in adds]
        for variant, stem in zip(variants, base, strict=True):
            variant.name = _unique(stem, used, "")
    for definition in definitions:
        if definition.first is root:
            definition.name = NETWORK
        elif not definition.is_class:
            definition.name = _unique(_words(definition), used, "_")


def _unique(name: str, used: set[str], separator: str) -> str:
    name = f"{name}_" if name in _TAKEN else name
    number, result = 1, name
    while result in used:
        number += 1
        result = f"{name}{separator}{number}"
    used.add(result)
    return result


def _adds_input(part: Part) -> bool:
    """Whether what a module returns is a sum with its input."""
    output = part.forward.output if part.forward else None
    return (
        isinstance(output, fx.Node)
        and any(isinstance(value, fx.Node) and value.op == "placeholder" for value in output.args)
        and "add" in str(output.target)
    )


def _words(definition: Definition) -> str:
    """A name for a row of layers, such as ``conv_norm_relu``."""
    one_act = all(parameter.family != "activation" for parameter in definition.parameters)
    words = [_word(child, one_act) for child in definition.first.children.values()]
    half = len(words) // 2
    if len(words) % 2 == 0 and half > 1 and words[:half] == words[half:]:
        return f"{_joined(words[:half])}_twice"
    return _joined(words)


def _joined(words: Sequence[str]) -> str:
    return "_".join(words if len(words) <= _MOST_WORDS else [*words[: _MOST_WORDS - 1], "and_more"])


def _word(part: Part, one_act: bool) -> str:
    kind = type(part.module).__name__
    if part.layer is not None and part.layer.kind is None:
        return str(part.layer.values[0].__name__).lower() if one_act else "act"
    if isinstance(part.module, nn.Conv2d) and part.module.groups == part.module.in_channels > 1:
        return "depthwise"
    if "Norm" in kind:
        return "norm"
    return _WORDS.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
