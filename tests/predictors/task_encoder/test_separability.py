"""Separability: closed forms against brute force, and views that see what they should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gennas.predictors.task_encoder import separability
from gennas.predictors.task_encoder.separability import disagreement, kernel_of, leave_one_out, logit_of, views


def blobs(apart: float, n: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    return torch.randn(n, 5, generator=rng) + apart * labels[:, None], labels


def test_leaving_one_out_is_what_refitting_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separability, "RIDGES", (0.3,))
    values, labels = blobs(0.8)
    kernel = kernel_of(values).double()
    targets, right = nn.functional.one_hot(labels, 2).double() - 0.5, 0
    for row in range(len(labels)):
        others = torch.arange(len(labels)) != row
        inner = kernel[others][:, others] + 0.3 * kernel.diagonal().mean() * torch.eye(len(labels) - 1)
        predicted = kernel[row, others] @ torch.linalg.solve(inner, targets[others])
        right += int(predicted.argmax() == labels[row])
    assert 0.5 < right / len(labels) < 1
    assert leave_one_out(kernel, labels, 2) == pytest.approx(right / len(labels))


def test_it_does_not_depend_on_the_order_of_the_images() -> None:
    values, labels = blobs(1.0)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    one = leave_one_out(kernel_of(values), labels, 2), disagreement(values, labels)
    other = leave_one_out(kernel_of(values[order]), labels[order], 2), disagreement(values[order], labels[order])
    assert one == pytest.approx(other)


def test_wrong_labels_show_as_disagreement() -> None:
    values, labels = blobs(4.0, n=200)
    noisy = torch.where(torch.arange(200) % 5 == 0, 1 - labels, labels)
    assert disagreement(values, labels) < 0.02
    # Of five neighbours one is wrong, or all others are.
    assert disagreement(values, noisy) == pytest.approx(2 * 0.2 * 0.8, abs=0.06)


def test_every_view_sees_what_it_is_for() -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 2
    noise = torch.rand(60, 3, 16, 16, generator=rng)
    tinted = (0.7 * noise + 0.3 * labels.view(-1, 1, 1, 1) * torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)).clamp(0, 1)
    stripes = torch.where(
        (labels == 1).view(-1, 1, 1, 1), torch.arange(16).view(1, 1, 1, 16) % 2, torch.arange(16).view(1, 1, 16, 1) % 2
    )
    striped = 0.6 * noise + 0.4 * stripes

    def seen(images: Tensor, view: str) -> float:
        return leave_one_out(kernel_of(views(images, 0)[view]), labels, 2)

    assert min(seen(tinted, "means"), seen(tinted, "filters1"), seen(tinted, "colours")) > 0.95
    assert seen(tinted, "fine3") < 0.8
    assert min(seen(striped, "fine3"), seen(striped, "filters3")) > 0.95
    assert seen(striped, "spectrum") > 0.8
    assert max(seen(striped, "means"), seen(striped, "filters1"), seen(striped, "coarse")) < 0.8


def test_views_of_a_seed_are_the_same() -> None:
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    one, other, another = views(images, 0), views(images, 0), views(images, 1)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["filters3"], another["filters3"])


def test_logits_are_finite_at_the_ends() -> None:
    assert logit_of(1.0, 99) == -logit_of(0.0, 99) == pytest.approx(5.29, abs=0.01)
    assert logit_of(0.5, 10) == 0
