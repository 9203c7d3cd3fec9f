"""The set network: neither the order of images nor of classes counts, and it learns what sets differ in."""

from __future__ import annotations

import numpy as np
import torch

from gennas.predictors.task_encoder.set_network import ImageSet, SetNetwork, train_set_network


def test_order_does_not_count() -> None:
    rng = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = SetNetwork(6, 3).eval()
    features, labels = torch.randn(20, 6, generator=rng), torch.arange(20) % 4
    found = network(features, labels)
    order = torch.randperm(20, generator=rng)
    torch.testing.assert_close(network(features[order], labels[order]), found)
    renamed = torch.tensor([2, 0, 3, 1])[labels]
    torch.testing.assert_close(network(features, renamed), found)
    assert not torch.allclose(network(features, torch.arange(20) % 2), found)


def test_the_same_images_twice_are_the_same_set() -> None:
    torch.manual_seed(0)
    network = SetNetwork(4, 2).eval()
    features, labels = torch.randn(12, 4), torch.arange(12) % 3
    twice = network(torch.cat([features, features]), torch.cat([labels, labels]))
    torch.testing.assert_close(twice, network(features, labels))


def drawn(count: int, seed: int) -> list[ImageSet]:
    """Sets whose target is how far their classes are apart."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        apart, labels = rng.uniform(-1, 1), np.arange(40) % 2
        features = rng.normal(size=(40, 5)) + np.outer(labels, [2 * (apart + 1), 0, 0, 0, 0])
        tensors = torch.from_numpy(features).float(), torch.from_numpy(labels)
        found.append(ImageSet(*tensors, targets=np.array([apart / 0.58])))
    return found


def test_it_learns_what_sets_differ_in() -> None:
    network = train_set_network(drawn(30, 0), steps=150, seed=0)
    fresh = drawn(20, 1)
    with torch.inference_mode():
        found = [float(network(one.features, one.labels)) for one in fresh]
    assert np.corrcoef(found, [one.targets[0] for one in fresh])[0, 1] > 0.9
