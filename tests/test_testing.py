"""The conformance suite finds what it promises to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gennas.arch import Arch
from gennas.spaces.nasbench201 import NasBench201
from gennas.testing import check_space


@dataclass(frozen=True)
class Shape:
    name: str = "tiny"
    input_shape: tuple[int, int, int] = (3, 8, 8)
    num_classes: int = 5


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


BROKEN = {
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


def test_problems_that_finds_nothing_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"problems\(\): names an operation that is not in the vocabulary"):
        check_space(broken(problems=lambda self, arch: []), Shape())


def test_a_parser_that_accepts_anything_is_found_out() -> None:
    def parse(self: NasBench201, key: str) -> Arch:
        return NasBench201.parse(self, key if "~" in key else "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")

    with pytest.raises(AssertionError, match="raises InvalidArchError for a malformed string"):
        check_space(broken(parse=parse), Shape())
