"""The conformance suite finds what it promises to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from parts_spaces import DepthChain
from parts_spaces import Small as SmallParts
from torch import nn
from toys import Toy, drawn

from gennas.arch import Arch, PartialArch
from gennas.spaces import Choice, Stage
from gennas.spaces.base import Space
from gennas.spaces.nasbench201.space import NasBench201
from gennas.spaces.template import FREE, Template
from gennas.spaces.terms import CostTerm
from gennas.tasks import Task
from gennas.testing import check_space
from gennas.testing import space as testing
from gennas.testing import space_networks as networks


@dataclass(frozen=True)
class Shape:
    name: str = "tiny"
    input_shape: tuple[int, int, int] = (3, 8, 8)
    num_classes: int = 5


NONE = NasBench201.template.vocabulary.index("none")


class Small(NasBench201):
    """A quick part of NAS-Bench-201, so that every broken copy is checked in a moment."""

    name = "small"
    size = 50

    def enumerate(self) -> Iterator[Arch]:
        return islice(super().enumerate(), 50)


def broken(**members: Any) -> NasBench201:
    return type("Broken", (Small,), members)(channels=2, cells=1)


def test_a_sound_space_passes() -> None:
    check_space(broken(), Shape())


def _twisted_costs(twist: Callable[[float, np.ndarray], Any]) -> Callable[..., dict[str, Any]]:
    def slot_costs(self: NasBench201, task: Any) -> dict[str, Any]:
        costs = NasBench201.slot_costs(self, task)
        return {**costs, "params_m": twist(*costs["params_m"])}

    return slot_costs


def _wrong_classes(self: NasBench201, arch: Arch, task: Any) -> nn.Module:
    network = NasBench201.build(self, arch, task)

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x)[:, :-1]

    return Cut()


def _rotated(self: NasBench201, arch: Arch) -> Arch:
    return self.arch(("input", *arch.ops[2:-1], arch.ops[1], "output"))


def _of_form(self: NasBench201, arch: Arch) -> Arch:
    return self.canonicalised([arch])[0]


def _without_pooling(self: NasBench201, arch: Arch) -> Arch:
    return self.arch(["skip_connect" if op == "avg_pool_3x3" else op for op in arch.ops])


def _one_sided(self: NasBench201, arch: Arch) -> list[str]:
    """An asymmetric rule: none may come after an operation, not before one."""
    return ["none before an operation"] if arch.ops[1] == "none" != arch.ops[2] else []


class Stubborn(nn.Module):
    """A network that fails where it is fed, or gives logits that nothing can train."""

    def __init__(self, network: nn.Module, fails: bool) -> None:
        super().__init__()
        self.network, self.fails = network, fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(x[:, :2] if self.fails else x)
        return logits.detach()


def _stubborn(fails: bool) -> Callable[..., nn.Module]:
    return lambda self, arch, task: Stubborn(NasBench201.build(self, arch, task), fails)


def _few_none(self: NasBench201, arch: Arch) -> list[str]:
    count = arch.ops.count("none")
    return [f"{count} times none"] if count > 2 else []


def _all_well(self: NasBench201, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.ones(len(ops), dtype=bool)


def _turned(self: NasBench201, ops: np.ndarray, edges: np.ndarray, *torch_rng: object) -> tuple[np.ndarray, np.ndarray]:
    return ops[:, [0, *range(2, 7), 1, 7]], edges


def _sorted(self: NasBench201, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.hstack([ops[:, :1], -np.sort(-ops[:, 1:-1]), ops[:, -1:]]), edges


OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: A cell that does one thing.
CELL = "|none~0|+|none~0|none~1|+|{}~0|none~1|none~2|"
#: Identities of NAS-Bench-201 lead to more of ``none``.
RULED: dict[str, Any] = {"rule_problems": _few_none, "canonical": lambda self, arch: arch}

BROKEN: dict[str, dict[str, Any]] = {
    "sample(): draws valid archs": {"sample": lambda self, rng: Arch("small", "", ("none",) * 8, ())},
    "parse(arch.key) == arch": {"parse": lambda self, key: self.arch(("input", *["none"] * 6, "output"))},
    "canonical(canonical(arch)) == canonical(arch)": {"canonical": _rotated},
    "yields size = 50 archs": {"enumerate": lambda self: islice(NasBench201.enumerate(self), 49)},
    "yields distinct archs": {"enumerate": lambda self: [next(NasBench201.enumerate(self))] * 50},
    "has the": {"slot_costs": _twisted_costs(lambda base, table: (base + 1e-6, table))},
    "is finite and not negative": {"slot_costs": _twisted_costs(lambda base, table: (base, table - 1))},
    "has shape": {"slot_costs": _twisted_costs(lambda base, table: (base, table[:-1]))},
    "has params_m and macs_m": {"slot_costs": lambda self, task: {}},
    "logits have shape (2, 5)": {"build": _wrong_classes},
    "absent is None or an operation": {"absent": "nothing"},
    "partial(arch.key): leaves nothing open": {
        "partial": lambda self, text: PartialArch(self.name, (None,) * 8, self.template.fixed_edges)
    },
    "key(): has no '='": {
        "key": lambda self, ops, edges: NasBench201.key(self, ops, edges).replace("~", "="),
        "read": lambda self, text: NasBench201.read(self, text.replace("=", "~")),
    },
    "parse(): refuses what read() does not find whole": {
        "parse": lambda self, key: NasBench201.parse(self, key.replace("?", "none"))
    },
    "keeps_rules(): is boolean": {"keeps_rules": lambda self, ops, edges: np.ones(len(ops))},
    "keeps_rules(): agrees with rule_problems()": {**RULED, "keeps_rules": _all_well},
    "permuted(): a valid arch stays valid": {"permuted": lambda self, ops, edges, rng: (ops[:, ::-1], edges)},
    "canonical_form(): a valid arch stays valid": {"canonical_form": lambda self, ops, edges: (ops, edges[:, ::-1])},
    "canonical_form(): the same after permuted() as before": {"permuted": _turned},
    "canonical_form(): a representative is its own": {"canonical_form": _turned},
    "enumerate(): yields canonical_form": {"canonical_form": _sorted, "permuted": _turned, "canonical": _of_form},
    "canonical(): the same after permuted() as before": {"canonical_form": _sorted, "permuted": _turned},
    "canonical(arch) is valid": {"rule_problems": _one_sided},
    "key(): no two archs share a key": {
        "key": lambda self, ops, edges: NasBench201.key(self, ops, edges).replace("nor_conv_1x1", "nor_conv_3x3")
    },
    "parse(): reads its own key": {"key": lambda self, ops, edges: "-".join(ops)},
    "canonical(): '|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|' and its canonical form": {
        "canonical": _without_pooling,
        "enumerate": lambda self: map(self.parse, map(CELL.format, OPERATIONS)),
        "size": 5,
    },
    "is_constant(): the network of": {
        "is_constant": lambda self, arch: arch.ops.count("none") > 1,
        "enumerate": lambda self: islice(reversed(list(NasBench201.enumerate(self))), 50),
    },
    "template: in some archs a path leads from a source to a sink": {"is_constant": lambda self, arch: True},
    "takes example_input()": {"build": _stubborn(True)},
    "can be trained": {"build": _stubborn(False)},
    "(an operation is half of one)": {
        "slot_costs": lambda self, task: {
            name: (2 * base, 2 * table) if name == "macs_m" else (base, table)
            for name, (base, table) in NasBench201.slot_costs(self, task).items()
        }
    },
    "is the sum of slot_costs()": {
        "costs": lambda self, arch, task: {n: v + 1 for n, v in Space.costs(self, arch, task).items()}
    },
    "cost_terms(): works": {"cost_terms": lambda self, task: 1 / 0},
    "cost_terms(): macs_m of slots (1, 2) has shape (5, 5)": {
        "cost_terms": lambda self, task: {"macs_m": (0.0, [CostTerm((1, 2), np.ones((8, 8)), np.ones((8, 8)))])}
    },
    "is the sum of cost_terms(), 1": {"cost_terms": lambda self, task: {"macs_m": (1.0, [])}},
    "enumerate_graphs(): has the archs of enumerate()": {
        "enumerate_graphs": lambda self: tuple(part[::-1] for part in NasBench201.enumerate_graphs(self))
    },
    "an arch bears the name of its space": {
        "arch": lambda self, ops, edges=None: Arch("other", NasBench201.arch(self, ops).key, tuple(ops), ())
    },
}


@pytest.mark.parametrize("contract", BROKEN)
def test_a_broken_contract_is_named(contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_space(broken(**BROKEN[contract]), Shape())
    assert contract in str(caught.value)
    assert "; found " in str(caught.value)


def test_terms_that_leave_a_product_out_are_found_out() -> None:
    class Halved(DepthChain):
        name = "halved"

        def cost_terms(self, task: Any) -> Any:
            found = DepthChain().cost_terms(task)
            return {
                name: (base, [replace(term, values=term.values / 2) for term in of])
                for name, (base, of) in found.items()
            }

    with pytest.raises(AssertionError, match=r"cost_terms\(\)"):
        check_space(Halved(), Task("tiny", (3, 16, 16), 5), archs=50)


class Attention(nn.Module):
    """As fused as torch has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.within, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        query, key, value = self.within(tokens)[:, None].chunk(3, dim=-1)
        mixed = self.out(nn.functional.scaled_dot_product_attention(query, key, value)[:, 0])
        return x + mixed.transpose(1, 2).view_as(x)


class Transformer(SmallParts):
    name = "transformer"

    def body(self) -> Any:
        yield Stage(4, depth=Choice("depth", (2, 3)), activation=Choice("activation", ("relu", "silu")).per_block())

    def block(self, channels_in: int, channels: int, stride: int, activation: str) -> nn.Module:
        return nn.Sequential(Attention(channels), nn.ReLU() if activation == "relu" else nn.SiLU())


def test_networks_with_attention_are_counted_as_costs_are() -> None:
    check_space(Transformer(), Task("tiny", (3, 16, 16), 5), archs=50)


def test_networks_that_need_values_are_counted_all_the_same() -> None:
    class Loose(nn.Linear):
        """A weight that no module knows of stays where it is."""

        def __init__(self) -> None:
            super().__init__(4, 3)
            self.loose = [torch.ones(3, 2)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) @ self.loose[0]

    network, inputs = Loose(), torch.zeros(2, 4)
    logits, operations = networks._counted(network, (inputs,))
    assert (tuple(logits.shape), operations) == ((2, 2), 2 * 2 * (4 * 3 + 3 * 2))
    assert network.weight.device.type == "cpu"


def test_problems_that_finds_nothing_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"problems\(\): names an operation that is not in the vocabulary"):
        check_space(broken(problems=lambda self, arch: []), Shape())


def test_a_parser_that_accepts_anything_is_found_out() -> None:
    def parse(self: NasBench201, key: str) -> Arch:
        return NasBench201.parse(self, key if "~" in key else "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")

    with pytest.raises(AssertionError, match="raises InvalidArchError for a malformed string"):
        check_space(broken(parse=parse), Shape())


def test_a_space_with_rules_and_numberings_of_its_own_passes() -> None:
    def enumerated(self: NasBench201) -> Iterator[Arch]:
        ops, _ = NasBench201.enumerate_graphs(NasBench201())
        words = (arch.ops for arch in NasBench201().enumerate())
        in_order = ((np.diff(ops[:, 1:-1]) <= 0).all(axis=1) & ((ops[:, 1:-1] == NONE).sum(axis=1) <= 2)).tolist()
        return islice((self.arch(row) for row, ok in zip(words, in_order, strict=True) if ok), 50)

    numbered = {"canonical_form": _sorted, "permuted": _turned, "enumerate": enumerated, "canonical": _of_form}
    check_space(broken(**{**RULED, **numbered}), Shape())


class FewEdges(Toy):
    """Five slots of two operations; at most three of their ten edges."""

    template = Template(
        tuple("abcde"), ("p", "q"), np.ones((5, 2), dtype=bool), np.triu(np.full((5, 5), FREE, np.int8), 1)
    )

    def rule_problems(self, arch: Arch) -> list[str]:
        return [f"{len(arch.edges)} edges"] if len(arch.edges) > 3 else []


class OneTooMany(FewEdges):
    def keeps_rules(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return edges.sum(axis=(1, 2)) <= 4


@pytest.mark.parametrize("seed", range(5))
def test_rules_that_are_one_off_are_found_out(seed: int) -> None:
    archs, torch_rng = drawn(FewEdges(), 20, seed), torch.Generator().manual_seed(seed)
    testing._check_rules(FewEdges(), archs, torch_rng)
    with pytest.raises(AssertionError, match=r"keeps_rules\(\): agrees with rule_problems\(\)"):
        testing._check_rules(OneTooMany(), archs, torch_rng)


def test_names_that_options_cannot_hold_are_found_out() -> None:
    edges = np.triu(np.full((2, 2), FREE, np.int8), 1)
    for slots, vocabulary in ((("a", " "), ("p", "q")), (("a", "b"), ("p", "q=3"))):
        space = type("Named", (FewEdges,), {"template": Template(slots, vocabulary, np.ones((2, 2), bool), edges)})()
        with pytest.raises(AssertionError, match="template: names are not empty, and have no ',' or '='"):
            check_space(space, Shape())


def test_what_is_right_for_any_weights_is_not_refused() -> None:
    """The identities of NAS-Bench-201: what has no effect is removed, and the order of convolutions is irrelevant."""
    space = NasBench201(channels=2, cells=1)
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(300)]
    networks.check_equal_networks(space, archs, Shape(), 0)
    assert sum(space.canonical(arch) != arch for arch in archs) > 100
