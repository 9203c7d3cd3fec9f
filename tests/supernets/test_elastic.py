"""The sub-networks of a parent: equal to stand-alone networks, made of first channels and middles of filters."""

import numpy as np
import torch
from supernet_toys import Tiny, stripes, supernet_of
from torch.nn import functional

from gennas.spaces import get_space
from gennas.supernets.elastic import conv_of, norm_of


def images(side=16, count=3):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def difference(supernet, arch, x):
    network = supernet.inherit(arch).eval()
    return float((supernet(x, arch) - network(x)).abs().max())


def test_paths_are_the_networks_that_inherit_them_at_all_resolutions():
    supernet, rng, sides = supernet_of(), np.random.default_rng(0), set()
    for block in supernet.blocks:
        for weight in block.maps.values():
            weight.data += 0.1 * torch.randn_like(weight)
    for _ in range(200):
        arch = supernet.space.sample(rng)
        sides.add(supernet.space.resolution(arch))
        assert difference(supernet, arch, images()) < 1e-5, arch.key
    assert sides == set(Tiny.resolutions)


def test_paths_of_the_real_parent_too():
    space, task = get_space("lite0"), stripes(48)
    supernet, rng = supernet_of(space, task), np.random.default_rng(0)
    archs = [supernet.smallest(), space.parent_arch(48), *(space.sample(rng) for _ in range(2))]
    for arch in archs:
        assert difference(supernet, arch, images(48, 1)) < 1e-4, arch.key


def test_sorted_channels_change_no_answers_and_put_important_ones_first():
    supernet, x = supernet_of(), images()
    arch = supernet.largest()
    cut = supernet.space.arch([op.replace("e4", "e2") for op in arch.ops])
    with torch.no_grad():
        before, before_cut = supernet(x, arch), supernet(x, cut)
        supernet.sort_channels()
        assert torch.allclose(before, supernet(x, arch), atol=1e-5)
        # A narrower path takes other channels now.
        assert not torch.allclose(before_cut, supernet(x, cut), atol=1e-3)
    block = supernet.blocks[-1].block
    importance = conv_of(block.project).weight.abs().sum((0, 2, 3)) * norm_of(block.filter).weight.abs()
    assert (importance.diff() <= 1e-6).all()


def test_smaller_filters_are_the_middles_of_large_ones_at_first():
    block = supernet_of().blocks[-1]
    weight = conv_of(block.block.filter).weight
    assert torch.equal(block.filters(3, 16), weight[:16, :, 1:4, 1:4])
    assert torch.equal(block.filters(5, 16), weight[:16])
    with torch.no_grad():
        block.maps["3"].copy_(2 * torch.eye(9))
    assert torch.allclose(block.filters(3, 16), 2 * weight[:16, :, 1:4, 1:4])


def test_narrower_blocks_are_the_first_channels():
    supernet = supernet_of()
    arch = supernet.space.arch([op.replace("e6", "e2").replace("e4", "e2") for op in supernet.largest().ops])
    own, inherited = supernet.blocks[-1].block, list(supernet.inherit(arch).children())[-2]
    assert torch.equal(conv_of(inherited.expand).weight, conv_of(own.expand).weight[:16])
    assert torch.equal(conv_of(inherited.project).weight, conv_of(own.project).weight[:, :16])
    assert torch.equal(norm_of(inherited.filter).running_var, norm_of(own.filter).running_var[:16])


def test_shallower_stages_leave_out_their_last_blocks():
    supernet = supernet_of()
    plans = supernet.plan(supernet.smallest())
    assert [(plan.number, plan.kernel, plan.expansion) for plan in plans] == [(0, 3, 1), (1, 3, 2), (3, 3, 2)]
    assert [plan.number for plan in supernet.plan(supernet.largest())] == [0, 1, 2, 3, 4, 5]


def test_inherited_weights_are_copies():
    supernet = supernet_of()
    network = supernet.inherit(supernet.largest())
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    assert float(supernet.head.classify.weight.detach().abs().sum()) > 0


def test_training_uses_the_statistics_of_the_batch_and_keeps_none():
    supernet, x = supernet_of(), images(20)
    arch = supernet.largest()
    before = {name: values.clone() for name, values in supernet.named_buffers()}
    supernet.train()
    trained = supernet(x, arch)
    assert all(torch.equal(before[name], values) for name, values in supernet.named_buffers())
    for name, values in supernet.named_buffers():
        if "running" in name:
            values.fill_(9.0)
    assert torch.equal(trained, supernet(x, arch))


def test_images_of_another_size_are_resized_antialiased():
    supernet, x = supernet_of(), images(64)
    arch = supernet.smallest()
    small = functional.interpolate(x, (12, 12), mode="bilinear", antialias=True)
    with torch.no_grad():
        assert torch.allclose(supernet(x, arch), supernet(small, arch))
