"""The exceptions of gennas: every one is something the user can correct, and its message says how."""

import errno
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


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "", meant: str = "") -> UnknownNameError:
    """An UnknownNameError that suggests the nearest known name and lists the others.

    Args:
        kind: what the name should have been, e.g. ``"task"``.
        name: the name that arrived.
        known: the names that exist.
        hint: a closing sentence, e.g. the command that lists them.
        meant: the known name that the word stands for, however it is spelled.
    """
    names = sorted(known)
    folded = {candidate.lower(): candidate for candidate in names}
    near = get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    nearest = meant or (folded[near[0]] if near else "")
    suggestion = f" Did you mean {nearest!r}?" if nearest else ""
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"unknown {kind} {name!r}.{suggestion} Known: {listing}.{' ' + hint if hint else ''}")


def in_file(path: object, error: GennasError, argument: str, prefix: str = "") -> GennasError:
    """An error of the same kind that names the file at fault, and the argument whose value that is.

    Args:
        path: of the file.
        error: on what the file holds.
        argument: that names the file.
        prefix: of the error's own argument, which a file does not have.
    """
    said = str(error).removeprefix(prefix)
    return type(error)(said if said.startswith(f"{path} ") else f"{path}: {said}", argument=argument)


def short(text: str, max_length: int = 120) -> str:
    """The text, with its middle elided if it is longer than ``max_length``."""
    return text if len(text) <= max_length else f"{text[: max_length // 2]}...{text[-max_length // 2 :]}"


def reason_of(error: Exception) -> str:
    """What is wrong with a file, without the number and the path that Python puts into an OSError's message."""
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


def is_about_a_file(error: OSError) -> bool:
    """Whether the operating system refused a file, and not, say, a connection."""
    return error.filename is not None or error.errno in _ADVICE


def file_sentence(error: OSError) -> str:
    """One sentence about a file that the operating system refused: which one, why, and what to do."""
    # Names of files are shown as Python writes them where they are no text.
    name = str(error.filename).encode(errors="backslashreplace").decode() if error.filename is not None else "a file"
    return f"cannot use {short(name)}: {reason_of(error)}{_ADVICE.get(error.errno or 0, '')}."


_ELSEWHERE = "; choose another place"
_ADVICE = {
    errno.ENOSPC: "; make room, or choose another place",
    errno.EDQUOT: "; make room, or choose another place",
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.ENOTDIR: _ELSEWHERE,
    errno.EISDIR: _ELSEWHERE,
    errno.ENAMETOOLONG: "; choose a shorter one",
    errno.EMFILE: "; raise the limit of open files with: ulimit -n 4096",
}
