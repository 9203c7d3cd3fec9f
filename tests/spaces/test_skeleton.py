"""Settings of the skeleton: fields of a space's class, or a sentence that says how to make them fields."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidInputError, UnknownNameError
from gennas.spaces.base import Space
from gennas.spaces.template import FIXED, Template


class Plain(Space):
    """Without settings, and without a decorator."""

    name = "plain"
    template = Template(("a", "b"), ("x", "y"), np.ones((2, 2), bool), FIXED * np.eye(2, k=1, dtype=np.int8))
    size = 4
    of_no_concern: ClassVar[int] = 3

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return "-".join(ops)

    def read(self, key: str) -> PartialArch:
        return PartialArch(self.name, tuple(key.split("-")), ((0, 1),))

    def canonical(self, arch: Arch) -> Arch:
        return arch

    def build(self, arch: Arch, task: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Wide(Plain):
    channels: int = 8
    cells: int = 3


class Wider(Wide):
    """Inherits the settings of a dataclass."""


def test_a_space_without_settings_needs_no_decorator() -> None:
    space = Plain.with_skeleton("")
    assert space.skeleton == {}
    assert space == Plain()
    assert hash(space) == hash(Plain())
    assert pickle.loads(pickle.dumps(space)) == copy.deepcopy(space) == replace(space) == space
    assert space != Wide()
    with pytest.raises(UnknownNameError, match="unknown skeleton setting of plain 'channels'"):
        Plain.with_skeleton("channels=3")


def test_settings_are_inherited() -> None:
    space = Wider.with_skeleton("channels=4")
    assert space.skeleton == {"channels": 4, "cells": 3}
    assert space != Wider()
    assert pickle.loads(pickle.dumps(space)) == space


def test_leading_zeros_hide_no_number_beyond_the_limit() -> None:
    assert Wide.with_skeleton("channels=00000000000000100000").skeleton["channels"] == 100_000
    for value in ("00000010000000", "100001", "0", "1" * 5000):
        with pytest.raises(InvalidInputError, match="must be an integer from 1 to 100000"):
            Wide.with_skeleton(f"channels={value}")


def _undecorated() -> type[Space]:
    class Bare(Plain):
        channels: int = 8

    return Bare


def _below() -> type[Space]:
    class Under(Wide):
        blocks: int = 8

    return Under


@pytest.mark.parametrize("make", [_undecorated, _below])
def test_a_setting_without_the_decorator_is_refused(make: Any) -> None:
    cls = make()
    with pytest.raises(InvalidInputError, match=r"@dataclass\(frozen=True\) above 'class (Bare|Under)'"):
        cls.with_skeleton("")
    with pytest.raises(InvalidInputError, match=r"setting '(channels|blocks)' and is no dataclass"):
        cls()


def test_a_setting_that_is_no_number_is_refused() -> None:
    @dataclass(frozen=True)
    class Coloured(Plain):
        colour: str = "red"

    with pytest.raises(InvalidInputError, match="setting 'colour' of space class Coloured is annotated as str"):
        Coloured()


def test_a_setting_without_a_default_is_refused() -> None:
    @dataclass(frozen=True)
    class Unknown(Plain):
        channels: int

    with pytest.raises(InvalidInputError, match="'channels' of space class Unknown has no default"):
        Unknown.with_skeleton("")
    with pytest.raises(InvalidInputError, match="has no default"):
        Unknown(3)


def test_what_every_space_has_is_no_setting() -> None:
    with pytest.raises(InvalidInputError, match="class Named annotates name, as if it were a setting"):

        class Named(Plain):
            name: str = "named"  # type: ignore[misc]


def test_arguments_of_init_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"class Made takes settings in __init__\(\)"):

        class Made(Plain):
            def __init__(self, channels: int = 3) -> None:
                self.channels = channels


def test_what_is_missing_is_named() -> None:
    class Empty(Space):
        def canonical(self, arch: Arch) -> Arch:
            return arch

    with pytest.raises(InvalidInputError, match=r"class Empty lacks build\(\), key\(\), read\(\), name, template;"):
        Empty.with_skeleton("")


def test_a_dataclass_that_is_not_frozen_is_refused_by_python() -> None:
    with pytest.raises(TypeError, match="non-frozen"):

        @dataclass  # type: ignore[misc]
        class Thawed(Plain):
            channels: int = 3
