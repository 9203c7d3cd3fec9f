"""Keys of archs composed of parts: how they look, what ``?`` leaves open, and what is refused."""

from __future__ import annotations

import pytest
from parts_spaces import Cells, DepthChain, Joint, Small, TwoCells, Widths

from gennas.errors import InvalidArchError
from gennas.spaces import Choice, PartsSpace, Stage


@pytest.mark.parametrize(
    ("space", "key"),
    [
        (DepthChain(), "depth_chain:k3/2.3/e1-e2-e1-e1-e2"),
        (DepthChain(), "depth_chain:k5/1.0/e2"),
        (Widths(), "widths:w4-w6-w8-w4-w4-w4-w4-w8"),
        (Joint(), "joint:r16/1.2/w4-w8/k3-k5/relu.plain-silu.skip-relu.skip"),
        (TwoCells(), "two_cells:conv1~0|skip~0+conv3~1|skip~0+skip~2/conv1~0|skip~0+conv3~1|skip~1+skip~2"),
        (Cells(), "cells:k1/2/none~0|skip~0+none~1"),
        (Cells(), "cells:k1/0/"),
    ],
)
def test_looks(space: PartsSpace, key: str) -> None:
    assert space.parse(key).key == key


def test_choices_that_begin_alike_keep_apart() -> None:
    class Alike(Small):
        name = "alike"

        def body(self):  # type: ignore[no-untyped-def]
            width, wide, kernel = (Choice(name, (1, 11, 2)) for name in ("width", "widths", "k"))
            yield Stage(4, depth=2, width=width.per_block(), widths=wide.per_block(), k=kernel.per_block())

    space = Alike()
    assert space.layout.prefixes == {"width": "width", "widths": "widths", "k": "k"}
    assert len({arch.key for arch in space.enumerate()}) == space.size == 9**3
    assert all(space.parse(arch.key) == arch for arch in space.enumerate())


def test_question_marks_leave_open() -> None:
    space = DepthChain()
    partial = space.read("depth_chain:?/2.?/e1-?-?-e2-?")
    slots = dict(zip(space.template.slots, partial.ops, strict=True))
    assert slots["kernel"] is slots["depth.2"] is slots["expansion.2.1"] is None
    assert (slots["depth.1"], slots["expansion.1.1"], slots["expansion.2.2"]) == ("d2", "e1", "e2")
    assert Cells().read("cells:k3/1/?|conv1~0+?~1").ops[3:-1] == (None, "conv1", None)
    assert Joint().read("joint:r16/1.1/w?-w8/k3-?/relu.?-?").ops[5:7] == ("relu", None)


@pytest.mark.parametrize(
    ("space", "key", "defect"),
    [
        (DepthChain(), "depth_chain:k3/2.3", "2 parts between slashes; expected 3"),
        (DepthChain(), "chain:k3/1.0/e1", "is not an arch of depth_chain; expected e.g."),
        (DepthChain(), "depth_chain:k7/1.0/e1", "'k7' is not a valid kernel; expected k3|5|?"),
        (DepthChain(), "depth_chain:k3/2.0/e1", "'e1' has 1 of block; expected 2"),
        (DepthChain(), "depth_chain:k3/1.2/e1", "'2' is not a valid depth of every stage; expected 0|1|3|?"),
        (DepthChain(), "depth_chain:k3/1/e1", "'1' has 1 of depth of every stage; expected 2"),
        (Joint(), "joint:r16/1.1/w4-w8/k3-k5/relu.plain-plain.relu", "expected relu|silu|?.plain|skip|?"),
        (TwoCells(), "two_cells:conv1~0|skip~0+skip~0|skip~0/?", "every source once"),
        (Cells(), "cells:k1/2/none~0|skip~0", "lacks source 1; expected 2 inputs"),
    ],
)
def test_what_is_malformed_is_named(space: PartsSpace, key: str, defect: str) -> None:
    with pytest.raises(InvalidArchError) as refusal:
        space.read(key)
    assert defect in str(refusal.value)


def test_a_wrong_number_of_inputs_is_refused() -> None:
    with pytest.raises(InvalidArchError, match="wrong number of inputs"):
        TwoCells().parse("two_cells:conv1~0|skip~0|skip~0+skip~2/conv1~0|skip~0+conv3~1|skip~1+skip~2")
