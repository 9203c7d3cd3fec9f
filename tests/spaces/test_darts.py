"""DARTS: notations, canonical forms, and costs that equal what others counted."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter

import numpy as np
import pytest
import torch

from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.darts import cells
from gennas.spaces.darts.network import DropPath
from gennas.spaces.darts.operations import FactorizedReduce
from gennas.spaces.darts.space import Darts, NasNet
from gennas.spaces.drawing import draw_svg
from gennas.tasks import Task, get_task
from gennas.testing import check_space

CIFAR10 = get_task("cifar10")
#: The best cells of DARTS, second order, as its code prints them.
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
#: NASNet-A, as the code of DARTS has it.
NASNET_A = (
    "Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0), "
    "('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 1)], normal_concat=[2, 3, 4, 5, 6], reduce=[('sep_conv_5x5', 1), ('sep_conv_7x7', 0), "
    "('max_pool_3x3', 1), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('sep_conv_5x5', 0), ('skip_connect', 3), "
    "('avg_pool_3x3', 2), ('sep_conv_3x3', 2), ('max_pool_3x3', 1)], reduce_concat=[4, 5, 6])"
)
#: Cells in NASLib's compact form, with millions of parameters and multiply-adds: rows of the table of NAS-Bench-301's
#: cells in NAS-Bench-Suite-Zero (Apache-2.0), rounded there to six digits.
COUNTED = [
    (
        "[[(0, 0), (1, 5), (1, 1), (0, 1), (1, 3), (0, 3), (1, 3), (3, 2)], "
        "[(1, 0), (0, 2), (1, 3), (0, 3), (3, 0), (0, 1), (2, 0), (3, 6)]]",
        *(0.856298, 153.499),
    ),
    (
        "[[(1, 5), (0, 6), (2, 2), (1, 4), (1, 0), (0, 1), (2, 3), (4, 1)], "
        "[(1, 6), (0, 5), (2, 6), (0, 1), (0, 6), (1, 0), (1, 1), (2, 1)]]",
        *(0.794218, 147.724),
    ),
    (
        "[[(1, 3), (0, 5), (0, 4), (1, 4), (0, 4), (3, 4), (2, 3), (0, 0)], "
        "[(1, 3), (0, 4), (2, 0), (0, 4), (1, 5), (3, 1), (0, 0), (4, 0)]]",
        *(1.22903, 215.046),
    ),
    (
        "[[(1, 0), (0, 4), (2, 4), (1, 5), (1, 2), (0, 2), (2, 1), (0, 5)], "
        "[(1, 5), (0, 1), (0, 5), (2, 1), (2, 2), (0, 5), (2, 4), (1, 3)]]",
        *(0.864938, 154.703),
    ),
    (
        "[[(1, 4), (0, 3), (0, 0), (2, 6), (2, 0), (3, 5), (2, 6), (4, 6)], "
        "[(1, 3), (0, 1), (2, 2), (0, 5), (0, 1), (3, 0), (2, 4), (0, 2)]]",
        *(0.94225, 169.228),
    ),
    (
        "[[(0, 2), (1, 3), (1, 0), (0, 1), (2, 4), (1, 3), (2, 5), (3, 0)], "
        "[(0, 5), (1, 6), (1, 1), (0, 4), (1, 5), (2, 5), (3, 5), (1, 4)]]",
        *(0.951274, 165.476),
    ),
    (
        "[[(1, 5), (0, 1), (2, 0), (1, 4), (1, 6), (0, 0), (4, 2), (1, 6)], "
        "[(0, 2), (1, 0), (2, 6), (1, 1), (2, 3), (0, 2), (1, 5), (0, 6)]]",
        *(0.814442, 147.855),
    ),
    (
        "[[(1, 1), (0, 4), (2, 2), (0, 4), (0, 2), (2, 6), (2, 1), (4, 6)], "
        "[(0, 0), (1, 5), (0, 1), (2, 5), (1, 4), (2, 4), (2, 1), (3, 6)]]",
        *(0.88849, 159.651),
    ),
    (
        "[[(1, 4), (0, 6), (1, 6), (2, 6), (0, 5), (1, 1), (0, 1), (3, 0)], "
        "[(0, 1), (1, 3), (1, 3), (0, 6), (3, 5), (0, 3), (4, 6), (1, 6)]]",
        *(0.941802, 165.009),
    ),
    (
        "[[(0, 5), (1, 1), (1, 0), (2, 0), (0, 1), (3, 5), (4, 6), (0, 2)], "
        "[(0, 4), (1, 3), (0, 3), (1, 4), (3, 2), (2, 3), (3, 3), (2, 0)]]",
        *(0.819498, 141.211),
    ),
    (
        "[[(0, 6), (1, 5), (0, 1), (1, 2), (2, 6), (1, 0), (3, 0), (4, 5)], "
        "[(1, 4), (0, 2), (1, 1), (0, 2), (3, 1), (0, 1), (3, 1), (0, 2)]]",
        *(0.706922, 132.167),
    ),
    (
        "[[(1, 0), (0, 1), (1, 5), (0, 0), (3, 6), (1, 0), (4, 5), (0, 6)], "
        "[(1, 2), (0, 5), (0, 3), (1, 6), (2, 5), (0, 3), (1, 4), (0, 3)]]",
        *(0.868906, 149.96),
    ),
]
SMALL = Darts(channels=4, cells=3)


def images(side: int, classes: int) -> Task:
    return Task("images", (3, side, side), classes)


@pytest.mark.parametrize("name", ["darts", "nasnet"])
def test_the_spaces_keep_the_contract(name: str) -> None:
    check_space(get_space(name, "channels=4,cells=3"), archs=300)
    check_space(get_space(name, "channels=4,cells=4,imagenet=1,affine=1,drop_path=20"), images(40, 5), archs=100)


@pytest.mark.parametrize(("text", "params_m", "macs_m"), COUNTED)
def test_costs_are_those_that_naslib_counts(text: str, params_m: float, macs_m: float) -> None:
    """Which also shows in which order NASLib numbers the operations."""
    arch = Darts().parse(text)
    costs = Darts().costs(arch, CIFAR10)
    assert (f"{costs['params_m']:.6g}", f"{costs['macs_m']:.6g}") == (f"{params_m:.6g}", f"{macs_m:.6g}")


def test_published_networks_have_their_published_parameters() -> None:
    """3.349342 million on CIFAR-10, as the code of DARTS prints them; 4.7 million on ImageNet, with 574 million
    multiply-adds of convolutions and matrix products (Liu et al., table 3; here the norms and activations count, too).
    """
    cifar10 = Darts(channels=36, cells=20, affine=1)
    assert cifar10.costs(cifar10.parse(DARTS_V2), CIFAR10)["params_m"] == pytest.approx(3.349342, abs=1e-9)
    imagenet = Darts(channels=48, cells=14, affine=1, imagenet=1)
    costs = imagenet.costs(imagenet.parse(DARTS_V2), images(224, 1000))
    assert costs["params_m"] == pytest.approx(4.72, abs=0.01)
    assert costs["macs_m"] == pytest.approx(574, rel=0.06)


def test_the_number_of_archs_is_the_published_one() -> None:
    """Liu et al., section 3: the product over the four nodes of (k + 1) k / 2 pairs and 7^2 operations, twice."""
    own = 1
    for k in range(1, 5):
        own *= (k + 1) * k // 2 * 7**2
    assert Darts().count == own**2 == 1_076_746_950_455_072_400
    assert Darts().size is None


def test_uniform_choices_are_uniform_archs() -> None:
    assert Darts().is_exact
    assert not Darts().has_rules
    rng = np.random.default_rng(0)
    drawn = Counter(Darts().sample(rng).ops[Darts.template.slots.index("reduce.5.inputs")] for _ in range(5000))
    assert set(drawn) == {f"{a}+{b}" for a, b in itertools.combinations(range(5), 2)}
    assert max(abs(count - 500) for count in drawn.values()) < 4 * (5000 * 0.1 * 0.9) ** 0.5


def test_genotypes_are_read_and_written() -> None:
    arch = SMALL.parse(DARTS_V2)
    # Inputs in order; what is concatenated as DARTS of today prints it.
    first, then = "('sep_conv_3x3', 1), ('skip_connect', 0)", "('skip_connect', 0), ('sep_conv_3x3', 1)"
    expected = DARTS_V2.replace(first, then).replace("[2, 3, 4, 5]", "range(2, 6)")
    expected = expected.replace("('skip_connect', 2), ('max_pool_3x3', 1)", "('max_pool_3x3', 1), ('skip_connect', 2)")
    assert arch.key == expected
    assert SMALL.parse(arch.key) == arch
    assert SMALL.partial(arch.key).is_whole


@pytest.mark.parametrize(
    "text",
    [
        DARTS_V2.replace("Genotype", "genotypes.Genotype"),
        re.sub(r"\w+=", "", DARTS_V2),
        DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=list(range(2, 6))"),
        DARTS_V2.replace("normal_concat=[2, 3, 4, 5], ", "").replace(", reduce_concat=[2, 3, 4, 5]", ""),
        json.dumps(
            {
                "normal": [
                    *([["sep_conv_3x3", 0], ["sep_conv_3x3", 1], ["sep_conv_3x3", 1], ["sep_conv_3x3", 0]]),
                    *([["skip_connect", 0], ["sep_conv_3x3", 1], ["dil_conv_3x3", 2], ["skip_connect", 0]]),
                ],
                "reduce": [
                    *([["max_pool_3x3", 0], ["max_pool_3x3", 1], ["skip_connect", 2], ["max_pool_3x3", 1]]),
                    *([["max_pool_3x3", 0], ["skip_connect", 2], ["skip_connect", 2], ["max_pool_3x3", 1]]),
                ],
            }
        ),
    ],
)
def test_other_forms_of_the_same_genotype(text: str) -> None:
    assert SMALL.parse(text) == SMALL.parse(DARTS_V2)


def test_the_compact_form_is_written_as_it_is_read() -> None:
    for text, _, _ in COUNTED:
        arch = SMALL.parse(text)
        assert SMALL.parse(Darts.compact(arch)) == arch
    assert Darts.compact(SMALL.parse(COUNTED[0][0])).startswith("[[(0, 0), (1, 5), (0, 1), (1, 1), (0, 3), (1, 3),")


def test_what_is_undecided_is_left_open() -> None:
    text = DARTS_V2.replace("('dil_conv_3x3', 2)", "('?', 2)").replace(
        "('max_pool_3x3', 0), ('skip_connect', 2)", "('?', '?'), ('skip_connect', '?')"
    )
    partial = SMALL.partial(text)
    slots = Darts.template.slots
    open_slots = {slots[slot] for slot, op in enumerate(partial.ops) if op is None}
    assert open_slots == {"normal.5.second", "reduce.4.inputs", "reduce.4.first"}
    named = SMALL.partial("normal.3.inputs=0+2, normal.3.second=skip_connect")
    assert named.ops[slots.index("normal.3.inputs")] == "0+2"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'dil_conv_3x3', 2", "'none', 2", "No edge is searched that has no operation"),
        ("'dil_conv_3x3', 2", "'dil_conv_5x3', 2", "Did you mean 'dil_conv_5x5'"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 5", "node 5 reads 5; expected 0 to 4"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', True", "node 5 reads True"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 0", "node 5 reads 0 twice"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', '?'", "one input and one"),
        (", ('dil_conv_3x3', 2)", "", "normal has 7 inputs; expected 8"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[3, 4, 5]", r"normal_concat is \[3, 4, 5\]; expected \[2, 3"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(10**9)", r"range\(10 \*\* 9\) is no value"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=__import__('os').getpid()", r"getpid\(\) is no value"),
        ("reduce=", "reduction=", "it has reduction"),
        ("Genotype", "print", "it is no Genotype"),
        ("Genotype(", "Genotype", "not written as Python"),
        ("Genotype(", "Genotype\ud800(", "not written as Python"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3] * 2", r"\[2, 3\] \* 2 is no value"),
    ],
)
def test_what_is_no_genotype_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidArchError, match=message):
        SMALL.parse(DARTS_V2.replace(old, new, 1))


def test_nasnet_reads_its_cells_and_concatenates_loose_ends() -> None:
    space = NasNet(channels=4, cells=3)
    arch = space.parse(NASNET_A)
    assert "reduce_concat=range(4, 7)" in arch.key
    with pytest.raises(InvalidArchError, match=r"reduce_concat is \[3, 4, 5, 6\]; expected \[4, 5, 6\]: those that no"):
        space.parse(NASNET_A.replace("[4, 5, 6])", "[3, 4, 5, 6])"))
    cell = space.build(arch, CIFAR10).cells[1]
    assert tuple(cell(torch.zeros(2, 12, 8, 8), torch.zeros(2, 20, 8, 8)).shape) == (2, 3 * 8, 4, 4)


def test_order_of_nodes_and_inputs_makes_no_other_function() -> None:
    """Node 3 does not read node 2, so they can be swapped; then what reads them reads the other number."""
    arch = SMALL.parse(COUNTED[0][0])
    swapped = SMALL.parse(
        "[[(1, 1), (0, 1), (0, 0), (1, 5), (1, 3), (0, 3), (1, 3), (2, 2)], "
        "[(1, 0), (0, 2), (1, 3), (0, 3), (3, 0), (0, 1), (2, 0), (3, 6)]]"
    )
    assert arch != swapped
    assert SMALL.canonical(arch) == SMALL.canonical(swapped)
    outputs = []
    for each in (arch, swapped):
        torch.manual_seed(0)
        outputs.append(SMALL.build(each, CIFAR10)(torch.ones(2, 3, 32, 32)))
    assert torch.equal(*outputs)


def test_canonical_forms_are_the_classes_of_renumbering() -> None:
    """As many archs lead to a form as it has numberings: checked on all cells of two nodes and two operations."""
    plan = cells.CellPlan(("a", "b"), nodes=3, repeats=False, loose_ends=False)
    every = [
        tuple(((i, x), (j, y)) for (i, j), (x, y) in zip(pairs, ops, strict=True))
        for pairs in itertools.product(*map(plan.pairs, plan.numbers))
        for ops in itertools.product(itertools.product("ab", repeat=2), repeat=3)
    ]
    forms = Counter(map(cells.canonical, every))
    assert sum(forms.values()) == len(every) == 1 * 3 * 6 * 4**3
    for form, count in forms.items():
        assert count == len(cells.numberings(form))
        assert form in cells.numberings(form)


def test_the_graph_says_which_operation_feeds_which() -> None:
    arch = SMALL.parse(DARTS_V2)
    _, (edges,) = SMALL.dataflow(*SMALL.arrays([arch]))
    slots = Darts.template.slots
    feeding = {slots[i] for i in np.flatnonzero(edges[:, slots.index("normal.5.second")])}
    assert feeding == {"normal.2.first", "normal.2.second"}
    assert not edges[slots.index("normal.5.inputs")].any()
    assert edges[:, -1].sum() == 16


def test_drop_path_grows_with_training_and_keeps_the_mean() -> None:
    layer, x = DropPath(0.4), torch.ones(4000, 1, 2, 2)
    assert torch.equal(layer(x), x)
    layer.set_training_progress(0.5)
    torch.manual_seed(0)
    dropped = layer(x)
    assert set(dropped.unique().tolist()) == {0.0, 1.25}
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)
    # All of an image's values go together.
    assert torch.equal(dropped.amin((1, 2, 3)), dropped.amax((1, 2, 3)))
    layer.eval()
    assert torch.equal(layer(x), x)


def test_halving_sees_every_other_pixel_in_either_half() -> None:
    layer = FactorizedReduce(1, 2, affine=False).eval()
    torch.nn.init.ones_(layer.even.weight)
    torch.nn.init.ones_(layer.odd.weight)
    x = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    found = layer(x).detach()
    assert found[0, 0].round().tolist() == [[1, 3], [7, 9]]
    assert found[0, 1].round().tolist() == [[5, 0], [0, 0]]


@pytest.mark.parametrize("settings", ["imagenet=2", "affine=3", "drop_path=91"])
def test_settings_out_of_range(settings: str) -> None:
    with pytest.raises(InvalidInputError, match="must be"):
        get_space("darts", settings)


def test_switches_can_be_switched_off() -> None:
    assert get_space("darts", "imagenet=0,affine=00") == Darts()
    with pytest.raises(InvalidInputError, match="channels='0'; must be an integer from 1"):
        get_space("darts", "channels=0")
    with pytest.raises(InvalidInputError, match="drop_path='-1'; must be an integer from 0"):
        get_space("darts", "drop_path=-1")


def test_views_count_operations_by_what_they_read_and_how_deep_that_is() -> None:
    arch = SMALL.parse(DARTS_V2)
    plain, depths = SMALL.views(*SMALL.arrays([arch]))
    k = len(SMALL.plan.operations)
    by_source = plain.reshape(2, 4, k)
    skip, sep, dil = (SMALL.plan.operations.index(f"{op}") for op in ("skip_connect", "sep_conv_3x3", "dil_conv_3x3"))
    # All, of the cell before the last, of the last, and of nodes of the cell.
    assert by_source[0, :, sep].tolist() == [5, 2, 3, 0]
    assert by_source[0, :, skip].tolist() == [2, 2, 0, 0]
    assert by_source[0, :, dil].tolist() == [1, 0, 0, 1]
    assert by_source[1, :, skip].tolist() == [3, 0, 0, 3]
    assert depths.reshape(2, k)[:, skip].tolist() == [0, 3]
    assert depths.reshape(2, k)[0, dil] == 1


def test_a_drawing_shows_both_cells() -> None:
    arch = SMALL.parse(DARTS_V2)
    normal, reduce = SMALL.figures(arch)
    assert (normal.title, reduce.title) == ("normal cell", "reduce cell")
    # The last node of the normal cell: a skip of the cell before the last, and a dilated convolution of node 2.
    assert normal.boxes[-4:] == (
        *(("skip_connect", "skip_connect"), ("dil_conv_3x3", "dil_conv_3x3")),
        *(("+", "5"), ("c_{k}", "concat")),
    )
    last = len(normal.boxes) - 2
    assert {i for i, j in normal.edges if j == last} == {last - 2, last - 1}
    assert (0, last - 2) in normal.edges
    assert normal.boxes[next(i for i, j in normal.edges if j == last - 1)] == ("+", "2")
    assert len([edge for edge in reduce.edges if edge[1] == reduce.ends[0]]) == 4
    text = draw_svg(SMALL, arch)
    assert text.count(">normal cell<") == text.count(">reduce cell<") == 1
