"""The exceptions of gennas: every one is something the user can correct, and its message says how."""

from collections.abc import Iterable
from difflib import get_close_matches


class GennasError(Exception):
    """Base class: the message says what is wrong (with the value), what was expected and what to do next.

    Arguments of Python functions that a message mentions stand in backticks (``lower `strength```); the command line
    shows them as its flags.

    Args:
        message: one or two sentences; with ``argument``, what follows the argument's name, as
            ``"is 1.2; must be in [0.5, 1)"``.
        argument: the argument at fault; ``str(error)`` begins with it.
    """

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument

    @property
    def message(self) -> str:
        """What follows the argument's name."""
        return str(self.args[0])

    def __str__(self) -> str:
        return self.message if self.argument is None else f"{self.argument} {self.message}"


class UnknownNameError(GennasError):
    """A space, task, hardware, metric, checkpoint or operation of that name does not exist."""


class InvalidArchError(GennasError):
    """An arch or its native string breaks a rule of its space."""


class InvalidInputError(GennasError):
    """An option, an objective, a constraint or a file has a value that cannot be used."""


class InfeasibleError(GennasError):
    """No arch of the space can meet the constraints."""


class DataMissingError(GennasError):
    """A table, a checkpoint or images that the command needs are not on this machine."""


class StudyError(GennasError):
    """A run folder belongs to another configuration, or another process is writing to it."""


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """An UnknownNameError that suggests the nearest known name and lists the others.

    Args:
        kind: what the name should have been, e.g. ``"task"``.
        name: the name that arrived.
        known: the names that exist.
        hint: a closing sentence, e.g. the command that lists them.
    """
    names = sorted(known)
    folded = {candidate.lower(): candidate for candidate in names}
    near = get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    suggestion = f" Did you mean {folded[near[0]]!r}?" if near else ""
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"unknown {kind} {name!r}.{suggestion} Known: {listing}.{' ' + hint if hint else ''}")
