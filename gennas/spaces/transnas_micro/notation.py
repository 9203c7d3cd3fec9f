"""How cells of TransNAS-Bench-101's micro space are written: in its own code, and as tuples of the same digits."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gennas.spaces.notations import NotationError

#: The digit of an operation in the code is its place here.
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
#: The published skeleton, which the code names before the cell: channels of the stem, and a digit per module.
SKELETON = "64-41414"
_FORM = f"{SKELETON}-1_02_333"
_CODE = re.compile(r"(?:(\d+-\d+)-)?([^_|+-]*)_([^_|+-]*)_([^_|+-]*)")
# How NASLib, and tables made with it, list the digits: an operation per edge, in the order of the code.
_TUPLE = re.compile(r"[\[(]\s*\d+(?:\s*,\s*\d+){5}\s*,?\s*[\])]")


def written(ops: Sequence[str]) -> str:
    """The code of a cell, e.g. ``64-41414-1_02_333``: node 1 takes operation 1 from node 0, node 2 takes 0 from node 0
    and 2 from node 1, and so on.

    Args:
        ops: the six operations, by target node, then by source node.
    """
    digits = [str(OPS.index(op)) for op in ops]
    return f"{SKELETON}-{digits[0]}_{''.join(digits[1:3])}_{''.join(digits[3:])}"


def others(ops: Sequence[str]) -> dict[str, str]:
    """A cell without the skeleton, and as the tuple of digits that NASLib's tables have; :func:`decoded` reads both."""
    code = written(ops)
    return {
        "cell": code.removeprefix(f"{SKELETON}-"),
        "naslib": str(tuple(OPS.index(op) for op in ops)),
    }


def decoded(text: str) -> list[str | None] | None:
    """The six operations of a code, with or without its skeleton, or of a tuple of six digits, e.g.
    ``(1, 0, 2, 3, 3, 3)``; None stands for ``?``.

    A tuple is read as the code lists its digits. That is how NASLib's benchmark data have them: only so do their
    parameters and multiply-adds follow from the cells.

    Returns:
        None where the text is neither.

    Raises:
        NotationError: another skeleton, a node with another number of digits, or a digit that stands for nothing.
    """
    text = text.strip()
    if _TUPLE.fullmatch(text):
        digits = re.findall(r"\d+", text)
    elif match := _CODE.fullmatch(text):
        skeleton, *nodes = match.groups()
        if skeleton not in (None, SKELETON):
            raise NotationError(
                f"{text!r} has skeleton {skeleton}; cells are written {_FORM} whatever the skeleton, which is set with "
                "`skeleton` channels=64,macro=41414."
            )
        if [len(node) for node in nodes] != [1, 2, 3]:
            raise NotationError(
                f"{text!r} has {' and '.join(str(len(node)) for node in nodes)} operations for its three nodes; "
                f"expected 1 and 2 and 3 as in {_FORM}."
            )
        digits = list("".join(nodes))
    else:
        return None
    known = {**{str(digit): op for digit, op in enumerate(OPS)}, "?": None}
    for digit in digits:
        if digit not in known:
            raise NotationError(
                f"{text!r} has operation {digit!r}; expected {', '.join(f'{d} ({op})' for d, op in enumerate(OPS))}, "
                "or ? where it is undecided."
            )
    return [known[digit] for digit in digits]
