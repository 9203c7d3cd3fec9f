"""A path of a supernet is the network that inherits its weights."""

import numpy as np
import parts_spaces
import pytest
import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.spaces import Choice, PartsSpace, Stage, get_space
from gennas.supernets import SUPERNETS
from gennas.supernets.cells import CellSupernet
from gennas.supernets.of_space import has_supernet, supernet_of
from gennas.supernets.parts import PartsSupernet
from gennas.tasks import Task

TASK = Task("tiny", (3, 16, 16), 5)


class Uneven(parts_spaces.Small):
    """Blocks that are nothing where they change nothing, beside convolutions of several widths."""

    name = "uneven"

    def body(self):
        yield Stage(Choice("width", (4, 6)).per_block(), 1, depth=3, op=Choice("op", ("skip", "conv")).per_block())

    def block(self, channels_in, channels, stride, op):
        if op == "skip" and channels_in == channels:
            return nn.Identity()
        return parts_spaces.conv(channels_in, channels, stride, 1 if op == "skip" else 3)


def settled(supernet, seed=0):
    """The supernet with statistics and norms of which no two are alike, in evaluation mode."""
    rng = torch.Generator().manual_seed(seed)
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                values.copy_(torch.rand(values.shape, generator=rng) + 0.5)
    return supernet.eval()


def check(space, count=12, task=TASK):
    supernet = settled(supernet_of(space, task))
    rng, x = np.random.default_rng(0), torch.rand(2, *task.input_shape, generator=torch.Generator().manual_seed(1))
    for _ in range(count):
        arch = space.sample(rng)
        network = supernet.inherit(arch)
        assert type(network) is type(space.build(arch, task))
        assert [(n, v.shape) for n, v in network.state_dict().items()] == [
            (n, v.shape) for n, v in space.build(arch, task).state_dict().items()
        ]
        with torch.no_grad():
            assert torch.allclose(supernet(x, arch), network(x), atol=1e-5), arch.key
    return supernet


@pytest.mark.parametrize("kind", [*parts_spaces.SPACES, Uneven], ids=lambda kind: kind.__name__)
def test_paths_of_parts(kind):
    check(kind())


def test_paths_of_nasbench201():
    supernet = check(get_space("nasbench201", "channels=4,cells=1"))
    assert isinstance(supernet, CellSupernet)


@pytest.mark.parametrize("name", ["fbnet", "mobilenet_v3"])
def test_paths_of_large_spaces(name):
    check(get_space(name), count=2, task=Task("tiny", (3, 32, 32), 5))


def test_training_reaches_the_path_alone_and_keeps_no_statistics():
    space = get_space("nasbench201", "channels=4,cells=1")
    for supernet, own in (
        (supernet_of(space, TASK), space),
        (supernet_of(parts_spaces.Widths(), TASK), parts_spaces.Widths()),
    ):
        before = {name: value.clone() for name, value in supernet.state_dict().items()}
        arch = own.sample(np.random.default_rng(3))
        supernet.train()(torch.rand(4, 3, 16, 16), arch).sum().backward()
        assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
        used = sum(weight.grad is not None for weight in supernet.parameters())
        assert used == len(list(own.build(arch, TASK).parameters()))


def test_narrow_blocks_are_the_first_channels_of_wide_ones():
    space = parts_spaces.Widths()
    supernet = supernet_of(space, TASK)
    narrow, wide = (space.parse(f"widths:{'-'.join([f'w{width}'] * 8)}") for width in (4, 8))
    first, second = (supernet.inherit(arch).state_dict() for arch in (narrow, wide))
    assert first["2.0.weight"].shape == (4, 4, 3, 3)
    assert torch.equal(first["2.0.weight"], second["2.0.weight"][:4, :4])
    # One module for each of eight layers, and the head: nothing is stored twice.
    assert len(supernet.stored) == 9


def test_kernels_have_weights_of_their_own():
    space = parts_spaces.Cells()
    supernet = supernet_of(space, TASK)
    names = set(supernet.stored)
    assert {"stage1_block1_1_kernel1", "stage1_block1_1_kernel3", "stage2_block2_edge0_conv3", "head"} <= names
    assert not any("none" in name for name in names)


def test_an_identity_beside_convolutions_has_no_weights():
    supernet = supernet_of(Uneven(), TASK)
    own = [name for name, module in supernet.stored.items() if isinstance(module, nn.Identity)]
    assert own


def test_the_same_seed_gives_the_same_weights_and_disturbs_nobody():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (supernet_of(parts_spaces.Joint(), TASK, seed=seed).state_dict() for seed in (1, 1))
    other = supernet_of(parts_spaces.Joint(), TASK, seed=2).state_dict()
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_a_space_names_its_own_supernet():
    class Mine(PartsSupernet):
        pass

    SUPERNETS.register("widths", Mine)
    try:
        assert type(supernet_of(parts_spaces.Widths(), TASK)) is Mine
    finally:
        del SUPERNETS._entries["widths"]


def test_spaces_without_a_supernet():
    class Built(parts_spaces.Widths):
        name = "built"

        def build(self, arch, task):
            return nn.Sequential(super().build(arch, task))

    assert has_supernet(parts_spaces.Widths())
    assert not has_supernet(Built())
    with pytest.raises(InvalidInputError, match=r"'built' overrides build"):
        supernet_of(Built(), TASK)
    with pytest.raises(InvalidInputError, match=r"'nasbench101' has no supernet; those with one are nasbench201"):
        supernet_of(get_space("nasbench101"), TASK)


def test_too_many_modules():
    class Wild(parts_spaces.Small):
        name = "wild"

        def body(self):
            choices = {word: Choice(word, tuple(range(1, 14))).per_block() for word in ("a", "b", "c")}
            yield Stage(4, **choices)

        def block(self, channels_in, channels, stride, a, b, c):
            return nn.Identity()

    assert issubclass(Wild, PartsSpace)
    with pytest.raises(InvalidInputError, match=r"2,198 modules .* at most 2,000"):
        supernet_of(Wild(), TASK)
