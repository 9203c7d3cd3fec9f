"""Asking before work whose cost is out of proportion: on a terminal; elsewhere ``--yes`` is the answer."""

from __future__ import annotations

import sys

from gennas.consent import Ask
from gennas.errors import InvalidInputError


def asker(yes: bool) -> Ask:
    """What asks the user.

    Args:
        yes: they have said it already.
    """

    def ask(cost: str, instead: str) -> None:
        if yes:
            print(f"{cost}; going on, as --yes was given.", file=sys.stderr, flush=True)
            return
        advice = f"{instead[0].upper()}{instead[1:]}, or give --yes to do it all the same."
        if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise InvalidInputError(f"{cost}. {advice}")
        print(f"{cost}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise InvalidInputError(f"not begun. {advice}")

    return ask
