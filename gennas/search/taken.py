"""Taken: the archs that a search does not propose again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from gennas.arch import Arch
from gennas.spaces.functions import KeyOf, arch_key


class Taken:
    """Archs that count as known already: each of them, and all others that count as the same.

    .. code-block:: python

        taken = history.taken.beside(proposal.arch for proposal in proposals)
        if arch not in taken:
            taken.add(arch)

    Args:
        key_of: tells which archs count as one, see :func:`gennas.spaces.functions.key_of`.
        archs: that are taken.
    """

    def __init__(self, key_of: KeyOf, archs: Iterable[Arch] = ()) -> None:
        self.key_of = key_of
        self._keys = set(map(key_of, archs))

    @classmethod
    def of(cls, without: Taken | Collection[str]) -> Taken:
        """What is given, or the archs with these keys and no others."""
        if isinstance(without, Taken):
            return without
        return cls(arch_key)._with(without)

    def __contains__(self, arch: Arch) -> bool:
        return self.key_of(arch) in self._keys

    def __len__(self) -> int:
        """How many that do not count as the same."""
        return len(self._keys)

    def add(self, arch: Arch) -> None:
        """Takes one more."""
        self._keys.add(self.key_of(arch))

    def beside(self, archs: Iterable[Arch]) -> Taken:
        """These and further archs, apart from these."""
        return self._with(map(self.key_of, archs))

    def untaken(self, archs: Iterable[Arch], is_feasible: Callable[[Arch], bool] | None = None) -> Iterator[Arch]:
        """Those of some archs that are feasible and not taken, in their order; of several that count as one, the first.

        Args:
            archs: which.
            is_feasible: whether an arch may be proposed; all are by default.
        """
        keys = set(self._keys)
        for arch in archs:
            key = self.key_of(arch)
            if key not in keys and (is_feasible is None or is_feasible(arch)):
                keys.add(key)
                yield arch

    def _with(self, keys: Iterable[str]) -> Taken:
        more = Taken(self.key_of)
        more._keys = self._keys.union(keys)
        return more
