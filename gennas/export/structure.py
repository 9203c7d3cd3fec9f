"""The modules of a network as a tree, in which those of equal structure share a definition.

What differs between the modules of a definition becomes its parameters: values that are equal in all of them are one
parameter, and widths that are a multiple of another one are computed from it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.export.layers import Layer, base_of, layer_of
from gennas.export.tracing import Forward, forward_of

#: Arguments that count channels; other arguments are only compared with those of their own name.
CHANNELS = "channels"
_COUNTING = {
    "in_channels", "out_channels", "num_features", "in_features", "out_features", "num_channels", "num_parameters",
}  # fmt: skip
#: Arguments that calls need not give where they are 1.
_USUALLY_ONE = ("stride", "dilation", "groups")
#: So many different widths make it no coincidence that others are a multiple of them.
_TELLING = 3
#: Tensors that are no weights are written as numbers, up to so many.
_MOST_VALUES = 64
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Slot:
    """A value in a module that may differ between modules of one structure.

    Attributes:
        name: of the argument.
        family: values are compared with those of the same family.
        value: in this module.
    """

    name: str
    family: str
    value: Any


@dataclass(eq=False)
class Part:
    """A module of the network.

    Attributes:
        module: the module.
        path: its name in the network; empty for the network itself.
        kind: ``layer``, ``container`` or ``custom``.
        children: by name.
        layer: of a layer.
        forward: of a custom module.
        definition: that it shares; None where it is written in its place.
    """

    module: nn.Module
    path: str
    kind: str
    children: dict[str, Part] = field(default_factory=dict)
    layer: Layer | None = None
    forward: Forward | None = None
    definition: Definition | None = None

    @property
    def container(self) -> str:
        """``Sequential``, ``ModuleList`` or ``ModuleDict``."""
        return next(kind.__name__ for kind in _CONTAINERS if isinstance(self.module, kind))

    @property
    def is_subclass(self) -> bool:
        """Whether its class is one of the network's own, although it computes what one of torch does."""
        return self.kind == "container" and type(self.module) not in _CONTAINERS

    @property
    def signature(self) -> Hashable:
        """Equal for modules that differ by values only."""
        if self._signature is None:
            own = self.layer.signature if self.layer else self.forward.signature if self.forward else ()
            kind = type(self.module) if self.is_subclass or self.kind == "custom" else self.kind
            if self.kind == "container":
                own = (*own, self.container)  # type: ignore[misc]
            self._signature = (kind, own, tuple((name, child.signature) for name, child in self.children.items()))
        return self._signature

    _signature: Hashable = None

    def walk(self) -> Iterator[Part]:
        """All modules in it, children first."""
        for child in self.children.values():
            yield from child.walk()
        yield self

    def slots(self) -> list[Slot]:
        """The values that are written in its place: arguments of layers, and of definitions."""
        if self.definition is not None:
            return [Slot(one.name, one.family, one.value_in(self)) for one in self.definition.parameters]
        return self.own_slots()

    def own_slots(self) -> list[Slot]:
        """The values in its definition; asked for once those of its children are settled."""
        if self._own is None:
            self._own = self._own_slots()
        return self._own

    _own: list[Slot] | None = None

    def _own_slots(self) -> list[Slot]:
        if self.layer is not None:
            counting = {*_COUNTING, "groups"} if self.layer.is_depthwise else _COUNTING
            pairs = zip(self.layer.names, self.layer.values, strict=True)
            return [Slot(name, CHANNELS if name in counting else name, value) for name, value in pairs]
        found = [slot for child in self.children.values() for slot in child.slots()]
        if self.forward is not None:
            found += [self._tensor_slot(name, value) for name, value in self.forward.tensors.items()]
            found += [Slot("", "number", value) for value in self.forward.numbers]
        return found

    def _tensor_slot(self, name: str, tensor: torch.Tensor) -> Slot:
        """The shape of a tensor among the weights; the values of another one."""
        if name in self.module.state_dict():
            return Slot(f"{name}_shape", "shape", tuple(tensor.shape))
        if tensor.numel() > _MOST_VALUES:
            raise InvalidInputError(
                f"module {self.path!r} ({type(self.module).__name__}) cannot be written as source: {name} has "
                f"{tensor.numel()} values and is not among the weights; register it as a buffer."
            )
        return Slot(f"{name}_values", "values", _hashable(tensor.tolist()))


@dataclass(eq=False)
class Parameter:
    """A parameter of a definition.

    Attributes:
        name: of the argument.
        family: of its slots.
        slots: places in :meth:`Part.own_slots` that have its value.
        derived: places whose value is computed from it, with the expression.
        default: that it has; None where calls must give it.
    """

    name: str
    family: str
    slots: list[int]
    derived: dict[int, str] = field(default_factory=dict)
    default: int | None = None

    def value_in(self, part: Part) -> Any:
        """Its value in a module of the definition."""
        return part.own_slots()[self.slots[0]].value


@dataclass(eq=False)
class Definition:
    """A class, or a function that makes a row of layers.

    Attributes:
        name: of the class or function.
        parts: the modules that it makes.
        parameters: in the order of their first use.
        is_class: whether it is a class.
    """

    name: str
    parts: list[Part]
    parameters: list[Parameter]
    is_class: bool

    @property
    def first(self) -> Part:
        """One of the modules."""
        return self.parts[0]

    def expressions(self) -> dict[int, str]:
        """Place in :meth:`Part.own_slots` -> the name or the expression that stands for its value."""
        return {
            place: text.format(parameter.name)
            for parameter in self.parameters
            for place, text in (dict.fromkeys(parameter.slots, "{}") | parameter.derived).items()
        }


def tree(module: nn.Module, path: str = "") -> Part:
    """The tree of a network, which must be in evaluation mode.

    Raises:
        InvalidInputError: a module cannot be written as source; the message names it.
    """
    children = {
        name: tree(child, f"{path}.{name}".lstrip("."))
        # Not named_children(), which names a module once that is used twice.
        for name, child in module._modules.items()
        if child is not None and base_of(module) in (None, *_CONTAINERS)
    }
    base, name = base_of(module), path or type(module).__name__
    if base in _CONTAINERS:
        return Part(module, path, "container", children)
    if base is not None:
        return Part(module, path, "layer", layer=layer_of(module, name))
    forward = forward_of(module, name)
    if forward.is_identity and not children and not forward.tensors:
        # What does something in training only, such as leaving paths out.
        identity = nn.Identity()
        return Part(identity, path, "layer", layer=layer_of(identity, name))
    return Part(module, path, "custom", children, forward=forward)


def parameters_of(parts: Sequence[Part], ends: Sequence[tuple[int, ...]] = ()) -> list[Parameter]:
    """What differs between modules of one structure, without names.

    Args:
        parts: the modules.
        ends: channels of what goes in and of what comes out, in all modules. These are parameters of their own, and
            others follow from them where they can.
    """
    rows = [part.own_slots() for part in parts]
    columns = [(slots[0], tuple(_hashable(slot.value) for slot in slots)) for slots in zip(*rows, strict=True)]
    found: list[tuple[Parameter, tuple[Any, ...]]] = []
    is_end = [slot.family == CHANNELS and values in ends for slot, values in columns]
    for place in sorted(range(len(columns)), key=lambda place: not is_end[place]):
        slot, values = columns[place]
        if len(set(values)) == 1:
            continue
        for parameter, known in found:
            if parameter.family == slot.family and known == values:
                parameter.slots.append(place)
                break
            if not is_end[place] and (text := _derived(parameter, known, slot, values)):
                parameter.derived[place] = text
                break
        else:
            default = 1 if slot.family in _USUALLY_ONE and 1 in values else None
            found.append((Parameter(slot.name, slot.family, [place], default=default), values))
    return [parameter for parameter, _ in found]


def _derived(parameter: Parameter, known: tuple[Any, ...], slot: Slot, values: tuple[Any, ...]) -> str:
    """How values follow from those of a parameter, with ``{}`` for its name; empty where they do not.

    Only relations that mean something: between numbers of channels, and of the padding that keeps a size.
    """
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (*known, *values)):
        return ""
    pairs = list(zip(known, values, strict=True))
    if parameter.family == slot.family == CHANNELS and len({*known}) >= _TELLING:
        for factor in range(2, 9):
            if all(value == factor * base for base, value in pairs):
                return f"{factor} * {{}}"
            if all(base == factor * value for base, value in pairs):
                return f"{{}} // {factor}"
    if (parameter.family, slot.family) == ("kernel_size", "padding"):
        if all(value == base // 2 for base, value in pairs):
            return "{} // 2"
        if all(value == base - 1 for base, value in pairs):
            return "{} - 1"
    return ""


def _hashable(value: Any) -> Hashable:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
