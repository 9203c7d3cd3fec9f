"""Networks that begin with the weights of another arch's."""

import numpy as np
import parts_spaces
import torch
from torch import nn

from gennas.spaces import get_space
from gennas.supernets.transformation import _fit, places_of, transform
from gennas.tasks import Task

TASK = Task("tiny", (3, 16, 16), 5)
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"


def built(space, arch, seed, task=TASK):
    torch.manual_seed(seed)
    return space.build(arch, task)


def changed(space, arch, slot, op):
    ops = list(arch.ops)
    ops[slot] = op
    return space.arch(ops)


def test_an_equal_arch_takes_over_everything():
    x = torch.rand(2, 3, 16, 16)
    for space in (get_space("nasbench201", "channels=4,cells=1"), parts_spaces.DepthChain(), parts_spaces.TwoCells()):
        arch = space.sample(np.random.default_rng(2))
        parent, own = built(space, arch, 0), built(space, arch, 1)
        found = transform(own, parent, places_of(space, arch, arch))
        assert not found.cropped
        assert not found.new
        assert torch.equal(own.eval()(x), parent.eval()(x))


def test_a_mutated_cell_copies_exactly_the_other_edges():
    space = get_space("nasbench201", "channels=4,cells=1")
    parent_arch = space.parse(CELL)
    arch = changed(space, parent_arch, 4, "nor_conv_3x3")  # the skip from node 0 to node 3
    parent, own = built(space, parent_arch, 0), built(space, arch, 1)
    fresh = {name: value.clone() for name, value in own.state_dict().items()}
    found = transform(own, parent, places_of(space, arch, parent_arch))
    cells = [number for number, module in enumerate(own.body) if type(module).__name__ == "Cell"]
    assert set(found.new) == {f"body.{cell}.layers.3.{layer}" for cell in cells for layer in (1, 2)}
    assert not found.cropped
    theirs = parent.state_dict()
    for name, value in own.state_dict().items():
        is_new = any(name.startswith(f"{layer}.") for layer in found.new)
        assert torch.equal(value, fresh[name] if is_new else theirs[name]), name


def test_a_longer_stage_moves_no_other_block():
    space = parts_spaces.DepthChain()
    short, long = space.parse("depth_chain:k3/1.1/e2-e1"), space.parse("depth_chain:k3/2.1/e2-e1-e1")
    parent, own = built(space, short, 0), built(space, long, 1)
    found = transform(own, parent, places_of(space, long, short))
    assert {name.split(".")[0] for name in found.new} == {"2"}
    assert {name.split(".")[0] for name in found.copied} == {"0", "1", "3", "4"}
    assert torch.equal(own[3].layers[0].weight, parent[2].layers[0].weight)


def test_expansions_keep_the_first_channels():
    space = parts_spaces.DepthChain()
    wide, narrow = space.parse("depth_chain:k3/1.1/e2-e1"), space.parse("depth_chain:k3/1.1/e1-e1")
    parent, own = built(space, wide, 0), built(space, narrow, 1)
    found = transform(own, parent, places_of(space, narrow, wide))
    assert set(found.cropped) == {f"1.layers.{number}" for number in (0, 1, 3, 4, 6)}
    assert torch.equal(own[1].layers[0].weight, parent[1].layers[0].weight[:4])
    assert torch.equal(own[1].layers[6].weight, parent[1].layers[6].weight[:, :4])
    assert not found.new


def test_filters_keep_their_middle():
    large, small = torch.arange(25.0).reshape(1, 1, 5, 5), torch.full((1, 1, 3, 3), -1.0)
    _fit(small, large)
    assert torch.equal(small, large[:, :, 1:4, 1:4])
    grown = torch.full((2, 1, 5, 5), -1.0)
    _fit(grown, small)
    assert torch.equal(grown[0, 0, 1:4, 1:4], small[0, 0])
    assert (grown[0, 0, 0] == 0).all()  # the same function
    assert (grown[1] == -1).all()  # a channel that the parent does not have


def test_grown_filters_compute_the_same():
    small, large = nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.Conv2d(2, 3, 5, padding=2, bias=False)
    with torch.no_grad():
        _fit(large.weight, small.weight)
    x = torch.rand(1, 2, 8, 8)
    assert torch.allclose(small(x), large(x), atol=1e-6)


def test_other_classes_have_a_new_last_layer():
    space = get_space("nasbench201", "channels=4,cells=1")
    arch = space.parse(CELL)
    own, parent = built(space, arch, 0), built(space, arch, 1, Task("other", (3, 16, 16), 7))
    assert transform(own, parent, places_of(space, arch, arch), keeps_classes=False).new == ("head.4",)


def test_kinds_and_groups_that_differ_are_new():
    space = get_space("fbnet")
    blocks = ["k3_e1"] * 22
    plain = space.parse("fbnet:" + "-".join(blocks))
    grouped = space.parse("fbnet:" + "-".join([*blocks[:5], "k3_e1_g2", *blocks[6:]]))
    parent, own = built(space, plain, 0), built(space, grouped, 1)
    found = transform(own, parent, places_of(space, grouped, plain))
    assert {"6.widen.0", "6.narrow.0"} == set(found.new)
