"""Notations of cells: the ``Genotype`` that DARTS prints, and NASLib's compact form.

Nothing that is read is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from gennas.errors import InvalidArchError, unknown
from gennas.spaces.darts.cells import GIVEN, Cell, CellPlan, concat_of
from gennas.spaces.notations import NotationError, literal

UNDECIDED = "?"
#: What is read of a node: two inputs with operations, None where they are undecided; the inputs are decided both or
#: neither.
ReadNode = tuple[tuple[int | None, str | None], tuple[int | None, str | None]]

FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
#: The order in which NASLib numbers the operations of DARTS.
NASLIB_OPS = (
    *("max_pool_3x3", "avg_pool_3x3", "skip_connect"),
    *("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
)
#: Longer texts are no cells.
_LONGEST = 10_000
#: Greater numbers are no nodes.
_MOST = 100


def written(plan: CellPlan, normal: Cell, reduce: Cell) -> str:
    """``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], ...)``."""
    parts = []
    for name, cell in (("normal", normal), ("reduce", reduce)):
        concat = concat_of(plan, cell)
        whole = list(range(concat[0], concat[-1] + 1)) == concat
        parts += [
            f"{name}={[(op, source) for node in cell for source, op in node]}",
            f"{name}_concat={f'range({concat[0]}, {concat[-1] + 1})' if whole else concat}",
        ]
    return f"Genotype({', '.join(parts)})"


def compact(normal: Cell, reduce: Cell) -> str:
    """NASLib's form, ``[[(0, 3), ...], [...]]``: for every input of every node its number and that of the operation."""
    return str([[(source, NASLIB_OPS.index(op)) for node in cell for source, op in node] for cell in (normal, reduce)])


def read(plan: CellPlan, text: str, name: str) -> list[list[ReadNode]]:
    """The nodes of the normal and the reduction cell; ``?`` leaves an operation, or both inputs of a node, undecided.

    Read are what :func:`written` writes, the same as an object (``{"normal": [...], ...}``), and, if the operations are
    those of DARTS, what :func:`compact` writes.

    Args:
        plan: of the cells.
        text: as given.
        name: of the space, for messages.

    Raises:
        InvalidArchError: the text is malformed; the message names the defect.
    """
    try:
        fields = _fields(text)
    except ValueError as error:
        # What else it may be, the caller looks up.
        ours = "Genotype" in text or text.strip()[:2] in ("[[", "((", "[(", "([")
        kind = NotationError if ours else InvalidArchError
        raise kind(f"{_short(text)!r} is not a valid {name} arch: {error}; expected {_FORM}.") from None
    return [
        _cell(plan, fields[cell], fields.get(f"{cell}_concat"), f"{_short(text)!r}: {cell}", name)
        for cell in ("normal", "reduce")
    ]


_FORM = (
    "Genotype(normal=[('OPERATION', NODE), ...], normal_concat=..., reduce=[...], reduce_concat=...), with two "
    "inputs for every node"
)


def _fields(text: str) -> dict[str, Any]:
    """The cells of a text, and what they concatenate if it says so.

    Raises:
        ValueError: it has none.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"it has more than {_LONGEST} characters")
    text = text.strip()
    if text[:1] in ("[", "(", "{"):
        value = literal(text)
        if isinstance(value, Mapping) and {"normal", "reduce"} <= set(value) <= set(FIELDS):
            return dict(value)
        if isinstance(value, list | tuple) and len(value) == GIVEN:
            return {name: _of_compact(cell) for name, cell in zip(("normal", "reduce"), value, strict=True)}
        raise ValueError("it is neither a Genotype nor a pair of cells")
    return _of_call(text)


def _of_call(text: str) -> dict[str, Any]:
    try:
        node = ast.parse(text, mode="eval").body
        if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != "Genotype":
            raise ValueError("it is no Genotype(...)")
        given = dict(zip(FIELDS, map(_value, node.args), strict=False))
        given |= {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
    except (SyntaxError, TypeError, MemoryError, RecursionError, UnicodeError) as error:
        raise ValueError("it is not written as Python writes it") from error
    if extra := set(given) - set(FIELDS):
        raise ValueError(f"it has {min(extra)}")
    if missing := [name for name in ("normal", "reduce") if name not in given]:
        raise ValueError(f"it has no {missing[0]} cell")
    return given


def _value(node: ast.expr) -> Any:
    """A literal, or a range, which is the only call that a Genotype has."""
    if not isinstance(node, ast.Call):
        try:
            return ast.literal_eval(node)
        except ValueError as error:
            # Python's message names an object by its address.
            raise ValueError(f"{ast.unparse(node)[:40]} is no value of it") from error
    called = node.func.id if isinstance(node.func, ast.Name) and not node.keywords else None
    if called in ("list", "tuple") and len(node.args) == 1:
        return _value(node.args[0])
    args = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    small = [number for number in args if type(number) is int and 0 <= number <= _MOST]
    if called == "range" and len(small) == len(node.args) in (1, 2):
        return list(range(*small))
    raise ValueError(f"{ast.unparse(node)[:40]} is no value of it")


def _of_compact(cell: Any) -> list[tuple[Any, Any]]:
    """The pairs (operation, input) of a cell, from NASLib's pairs of an input and the number of an operation."""
    pairs = []
    for pair in cell if isinstance(cell, list | tuple) else [None]:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"{str(pair)[:40]} is no pair of an input and an operation")
        source, op = pair
        if isinstance(source, str):
            # The lists of a Genotype without their names.
            pairs.append((source, op))
            continue
        if not isinstance(op, int) or isinstance(op, bool) or not 0 <= op < len(NASLIB_OPS):
            raise ValueError(f"{op!r} is no number of an operation, 0 to {len(NASLIB_OPS) - 1}")
        pairs.append((NASLIB_OPS[op], source))
    return pairs


def _cell(plan: CellPlan, pairs: Any, concat: Any, where: str, name: str) -> list[ReadNode]:
    if not isinstance(pairs, list | tuple) or len(pairs) != 2 * plan.nodes:
        found = len(pairs) if isinstance(pairs, list | tuple) else f"{pairs!r}"
        raise NotationError(f"{where} has {found} inputs; expected {2 * plan.nodes}, two for each of its nodes.")
    nodes = [
        _node(plan, node, (pairs[2 * row], pairs[2 * row + 1]), where, name) for row, node in enumerate(plan.numbers)
    ]
    _check_concat(plan, nodes, concat, where)
    return nodes


def _node(plan: CellPlan, node: int, pairs: Sequence[Any], where: str, name: str) -> ReadNode:
    found: list[tuple[int | None, str | None]] = []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise NotationError(f"{where}: {pair!r} is no pair of an operation and a node.")
        op, source = pair
        if op not in (*plan.operations, UNDECIDED):
            hint = " No edge is searched that has no operation." if op == "none" else ""
            raise NotationError(f"{where}: {unknown(f'{name} operation', str(op), plan.operations)}{hint}")
        if source != UNDECIDED and (type(source) is not int or not 0 <= source < node):
            raise NotationError(f"{where}: node {node} reads {source!r}; expected 0 to {node - 1}, or '?'.")
        found.append((None if source == UNDECIDED else source, None if op == UNDECIDED else op))
    sources = [source for source, _ in found]
    if sources.count(None) == 1:
        raise NotationError(f"{where}: node {node} has one input and one '?'; give both inputs, or two '?'.")
    if None not in sources:
        if sources[0] == sources[1] and not plan.repeats:
            raise NotationError(f"{where}: node {node} reads {sources[0]} twice; expected two different nodes.")
        found.sort(key=lambda pair: pair[0] or 0)
    return found[0], found[1]


def _check_concat(plan: CellPlan, nodes: Sequence[ReadNode], concat: Any, where: str) -> None:
    """Refuses a cell that concatenates other nodes than the space does; what is not said is as it should be."""
    pairs = [(first[0], second[0]) for first, second in nodes]
    if concat is None or (plan.loose_ends and any(None in pair for pair in pairs)):
        return
    expected = plan.concat([(a, b) for a, b in pairs if a is not None and b is not None])
    if not isinstance(concat, list | tuple) or sorted(map(str, concat)) != sorted(map(str, expected)):
        what = "those that no other node reads" if plan.loose_ends else "all of its nodes"
        raise NotationError(f"{where}_concat is {concat!r}; expected {expected}: {what}.")


def _short(text: str) -> str:
    return text if len(text) <= 70 else f"{text[:50]}...{text[-12:]}"
