"""Layouts: each network's own convolution, against torch's, for every kernel, stride and side."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from gennas.spaces.stacks.layouts import LAYOUTS, Layout


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("side", [4, 5])
def test_each_network_is_convolved_with_its_own_weights(layout: Layout, kernel: int, stride: int, side: int) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(3, 2, 4, side, side + 1, generator=rng, dtype=torch.float64).requires_grad_()
    weights = torch.randn(3, 5, 4, kernel, kernel, generator=rng, dtype=torch.float64).requires_grad_()
    single = [
        functional.conv2d(own, weight, stride=stride, padding=kernel // 2)
        for own, weight in zip(images, weights, strict=True)
    ]
    probe = torch.randn(3, *single[0].shape, generator=rng, dtype=torch.float64)
    expected = torch.autograd.grad((torch.stack(single) * probe).sum(), (images, weights))

    maps = layout.convolved(layout.placed(images), weights, stride)
    placed = layout.placed(probe)

    assert torch.allclose(maps, layout.placed(torch.stack(single)))
    for found, true in zip(torch.autograd.grad((maps * placed).sum(), (images, weights)), expected, strict=True):
        assert torch.allclose(found, true)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_feature_maps_keep_their_networks_and_channels(layout: Layout) -> None:
    images = torch.arange(2 * 3 * 4 * 5 * 6.0).view(2, 3, 4, 5, 6)
    maps = layout.placed(images)

    assert maps.shape[layout.axis] == 2
    assert torch.equal(layout.pooled(maps), images.mean((3, 4)))
    by_channel = layout.by_channel(maps).transpose(0, 1).flatten(1)  # (n * c, b * h * w)
    assert torch.equal(by_channel.sort(1).values, images.transpose(1, 2).reshape(8, -1).sort(1).values)
