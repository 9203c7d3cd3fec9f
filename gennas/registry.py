"""Names for classes: a registry maps a name to a class that is imported only when it is asked for."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Generic, TypeVar, cast

from gennas.errors import UnknownNameError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to factories of one kind.

    Args:
        kind: the word for an entry in error messages, e.g. ``"space"``.
        entries: name -> ``"package.module:Attribute"``; nothing is imported until :meth:`get`.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def list(self, pattern: str = "*") -> list[str]:
        """The registered names that match a glob ``pattern``, sorted."""
        return sorted(name for name in self._entries if fnmatchcase(name, pattern))

    def register(self, name: str, target: str) -> None:
        """Adds an entry; ``target`` is ``"package.module:Attribute"``."""
        self._entries[name] = target

    def get(self, name: str) -> T:
        """The object behind a registered name, or behind a ``"package.module:Attribute"`` path.

        Raises:
            UnknownNameError: the name is not registered, or the path cannot be imported.
        """
        target = self._entries.get(name, name)
        module, separator, attribute = target.partition(":")
        if not (separator and module and attribute):
            raise unknown(self.kind, name, self._entries, "Your own: 'package.module:Class'.")
        try:
            return cast(T, getattr(import_module(module), attribute))
        except (ImportError, AttributeError, TypeError) as error:
            raise UnknownNameError(f"{self.kind} {name!r} cannot be imported: {error}.") from error

    def name_of(self, target: str) -> str:
        """The registered name of a ``"package.module:Attribute"`` path; the path itself where it has none."""
        return next((name for name, known in self._entries.items() if known == target), target)
