"""Subset: some archs of a space, such as those that a table has values of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from hashlib import sha256

import numpy as np

from gennas.arch import Arch
from gennas.spaces.base import Space


class Subset:
    """Some archs of a space, to which proposals may be restricted.

    Args:
        space: of the archs.
        archs: which, in any numbering; equal ones count once.

    Attributes:
        archs: the distinct ones, numbered as :meth:`gennas.spaces.Space.canonicalised` does.
    """

    def __init__(self, space: Space, archs: Iterable[Arch]) -> None:
        self.space = space
        self.archs = tuple(dict.fromkeys(space.canonicalised(list(archs))))
        self._keys = frozenset(arch.key for arch in self.archs)

    def __contains__(self, arch: Arch) -> bool:
        """Whether an arch, numbered as these are, is one of them."""
        return arch.key in self._keys

    def __len__(self) -> int:
        return len(self.archs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subset) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Subset({self.space.name!r}, {len(self)} archs)"

    @cached_property
    def fingerprint(self) -> str:
        """A hash of which archs these are."""
        return sha256("\n".join(sorted(self._keys)).encode()).hexdigest()[:12]

    @cached_property
    def _graphs(self) -> tuple[np.ndarray, np.ndarray]:
        ops, edges = self.space.arrays(self.archs)
        return ops, edges.reshape(len(ops), -1)

    def nearest(self, arch: Arch, without: Collection[str] = ()) -> list[Arch]:
        """The archs with the fewest operations and edges that differ from an arch; several where they have as few.

        Args:
            arch: any of the space.
            without: keys of archs that are left out.
        """
        ops, edges = self.space.arrays([arch])
        differ = (self._graphs[0] != ops).sum(1) + (self._graphs[1] != edges.reshape(1, -1)).sum(1)
        left = [row for row in np.argsort(differ, kind="stable") if self.archs[row].key not in without]
        return [self.archs[row] for row in left if differ[row] == differ[left[0]]]
