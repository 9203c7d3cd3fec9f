"""Which archs a supernet's training draws."""

import numpy as np
import parts_spaces
import pytest
from supernet_toys import Tiny, stripes, supernet_of

from gennas.errors import InvalidInputError
from gennas.spaces import get_space
from gennas.supernets.of_space import supernet_of as any_supernet
from gennas.supernets.paths import Paths, arch_of


def kept(supernet, archs):
    """The inner channels that archs keep of the largest one's."""

    def channels(arch):
        return sum(supernet.blocks[plan.number].width_in * plan.expansion for plan in supernet.plan(arch))

    return np.array([channels(arch) for arch in archs]) / channels(supernet.largest())


def test_the_ends_are_the_parent_and_the_least_of_everything():
    paths = Paths(supernet_of())
    assert paths.largest == Tiny().parent_arch(32)
    assert paths.smallest.key == "tiny_elastic:r12/1.1/k3e2-k3e2"
    paths = Paths(supernet_of(), resolutions=(15, 20))
    assert (Tiny().resolution(paths.largest), Tiny().resolution(paths.smallest)) == (20, 15)
    assert (paths.sides, paths.side) == ([15, 20], 20)


def test_near_archs_keep_more_than_uniform_ones_and_reach_both_ends():
    supernet, rng = supernet_of(get_space("lite0"), stripes(48)), np.random.default_rng(0)
    near, uniform = (Paths(supernet, draw, (48, 64)) for draw in ("near", "uniform"))
    archs = [near.random(rng) for _ in range(300)]
    share = kept(supernet, archs)
    others = kept(supernet, [uniform.random(rng) for _ in range(300)])
    assert share.mean() > others.mean() + 0.1
    assert share.max() == 1
    assert share.min() < 0.4
    assert {supernet.space.resolution(arch) for arch in archs} == {48, 64}
    assert all(not supernet.space.problems(arch) for arch in archs)
    ops = [op[-2:] for arch in archs for op in arch.ops]
    assert ops.count("e4") > 2 * ops.count("e3")


def test_fair_archs_use_every_choice_of_every_slot_equally_often():
    paths = Paths(supernet_of(), resolutions=(12, 20))
    archs = paths.fair(np.random.default_rng(0))
    assert len(archs) == 4
    slot = paths.space.template.slots.index("expansion.2.1")
    assert sorted(arch.ops[slot] for arch in archs) == ["e2", "e3", "e4", "e6"]
    assert sorted(Tiny().resolution(arch) for arch in archs) == [12, 12, 20, 20]
    cells = Paths(any_supernet(get_space("nasbench201", "channels=4,cells=1"), stripes()))
    archs = cells.fair(np.random.default_rng(0))
    for slot in cells.space.template.free_slots:
        assert sorted(arch.ops[slot] for arch in archs) == sorted(cells.space.operations)


def test_nested_archs_contain_each_other():
    paths, rng = Paths(supernet_of()), np.random.default_rng(0)
    slots = [slot for slot in range(len(paths.allowed)) if slot != paths.size]
    index = {op: number for number, op in enumerate(paths.space.template.vocabulary)}
    for _ in range(20):
        chain = paths.nested(4, rng)
        ranks = np.array([[paths.ranks[slot, index[arch.ops[slot]]] for slot in slots] for arch in chain])
        assert (np.diff(ranks, axis=0) <= 0).all()
    with pytest.raises(InvalidInputError, match="do not contain each other"):
        Paths(any_supernet(get_space("nasbench201"), stripes())).nested(2, rng)


def test_the_same_seed_draws_the_same_archs():
    paths = Paths(supernet_of())
    first, again = ([paths.random(np.random.default_rng(3)) for _ in range(2)] for _ in range(2))
    assert first == again


def test_choices_that_are_not_active_are_passed_over():
    space = parts_spaces.DepthChain()
    # Depth 1 of the first stage and none of the second.
    names = [decision.name for decision in space.layout.decisions]
    options = [0] * len(names)
    arch = arch_of(space, options)
    assert not space.problems(arch)
    assert [op for name, op in zip(names, arch.ops[1:-1], strict=True) if name.startswith("expansion.2")] == ["-"] * 3


def test_what_the_space_does_not_have_is_refused():
    with pytest.raises(InvalidInputError, match=r"resolutions has 17.*known: 12, 15, 20, 32"):
        Paths(supernet_of(), resolutions=(12, 17))
    with pytest.raises(InvalidInputError, match="have no resolution"):
        Paths(any_supernet(get_space("nasbench201"), stripes()), resolutions=(12,))
    with pytest.raises(InvalidInputError, match="draw is 'often'"):
        Paths(supernet_of(), "often")
