"""A network of the user's own as a parent, and those of timm."""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import Chain
from torch import nn

from gennas.errors import DataMissingError, InvalidInputError
from gennas.files import write_safetensors
from gennas.spaces import SPACES, get_space
from gennas.spaces.lite import timm_chains
from gennas.spaces.lite.chain import chain_state, parent_of
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.parent import Parent, ParentStage
from gennas.spaces.lite.pretrained import pretrained_network
from gennas.supernets.elastic import ElasticSupernet
from gennas.tasks import Task

GREY = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
TASK = Task("t", (3, 40, 40), 7)


@dataclass(frozen=True)
class Mine(ElasticSpace):
    """Sub-networks of a network that knows nothing of gennas."""

    name: ClassVar[str] = "mine_of_test"
    parent: ClassVar[Parent] = parent_of(Chain(), "Mine", resolution=40, **GREY)
    resolutions: ClassVar[tuple[int, ...]] = (24, 33, 40)

    @classmethod
    def parent_network(cls) -> nn.Module:
        return Chain()


def test_the_parent_is_read_from_the_layers() -> None:
    stages = (
        ParentStage(8, 1, 1, 3, 1),
        ParentStage(12, 2, 1, 7, 4),
        ParentStage(12, 1, 1, 5, 4),
        ParentStage(16, 2, 2, 3, 3),
    )
    expected = Parent("Mine", 8, stages, 24, 40, (0.5,) * 3, (0.25,) * 3, 1e-5, 0.3, "relu", "symmetric")
    assert Mine.parent == expected


@pytest.mark.parametrize("side", [24, 33, 40])
def test_logits_are_those_of_the_users_network(side: int) -> None:
    space, own = Mine(), Chain().eval()
    network = space.build(space.parent_arch(side), TASK.resized(side)).eval()
    network.load_state_dict(chain_state(space, own))
    images = torch.randn(4, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(network(images), own(images), rtol=0, atol=1e-5)


def test_the_supernet_of_a_users_network_has_its_paths() -> None:
    space = Mine()
    supernet = ElasticSupernet(space, TASK, pretrained_network(space, TASK)).eval()
    supernet.sort_channels()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        own = Chain().eval()(images := torch.randn(2, 3, 40, 40))
        torch.testing.assert_close(supernet(images, space.parent_arch()), own, rtol=0, atol=1e-5)
        for arch in [space.sample(rng) for _ in range(10)]:
            path, alone = supernet(images, arch), supernet.inherit(arch).eval()(images)
            torch.testing.assert_close(path, alone, rtol=0, atol=1e-5)


def test_a_network_that_computes_something_else() -> None:
    with pytest.raises(InvalidInputError, match=r"computes something else than its parent .* padding symmetric"):
        chain_state(Mine(), Chain(adds=False))
    with pytest.raises(InvalidInputError, match="other layers than its parent"):
        chain_state(Mine(), nn.Sequential(*Chain().blocks))


def altered(change: str) -> nn.Module:
    """A chain that is none for one reason."""
    network = Chain()
    if change == "squeeze":
        network.blocks[2].se = nn.Conv2d(12, 12, 1)
    elif change == "stride":
        network.stem.conv = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
    elif change == "full":
        network.blocks[1].conv_dw = nn.Conv2d(32, 32, 7, 2, 3, bias=False)
    elif change == "acts":
        network.blocks[0].bn2.act = nn.SiLU()
    elif change == "short":
        return nn.Sequential(nn.Conv2d(3, 8, 3))
    return network


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("squeeze", r"no convolution with a bias, e\.g\. blocks\.2\.se \(of squeeze-excite"),
        ("stride", "expected 3x3 of stride 2, and 1x1"),
        ("full", r"layer blocks\.1\.conv_pw begins no inverted residual block of 8 channels"),
        ("acts", r"several kinds \(relu, silu\).*expected one of relu6, relu"),
        ("short", "too few layers"),
    ],
)
def test_what_is_no_chain(change: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        parent_of(altered(change), "Odd", resolution=40, **GREY)


@pytest.mark.parametrize("act", [nn.ReLU6, nn.SiLU, nn.Hardswish])
def test_activations(act: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mine, "parent", parent_of(Chain(act), "Mine", resolution=40, **GREY))
    chain_state(Mine(), Chain(act))


def test_without_timm() -> None:
    if "timm" in sys.modules:
        pytest.skip("timm is installed")
    with pytest.raises(DataMissingError, match=r"timm:mobilenetv2_100 needs timm.* pip install timm"):
        get_space("timm:mobilenetv2_100")


def test_networks_of_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for timm, which makes networks of the same layers and settings."""

    def create_model(name: str, pretrained: bool) -> nn.Module:
        assert not pretrained  # that would download
        if name != "tiny_chain":
            raise RuntimeError(f"Unknown model ({name})")
        network = Chain(nn.ReLU6, seed=torch.seed() % 1000)
        network.pretrained_cfg = {"input_size": (3, 48, 48), "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
        return network

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    timm_chains.timm_space.cache_clear()
    space = get_space("timm:tiny_chain")
    assert isinstance(space, ElasticSpace)
    assert (space.name, space.parent.resolution, space.parent.activation) == ("timm_tiny_chain", 48, "relu6")
    assert space.normalisation == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert SPACES.registered("timm_tiny_chain") is type(space)
    assert pickle.loads(pickle.dumps(space)) == space
    with pytest.raises(DataMissingError, match="give a file"):
        pretrained_network(space, TASK)
    trained = create_model("tiny_chain", False).eval()
    write_safetensors(tmp_path / "weights" / "timm_tiny_chain.safetensors", trained.state_dict())
    network = pretrained_network(space, TASK.resized(48)).eval()
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(images), trained(images), rtol=0, atol=1e-5)
    with pytest.raises(InvalidInputError, match=r"timm has no network 'other' \(Unknown"):
        get_space("timm:other")
