"""The mean of networks as one: exact, of images of several sizes, and exported as other networks are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.export.ensemble import KeptEnsemble, MeanOfNetworks
from gennas.export.folder import export_network
from gennas.export.preprocessing import Preprocessing
from gennas.export.trained import KeptNetwork
from tests.design_toys import colours
from tests.elastic_spaces import TinyLite


def kept(side: int, seed: int) -> KeptNetwork:
    """A sub-network of the tiny parent, untrained but with statistics of its own."""
    space, task = TinyLite(), colours()
    torch.manual_seed(seed)
    arch = space.parent_arch(side)
    task = space.native_task(arch, task)
    network = space.build(arch, task)
    with torch.no_grad():
        network.train()(torch.randn(16, 3, side, side))
    facts = {"key": arch.key, "space": space.name, "input_shape": [3, side, side], "mean": (0.4, 0.5, 0.6)}
    facts |= {"std": (0.2, 0.25, 0.3), "num_classes": 3, "seconds": 2.0, "metrics": {"accuracy@colours": 0.5}}
    return KeptNetwork(network.eval(), space, arch, task, Preprocessing.of(facts), facts)


def test_the_mean_is_that_of_the_probabilities() -> None:
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).double() for _ in range(3)]
    images = 10 * torch.randn(7, 3, 2, 2, dtype=torch.double)
    mean = torch.stack([network(images).softmax(1) for network in networks]).mean(0)
    logits = MeanOfNetworks(networks)(images)
    torch.testing.assert_close(logits.exp(), mean, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(logits.softmax(1), mean, rtol=1e-12, atol=1e-15)
    # Where probabilities of single precision would be 0.
    far = MeanOfNetworks([nn.Flatten(), nn.Flatten()])(torch.tensor([[[[0.0]], [[500.0]]]]))
    assert far.tolist() == [[-500.0, 0.0]]


def test_members_with_smaller_images_resize_them() -> None:
    members = [kept(32, 0), kept(16, 1), kept(32, 2)]
    ensemble = KeptEnsemble.of(members)
    assert ensemble.preprocessing.shape == (3, 32, 32)
    images = ensemble.check_images(8)
    small = nn.functional.interpolate(torch.from_numpy(images), (16, 16), mode="bilinear", antialias=True)
    with torch.inference_mode():
        told = [
            member.network(small if member.preprocessing.shape[1] == 16 else torch.from_numpy(images)).softmax(1)
            for member in members
        ]
    expected = torch.stack(told).mean(0)
    np.testing.assert_allclose(np.exp(ensemble.logits(images)), expected.numpy(), rtol=1e-5)


def test_it_is_exported_as_one_network(tmp_path: Path) -> None:
    """That ONNX and source compute the mean is checked by the export itself, in a process without gennas."""
    ensemble = KeptEnsemble.of([kept(32, 0), kept(16, 1)])
    done = export_network(ensemble, tmp_path / "out")
    assert {"network.onnx", "network.py", "arch1.svg", "arch2.svg", "predict.py", "card.md"} <= set(done.files)
    assert max(one.relative for one in done.differences.values()) < 1e-5
    facts = json.loads((tmp_path / "out" / "arch.json").read_text())
    keys = [member.key for member in ensemble.members]
    assert facts["key"] == " + ".join(keys)
    assert [member["key"] for member in facts["members"]] == keys
    assert facts["seconds"] == 4.0
    source = (tmp_path / "out" / "network.py").read_text()
    assert "The logarithm" in source or "logsumexp(0)" in source
    assert json.loads((tmp_path / "out" / "preprocess.json").read_text())["size"] == [32, 32]


def test_what_does_not_fit_together() -> None:
    first = kept(32, 0)
    with pytest.raises(InvalidInputError, match="an ensemble of 1 networks; expected at least 2"):
        KeptEnsemble.of([first])
    other = replace(first, preprocessing=replace(first.preprocessing, mean=(0.0, 0.0, 0.0)))
    with pytest.raises(InvalidInputError, match="different normalisations"):
        KeptEnsemble.of([first, other])
