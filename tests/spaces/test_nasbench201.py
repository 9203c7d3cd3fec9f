"""The NAS-Bench-201 space: notation, canonical form, costs and networks."""

import itertools
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from gennas.errors import InvalidArchError, UnknownNameError
from gennas.spaces import get_space
from gennas.spaces.four_node_cell import CELL_EDGES
from gennas.spaces.nasbench201.space import OPS, NasBench201
from gennas.testing import check_space


@dataclass(frozen=True)
class Shape:
    """As much of a task as a space needs."""

    name: str
    input_shape: tuple[int, int, int]
    num_classes: int


CIFAR10 = Shape("cifar10", (3, 32, 32), 10)
CIFAR100 = Shape("cifar100", (3, 32, 32), 100)
IMAGENET16 = Shape("imagenet16-120", (3, 16, 16), 120)
SPACE = NasBench201()
ARCHS = list(SPACE.enumerate())
CODES = np.array([[OPS.index(op) for op in arch.ops[1:-1]] for arch in ARCHS])
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


# Notation


def test_every_cell_has_its_own_key_and_is_parsed_back() -> None:
    assert len(ARCHS) == SPACE.size == 15_625
    assert len({arch.key for arch in ARCHS}) == 15_625
    assert all(SPACE.parse(arch.key) == arch for arch in ARCHS)


def test_key_is_the_published_notation() -> None:
    arch = SPACE.parse(BEST)
    assert arch.key == BEST
    assert arch.ops == ("input", *["nor_conv_3x3"] * 3, "skip_connect", *["nor_conv_3x3"] * 2, "output")
    assert SPACE.parse(f"  {BEST}\n") == arch


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (
            BEST.replace("|nor_conv_3x3~0|+", "|nor_conv_3x2~0|+", 1),
            ["'nor_conv_3x2'", "Did you mean 'nor_conv_3x3'?"],
        ),
        (BEST.replace("nor_conv_3x3~1|+", "+", 1), ["expected [1, 2, 3]"]),
        (BEST + "+|none~0|", ["[1, 2, 3, 1] operations", "expected [1, 2, 3]"]),
        (BEST.replace("skip_connect~0", "skip_connect~1"), ["'skip_connect~1' must end in '~0'"]),
        (BEST.replace("skip_connect~0", "skip_connect"), ["'skip_connect' must end in '~0'"]),
        ("", ["[1] operations"]),
        ("nonsense", ["'nonsense' is not a valid nasbench201 cell"]),
    ],
)
def test_malformed_strings_are_explained(key: str, words: list[str]) -> None:
    with pytest.raises(InvalidArchError) as caught:
        SPACE.parse(key)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_unknown_space_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'nasbench201'"):
        get_space("nasbench-2O1")


# Canonical form


def _published_strings() -> list[str]:
    """NAS-Bench-201's own rule: node 0 is "0"; a node joins the sorted strings of its incoming edges."""
    found = []
    for arch in ARCHS:
        node = ["0", "", "", ""]
        for target in (1, 2, 3):
            parts = []
            for (a, b), op in zip(CELL_EDGES, arch.ops[1:-1], strict=True):
                if b != target:
                    continue
                if op == "none" or node[a] == "#":
                    parts.append("#")
                else:
                    parts.append(node[a] if op == "skip_connect" else f"({node[a]})@{op}")
            node[target] = "+".join(sorted(parts))
        found.append(node[3])
    return found


PRIME = 2**31 - 1  # a prime below 2^31: products of two residues fit 64 bits, and all sums are exact


def _outputs(variants: np.ndarray) -> np.ndarray:
    """Outputs of all cells over integers modulo a prime, one random input.

    Pooling is a fixed random linear map; a convolution is a random cubic map with f(0) = 0, chosen by its
    kernel and by ``variants``, ``(6,)``: which of several weights the convolution on each edge has.
    """
    linear, cubic = np.random.default_rng(7).integers(1, PRIME, size=(2, 2, 8))
    node = [np.full(len(ARCHS), 123_456_789), *np.zeros((3, len(ARCHS)), dtype=np.int64)]
    for edge, (source, target) in enumerate(CELL_EDGES):
        x = node[source]
        square = x * x % PRIME
        conv1, conv3 = (
            x * ((cubic[k, variants[edge]] * square + linear[k, variants[edge]]) % PRIME) % PRIME for k in (0, 1)
        )
        pooled = x * 987_654_321 % PRIME
        incoming = np.choose(CODES[:, edge], [np.zeros_like(x), x, conv1, conv3, pooled])
        node[target] = (node[target] + incoming) % PRIME
    return node[3]


def _classes(labels: list[object]) -> list[tuple[int, ...]]:
    members: dict[object, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        members[label].append(row)
    return sorted(tuple(rows) for rows in members.values())


@pytest.fixture(scope="module")
def canonical() -> list[object]:
    return [SPACE.canonical(arch).key for arch in ARCHS]


def test_canonical_cells_are_canonical(canonical: list[object]) -> None:
    position = {arch.key: row for row, arch in enumerate(ARCHS)}
    assert all(canonical[position[str(key)]] == key for key in canonical)


def test_canonical_classes_are_exactly_the_cells_of_equal_function(canonical: list[object]) -> None:
    # Each edge's convolution gets one of two weights, in all 64 ways. A polynomial of the output is summed over
    # these: it is invariant to permutations of the convolutions, but not to replacing two convolutions by one.
    total = np.zeros(len(ARCHS), dtype=np.int64)
    for variants in itertools.product((0, 1), repeat=len(CELL_EDGES)):
        output = _outputs(np.array(variants))
        total = (total + (output * output % PRIME) * ((output + 5) % PRIME)) % PRIME
    assert _classes(total.tolist()) == _classes(canonical)
    assert len(set(canonical)) == 5_044


def test_relation_to_the_published_6466_classes(canonical: list[object]) -> None:
    strings = _published_strings()
    assert len(set(strings)) == 6_466
    # The coarsest of the three: the function if all convolutions of one kind had the same weights.
    function = _outputs(np.zeros(6, dtype=int)).tolist()
    assert len(set(function)) == 4_660
    # Both distinguish all cells that compute different functions, but in different ways:
    assert len(set(zip(strings, function, strict=True))) == len(set(strings))
    assert len(set(zip(canonical, function, strict=True))) == len(set(canonical))
    # strings split equal functions (sums of nothing, order of sums, pooling of sums) ...
    assert len(set(zip(strings, canonical, strict=True))) > len(set(canonical))
    # ... and join two convolutions of one input with one convolution used twice.
    assert len(set(zip(strings, canonical, strict=True))) > len(set(strings))


def test_one_convolution_used_twice_is_not_two_convolutions() -> None:
    once = SPACE.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|")
    twice = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")
    strings = dict(zip((arch.key for arch in ARCHS), _published_strings(), strict=True))
    assert SPACE.canonical(once) != SPACE.canonical(twice)
    assert strings[once.key].replace("#+", "") == strings[twice.key].replace("#+", "")


def test_identities_hold_for_built_networks() -> None:
    # A skip of a convolution is that convolution: the same weights give the same logits.
    a = SPACE.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
    b = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|")
    assert SPACE.canonical(a) == SPACE.canonical(b)
    networks = []
    for arch in (a, b):
        torch.manual_seed(0)
        networks.append(NasBench201(channels=4, cells=1).build(arch, CIFAR10).eval())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(networks[0](images), networks[1](images))


# Costs and networks


def _analytic(metric: str, task: Shape) -> np.ndarray:
    base, table = SPACE.slot_costs(task)[metric]
    # The vocabulary is input, the five operations in order, output.
    return base + table[0, 0] + table[-1, -1] + table[np.arange(1, 7), CODES + 1].sum(axis=1)


def _data_folder() -> Path:
    beside = Path(__file__).parents[3] / "shared" / "data"
    return Path(os.environ.get("GENNAS_DATA") or beside)


@pytest.mark.parametrize(
    ("column", "metric", "task"),
    [
        ("params_c10", "params_m", CIFAR10),
        ("params_c100", "params_m", CIFAR100),
        ("params_in16", "params_m", IMAGENET16),
        ("flops_c10", "macs_m", CIFAR10),
        ("flops_in16", "macs_m", IMAGENET16),
    ],
)
def test_costs_equal_the_published_columns_on_all_cells(column: str, metric: str, task: Shape) -> None:
    path = _data_folder() / "nasbench201.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set GENNAS_DATA to the folder that holds it")
    published = pd.read_parquet(path, columns=["arch_str", column]).set_index("arch_str")[column]
    published = published.loc[[arch.key for arch in ARCHS]]
    ours = [f"{value:.6g}" for value in _analytic(metric, task)]
    assert ours == [f"{value:.6g}" for value in published]


@pytest.mark.parametrize(
    ("key", "costs"),
    # Published with NAS-Bench-201 (params and FLOP columns of its tables), in millions.
    [
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
            (1.28851, 1.29436, 1.29566, 187.041, 46.7682),
        ),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", (0.073306, 0.079156, 0.080456, 7.94387, 1.99379)),
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
            (1.53155, 1.5374, 1.5387, 222.861, 55.7231),
        ),
        (
            "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
            (0.129306, 0.135156, 0.136456, 17.9586, 4.49747),
        ),
        (
            "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
            (0.073306, 0.079156, 0.080456, 15.6853, 3.92915),
        ),
        (
            "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
            (0.241306, 0.247156, 0.248456, 34.1173, 8.53715),
        ),
    ],
)
def test_costs_equal_published_values(key: str, costs: tuple[float, ...]) -> None:
    arch = SPACE.parse(key)
    ours = [SPACE.costs(arch, task)["params_m"] for task in (CIFAR10, CIFAR100, IMAGENET16)]
    ours += [SPACE.costs(arch, task)["macs_m"] for task in (CIFAR10, IMAGENET16)]
    assert ours == pytest.approx(costs, rel=5e-6)


@pytest.mark.parametrize("task", [CIFAR10, CIFAR100, IMAGENET16], ids=lambda task: task.name)
def test_built_networks_have_the_claimed_parameters(task: Shape) -> None:
    rng = np.random.default_rng(1)
    for arch in (SPACE.sample(rng) for _ in range(20)):
        params = sum(parameter.numel() for parameter in SPACE.build(arch, task).parameters())
        assert params == round(SPACE.costs(arch, task)["params_m"] * 1e6), arch.key


def _counted_macs(network: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiply-adds counted while an image runs through a network, in the benchmark's way of counting."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * module.in_channels * module.kernel_size[0] * module.kernel_size[1]
        elif isinstance(module, nn.BatchNorm2d):
            total += 2 * output.numel()
        elif isinstance(module, nn.ReLU):
            total += output.numel()
        elif isinstance(module, nn.AvgPool2d):
            total += output.numel() * int(module.kernel_size) ** 2
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            _, channels, height, width = inputs[0].shape
            total += channels * (height + 1) * (width + 1)
        elif isinstance(module, nn.Linear):
            total += module.in_features * module.out_features

    for module in network.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, *input_shape))
    return total


@pytest.mark.parametrize(
    ("space", "task"),
    [(SPACE, CIFAR10), (SPACE, IMAGENET16), (NasBench201(channels=8, cells=1), Shape("odd", (1, 9, 9), 4))],
    ids=["cifar10", "imagenet16-120", "odd sides"],
)
def test_built_networks_have_the_claimed_multiply_adds(space: NasBench201, task: Shape) -> None:
    rng = np.random.default_rng(2)
    for arch in (space.sample(rng) for _ in range(10)):
        claimed = round(space.costs(arch, task)["macs_m"] * 1e6)
        assert _counted_macs(space.build(arch, task), task.input_shape) == claimed, arch.key


def test_small_skeleton_on_odd_images_trains() -> None:
    space = get_space("nasbench201", "channels=8,cells=1")
    network = space.build(space.parse(BEST), Shape("odd", (1, 9, 9), 4))
    logits = network(torch.randn(3, 1, 9, 9))
    assert logits.shape == (3, 4)
    logits.sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_passes_the_conformance_suite() -> None:
    check_space(NasBench201(channels=4, cells=1), Shape("tiny", (3, 8, 8), 5))
