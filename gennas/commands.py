"""Commands that are printed for the user to run next."""

from __future__ import annotations

import os
import shlex


def command(*words: str, **options: object) -> str:
    """A command that can be pasted into a shell.

    Args:
        words: verb and positional arguments.
        options: flag -> value; flags of None, of an empty string and of False are left out.
    """
    parts = ["gennas", *words]
    for name, value in options.items():
        if value is None or value is False or value == "":
            continue
        flag = "-n" if name == "n" else "--" + name.replace("_", "-")
        parts += [flag] if value is True else [flag, str(value)]
    return " ".join(map(_quoted, parts))


def _quoted(word: str) -> str:
    """A word for a shell; bytes that are not UTF-8 are written as bash and zsh read them."""
    try:
        word.encode()
    except UnicodeEncodeError:
        escaped = word.replace("\\", "\\\\").replace("'", "\\'")
        return f"$'{os.fsencode(escaped).decode('utf-8', 'backslashreplace')}'"
    return shlex.quote(word)
