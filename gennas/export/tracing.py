"""What the forward() of a module does, as a graph of calls: of its children, as they are, and of functions.

By torch.fx (Reed et al., "torch.fx: Practical Program Capture and Transformation for Deep Learning in Python", MLSys
2022, https://arxiv.org/abs/2112.08429). A module is traced in evaluation mode, so that what it does in training only is
not seen, but for dropout.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from gennas.errors import InvalidInputError

#: Infix operators, with how strongly they bind.
INFIX: dict[Callable[..., Any], tuple[str, int]] = {
    operator.add: ("+", 4), operator.sub: ("-", 4), operator.mul: ("*", 5), operator.truediv: ("/", 5),
    operator.floordiv: ("//", 5), operator.mod: ("%", 5), operator.matmul: ("@", 5), operator.pow: ("**", 7),
    operator.iadd: ("+", 4), operator.isub: ("-", 4), operator.imul: ("*", 5),
    operator.and_: ("&", 3), operator.xor: ("^", 2), operator.or_: ("|", 1),
    operator.lt: ("<", 0), operator.le: ("<=", 0), operator.gt: (">", 0), operator.ge: (">=", 0),
    operator.eq: ("==", 0), operator.ne: ("!=", 0),
    torch.add: ("+", 4), torch.mul: ("*", 5), torch.matmul: ("@", 5),
}  # fmt: skip
#: Prefix operators.
PREFIX: dict[Callable[..., Any], str] = {operator.neg: "-", operator.pos: "+", operator.invert: "~"}
#: What does not group from the left: powers group from the right, and comparisons are chained.
UNGROUPED = (0, 7)


class _OneLevel(fx.Tracer):
    """Looks into no child, and computes nothing from buffers."""

    proxy_buffer_attributes = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Forward:
    """What a module computes.

    Attributes:
        inputs: names of its arguments.
        nodes: of the graph in their order, without inputs and output.
        output: what is returned.
        numbers: the constants in the graph, in the order in which :func:`constants` finds them.
        tensors: name -> tensors that the module holds beside its children, parameters included.
    """

    inputs: tuple[str, ...]
    nodes: tuple[fx.Node, ...]
    output: Any
    numbers: tuple[Any, ...]
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def is_identity(self) -> bool:
        """Whether the first input is returned as it is."""
        return not self.nodes and isinstance(self.output, fx.Node) and self.output.name == self.inputs[0]

    @property
    def signature(self) -> Hashable:
        """What forwards have in common that differ by the values of constants only."""
        place = {node: number for number, node in enumerate(self.nodes)}

        def form(value: Any) -> Hashable:
            if isinstance(value, fx.Node):
                return ("node", place.get(value, value.name))
            if isinstance(value, tuple | list):
                return (type(value).__name__, *map(form, value))
            if isinstance(value, slice):
                return ("slice", form(value.start), form(value.stop), form(value.step))
            if isinstance(value, dict):
                return tuple((name, form(part)) for name, part in value.items())
            return type(value).__name__ if is_constant(value) else repr(value)

        steps = ((node.op, str(node.target), form(node.args), form(dict(node.kwargs))) for node in self.nodes)
        shapes = tuple((name, type(value).__name__, value.ndim) for name, value in self.tensors.items())
        return (self.inputs, tuple(steps), form(self.output), shapes)


def is_constant(value: Any) -> bool:
    """Whether a value in a graph is a number that may differ between modules of one class."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def leaves(value: Any) -> Iterator[Any]:
    """All that is in arguments of a call and holds nothing itself, from left to right, each as often as it is there."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    elif isinstance(value, slice):
        yield from leaves([value.start, value.stop, value.step])
    else:
        yield value


def constants(value: Any) -> Iterator[Any]:
    """The numbers in arguments of a call."""
    return filter(is_constant, leaves(value))


def forward_of(module: nn.Module, name: str) -> Forward:
    """Traces a module.

    Args:
        module: in evaluation mode.
        name: of the module in its network, for the message.

    Raises:
        InvalidInputError: what it does depends on the values or shapes of its input.
    """
    tracer = _OneLevel()
    try:
        graph = tracer.trace(module)
    except Exception as error:
        # torch.fx raises exceptions of many kinds, and so may the module.
        raise InvalidInputError(
            f"module {name!r} ({type(module).__name__}) cannot be written as source: its forward() cannot be traced "
            f"({' '.join(str(error).split())}). Decide in __init__() what does not depend on the values of the input."
        ) from error
    for node in reversed(list(graph.nodes)):
        # What nobody needs; but for methods that change their tensor.
        if not node.users and node.op not in ("placeholder", "output") and not str(node.target).endswith("_"):
            graph.erase_node(node)
    nodes = list(graph.nodes)
    inputs = tuple(node.target for node in nodes if node.op == "placeholder")
    for node in nodes:
        # fx renames inputs such as "input".
        if node.op == "placeholder":
            node.name = str(node.target)
    if not inputs or any(node.startswith("*") for node in inputs):
        raise InvalidInputError(
            f"module {name!r} ({type(module).__name__}) cannot be written as source: its forward() takes "
            f"{', '.join(inputs) or 'nothing'}; expected named tensors."
        )
    (output,) = (node.args[0] for node in nodes if node.op == "output")
    inner = tuple(node for node in nodes if node.op not in ("placeholder", "output"))
    numbers = tuple(number for node in inner for number in constants([node.args, dict(node.kwargs)]))
    held = dict[str, torch.Tensor](module.named_parameters(recurse=False))
    held |= dict(module.named_buffers(recurse=False))
    root = tracer.root
    for node in inner:
        if node.op == "get_attr" and str(node.target) not in held:
            value = getattr(root, str(node.target), None)
            if not isinstance(value, torch.Tensor):
                raise InvalidInputError(
                    f"module {name!r} ({type(module).__name__}) cannot be written as source: its forward() uses "
                    f"{node.target}, which is no tensor of its own; register it as a parameter or a buffer."
                )
            held[str(node.target)] = value
    return Forward(inputs, inner, output, numbers, held)


def function_name(target: Callable[..., Any]) -> str:
    """How source names a function of torch, e.g. ``torch.cat`` or ``nn.functional.pad``."""
    name = fx.node._get_qualified_name(target)
    return name.removeprefix("torch.") if name.startswith("torch.nn.functional.") else name


def given_arguments(node: fx.Node) -> dict[str, Any]:
    """The arguments of a call by name, without those that equal their defaults."""
    try:
        parameters = inspect.signature(node.target).parameters if callable(node.target) else {}
    except (ValueError, TypeError):
        # Functions of torch that are written in C++ have no signature.
        parameters = {}
    known = {name: parameter.default for name, parameter in parameters.items()}
    return {
        name: value
        for name, value in node.kwargs.items()
        if isinstance(value, fx.Node) or name not in known or known[name] != value
    }
