"""The TransNAS-Bench-101 micro space: notation, canonical form, costs and networks."""

from __future__ import annotations

import os
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.four_node_cell import _certificate
from gennas.spaces.transnas_micro.notation import OPS
from gennas.tasks.base import Task
from gennas.testing import check_space

SPACE = get_space("transnas_micro")
NARROW = get_space("transnas_micro", "channels=4")
#: The heads that NASLib's tables count: these tasks were trained with 75 and 47 classes.
CLASSES = {"class_object": 100, "class_scene": 63, "room_layout": 9}
#: Parameters and multiply-adds (millions, six digits) of class_scene in the table, by the code of the cell.
COSTS = {
    "1_00_210": (0.910687, 263.299),
    "1_00_223": (9.44061, 1946.13),
    "0_11_233": (16.2564, 3288.31),
    "1_10_312": (7.38109, 1600.56),
}
DATA = Path(os.environ.get("GENNAS_DATA", ""), "transnas101_micro.parquet")
WITH_DATA = pytest.mark.skipif(not os.environ.get("GENNAS_DATA") or not DATA.is_file(), reason="needs GENNAS_DATA")


def test_keeps_the_contract() -> None:
    check_space(NARROW)


def test_the_published_example_has_the_published_meaning() -> None:
    arch = SPACE.parse("64-41414-1_02_333")
    assert arch.key == "64-41414-1_02_333"
    edges = dict(zip(SPACE.template.slots[1:-1], arch.ops[1:-1], strict=True))
    assert edges == {
        "0->1": "skip_connect",
        "0->2": "none",
        "1->2": "nor_conv_1x1",
        "0->3": "nor_conv_3x3",
        "1->3": "nor_conv_3x3",
        "2->3": "nor_conv_3x3",
    }


@pytest.mark.parametrize(
    "text",
    [
        "1_02_333",
        " 64-41414-1_02_333\n",
        "(1, 0, 2, 3, 3, 3)",
        "[1,0,2,3,3,3]",
        "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    ],
)
def test_notations_that_are_read(text: str) -> None:
    assert SPACE.parse(text).key == "64-41414-1_02_333"


def test_what_is_undecided() -> None:
    assert SPACE.partial("64-41414-?_0?_333").ops[1:-1] == (None, "none", None, *["nor_conv_3x3"] * 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("32-41414-1_02_333", "has skeleton 32-41414; cells are written 64-41414-1_02_333 whatever the skeleton"),
        ("64-41414-1_02_33", "has 1 and 2 and 2 operations for its three nodes; expected 1 and 2 and 3"),
        ("1_02_334", "has operation '4'; expected 0 (none), 1 (skip_connect)"),
        ("(1, 0, 2, 3, 3)", "looks like a list of indices"),
        ("64-1234-basic", "expected a code like 64-41414-1_02_333"),
        ("|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "looks like a cell of NAS-Bench-201"),
    ],
)
def test_malformed_strings_are_explained(text: str, words: str) -> None:
    with pytest.raises(InvalidArchError) as caught:
        SPACE.parse(text)
    assert words in str(caught.value)


def test_other_spaces_know_its_code() -> None:
    with pytest.raises(InvalidArchError, match=r"a cell of TransNAS-Bench-101.*give `space` transnas_micro"):
        get_space("nasbench201").parse("64-41414-1_02_333")


def test_the_skeleton_is_read_digit_by_digit() -> None:
    with pytest.raises(InvalidInputError, match="macro=41915; its digits must be 1, 2, 3 or 4"):
        get_space("transnas_micro", "macro=41915")
    small = get_space("transnas_micro", "channels=4,macro=23,cells=1")
    network = small.build(small.parse("3_00_100"), Task("tiny", (3, 32, 32), 5))
    assert [(cell.shape.c_in, cell.shape.c_out, cell.shape.stride) for cell in network.body] == [(4, 8, 1), (8, 8, 2)]
    assert network.body(network.stem(torch.zeros(2, 3, 32, 32))).shape == (2, 8, 4, 4)


@pytest.mark.parametrize("code", COSTS)
def test_costs_are_those_of_the_table(code: str) -> None:
    found = SPACE.costs(SPACE.parse(code), Task("class_scene", (3, 256, 256), 63))
    assert [float(f"{found[name]:.6g}") for name in ("params_m", "macs_m")] == pytest.approx(COSTS[code], rel=5e-6)


@WITH_DATA
@pytest.mark.parametrize("name", CLASSES)
def test_costs_are_those_of_the_whole_table(name: str) -> None:
    """The tuples say which edge has which operation: read in another order, costs differ."""
    rows = pd.read_parquet(DATA).query("task == @name")
    assert len(rows) == 711
    task = Task(name, (3, 256, 256), CLASSES[name])
    for row in rows.itertuples():
        found = SPACE.costs(SPACE.parse(str(row.arch)), task)
        assert (found["params_m"], found["macs_m"]) == pytest.approx((row.params, row.flops), rel=5e-6), row.arch


@WITH_DATA
@pytest.mark.parametrize(("name", "size"), [("jigsaw", 64), ("segmentsemantic", 256), ("normal", 256)])
def test_other_heads_cost_the_same_for_all_cells(name: str, size: int) -> None:
    rows = pd.read_parquet(DATA).query("task == @name")
    task = Task(name, (3, size, size), 9)
    costs = pd.DataFrame([SPACE.costs(SPACE.parse(arch), task) for arch in rows.arch], index=rows.index)
    # The table has six digits.
    assert np.ptp(rows.params - costs.params_m) < 1e-5 * rows.params.max()
    assert np.ptp(rows.flops - costs.macs_m) < 1e-5 * rows.flops.max()


@WITH_DATA
def test_cells_without_a_path_are_those_that_learn_nothing() -> None:
    rows = pd.read_parquet(DATA).query("task == 'class_scene'")
    constant = [SPACE.is_constant(SPACE.parse(arch)) for arch in rows.arch]
    assert sum(constant) == 20
    assert (rows.val_accuracy[constant] == rows.val_accuracy.min()).all()
    # Whichever other edge a place of the tuple meant, some cells without a path would have learnt something.
    assert (rows.val_accuracy[~np.array(constant)] > rows.val_accuracy.min()).all()


@WITH_DATA
def test_cells_of_one_canonical_form_have_one_accuracy_but_for_noise() -> None:
    rows = pd.read_parquet(DATA).query("task == 'class_scene'")
    forms = [SPACE.canonical(SPACE.parse(arch)).key for arch in rows.arch]
    stds = rows.val_accuracy.groupby(forms).std().dropna()
    assert len(stds) > 40
    assert stds.max() < 1 < rows.val_accuracy.std() / 10


def test_every_cell_has_its_own_key() -> None:
    archs = list(SPACE.enumerate())
    assert len(archs) == len({arch.key for arch in archs}) == SPACE.size == 4_096
    assert all(SPACE.parse(str(tuple(OPS.index(op) for op in arch.ops[1:-1]))) == arch for arch in archs[::97])


def test_canonical_forms_look_at_the_cells_that_change_channels() -> None:
    """Cells that compute the same there compute the same where a skip connection is the identity, too."""
    pairs = {(_certificate(ops, True), _certificate(ops, False)) for ops in product(OPS, repeat=6)}
    assert len(pairs) == len({reducing for reducing, _ in pairs}) == 1_376
    # Two skip connections in a row, and one of them beside it: only the identity makes them one.
    one, other = SPACE.parse("1_01_000"), SPACE.parse("1_11_001")
    assert SPACE.canonical(one) != SPACE.canonical(other)


def test_canonical_forms_are_as_many_as_the_networks_tell_apart() -> None:
    forms = Counter(SPACE.canonical(arch).key for arch in SPACE.enumerate())
    assert len(forms) == 1_376
    assert forms["64-41414-0_00_000"] == sum(SPACE.is_constant(arch) for arch in SPACE.enumerate())


def test_skip_connections_have_weights_where_shapes_change() -> None:
    network = NARROW.build(NARROW.parse("0_00_100"), Task("tiny", (3, 33, 33), 5))
    reducing = [type(cell.layers[3]).__name__ for cell in network.body]
    assert reducing == ["FactorizedReduce", *["Identity"] * 3] * 2 + ["FactorizedReduce", "Identity"]
    with torch.no_grad():
        assert network(torch.randn(2, 3, 33, 33)).shape == (2, 5)
