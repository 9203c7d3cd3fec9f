"""Python expressions as lines of at most 100 characters, broken where ruff breaks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

#: Longest line of the source that is written.
WIDTH = 100


@dataclass(frozen=True)
class Bracketed:
    """A call, a list, a tuple or a dict: something between brackets that may be broken into lines.

    Attributes:
        head: what stands before the first part, bracket included, e.g. ``"nn.Conv2d("``.
        parts: what is separated by commas, each with what stands before it, e.g. ``("stride=", "2")``.
        tail: the closing bracket.
    """

    head: str
    parts: tuple[tuple[str, Expression], ...]
    tail: str = ")"

    def __str__(self) -> str:
        inner = ", ".join(f"{before}{part}" for before, part in self.parts)
        comma = "," if self.tail == ")" and self.head == "(" and len(self.parts) == 1 else ""
        return f"{self.head}{inner}{comma}{self.tail}"


#: Text that is never broken, or something between brackets.
Expression: TypeAlias = str | Bracketed


def call(function: str, arguments: Sequence[tuple[str, Expression]]) -> Bracketed:
    """``function(a, name=b)``; an argument's name is empty where it is given by position."""
    return Bracketed(f"{function}(", tuple((f"{name}=" if name else "", value) for name, value in arguments))


def lines_of(before: str, expression: Expression, after: str = "", indent: int = 0) -> list[str]:
    """An expression, with what stands before and after it in its line.

    Args:
        before: e.g. ``"self.stem = "``.
        expression: the expression.
        after: e.g. a comma.
        indent: spaces before every line.
    """
    margin = " " * indent
    whole = f"{margin}{before}{expression}{after}"
    if len(whole) <= WIDTH or isinstance(expression, str) or not expression.parts:
        return [whole]
    inner = ", ".join(f"{head}{part}" for head, part in expression.parts)
    lines = [f"{margin}{before}{expression.head}"]
    # As ruff does it: all arguments in a line of their own if they fit, or else each.
    if expression.tail == ")" and expression.head != "(" and indent + 4 + len(inner) <= WIDTH:
        lines.append(f"{margin}    {inner}")
    else:
        # A lone argument needs no comma.
        comma = "" if len(expression.parts) == 1 and expression.tail == ")" and expression.head != "(" else ","
        for head, part in expression.parts:
            lines += lines_of(head, part, comma, indent + 4)
    return [*lines, f"{margin}{expression.tail}{after}"]


def literal(value: object) -> str:
    """A value as Python writes it, with double quotes."""
    if isinstance(value, type):
        return f"nn.{value.__name__}"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, float) and value != value:
        return 'float("nan")'
    if isinstance(value, float) and value in (float("inf"), -float("inf")):
        return f'float("{value}")'
    return repr(value)
