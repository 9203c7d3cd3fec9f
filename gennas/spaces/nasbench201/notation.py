"""Other notations of NAS-Bench-201 cells: those that say which edge has which operation are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gennas.spaces.four_node_cell import CELL_EDGES
from gennas.spaces.notations import NotationError, literal

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: The order in which NASLib lists them, and the order in which it numbers operations.
_NASLIB_EDGES = tuple(sorted(CELL_EDGES))
_NASLIB_OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")


def native(text: str) -> str:
    """The cell in its own notation; a text that is no other notation of a cell comes back as it is.

    Read are ``Structure(4 nodes with |...|)`` (how the benchmark's code prints a cell), its nested list of
    ``(operation, source)`` pairs per node, and an object of edges and operations, ``{"0_1": "nor_conv_3x3", ...}``.

    Raises:
        NotationError: six operations or numbers without their edges; the message says which cells these could be.
    """
    text = text.strip()
    if match := re.fullmatch(r"Structure\(\s*\d+ nodes with (.*)\)", text, re.DOTALL):
        return match[1].strip()
    if text[:1] not in ("{", "[", "("):
        return text
    try:
        value = literal(text)
    except ValueError:
        return text
    cell = _of_edges(value) if isinstance(value, Mapping) else _of_pairs(value)
    if cell is None and isinstance(value, list | tuple) and len(value) == len(CELL_EDGES):
        _refuse_bare(text, value)
    return text if cell is None else _written(cell)


def others(ops: Sequence[str]) -> dict[str, str]:
    """A cell as other libraries write it.

    ``structure`` is how the benchmark's code prints it, ``pairs`` how it lists it (both are read by :func:`native`),
    ``edges`` an object of edges and operations (read, too), and ``naslib`` NASLib's indices of operations, which cannot
    be told from those of others, and are not read.

    Args:
        ops: the six operations, in the order of the native notation.
    """
    cell = dict(zip(CELL_EDGES, ops, strict=True))
    nodes = [[[cell[pair], pair[0]] for pair in CELL_EDGES if pair[1] == node] for node in (1, 2, 3)]
    return {
        "structure": f"Structure(4 nodes with {_written(cell)})",
        "pairs": json.dumps(nodes),
        "edges": json.dumps({f"{source}_{target}": cell[source, target] for source, target in CELL_EDGES}),
        "naslib": str(tuple(_NASLIB_OPS.index(cell[pair]) for pair in _NASLIB_EDGES)),
    }


def _written(cell: Mapping[tuple[int, int], str]) -> str:
    groups = ["".join(f"{cell[pair]}~{pair[0]}|" for pair in CELL_EDGES if pair[1] == node) for node in (1, 2, 3)]
    return "+".join(f"|{group}" for group in groups)


def _of_edges(value: Mapping[Any, Any]) -> dict[tuple[int, int], str] | None:
    """A cell of ``{"0_1": operation, ...}``."""
    cell = {}
    for name, op in value.items():
        match = re.fullmatch(r"\(?(\d)\s*(?:_|-|->|,)\s*(\d)\)?", str(name).strip())
        if match is None or not isinstance(op, str):
            return None
        cell[int(match[1]), int(match[2])] = _op(op)
    return cell if set(cell) == set(CELL_EDGES) else None


def _of_pairs(value: Any) -> dict[tuple[int, int], str] | None:
    """A cell of ``[((operation, 0),), ((operation, 0), (operation, 1)), ...]``, as the benchmark's code lists it."""
    cell = {}
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    for target, pairs in enumerate(value, start=1):
        for pair in pairs if isinstance(pairs, list | tuple) else [None]:
            if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
                return None
            cell[pair[1], target] = _op(pair[0])
    return cell if set(cell) == set(CELL_EDGES) else None


def _op(name: str) -> str:
    # Some drop the "nor_", which stands for normal convolutions.
    return f"nor_{name}" if f"nor_{name}" in OPS else name


def _refuse_bare(text: str, value: Sequence[Any]) -> None:
    if all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item < len(OPS) for item in value):
        naslib = _written({pair: _NASLIB_OPS[item] for pair, item in zip(_NASLIB_EDGES, value, strict=True)})
        plain = _written({pair: OPS[item] for pair, item in zip(CELL_EDGES, value, strict=True)})
        raise NotationError(
            f"{text!r} looks like op indices, which libraries number differently. As NASLib does, it is {naslib!r}; "
            f"numbered in the order none, skip_connect, 1x1, 3x3, pool, it is {plain!r}. Give the cell that you mean."
        )
    if all(isinstance(item, str) and _op(item) in OPS for item in value):
        by_target = _written({pair: _op(item) for pair, item in zip(CELL_EDGES, value, strict=True)})
        by_source = _written({pair: _op(item) for pair, item in zip(_NASLIB_EDGES, value, strict=True)})
        raise NotationError(
            f"{text!r} looks like a list of operations, which does not say on which edges they are. With edges in the "
            f"order of their targets it is {by_target!r}; of their sources, {by_source!r}. Give the cell that you mean."
        )
