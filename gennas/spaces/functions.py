"""Which archs count as the same: those that compute the same function, or only those that are written alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal, get_args

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.spaces.base import Space

#: What archs that are proposed or returned must differ in: ``functions`` or only ``archs``, as they are written.
Distinct = Literal["functions", "archs"]
#: The same string for all archs that count as one.
KeyOf = Callable[[Arch], str]


def arch_key(arch: Arch) -> str:
    """The arch's own key: every arch counts as itself."""
    return arch.key


# A search asks of the same thousands of archs again and again.
@lru_cache(maxsize=1 << 16)
def function_key(space: Space, arch: Arch) -> str:
    """The key of :meth:`gennas.spaces.Space.canonical`: the same for all archs that compute the same function."""
    return space.canonical(arch).key


def key_of(space: Space, distinct: Distinct) -> KeyOf:
    """The function that tells which archs of a space count as one.

    Raises:
        InvalidInputError: another word.
    """
    if distinct not in get_args(Distinct):
        raise InvalidInputError(f"is {distinct!r}; must be 'functions' or 'archs'.", argument="distinct")
    return partial(function_key, space) if distinct == "functions" else arch_key
