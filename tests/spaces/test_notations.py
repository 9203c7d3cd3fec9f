"""Notations of other libraries and benchmarks are read, or answered with their name and how to give them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from toys import mixed

from gennas.errors import InvalidArchError
from gennas.spaces import get_space
from gennas.spaces.notations import literal

NB201, NB101, GRAPH = (get_space(name) for name in ("nasbench201", "nasbench101", "nasbench_graph"))
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('skip_connect', 2)], reduce_concat=[2, 3, 4, 5])"
)
OPS = ["nor_conv_3x3", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_3x3", "skip_connect"]
PAIRS = [["nor_conv_3x3", 0]], [["nor_conv_3x3", 0], ["avg_pool_3x3", 1]]
LAST = [["skip_connect", 0], ["nor_conv_3x3", 1], ["skip_connect", 2]]


@pytest.mark.parametrize(
    "text",
    [
        f"Structure(4 nodes with {CELL})",
        f"  Structure(4 nodes with {CELL})\n",
        json.dumps(dict(zip(("0_1", "0_2", "1_2", "0_3", "1_3", "2_3"), OPS, strict=True))),
        # Written in another order, by Python, and without "nor_".
        "{'2_3': 'skip_connect', '0_3': 'skip_connect', '1_3': 'conv_3x3', '1_2': 'avg_pool_3x3', '0_1': 'conv_3x3',"
        " '0_2': 'conv_3x3'}",
        json.dumps([*PAIRS, LAST]),
        "((('nor_conv_3x3', 0),), (('nor_conv_3x3', 0), ('avg_pool_3x3', 1)), (('skip_connect', 0),"
        " ('nor_conv_3x3', 1), ('skip_connect', 2)))",
    ],
)
def test_cells_of_nasbench201_that_say_what_is_on_which_edge(text: str) -> None:
    assert NB201.parse(text).key == CELL


def test_other_notations_may_be_undecided_too() -> None:
    text = '{"0_1": "?", "0_2": "none", "1_2": "avg_pool_3x3", "0_3": "none", "1_3": "none", "2_3": "?"}'
    assert NB201.partial(text).ops.count(None) == 2


def test_indices_are_never_guessed_but_the_cells_that_they_may_mean_are_told() -> None:
    """As NASLib's convert_op_indices_to_str makes it: edges by source, operations as it numbers them."""
    naslib = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    plain = "|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    for text in ("(4, 0, 3, 1, 4, 3)", "[4, 0, 3, 1, 4, 3]"):
        with pytest.raises(InvalidArchError, match="looks like op indices") as failure:
            NB201.parse(text)
        assert f"As NASLib does, it is {naslib!r}" in str(failure.value)
        assert f"{plain!r}. Give the cell that you mean." in str(failure.value)


def test_operations_without_their_edges() -> None:
    for text in (json.dumps(OPS), str(OPS), str(tuple(OPS))):
        with pytest.raises(InvalidArchError, match="looks like a list of operations") as failure:
            NB201.parse(text)
        assert CELL in str(failure.value)


@pytest.mark.parametrize(
    ("space", "text", "message"),
    [
        (NB201, "235", "'235' looks like an index of a benchmark's own file.*api.arch"),
        (NB101, "235", "looks like an index of a benchmark's own file"),
        (NB201, GENOTYPE, "looks like a Genotype of DARTS, which is no arch of nasbench201"),
        (NB101, GENOTYPE, "looks like a Genotype of DARTS, which is no arch of nasbench101"),
        (NB101, "d41d8cd98f00b204e9800998ecf8427e", "looks like a hash of NAS-Bench-101.*matrix"),
        (NB101, CELL, "looks like a cell of NAS-Bench-201.*give `space` nasbench201"),
        (GRAPH, f"Structure(4 nodes with {CELL})", "looks like a cell of NAS-Bench-201"),
        (NB201, "110/01/1 conv3x3-bn-relu,maxpool3x3", "looks like a cell of NAS-Bench-101"),
        (NB201, '{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}', "looks like a cell of NAS-Bench-101"),
        (NB201, "0012 gat gcn gin cheb", "looks like an arch of NAS-Bench-Graph.*give `space` nasbench_graph"),
        (GRAPH, "(0, 0, 1, 2)", "looks like a list of indices"),
        (GRAPH, "{'link': [0, 0], 'ops': ['gcn']}", "looks like a Python or JSON object"),
        # Its own notation with a defect: the defect is what counts.
        (NB201, CELL.replace("avg_pool_3x3~1|+", "avg_pool_3x3~0|+"), "must end in '~1'"),
        (NB201, "{'0_1': 'conv_7x7'}", "looks like a Python or JSON object"),
        (NB101, '{"matrix": [[0, 1], [0, 0]]}', "expected"),
        (NB101, "110/01/2", "row 3 is '2'"),
    ],
)
def test_what_cannot_be_read_is_named(space: object, text: str, message: str) -> None:
    with pytest.raises(InvalidArchError, match=f"(?s){message}") as failure:
        space.parse(text)  # type: ignore[attr-defined]
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 400


def test_a_space_whose_own_keys_are_lists_says_itself_what_is_wrong() -> None:
    with pytest.raises(InvalidArchError, match=r"is not a valid toy"):
        mixed().parse('[["p", "r"')


def test_dangling_vertices_of_nasbench101_are_refused_by_the_rules_that_they_break() -> None:
    """The benchmark's own ModelSpec would drop them without a word."""
    matrix = [[0] * 7 for _ in range(7)]
    for i, j in (
        (0, 1),
        (0, 3),
        (0, 5),
        (0, 6),
        (1, 5),
        (1, 6),
        (3, 5),
        (3, 6),
        (5, 6),
        (1, 4),
        (2, 3),
        (2, 5),
        (2, 6),
    ):
        matrix[i][j] = 1
    ops = ["input", "maxpool3x3", "conv1x1-bn-relu", *["conv3x3-bn-relu"] * 3, "output"]
    for text in (json.dumps({"matrix": matrix, "ops": ops}), str({"matrix": matrix, "ops": ops})):
        with pytest.raises(InvalidArchError, match=r"13 edges; expected at most 9; on no path .*: 2 \(.*, 4 \("):
            NB101.parse(text)
    kept = [0, 1, 3, 5, 6]
    pruned = {"matrix": [[matrix[i][j] for j in kept] for i in kept], "ops": [ops[i] for i in kept]}
    key = "1111/011/11/1 maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu"
    assert [NB101.parse(text).key for text in (json.dumps(pruned), str(pruned))] == [key, key]


def test_literals_run_nothing_and_end() -> None:
    for text in ("__import__('os').system('true')", "(" * 5000, "[" * 200_000, "9" * 9_999, "{1: 2"):
        with pytest.raises(ValueError, match=r"neither JSON nor|more than|Exceeds|too deeply"):
            literal(text)


#: Notations that are written but not read: libraries number operations differently.
NOT_READ = {("nasbench201", "naslib")}


@pytest.mark.parametrize(
    "name", ["darts", "nasnet", "fbnet", "mobilenet_v3", "nasbench101", "nasbench201", "transnas_micro"]
)
def test_what_is_written_for_others_is_read(name: str) -> None:
    space, rng = get_space(name), np.random.default_rng(5)
    for _ in range(20):
        arch = space.sample(rng)
        texts = space.notations(arch)
        assert texts or name == "nasnet"
        for notation, text in texts.items():
            if (name, notation) not in NOT_READ:
                assert space.parse(text) == arch, notation


def test_what_is_written_for_others() -> None:
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
    texts = get_space("nasbench201").notations(get_space("nasbench201").parse(cell))
    assert texts["structure"] == f"Structure(4 nodes with {cell})"
    assert texts["pairs"].startswith('[[["nor_conv_3x3", 0]], [["none", 0], ["nor_conv_1x1", 1]]')
    # NASLib: edges by source, operations in its own order.
    assert texts["naslib"] == "(2, 1, 0, 3, 2, 4)"
    space = get_space("nasbench101")
    text = space.notations(space.parse("110/01/1 conv3x3-bn-relu,maxpool3x3"))["spec"]
    assert text == (
        '{"matrix": [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], '
        '"ops": ["input", "conv3x3-bn-relu", "maxpool3x3", "output"]}'
    )
