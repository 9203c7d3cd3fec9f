"""Layers of torch.nn as calls of their constructors."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.export.formatting import Bracketed, Expression, call, literal

#: Arguments that torch stores as one number per dimension.
_PER_DIMENSION = ("kernel_size", "stride", "padding", "dilation", "output_padding")
#: Arguments that say where weights are made, not which.
_ELSEWHERE = ("device", "dtype")


class _Missing:
    """Stands for an argument that has no default."""


@dataclass(frozen=True, eq=False)
class Layer:
    """How a layer is made.

    Attributes:
        kind: its class; None for an activation, whose class is its first argument.
        names: of all arguments.
        values: of all arguments, defaults included.
        defaults: of all arguments.
    """

    kind: type[nn.Module] | None
    names: tuple[str, ...]
    values: tuple[Any, ...]
    defaults: tuple[Any, ...]

    @property
    def signature(self) -> tuple[object, ...]:
        """What layers have in common that differ by the values of arguments only."""
        return ("layer", self.kind, self.names, self.is_depthwise)

    @property
    def is_depthwise(self) -> bool:
        """Whether it is a convolution of every channel by itself."""
        given = dict(zip(self.names, self.values, strict=True))
        return given.get("groups", 1) > 1 and given["groups"] == given.get("in_channels")

    def written(self, arguments: tuple[Expression, ...]) -> Bracketed:
        """The call of the constructor.

        Args:
            arguments: of :attr:`names`; what equals the text of a default is left out.
        """
        given = list(zip(self.names, arguments, self.defaults, strict=True))
        function = f"nn.{self.kind.__name__}" if self.kind else str(given.pop(0)[1])
        return call(
            function,
            [
                ("" if default is _Missing else name, value)
                for name, value, default in given
                if default is _Missing or value != literal(default)
            ],
        )


def is_layer(module: nn.Module) -> bool:
    """Whether a module is one of torch.nn, or a subclass that computes the same."""
    return base_of(module) is not None


def base_of(module: nn.Module) -> type[nn.Module] | None:
    """The class of torch.nn whose ``forward`` a module has; None where it has one of its own."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("torch.nn.modules.") and kind is not nn.Module:
            same = type(module).forward is kind.forward  # type: ignore[attr-defined]
            return kind if same else None
    return None


def layer_of(module: nn.Module, name: str) -> Layer:
    """How a layer of torch.nn is made, found from its attributes.

    Args:
        module: the layer.
        name: of the module in its network, for the message.

    Raises:
        InvalidInputError: the constructor's arguments cannot be told from its attributes.
    """
    kind = base_of(module)
    assert kind is not None, "only layers of torch.nn are asked for"
    names, values, defaults = list[str](), list[Any](), list[Any]()
    for parameter in inspect.signature(kind.__init__).parameters.values():
        if parameter.name == "self" or parameter.name in _ELSEWHERE:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            # Of nn.Identity, which takes anything and does nothing with it.
            continue
        names.append(parameter.name)
        defaults.append(_Missing if parameter.default is parameter.empty else parameter.default)
        values.append(_value(module, parameter.name, defaults[-1]))
    if "affine" in names and "bias" in names:
        # Without a scale there is no bias either; older versions of torch do not take the argument.
        place = names.index("bias")
        values[place] = values[place] or not values[names.index("affine")]
    is_activation = kind.__module__ == "torch.nn.modules.activation" and set(names) <= {"inplace"}
    if is_activation:
        layer = Layer(None, ("activation", *names), (kind, *values), (_Missing, *defaults))
    else:
        layer = Layer(kind, tuple(names), tuple(values), tuple(defaults))
    _check(module, kind, dict(zip(names, values, strict=True)), name)
    return layer


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def _value(module: nn.Module, name: str, default: Any) -> Any:
    value = getattr(module, name, default)
    if name == "bias" and not isinstance(value, bool):
        return value is not None and value is not default
    if name in _PER_DIMENSION and isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    if isinstance(value, torch.Size | list):
        return tuple(value)
    if isinstance(value, torch.Tensor):
        return default
    return value


def _check(module: nn.Module, kind: type[nn.Module], arguments: dict[str, Any], name: str) -> None:
    """Makes the layer again and compares it."""
    try:
        with torch.device("meta"):
            again = kind(**arguments)
    except Exception as error:
        raise _untold(module, name, f"{type(error).__name__}: {error}") from error
    if again.extra_repr() != module.extra_repr() or _shapes(again) != _shapes(module):
        raise _untold(module, name, f"expected ({module.extra_repr()}), made ({again.extra_repr()})")


def _untold(module: nn.Module, name: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"module {name!r} ({type(module).__name__}) cannot be written as source: its arguments cannot be told from its "
        f"attributes ({why}). Use another layer, or a module of your own with a forward()."
    )
