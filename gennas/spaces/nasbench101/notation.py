"""Notations of NAS-Bench-101 cells: ``110/01/1 conv3x3-bn-relu,maxpool3x3``, and the JSON of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from gennas.errors import InvalidArchError, unknown
from gennas.spaces.notations import literal

OPS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
MOST_VERTICES = 7
_FORM = "'110/01/1 conv3x3-bn-relu,maxpool3x3'"

#: For every vertex but the last, its edges to all later ones: "0", "1" or "?" each.
Rows = list[str]


def written(rows: str, ops: Sequence[str]) -> str:
    """The notation of a cell, given its rows as returned by :func:`written_rows` and its inner operations."""
    return f"{rows} {','.join(ops)}".rstrip()


def written_rows(vertices: int, edges: Collection[tuple[int, int]]) -> str:
    """The rows of the notation: for every vertex but the last, whether it has an edge to each later one."""
    return "/".join("".join("01"[(i, j) in edges] for j in range(i + 1, vertices)) for i in range(vertices - 1))


def spec(vertices: int, edges: Collection[tuple[int, int]], ops: Sequence[str]) -> str:
    """The benchmark's ``ModelSpec`` as JSON, which :func:`read_spec` reads.

    Args:
        vertices: number of them, input and output included.
        edges: between them.
        ops: of the inner vertices.
    """
    matrix = [[int((i, j) in edges) for j in range(vertices)] for i in range(vertices)]
    return json.dumps({"matrix": matrix, "ops": ["input", *ops, "output"]})


def read_rows(key: str) -> tuple[Rows, list[str | None]]:
    """Parses a cell in our notation into its rows and inner operations (None for ``?``).

    Raises:
        InvalidArchError: the string is malformed; the message names the defect.
    """
    matrix, *words = key.split(maxsplit=1) or [""]
    rows = matrix.split("/")
    names = [name.strip() for name in words[0].split(",")] if words else []
    invalid = f"{key!r} is not a valid nasbench101 cell"
    for number, row in enumerate(rows, start=1):
        if not row or set(row) - set("01?"):
            raise InvalidArchError(f"{invalid}: row {number} is {row!r}; expected 0, 1 or ? as in {_FORM}.")
    vertices = len(rows) + 1
    lengths = [len(row) for row in rows]
    if lengths != list(range(vertices - 1, 0, -1)):
        raise InvalidArchError(
            f"{invalid}: its {len(rows)} rows have {lengths} digits; "
            f"expected {list(range(vertices - 1, 0, -1))}, one for every later vertex."
        )
    if vertices > MOST_VERTICES:
        raise InvalidArchError(f"{invalid}: it has {vertices} vertices; expected 2 to {MOST_VERTICES}.")
    if len(names) != vertices - 2:
        raise InvalidArchError(
            f"{invalid}: it has {len(names)} operations; expected {vertices - 2} for {len(rows)} rows, as in {_FORM}."
        )
    return rows, [None if name == "?" else _operation(key, name) for name in names]


def read_spec(text: str) -> tuple[Rows, list[str | None]]:
    """Parses a cell in the form of the benchmark's ``ModelSpec`` into its rows and inner operations.

    Args:
        text: JSON such as ``{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}``, or the same in Python.

    Raises:
        InvalidArchError: the text is malformed; the message names the defect.
    """
    invalid = f"{text!r} is not a valid nasbench101 cell"
    try:
        spec = literal(text)
    except ValueError as error:
        raise InvalidArchError(f"{invalid}: {error}.") from error
    if not (isinstance(spec, dict) and _is_list_of(spec.get("matrix"), list) and _is_list_of(spec.get("ops"), str)):
        raise InvalidArchError(f'{invalid}: expected {{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}}.')
    matrix, ops = spec["matrix"], spec["ops"]
    vertices = len(ops)
    if not 2 <= vertices <= MOST_VERTICES:
        raise InvalidArchError(f"{invalid}: it has {vertices} operations; expected 2 to {MOST_VERTICES}.")
    if [len(row) for row in matrix] != [vertices] * vertices:
        raise InvalidArchError(
            f"{invalid}: its matrix has rows of {[len(row) for row in matrix]}; expected {vertices} rows of {vertices}."
        )
    if (ops[0], ops[-1]) != ("input", "output"):
        raise InvalidArchError(
            f"{invalid}: its first and last operations are {ops[0]!r} and {ops[-1]!r}; expected 'input' and 'output'."
        )
    for i, row in enumerate(matrix):
        for j, entry in enumerate(row):
            if entry not in (0, 1) or (entry and j <= i):
                allowed = "0 or 1" if j > i else "0 (edges go to later vertices)"
                raise InvalidArchError(f"{invalid}: matrix[{i}][{j}] is {entry!r}; expected {allowed}.")
    rows = ["".join("01"[int(entry)] for entry in row[i + 1 :]) for i, row in enumerate(matrix[:-1])]
    return rows, [_operation(text, name) for name in ops[1:-1]]


def _operation(text: str, name: str) -> str:
    if name not in OPS:
        raise InvalidArchError(f"{text!r}: {unknown('nasbench101 operation', name, OPS)}")
    return name


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
