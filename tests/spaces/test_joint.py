"""Joint spaces: further choices beside archs, which concern neither their graphs nor their networks."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn.functional import pad
from toys import Twins, mixed

from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.joint_denoiser import JointDenoiser
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.graph import GraphBatch
from gennas.predictors.features import GraphFeatures
from gennas.predictors.slot_features import SlotFeatures
from gennas.search.mutation import crossed, mutated, neighbours
from gennas.spaces import JointSpace, address_of, get_space, space_of, space_option
from gennas.spaces.network_part import network_of, network_space, stored_space
from gennas.tasks import get_task
from gennas.testing import check_space

OPTIONS = {"rate": (0.001, 0.01, 0.1), "shift": (True, False), "word": ("none", "flip+crop")}
TASK = get_task("digits", image_size=8)
CELLS = get_space("nasbench201", "channels=4,cells=1")
KEY = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"


def joint(space: object = CELLS) -> JointSpace:
    return JointSpace.of(space, OPTIONS)  # type: ignore[arg-type]


def test_an_arch_and_its_choices_are_one_key() -> None:
    space, arch = joint(), CELLS.parse(KEY)
    both = space.joined(arch, {"rate": 0.01, "shift": False, "word": "none"})
    assert both.key == f"{KEY} @ rate:0.01 shift:false word:none"
    assert space.parse(both.key) == both
    assert space.choices(both) == {"rate": 0.01, "shift": False, "word": "none"}
    assert space.network_arch(both) == arch
    assert network_of(space, both) == (CELLS, arch)
    assert network_of(CELLS, arch) == (CELLS, arch)
    assert space.parse(f"{KEY} @ word:none rate:0.01 shift:false") == both


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (KEY, "says nothing of rate, shift, word; end it with @ rate:0.001 shift:true word:none"),
        (f"{KEY} @ rate:0.01 shift:false", "is incomplete"),
        (f"{KEY} @ rate:0.02 shift:false word:none", "unknown value of rate '0.02'"),
        (f"{KEY} @ rat:0.01 shift:false word:none", "unknown choice beside the arch 'rat'. Did you mean 'rate'"),
        ("|none~0| @ rate:0.01 shift:false word:none", "|none~0|"),
    ],
)
def test_what_is_no_key(key: str, message: str) -> None:
    with pytest.raises(InvalidArchError) as caught:
        joint().parse(key)
    assert message in str(caught.value)


def test_some_choices_are_left_open() -> None:
    space = joint()
    found = space.partial("rate=0.01")
    assert found.ops[-3:] == ("rate:0.01", None, None)
    assert found.ops[0] == "input"
    assert set(found.ops[1:7]) == {None}
    assert space.partial(f"{KEY} @ shift:true word:?").ops == (*CELLS.parse(KEY).ops, None, "shift:true", None)
    graph = GraphBatch.from_partial(found, space.template, 4)
    assert int(graph.masked_decisions().sum()) == 4 * 8


def test_all_archs_with_all_choices() -> None:
    own = mixed()
    space = joint(own)
    archs = list(space.enumerate())
    assert len(archs) == len({arch.key for arch in archs}) == 48 * 12
    assert set(Counter(space.network_arch(arch) for arch in archs).values()) == {12}
    assert all(space.parse(arch.key) == arch and not space.problems(arch) for arch in archs)
    assert {arch.key for arch in (space.sample(np.random.default_rng(seed)) for seed in range(50))} <= {
        arch.key for arch in archs
    }
    # Costs are the arch's own, in whichever way they are asked for.
    for arch in archs[::97]:
        assert space.costs(arch, None) == own.costs(space.network_arch(arch), None)  # type: ignore[arg-type]
    base, table = space.slot_costs(None)["macs_m"]  # type: ignore[arg-type, index]
    ops, _ = space.arrays(archs)
    found = base + table[np.arange(ops.shape[1]), ops].sum(1)
    assert np.allclose(found, [space.costs(arch, None)["macs_m"] for arch in archs])  # type: ignore[arg-type]


def test_neighbours_change_one_thing() -> None:
    space = joint(mixed())
    arch = space.sample(np.random.default_rng(0))
    near = neighbours(space, arch)
    own = neighbours(space.arch_space, space.network_arch(arch))
    assert len(near) == len(own) + 2 + 1 + 1
    for other in near:
        changed = sum(a != b for a, b in zip(arch.ops, other.ops, strict=True))
        assert changed + len({*arch.edges} ^ {*other.edges}) == 1
    rng = np.random.default_rng(0)
    assert all(space.problems(other) == [] for other in mutated(space, [arch] * 20, rng))
    child = crossed(space, arch, near[0], rng)
    assert child in (arch, near[0])


def test_interchangeable_slots_stay_so() -> None:
    space = joint(Twins())
    archs = list(space.enumerate())
    assert space.size == len(archs) == 36 * 12
    moved = space.permuted(*space.arrays(archs), np.random.default_rng(0))
    first = space.canonical_form(*moved)
    assert all(np.array_equal(a, b) for a, b in zip(first, space.arrays(archs), strict=True))
    assert not space.slots_are_positions
    assert joint().slots_are_positions
    assert space.canonicalised(archs[:50]) == archs[:50]
    # What is chosen beside them has columns all the same, and they have none.
    columns = SlotFeatures(space).of(archs)
    assert len(set(columns.slot_of.tolist())) == 3


def test_predictors_see_the_network_as_before_and_the_choices_beside_it() -> None:
    space, rng = joint(), np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(40)]
    own = [space.network_arch(arch) for arch in archs]
    assert np.array_equal(GraphFeatures(space).of(archs, TASK), GraphFeatures(CELLS).of(own, TASK))
    columns, before = SlotFeatures(space).of(archs), SlotFeatures(CELLS).of(own)
    further = columns.values[:, before.values.shape[1] :]
    rates = np.array([space.choices(arch)["rate"] for arch in archs])
    # A number by its logarithm, as it spreads widely.
    assert np.allclose(further[:, 0], (np.log10(rates) + 3) / 2)
    assert len(np.unique(further, axis=0)) == len({tuple(space.choices(arch).values()) for arch in archs})


def test_uniform_draws_without_training() -> None:
    space = joint()
    assert space.is_exact
    drawn = Generator(space, ExactDenoiser(space)).sample(600, seed=0).archs
    assert len(drawn) == 600
    counts = Counter(space.choices(arch)["rate"] for arch in drawn)
    assert all(150 < counts[rate] < 250 for rate in OPTIONS["rate"])


def test_a_denoiser_of_archs_sees_archs_alone() -> None:
    space = joint(mixed())

    class Favourite(torch.nn.Module):
        """Prefers the last choice of every decision."""

        def log_probs(self, graph: GraphBatch) -> torch.Tensor:
            assert graph.template is space.arch_space.template
            logits = torch.arange(4.0).expand(len(graph), 5, 4)
            return logits.log_softmax(2)

    graph = GraphBatch.undecided_batch(space.template, 3)
    denoiser = JointDenoiser(space, Favourite())
    found = denoiser.log_probs(graph)
    own = torch.arange(4.0).log_softmax(0)
    assert torch.equal(found[0, 0, :4], own)
    # Two slots, three further choices, three edges.
    assert torch.allclose(found[1, 2].exp(), pad(torch.full((3,), 1 / 3), (4, 4)))
    assert torch.equal(found[:, 5:, :4], own.expand(3, 3, 4))
    asked = torch.tensor([[2, 6], [0, 3], [1, 1]])
    assert torch.equal(denoiser.log_probs(graph, asked)[0], found[0, [2, 6]])


def test_the_networks_are_the_archs() -> None:
    space = joint()
    arch = space.sample(np.random.default_rng(3))
    networks = []
    for one, of in ((arch, space), (space.network_arch(arch), CELLS)):
        torch.manual_seed(0)
        networks.append(of.build(one, TASK).state_dict())
    assert all(torch.equal(value, networks[1][name]) for name, value in networks[0].items())
    assert space.skeleton == CELLS.skeleton


def test_settings_of_a_study_name_it() -> None:
    space = joint()
    stored = stored_space(space)
    assert stored == {
        "name": "nasbench201",
        "skeleton": CELLS.skeleton,
        "recipe": {"rate": [0.001, 0.01, 0.1], "shift": [True, False], "word": ["none", "flip+crop"]},
    }
    assert space_of(stored) == space == pickle.loads(pickle.dumps(space))
    assert hash(space_of(stored)) == hash(space)
    assert space != JointSpace.of(CELLS, {**OPTIONS, "rate": (0.001, 0.1)})
    assert space != joint(get_space("nasbench201"))
    assert stored_space(CELLS) == {"name": "nasbench201", "skeleton": CELLS.skeleton}
    assert network_space(space) is CELLS
    assert space_option(space) is None
    assert address_of(joint(get_space("fbnet"))) == "fbnet"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no further choices"),
        ({"rate": (1,)}, "at least two values"),
        ({"rate": (1, 1)}, "all distinct"),
        ({"rate": ("a b", "c")}, "cannot stand in a key"),
    ],
)
def test_what_is_no_choice(options: dict[str, tuple[object, ...]], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        JointSpace.of(CELLS, options)  # type: ignore[arg-type]


def test_one_joint_space_is_not_joined_again() -> None:
    with pytest.raises(InvalidInputError, match="has further choices already"):
        joint(joint())
    with pytest.raises(InvalidInputError, match="is a slot of space"):
        JointSpace.of(mixed(), {"a": (1, 2)})
    with pytest.raises(InvalidInputError, match="skeleton of its archs"):
        JointSpace.with_skeleton("cells=2")


def test_it_keeps_the_contract_of_a_space() -> None:
    from parts_spaces import DepthChain

    check_space(JointSpace.of(DepthChain(), {"rate": (0.001, 0.01)}), Shape(), archs=30)


class Shape:
    """As much of a task as the space needs."""

    name, channels, classes, num_classes, input_shape = "shape", 1, 10, 10, (1, 8, 8)
