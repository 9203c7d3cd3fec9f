"""Names for classes, functions and values: what gennas has, what installed packages add, and the user's own."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import import_module, metadata
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast, overload

from gennas.errors import InvalidInputError, UnknownNameError, unknown
from gennas.user_files import failure_of, load_file

T = TypeVar("T")
D = TypeVar("D")


@lru_cache
def _points_of(group: str, path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """The entry points of a group; finding them reads a file of every installed package."""
    return tuple(metadata.entry_points(group=group))


class Registry(Generic[T]):
    """Maps names to entries of one kind, each imported only when it is asked for.

    A name finds an entry whatever its case, hyphens and underscores: ``NAS-Bench-201`` is ``nasbench201``. Entries come
    from gennas itself, from :meth:`register`, and from the entry points of installed packages.

    Args:
        kind: the word for an entry in error messages, e.g. ``"space"``.
        entries: name -> the entry, or ``"package.module:Attribute"``, which is imported on first use.
        group: of entry points, e.g. ``"gennas.spaces"``; none by default.
        expected: what an entry is, in words, e.g. ``"a subclass of gennas.Space"``.
        accepts: whether something is an entry of this kind.
        how: how a user makes an entry known, e.g. ``"`space` path/to/file.py:MySpace"``.
        families: how names begin -> ``"package.module:MAPPING"`` of the entries by their names, where there are too
            many to be listed with the others; imported when such a name is asked for.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, T | str],
        *,
        group: str | None = None,
        expected: str = "",
        accepts: Callable[[Any], bool] = lambda entry: True,
        how: str = "",
        families: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.kind = kind
        self.group = group
        self.expected = expected
        self.accepts = accepts
        self.how = how or f"'package.module:Name' or 'path/to/file.py:Name' in place of the {kind}'s name"
        self._entries: dict[str, tuple[str, T | str]] = {_folded(name): (name, entries[name]) for name in entries}
        self._families = {_folded(beginning): path for beginning, path in families.items()}
        self._shipped = frozenset(self._entries)
        self._typed: builtins.list[tuple[object, str]] = []

    def list(self, pattern: str = "*") -> list[str]:
        """The names that match a glob ``pattern``, sorted; those of installed packages among them."""
        return sorted(name for name in self if fnmatchcase(name, pattern))

    def __iter__(self) -> Iterator[str]:
        """The names in the order in which they were registered, then those of installed packages."""
        yield from [name for name, _ in self._entries.values()]
        yield from [point.name for point in self._points() if _folded(point.name) not in self._entries]

    def __contains__(self, name: object) -> bool:
        """Whether :meth:`registered` finds an entry of that name."""
        return isinstance(name, str) and self._found(name) is not None

    @property
    def own(self) -> builtins.list[str]:
        """The names that do not come with gennas, in the order in which they were registered."""
        return [name for name in self if _folded(name) not in self._shipped]

    @overload
    def register(self, name: str, target: T | str) -> None: ...

    @overload
    def register(self, name: str) -> Callable[[D], D]: ...

    def register(self, name: str, target: T | str | None = None) -> Callable[[D], D] | None:
        """Adds an entry, or replaces one of the user's own; without a target it is a decorator.

        Args:
            name: of the entry.
            target: the entry, or ``"package.module:Attribute"``.

        Raises:
            InvalidInputError: a name that gennas has itself, that looks like a path, or a target that is no
                entry of this kind.
        """
        if target is not None:
            self._add(name, target)
            return None

        def decorate(entry: D) -> D:
            self._add(name, cast(T, entry))
            return entry

        return decorate

    def get(self, name: str) -> T:
        """What a person named: a registered entry, ``"package.module:Name"``, or ``"path/to/file.py:Name"``.

        What is imported here is known by its own ``name`` from then on, where it has one: files that mention it are
        understood.

        Raises:
            UnknownNameError: nothing has that name; the nearest is suggested.
            InvalidInputError: it cannot be imported, or is no entry of this kind.
            DataMissingError: there is no such file.
        """
        found = self._found(name)
        if found is not None:
            return self._loaded(*found)
        address, separator, attribute = name.rpartition(":")
        if not (separator and address and attribute):
            hint = f"{name} lacks its ':Name'." if name.endswith(".py") else f"Your own: {self.how}."
            raise unknown(self.kind, name, self, hint)
        entry = self._imported(name, address, attribute)
        self._typed.append((entry, name))
        self.make_known(entry)
        return entry

    def make_known(self, entry: T) -> None:
        """Registers an entry under its own ``name``, if it has one, for as long as this process lives.

        A variant of what gennas has, by the same name, is left alone: in files the name keeps its meaning.
        """
        own = getattr(entry, "name", None)
        if isinstance(own, str) and own and _folded(own) not in self._shipped:
            self.register(own, entry)

    def registered(self, name: str) -> T:
        """What a file names: a registered entry or one of an installed package; no path is ever imported.

        Raises:
            UnknownNameError: nothing has that name; the message says how the user makes it known.
        """
        found = self._found(name) if isinstance(name, str) else None
        if found is not None:
            return self._loaded(*found)
        if not isinstance(name, str) or ":" in name:
            raise UnknownNameError(
                f"{name!r} is not the name of {self._a_kind}, and a file's word is not enough to import it. If it is "
                f"your own, name it yourself: {self.how}."
            )
        raise unknown(self.kind, name, self, f"If it is your own, make it known: {self.how}.")

    def canonical(self, name: str) -> str:
        """The spelling under which a name is registered; the name itself where it is not."""
        found = self._found(name)
        return name if found is None else found[0]

    def name_of(self, entry: object) -> str | None:
        """The name under which an entry is registered, itself or by its path; None where it is not."""
        path = _path_of(entry)
        return next((name for name, target in self._entries.values() if target is entry or target == path), None)

    def address_of(self, entry: object) -> str:
        """What a person writes to name an entry: what was written before, its name, or where it is defined."""
        typed = next((typed for known, typed in reversed(self._typed) if known is entry), None)
        return typed or self.name_of(entry) or _path_of(entry)

    def _add(self, name: str, target: T | str) -> None:
        folded = _folded(name)
        if not folded or ":" in name or "/" in name:
            raise InvalidInputError(f"{name!r} cannot be the name of {self._a_kind}; expected a word like 'mine'.")
        if not isinstance(target, str):
            self._check(name, target)
        if folded in self._shipped:
            known, current = self._entries[folded]
            # Its own module, imported at last, says the same once more.
            if target is not current and current not in (target, _path_of(target)):
                raise InvalidInputError(f"{self.kind} {known!r} comes with gennas; give your own another name.")
            return
        if (member := self._member(folded)) is not None:
            raise InvalidInputError(f"{self.kind} {member[0]!r} comes with gennas; give your own another name.")
        self._entries[folded] = name, target

    @property
    def _a_kind(self) -> str:
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"

    def _found(self, name: str) -> tuple[str, T | str | metadata.EntryPoint] | None:
        """The registered name and the entry, its path, or its entry point."""
        folded = _folded(name)
        if folded in self._entries:
            return self._entries[folded]
        point = next(((point.name, point) for point in self._points() if _folded(point.name) == folded), None)
        return self._member(folded) if point is None else point

    def family(self, name: str) -> Mapping[str, T]:
        """The entries whose names begin as this one does and that are not listed, by their names; mostly none."""
        folded = _folded(name)
        path = next((path for beginning, path in self._families.items() if folded.startswith(beginning)), "")
        module, _, attribute = path.partition(":")
        return cast(Mapping[str, T], getattr(import_module(module), attribute)) if path else {}

    def _member(self, folded: str) -> tuple[str, T] | None:
        """The name and the entry of a family's member."""
        return next(((name, entry) for name, entry in self.family(folded).items() if _folded(name) == folded), None)

    def _points(self) -> Sequence[metadata.EntryPoint]:
        return _points_of(self.group, tuple(sys.path)) if self.group else ()

    def _loaded(self, name: str, target: T | str | metadata.EntryPoint) -> T:
        if isinstance(target, metadata.EntryPoint):
            target = target.value
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            return self._imported(name, module, attribute)
        return target

    def _imported(self, name: str, address: str, attribute: str) -> T:
        if address.endswith(".py"):
            found: Any = load_file(address)
        else:
            try:
                found = import_module(address)
            except (Exception, SystemExit) as error:
                raise UnknownNameError(f"{self.kind} {name!r} cannot be imported: {failure_of(error)}") from error
        for part in attribute.split("."):
            if not hasattr(found, part):
                public = [word for word in vars(found) if not word.startswith("_")]
                defect = str(unknown("name", part, public)) if len(public) < 30 else f"there is no {part!r}."
                raise UnknownNameError(f"{self.kind} {name!r} cannot be imported: {address} was read; {defect}")
            found = getattr(found, part)
        self._check(name, found)
        return cast(T, found)

    def _check(self, name: str, entry: object) -> None:
        if not self.accepts(entry):
            expected = f"; expected {self.expected}" if self.expected else ""
            raise InvalidInputError(f"{name!r} is not {self._a_kind} but {entry!r}{expected}.")


def _folded(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _path_of(entry: object) -> str:
    return f"{getattr(entry, '__module__', '')}:{getattr(entry, '__qualname__', '')}"
