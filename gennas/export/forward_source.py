"""The body of a forward() as readable statements, written from what was traced."""

from __future__ import annotations

import builtins
import keyword
import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import fx

from gennas.export.formatting import Bracketed, Expression, lines_of, literal
from gennas.export.structure import Part
from gennas.export.tracing import (
    INFIX,
    PREFIX,
    UNGROUPED,
    Forward,
    constants,
    function_name,
    given_arguments,
    is_constant,
    leaves,
)

#: Longest expression that other ones are written into.
_LONGEST = 72
#: Expressions that are not worth a name.
_SHORT = 20
_ATOM, _NEGATION = 9, 6
#: Lists of modules whose elements' results are called by the singular and a number.
_NUMBERED = {"cells": "cell", "blocks": "block", "stages": "stage", "stems": "stem"}
#: Names of what a network is given.
_IMAGES = ("images", "image", "input", "inputs")
#: Stands for a value whose name is not chosen yet.
_TOKEN = re.compile("\N{SECTION SIGN}(\\d+)\N{SECTION SIGN}")


def access(part: Part, target: str) -> str:
    """How a module reaches a module or a tensor in it, e.g. ``self.layers[0]``."""
    text, here = "self", part
    for name in target.split("."):
        if here.kind == "container":
            text += f"[{literal(name)}]" if here.container == "ModuleDict" else f"[{name}]"
        else:
            text += f".{name}" if is_identifier(name) else f".get_submodule({literal(name)})"
        here = here.children.get(name, here)
    return text


def is_identifier(name: str) -> bool:
    """Whether a name can stand behind a dot."""
    return name.isidentifier() and not keyword.iskeyword(name)


def forward_lines(part: Part, numbers: Sequence[str], indent: int) -> list[str]:
    """The statements of a module's ``forward``.

    Args:
        part: a custom module.
        numbers: what stands for each constant in its graph.
        indent: spaces before every line.
    """
    assert part.forward is not None, "only custom modules have a forward of their own"
    return _Writer(part, part.forward, numbers).lines(indent)


class _Writer:
    """Decides which values get a name, and writes the others into the expression that uses them."""

    def __init__(self, part: Part, forward: Forward, numbers: Sequence[str]) -> None:
        self.part, self.forward = part, forward
        self.numbers = iter(numbers)
        self.places = {node: place for place, node in enumerate(forward.nodes)}
        self.uses = Counter[fx.Node]()
        for node in forward.nodes:
            self.uses.update(_operands([node.args, dict(node.kwargs)]))
        self.uses.update(_operands(forward.output))
        # Something that changes its input must stay where it is.
        self.is_strict = any(map(_changes_input, part.children.values())) or any(
            node.op == "call_method" and str(node.target).endswith("_") for node in forward.nodes
        )
        self.written: dict[fx.Node, tuple[Expression, int]] = {}
        self.statements: list[tuple[fx.Node, Expression]] = []

    def lines(self, indent: int) -> list[str]:
        for node in self.forward.nodes:
            self.written[node] = self._expression(node)
            if self.uses[node] != 1 and not _is_size(node):
                self._state(node)
        output, _ = self._value(self.forward.output, iter(()))
        # What got its name late was computed earlier.
        self.statements.sort(key=lambda statement: self.places[statement[0]])
        names = self._names(output)
        lines = list[str]()
        for node, expression in self.statements:
            lines += lines_of(f"{names[node]} = ", self._named(expression, names), indent=indent)
        return [*lines, *lines_of("return ", self._named(output, names), indent=indent)]

    def _state(self, node: fx.Node) -> None:
        """Gives a value a name, in a statement of its own."""
        if node in self.places and node not in dict(self.statements):
            expression, _ = self.written[node]
            self.statements.append((node, expression))
        self.written[node] = (self._token(node), _ATOM)

    def _expression(self, node: fx.Node) -> tuple[Expression, int]:
        operands = list(_operands([node.args, dict(node.kwargs)]))
        if _is_size(node):
            for operand in operands:
                self._settle(operand)
        if self.is_strict:
            before = self.forward.nodes[self.places[node] - 1] if self.places[node] else None
            for operand in operands:
                if operand is not before:
                    self._settle(operand)
        numbers = [next(self.numbers) for _ in constants([node.args, dict(node.kwargs)])]
        expression = self._made(node, iter(numbers))
        if len(str(expression[0])) > _LONGEST:
            for operand in operands:
                if operand in self.places and len(str(self.written[operand][0])) > _SHORT:
                    self._settle(operand)
            expression = self._made(node, iter(numbers))
        return expression

    def _settle(self, node: fx.Node) -> None:
        """Names an operand that has no name yet."""
        if node in self.places and not _is_size(node) and not _TOKEN.fullmatch(str(self.written[node][0])):
            self._state(node)

    def _made(self, node: fx.Node, numbers: Iterator[str]) -> tuple[Expression, int]:
        args = [self._value(value, numbers) for value in node.args]
        given = {name: self._value(value, numbers) for name, value in node.kwargs.items()}
        kept = {name: given[name][0] for name in given_arguments(node)}
        if node.op == "get_attr":
            return access(self.part, str(node.target)), _ATOM
        if node.op == "call_module":
            return _call(access(self.part, str(node.target)), [one for one, _ in args], kept), _ATOM
        if node.op == "call_method":
            return _call(f"{_bracketed(args[0], _ATOM)}.{node.target}", [one for one, _ in args[1:]], kept), _ATOM
        target: Any = node.target
        if target is getattr:
            return f"{_bracketed(args[0], _ATOM)}.{node.args[1]}", _ATOM
        if target is operator.getitem:
            return f"{_bracketed(args[0], _ATOM)}[{self._index(args[1][0])}]", _ATOM
        if target in PREFIX:
            return f"{PREFIX[target]}{_bracketed(args[0], _NEGATION)}", _NEGATION
        if target in INFIX and len(args) == 2 and not kept:
            sign, strength = INFIX[target]
            left = _bracketed(args[0], strength + (strength in UNGROUPED))
            return f"{left} {sign} {_bracketed(args[1], strength + 1)}", strength
        name = function_name(target)
        if "dropout" in name and node.kwargs.get("training") is False:
            kept["training"] = "self.training"
        return _call(name, [one for one, _ in args], kept), _ATOM

    def _index(self, index: Expression) -> str:
        if isinstance(index, Bracketed) and index.head == "(":
            return ", ".join(str(part) for _, part in index.parts)
        return str(index)

    def _value(self, value: Any, numbers: Iterator[str]) -> tuple[Expression, int]:
        """An argument of a call."""
        if isinstance(value, fx.Node):
            return self.written[value] if value in self.places else (str(value.target), _ATOM)
        if isinstance(value, tuple | list):
            parts = tuple(("", self._value(part, numbers)[0]) for part in value)
            head, tail = "()" if isinstance(value, tuple) else "[]"
            return Bracketed(head, parts, tail), _ATOM
        if isinstance(value, dict):
            parts = tuple((f"{literal(name)}: ", self._value(part, numbers)[0]) for name, part in value.items())
            return Bracketed("{", parts, "}"), _ATOM
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            texts = ["" if one is None else str(self._value(one, numbers)[0]) for one in parts]
            # Spaces around the colon of what is no number, as ruff has it.
            left, right = (" " if text and not re.fullmatch(r"-?\w+", text) else "" for text in texts[:2])
            space = left or right
            text = f"{texts[0]}{space if texts[0] else ''}:{space if texts[1] else ''}{texts[1]}"
            return f"{text}:{texts[2]}" if texts[2] else text, 0
        if is_constant(value):
            text = next(numbers, literal(value))
            return text, _NEGATION if text.startswith("-") else _ATOM
        if isinstance(value, torch.device):
            return f"torch.device({literal(str(value))})", _ATOM
        return ("..." if value is Ellipsis else literal(value)), _ATOM

    def _names(self, output: Expression) -> dict[fx.Node, str]:
        """A name for every statement's value; a value that is not needed any more hands its name on."""
        order = [node for node, _ in self.statements]
        texts = [str(expression) for _, expression in self.statements] + [str(output)]
        last_use = {
            node: max(place for place, text in enumerate(texts) if self._token(node) in text)
            for node in order
            if any(self._token(node) in text for text in texts)
        }
        inputs = self.forward.inputs
        last_input = {
            name: max([place for place, text in enumerate(texts) if re.search(rf"(?<![\w.]){name}\b", text)] or [-1])
            for name in inputs
        }
        names: dict[fx.Node, str] = {}
        taken = {*inputs, *keyword.kwlist, *dir(builtins), "torch", "nn", "self"}
        fresh = []
        for place, node in enumerate(order):
            used = [other for other in order[:place] if self._token(other) in texts[place]]
            from_inputs = [name for name in inputs if re.search(rf"(?<![\w.]){name}\b", texts[place])]
            # The whole text is a function of one value that ends here.
            ends = [names[one] for one in used if last_use[one] == place and names.get(one)]
            ends += [name for name in from_inputs if last_input[name] == place]
            if len(used) + len(from_inputs) == 1 and ends and node.target not in INFIX:
                # What becomes of images is none any more.
                names[node] = "x" if ends[0] in _IMAGES and "x" not in taken else ends[0]
                taken.add(names[node])
                continue
            fresh.append(node)
            names[node] = self._fresh(node, taken)
            taken.add(names[node])
        nodes = [node for node in fresh if names[node].startswith("node")]
        if len({names[node] for node in nodes}) == 1 and "y" not in taken:
            old = names[nodes[0]]
            names = {node: "y" if name == old else name for node, name in names.items()}
        return names

    def _fresh(self, node: fx.Node, taken: set[str]) -> str:
        parts = str(node.target).split(".") if node.op == "call_module" else []
        name = ""
        if len(parts) == 1 and is_identifier(parts[0]):
            name = parts[0]
        elif len(parts) == 2 and parts[0] in _NUMBERED:
            name = f"{_NUMBERED[parts[0]]}{parts[1]}"
        if name and name not in taken:
            return name
        number = 1
        while f"node{number}" in taken:
            number += 1
        return f"node{number}"

    def _token(self, node: fx.Node) -> str:
        return f"\N{SECTION SIGN}{self.places[node]}\N{SECTION SIGN}"

    def _named(self, expression: Expression, names: dict[fx.Node, str]) -> Expression:
        if isinstance(expression, Bracketed):
            parts = tuple((before, self._named(part, names)) for before, part in expression.parts)
            return Bracketed(str(self._named(expression.head, names)), parts, expression.tail)
        return _TOKEN.sub(lambda found: names[self.forward.nodes[int(found[1])]], expression)


def _operands(value: Any) -> Iterator[fx.Node]:
    """The nodes in arguments of a call, each as often as it is there."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, fx.Node))


def _is_size(node: fx.Node) -> bool:
    """Whether a value is the shape of a tensor, or one of its sides: as short as a name."""
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] == "shape"
    base = node.args[0] if node.target is operator.getitem else None
    return isinstance(base, fx.Node) and _is_size(base) and isinstance(node.args[1], int)


def _call(function: str, args: Sequence[Expression], given: dict[str, Expression]) -> Bracketed:
    return Bracketed(f"{function}(", (*(("", one) for one in args), *((f"{n}=", v) for n, v in given.items())))


def _bracketed(operand: tuple[Expression, int], strength: int) -> str:
    text, own = operand
    return str(text) if own >= strength else f"({text})"


def _changes_input(part: Part) -> bool:
    """Whether calling a module may change its input, as activations in place do."""
    if part.layer is not None:
        return bool(dict(zip(part.layer.names, part.layer.values, strict=True)).get("inplace", False))
    children = list(part.children.values())
    if part.kind == "container" and part.container == "Sequential":
        return bool(children) and _changes_input(children[0])
    return any(map(_changes_input, children))
