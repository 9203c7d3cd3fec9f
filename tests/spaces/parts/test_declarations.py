"""Bodies that are no bodies, and builders that do not do what they say, are refused with the defect named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from parts_spaces import DepthChain, MBConv, Ops, Small, conv
from torch import nn

from gennas.diffusion.uniform import UniformGenerator
from gennas.errors import InvalidInputError
from gennas.spaces import Cell, Choice, PartsSpace, Resize, Stage
from gennas.tasks import Task

TASK = Task("small", (3, 16, 16), 5)


def space_of(*parts: object, **methods: Callable[..., Any]) -> PartsSpace:
    """A space with this body."""

    class Made(Small):
        name = "made"

        def body(self) -> Iterable[Any]:
            return parts

    for name, method in methods.items():
        setattr(Made, name, method)
    return Made()


@pytest.mark.parametrize(
    ("make", "defect"),
    [
        (lambda: Choice("kernel size", (3, 5)), "'kernel size' cannot be the name of a choice"),
        (lambda: Choice("kernel", (3,)), "expected two or more"),
        (lambda: Choice("kernel", "35"), "has options '35'; expected e.g. (3, 5, 7)"),
        (lambda: Choice("kernel", (3, "5")), "mixes numbers and words"),
        (lambda: Choice("kernel", (3, 3.0)), "written alike: 3, 3"),
        (lambda: Choice("rate", (-1, 1)), "option -1; expected numbers from 0"),
        (lambda: Choice("rate", (1e-9, 1)), "written without an exponent"),
        (lambda: Choice("rate", (float("nan"), 1)), "option nan"),
        (lambda: Choice("op", ("3x3", "skip")), "option '3x3'; expected numbers, or words"),
        (lambda: Choice("op", ("input", "skip")), "other than input and output"),
        (lambda: Choice("op", (None, "skip")), "option None"),
        (lambda: Stage(24, 0), "stride is 0; expected integers from 1"),
        (lambda: Stage(24, depth=2.5), "depth is 2.5; expected integers from 1"),
        (lambda: Stage(Choice("width", ("thin", "wide"))), "channels is 'thin'"),
        (lambda: Stage(24, depth=Choice("depth", (1, 2)).per_block()), "cannot be chosen per block"),
        (lambda: Stage(24, stride=2, block=Cell("cell", 2, ("a", "b")), kernel=3), "takes no choices; got kernel"),
        (lambda: Stage(24, channels_in=3), "'channels_in' cannot be a choice of a block"),
        (lambda: Cell("cell", 0, ("a", "b")), "0 nodes; expected 1 to 12"),
        (lambda: Cell("cell", 2, ("a", "b"), absent="none"), "absent is 'none', which is none of its operations"),
        (lambda: Cell("cell", 2, ("a", "b"), inputs=1), "the operation that stands for no edge"),
        (lambda: Cell("cell", 2, (1, 2)), "expected words"),
        (lambda: Cell("cell", 2, ("a", "b"), output="mean"), "output 'mean'"),
        (lambda: Choice("input", (1, 2)), "other than input and output"),
        (lambda: Resize(Choice("size", (8, 16)).per_block()), "cannot be made per stage or block"),
        (lambda: Resize(Choice("size", ("small", "large"))), "size is 'small'"),
        (lambda: Stage(8, depth=0), "depth is 0; expected integers from 1"),
        (lambda: Stage(8, extra=[1, 2]), "extra is [1, 2]; expected a Choice, or a value that does not change"),
        (lambda: space_of().template, "there is nothing to decide"),
        (lambda: space_of(Stage(24)).template, "there is nothing to decide"),
        (lambda: space_of(Choice("kernel", (3, 5))).template, "expected Stage or Resize"),
        (lambda: space_of(Stage(24, k=Choice("k", (3, 5))), Resize(32)).template, "before the first stage"),
        (
            lambda: space_of(Stage(24, a=Choice("k", (3, 5)), b=Choice("k", (3, 5)))).template,
            "2 decisions are called 'k.1'; rename a choice",
        ),
        (
            lambda: space_of(Stage(24, a=Choice("k", (3, 5)), b=Choice("op", ("k3", "k5")))).template,
            "'k3' is a word and a number of a choice",
        ),
        (
            lambda: space_of(Stage(24, depth=(twice := Choice("twice", (1, 2))), kernel=twice)).template,
            "'twice' is a depth and something else",
        ),
    ],
)
def test_bodies(make: Callable[[], object], defect: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        make()
    assert defect in str(refusal.value)


def wrong(space: PartsSpace) -> str:
    with pytest.raises(InvalidInputError) as refusal:
        space.costs(space.sample(np.random.default_rng(0)), TASK)
    return str(refusal.value)


KERNEL = Choice("kernel", (3, 5))


def test_builders_with_wrong_shapes() -> None:
    narrow = space_of(Stage(8, kernel=KERNEL), block=lambda self, c_in, c, stride, kernel: conv(c_in, c - 1, stride))
    assert "makes (7, 16, 16) of an input of shape (4, 16, 16); expected 8 channels" in wrong(narrow)
    lost = space_of(Stage(8, kernel=KERNEL), block=lambda self, c_in, c, stride, kernel: conv(c, c, stride))
    assert "fails on an input of shape (4, 16, 16)" in wrong(lost)
    stem = space_of(Stage(8, kernel=KERNEL), stem=lambda self, task: (conv(3, 4, 1), 5))
    assert "expected the 5 channels it states" in wrong(stem)
    head = space_of(
        Stage(4, kernel=KERNEL),
        block=lambda self, *args, kernel: nn.Identity(),
        head=lambda self, channels, task: nn.AdaptiveAvgPool2d(1),
    )
    assert "expected logits of 5 classes" in wrong(head)


def test_missing_builders() -> None:
    assert "define Made.block(channels_in, channels, stride, ...)" in wrong(space_of(Stage(8, kernel=KERNEL)))
    assert "define Made.operation(operation, channels)" in wrong(space_of(Stage(8, block=Cell("c", 1, ("a", "b")))))
    unknown = space_of(Stage(8, kernel=KERNEL, width=2), block=lambda self, c_in, c, stride, kernel: conv(c_in, c, 1))
    assert "unexpected keyword argument 'width'" in wrong(unknown)


def test_choices_must_not_depend_on_settings() -> None:
    @dataclass(frozen=True)
    class Deep(Small):
        name = "deep"
        layers: int = 3

        def body(self) -> Iterable[Any]:
            yield Stage(4, depth=self.layers, kernel=KERNEL.per_block())

    assert Deep().template.decisions == 3
    with pytest.raises(InvalidInputError, match=r"depend on the settings \{'layers': 4\}"):
        Deep(4).layout  # noqa: B018 - is computed here


def test_numbers_of_inputs_must_not_depend_on_settings_either() -> None:
    @dataclass(frozen=True)
    class Inputs(Small):
        name = "inputs"
        inputs: int = 1

        def body(self) -> Iterable[Any]:
            yield Stage(4, block=Cell("cell", 3, ("none", "a", "b"), absent="none", inputs=self.inputs))

    assert Inputs.size == Inputs().patterns.size
    with pytest.raises(InvalidInputError, match="depend on the settings"):
        Inputs(2).layout  # noqa: B018 - is computed here


def test_overridden_costs_are_no_sums_of_blocks() -> None:
    class Dear(Ops):
        name = "dear"

        def costs(self, arch: Any, task: Task) -> dict[str, float]:
            return {name: 1.5 * cost for name, cost in super().costs(arch, task).items()}

    assert Dear().slot_costs(TASK) is Dear().cost_terms(TASK) is None
    assert Ops().slot_costs(TASK) is not None


def test_blocks_that_cost_what_their_arguments_do_not_tell_are_no_sums() -> None:
    def block(self: PartsSpace, c_in: int, c: int, stride: int, kernel: int) -> nn.Module:
        # One option of eight changes the resolution, which nothing declares.
        return conv(c_in, c, 2 if kernel == 8 else stride)

    sly = space_of(Stage(4, depth=3, kernel=Choice("kernel", tuple(range(1, 9))).per_block()), block=block)
    assert sly.cost_terms(TASK) is None


def test_counting_leaves_the_random_state_alone() -> None:
    space = Ops(8)
    torch.manual_seed(0)
    plain = [
        p.clone() for p in space.build(space.parse("ops:conv-skip-skip-skip-pool-skip-skip-skip"), TASK).parameters()
    ]
    fresh = Ops(8)
    torch.manual_seed(0)
    fresh.costs(space.sample(np.random.default_rng(0)), TASK)
    again = fresh.build(space.parse("ops:conv-skip-skip-skip-pool-skip-skip-skip"), TASK).parameters()
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_settings_of_the_network() -> None:
    space = Ops.with_skeleton("channels=8")
    arch = space.sample(np.random.default_rng(0))
    assert space.template is Ops.template
    assert space.costs(arch, TASK)["params_m"] > Ops().costs(arch, TASK)["params_m"]


def test_rules_of_its_own() -> None:
    class Rising(Small):
        """Widths that never fall."""

        name = "rising"

        def body(self) -> Iterable[Any]:
            yield Stage(Choice("width", (4, 6, 8)).per_block(), depth=3)

        def block(self, channels_in: int, channels: int, stride: int) -> nn.Module:  # type: ignore[override]
            return MBConv(channels_in, channels, stride, 3, 1)

        def rule_problems(self, arch: Any) -> list[str]:
            widths = [int(op[1:]) for op in arch.ops[1:-1]]
            return ["a width falls"] if widths != sorted(widths) else []

    space = Rising()
    assert space.size == len(list(space.enumerate())) == 10
    drawn = {space.sample(np.random.default_rng(seed)).key for seed in range(200)}
    assert drawn == {arch.key for arch in space.enumerate()}
    # Without a trained generator, partial archs are completed from what the choices allow, and then held to the rule.
    completed = UniformGenerator(space).sample(200, fixed="rising:w6-?-?", seed=0).archs
    assert {arch.key for arch in completed} == {"rising:w6-w6-w6", "rising:w6-w6-w8", "rising:w6-w8-w8"}


def test_rules_of_its_own_come_on_top() -> None:
    class Odd(DepthChain):
        name = "odd"

        def rule_problems(self, arch: Any) -> list[str]:
            return []

    broken = Odd().parse("odd:k3/2.3/e1-e2-e1-e1-e2")
    ops = tuple("-" if name == "expansion.2.3" else op for name, op in zip(Odd.template.slots, broken.ops, strict=True))
    assert Odd().problems(replace(broken, ops=ops))
    assert not Odd().keeps_rules(*Odd().arrays([replace(broken, ops=ops)]))[0]


def test_builders_that_return_something_else() -> None:
    nothing = space_of(Stage(8, kernel=KERNEL), block=lambda self, *args, kernel: None)
    assert "None is no torch module; return one" in wrong(nothing)
    lonely = space_of(Stage(8, kernel=KERNEL), stem=lambda self, task: conv(3, 4, 1))
    assert "stem() returns Sequential; expected the module and its channels" in wrong(lonely)

    def raising(self: PartsSpace, *args: object, kernel: int) -> nn.Module:
        raise KeyError("boom")

    assert "KeyError: 'boom'" in wrong(space_of(Stage(8, kernel=KERNEL), block=raising))
