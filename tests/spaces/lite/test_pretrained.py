"""Networks with pretrained weights compute what the published networks compute."""

from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from elastic_spaces import TinyLite
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gennas.errors import DataMissingError, InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.pretrained import load_published, pretrained_network
from gennas.tasks import Task, get_task
from gennas.weights import published_file, read_weights

IMAGENET = Task("imagenet", (3, 224, 224), 1000)


def elastic(name: str) -> ElasticSpace:
    space = get_space(name)
    assert isinstance(space, ElasticSpace)
    return space


# Few images, which take their time; twenty of each were compared when this was written.
@pytest.mark.parametrize(("name", "count"), [("lite0", 8), ("lite1", 2), ("lite2", 2)])
def test_logits_are_those_of_the_published_network(name: str, count: int) -> None:
    space = elastic(name)
    side = space.parent.resolution
    network = pretrained_network(space, IMAGENET.resized(side)).eval()
    published = EfficientNet.from_pretrained(f"efficientnet-{name}", weights_path=str(published_file(name))).eval()
    images = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        expected = published(images)
    macs = counter.get_total_flops() / 2 / count
    assert macs == pytest.approx(1e6 * space.costs(space.parent_arch(), IMAGENET)["macs_m"])
    with torch.no_grad():
        assert float((network(images) - expected).abs().max()) < 1e-4


def test_a_grey_image_gives_the_logits_of_one_in_colour() -> None:
    space, grey = elastic("lite0"), torch.randn(2, 1, 64, 64)
    colour, single = (space.build(space.parent_arch(64), Task("t", (c, 64, 64), 1000)).eval() for c in (3, 1))
    for network in (colour, single):
        load_published(network, read_weights("lite0"))
    with torch.no_grad():
        torch.testing.assert_close(single(grey), colour(grey.expand(2, 3, 64, 64)), rtol=0, atol=1e-4)


def test_the_classifier_is_made_anew() -> None:
    space, task = elastic("lite0"), get_task("digits")
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(pretrained_network(space, task))
    one, other = (network.state_dict() for network in networks)
    differing = {name for name in one if not torch.equal(one[name], other[name])}
    assert {name.partition(".")[2] for name in differing} == {"classify.weight", "classify.bias"}


def test_random_weights_only_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, task = TinyLite(), get_task("digits")
    with pytest.raises(DataMissingError, match="no published weights"):
        pretrained_network(space, task)
    network = pretrained_network(space, task, random=True)
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    again = pretrained_network(space, task, weights=tmp_path / "mine.pth")
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    four = Task("four", (4, 32, 32), 10)
    assert isinstance(pretrained_network(space, four, random=True), nn.Module)
    with pytest.raises(InvalidInputError, match=r"4 channels.* know 3, or 1"):
        pretrained_network(space, four, weights=tmp_path / "mine.pth")


def test_weights_of_another_parent(tmp_path: Path) -> None:
    other = published_file("lite1")
    with pytest.raises(InvalidInputError, match="weights of EfficientNet-Lite1, the parent of lite1"):
        pretrained_network(elastic("lite0"), IMAGENET, weights=other)
    state = read_weights("lite1")
    state["_fc.bias"] += 1
    torch.save(state, tmp_path / "finer.pth")
    with pytest.raises(InvalidInputError, match=r"finer\.pth: these are the weights of another network: .*differ"):
        pretrained_network(elastic("lite0"), IMAGENET, weights=tmp_path / "finer.pth")
    network = pretrained_network(elastic("lite1"), IMAGENET, weights=tmp_path / "finer.pth")
    assert torch.equal([*network.state_dict().values()][-1], state["_fc.bias"])
