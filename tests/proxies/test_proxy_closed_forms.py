"""Every proxy against its formula, on networks small enough to work it out another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.errors import InvalidInputError
from gennas.proxies.az_nas import block_scores, expressivity, progressivity, trainability
from gennas.proxies.base import ProxyBatch
from gennas.proxies.costs import macs_m, params_m
from gennas.proxies.grad_norm import grad_norm
from gennas.proxies.gradients import weight_gradients
from gennas.proxies.grasp import grasp
from gennas.proxies.jacov import jacov
from gennas.proxies.knas import knas
from gennas.proxies.naswot import naswot
from gennas.proxies.snip import snip
from gennas.proxies.synflow import synflow
from gennas.proxies.zen import zen
from gennas.proxies.zico import zico

B, PIXELS, CLASSES = 6, 4, 3


def batch_of(images: Tensor) -> ProxyBatch:
    return ProxyBatch(images, torch.arange(len(images)) % CLASSES, CLASSES, seed=7)


@pytest.fixture
def batch() -> ProxyBatch:
    return batch_of(torch.randn(B, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 5), nn.Tanh(), nn.Linear(5, CLASSES)).double()


def loss_of(network: nn.Sequential, batch: ProxyBatch, first: Tensor, second: Tensor) -> Tensor:
    hidden = torch.tanh(functional.linear(batch.images.flatten(1), first, network[1].bias))
    return functional.cross_entropy(functional.linear(hidden, second, network[3].bias), batch.labels)


def weights(network: nn.Sequential) -> tuple[Tensor, Tensor]:
    return network[1].weight.detach(), network[3].weight.detach()


def test_gradient_of_one_layer_by_hand(batch: ProxyBatch) -> None:
    layer = nn.Linear(PIXELS, CLASSES).double()
    images = batch.images.flatten(1)
    error = layer(images).softmax(dim=1) - functional.one_hot(batch.labels, CLASSES)
    gradient = (error.T @ images / B).detach()
    network = nn.Sequential(nn.Flatten(), layer)
    assert grad_norm(network, batch) == pytest.approx(float(gradient.norm()))
    assert knas(network, batch) == pytest.approx(float(gradient.square().sum()))
    assert snip(network, batch) == pytest.approx(float((gradient * layer.weight.detach()).abs().sum()))


def test_grad_norm_adds_up_the_norms_of_layers(network: nn.Sequential, batch: ProxyBatch) -> None:
    parts = torch.autograd.functional.jacobian(lambda *w: loss_of(network, batch, *w), weights(network))
    assert grad_norm(network, batch) == pytest.approx(sum(float(part.norm()) for part in parts))


def test_knas_is_the_mean_of_the_gram_matrix_of_all_images(network: nn.Sequential, batch: ProxyBatch) -> None:
    rows = []
    for row in range(B):
        one = ProxyBatch(batch.images[row : row + 1], batch.labels[row : row + 1], CLASSES)
        parts = torch.autograd.functional.jacobian(lambda *w, one=one: loss_of(network, one, *w), weights(network))
        rows.append(torch.cat([part.flatten() for part in parts]))
    gram = torch.stack(rows) @ torch.stack(rows).T
    assert knas(network, batch) == pytest.approx(float(gram.mean()))


def test_snip_is_the_sensitivity_to_gates(network: nn.Sequential, batch: ProxyBatch) -> None:
    step, score = 1e-5, 0.0
    both = weights(network)
    for decisions in range(2):
        for place in range(both[decisions].numel()):
            losses = []
            for sign in (1, -1):
                changed = [weight.clone() for weight in both]
                changed[decisions].view(-1)[place] *= 1 + sign * step
                losses.append(float(loss_of(network, batch, *changed).detach()))
            score += abs(losses[0] - losses[1]) / (2 * step)
    assert snip(network, batch) == pytest.approx(score, rel=1e-6)


def test_grasp_has_the_explicit_hessian(network: nn.Sequential, batch: ProxyBatch) -> None:
    both = weights(network)
    sizes = [weight.numel() for weight in both]

    def loss(flat: Tensor) -> Tensor:
        first, second = flat.split(sizes)
        return loss_of(network, batch, first.view(both[0].shape), second.view(both[1].shape))

    point = torch.cat([weight.flatten() for weight in both])
    gradient = torch.autograd.functional.jacobian(loss, point)
    hessian = torch.autograd.functional.hessian(loss, point)
    assert grasp(network, batch) == pytest.approx(-float(point @ hessian @ gradient))


def test_grasp_goes_through_batch_norm() -> None:
    torch.manual_seed(2)
    norm = nn.BatchNorm2d(3)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 2, bias=False), norm, nn.Tanh(), nn.Flatten(), nn.Linear(12, CLASSES)
    ).double()
    batch = batch_of(torch.randn(B, 1, 3, 3, dtype=torch.float64))
    both = [network[0].weight, network[4].weight]
    start = [weight.detach().clone() for weight in both]
    gradient = weight_gradients(network, batch.images, batch.labels)
    step, ahead_and_behind = 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, at, direction in zip(both, start, gradient, strict=True):
                weight.copy_(at + sign * step * direction)
        ahead_and_behind.append(weight_gradients(network, batch.images, batch.labels))
    with torch.no_grad():
        for weight, at in zip(both, start, strict=True):
            weight.copy_(at)
    products = [(ahead - behind) / (2 * step) for ahead, behind in zip(*ahead_and_behind, strict=True)]
    expected = -sum(float((at * product).sum()) for at, product in zip(start, products, strict=True))
    assert grasp(network, batch) == pytest.approx(expected, rel=1e-5)


def test_synflow_of_two_linear_layers() -> None:
    first, second = nn.Linear(PIXELS, 3, bias=False), nn.Linear(3, 2, bias=False)
    network = nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(3), second)
    flow = float((second.weight.abs() @ first.weight.abs()).sum().detach())
    # What flows is conserved: of every layer the scores add up to the flow.
    assert synflow(network, batch_of(torch.randn(B, 1, 2, 2))) == pytest.approx(math.log(2 * flow), rel=1e-6)


def test_synflow_of_a_network_that_lets_nothing_through_is_not_defined() -> None:
    layer = nn.Linear(PIXELS, CLASSES)
    nn.init.zeros_(layer.weight)
    assert math.isnan(synflow(nn.Sequential(nn.Flatten(), layer), batch_of(torch.randn(B, 1, 2, 2))))


def test_naswot_of_known_codes() -> None:
    codes = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    images = (codes * 2 - 1.0).view(3, 1, 2, 2)
    network = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(PIXELS, CLASSES))
    kernel = [[4, 2, 1], [2, 4, 1], [1, 1, 4]]  # four places less the Hamming distance
    assert naswot(network, batch_of(images)) == pytest.approx(math.log(np.linalg.det(kernel)))
    twice = nn.Sequential(nn.ReLU(), *network)  # what is positive stays so: every place counts twice
    assert naswot(twice, batch_of(images)) == pytest.approx(math.log(np.linalg.det(2 * np.array(kernel))))


def test_naswot_of_images_that_switch_alike_or_nothing_is_not_defined() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(PIXELS, CLASSES))
    assert math.isnan(naswot(network, batch_of(torch.ones(3, 1, 2, 2))))
    assert math.isnan(naswot(network[1:], batch_of(torch.randn(3, 1, 2, 2))))


def jacov_of(eigenvalues: np.ndarray) -> float:
    return -float(np.sum(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5)))


def test_jacov_of_a_linear_network_is_the_least_there_is(batch: ProxyBatch) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES)).double()
    assert jacov(network, batch) == pytest.approx(jacov_of(np.array([B] + [0] * (B - 1))), rel=1e-6)


def test_jacov_has_the_explicit_correlations(network: nn.Sequential, batch: ProxyBatch) -> None:
    def total(image: Tensor) -> Tensor:
        return network(image[None]).sum()

    rows = [torch.autograd.functional.jacobian(total, image).flatten().numpy() for image in batch.images]
    assert jacov(network, batch) == pytest.approx(jacov_of(np.linalg.eigvalsh(np.corrcoef(rows))), rel=1e-6)


def test_zico_by_hand(network: nn.Sequential, batch: ProxyBatch) -> None:
    halves = [ProxyBatch(batch.images[rows], batch.labels[rows], CLASSES) for rows in (slice(0, 3), slice(3, 6))]
    parts = [
        torch.autograd.functional.jacobian(lambda *w, half=half: loss_of(network, half, *w), weights(network))
        for half in halves
    ]
    score = 0.0
    for one, other in zip(*parts, strict=True):
        both = np.stack([one.numpy(), other.numpy()])
        score += math.log(np.sum(np.abs(both).mean(axis=0) / both.std(axis=0)))
    assert zico(network, batch) == pytest.approx(score)


def test_zen_without_batch_norm() -> None:
    batch = batch_of(torch.zeros(B, 2, 4, 4))
    layer = nn.Conv2d(2, 3, 1)
    network = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES))
    with torch.random.fork_rng():
        torch.manual_seed(batch.seed)
        change = [batch.noise() for _ in range(2)][1]
    felt = functional.conv2d(0.01 * change, layer.weight).abs().sum(dim=(1, 2, 3)).mean().detach()
    assert zen(network, batch) == pytest.approx(float(felt.log()), rel=1e-4)


def test_zen_undoes_the_scaling_of_batch_norms() -> None:
    batch = batch_of(torch.zeros(B, 2, 4, 4))
    network = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3, eps=1e-12), nn.AdaptiveAvgPool2d(1))
    before = zen(network, batch)
    with torch.no_grad():
        network[0].weight.mul_(10)
    assert zen(network, batch) == pytest.approx(before + math.log(10), rel=1e-5)


class Blocks(nn.Module):
    """Networks of the spaces have a body whose children are the blocks."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).mean(dim=(2, 3))


def mixing(channels: int, scale: float) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 1, bias=False)
    nn.init.orthogonal_(layer.weight.view(channels, channels))
    with torch.no_grad():
        layer.weight.mul_(scale)
    return layer


def test_az_nas_of_rotations() -> None:
    noise = batch_of(torch.zeros(64, 4, 16, 16))
    network = Blocks(mixing(4, 1), mixing(4, 2))
    entropies, norms = block_scores(network, noise)
    # White noise stays white under rotations: all four directions have the same share.
    assert entropies.tolist() == pytest.approx([math.log(4)] * 3, rel=1e-3)
    assert norms.tolist() == pytest.approx([1, 2], rel=0.05)
    assert expressivity(network, noise) == pytest.approx(3 * math.log(4), rel=1e-3)
    assert progressivity(network, noise) == pytest.approx(0, abs=1e-3)
    assert trainability(network, noise) == pytest.approx((0 - 0.5) / 2, abs=0.05)


def test_az_nas_counts_what_becomes_one_pixel_as_channels() -> None:
    halving = nn.Conv2d(2, 8, 2, stride=2, bias=False)
    nn.init.eye_(halving.weight.view(8, 8))
    entropies, norms = block_scores(Blocks(halving), batch_of(torch.zeros(64, 2, 16, 16)))
    assert entropies.tolist() == pytest.approx([math.log(2), math.log(8)], rel=1e-2)
    assert norms.tolist() == pytest.approx([1], rel=0.1)


def test_az_nas_of_a_block_that_loses_a_direction() -> None:
    layer = nn.Conv2d(2, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0], [0, 0]])[:, :, None, None])
    noise = batch_of(torch.zeros(16, 2, 8, 8))
    assert expressivity(Blocks(layer), noise) == pytest.approx(math.log(2), rel=1e-2)
    assert progressivity(Blocks(layer), noise) == pytest.approx(-math.log(2), rel=1e-2)


def test_az_nas_of_odd_sides_poolings_and_nothing() -> None:
    noise = batch_of(torch.zeros(4, 2, 15, 15))
    halving = nn.Conv2d(2, 4, 3, stride=2, padding=1)
    assert math.isfinite(trainability(Blocks(halving), noise))
    # A pooling belongs to the block that follows.
    assert len(block_scores(Blocks(mixing(2, 1), nn.MaxPool2d(2, ceil_mode=True), mixing(2, 1)), noise)[1]) == 2
    assert math.isnan(trainability(Blocks(nn.Identity(), mixing(2, 1)), noise))
    assert block_scores(Blocks(mixing(2, 1), nn.Identity()), noise)[1][1] == math.inf
    with pytest.raises(InvalidInputError, match=r"Conv2d has no blocks; expected a module `body`"):
        expressivity(nn.Conv2d(2, 2, 1), noise)


def test_costs_of_a_small_network() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    batch = batch_of(torch.zeros(2, 2, 8, 8))
    assert params_m(network, batch) * 1e6 == pytest.approx(2 * 4 * 9 + 8 + 15)
    assert macs_m(network, batch) * 1e6 == pytest.approx(64 * (4 * 2 * 9 + 2 * 4) + 12)
