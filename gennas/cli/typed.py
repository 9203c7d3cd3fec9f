"""The command as it was typed, for studies and reports: without passwords, which a URL may hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from gennas.commands import command

_WORDS: ContextVar[tuple[str, ...]] = ContextVar("words", default=())
_HIDDEN = "***"


@contextmanager
def typed(words: Sequence[str]) -> Iterator[None]:
    """Remembers the words of a command while it runs."""
    token = _WORDS.set(tuple(words))
    try:
        yield
    finally:
        _WORDS.reset(token)


def typed_command() -> str:
    """The command that runs, as it can be pasted into a shell; empty where a program runs."""
    words = _WORDS.get()
    return command(*map(_without_secrets, words)) if words else ""


def _without_secrets(word: str) -> str:
    """A word in which nothing is left of a URL that may hold a password."""
    from gennas.errors import GennasError
    from gennas.studies.database import Database

    if "://" not in word or not {"@", "?"} & set(word):
        return word
    flag, separator, url = word.partition("=") if word.startswith("--") else ("", "", word)
    try:
        database = Database(url)
        return f"{flag}{separator}{database.without_secrets(database.url)}"
    except GennasError:
        return f"{flag}{separator}{url.partition('://')[0]}://{_HIDDEN}"
