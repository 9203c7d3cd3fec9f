"""Python files of the user's own: run as modules, here and in the worker processes that unpickle what they define."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType

from gennas.errors import DataMissingError, InvalidInputError


@dataclass(frozen=True)
class UserFile:
    """A file as it was when it was loaded, so that a worker runs the same text, on another machine too.

    Attributes:
        path: absolute.
        source: its text.
    """

    path: str
    source: str

    @property
    def module(self) -> str:
        """The name of its module, by which pickles find its classes; the same in every process."""
        stem = re.sub(r"\W", "_", Path(self.path).stem)
        return f"gennas_user_{stem}_{sha256(self.path.encode()).hexdigest()[:8]}"


_loaded: dict[str, UserFile] = {}


def load_file(path: str | Path) -> ModuleType:
    """Runs a Python file as a module, unless it was loaded before and has not changed since.

    Its folder is added to the end of the import path, so that it may import what lies beside it.

    Raises:
        DataMissingError: there is no such file, or it is no text.
        InvalidInputError: it fails; the message says in which line, and why.
    """
    resolved = Path(path).expanduser().resolve()
    try:
        source = decode_source(resolved.read_bytes())
    except (OSError, UnicodeDecodeError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataMissingError(
            f"{path} cannot be read: {reason}; expected a Python file. It is looked for from {Path.cwd()}."
        ) from error
    return _run(UserFile(str(resolved), source))


def loaded_files() -> tuple[UserFile, ...]:
    """The files that this process has loaded, in their order."""
    return tuple(_loaded.values())


def load_again(files: Iterable[UserFile]) -> None:
    """Loads what :func:`loaded_files` gave in another process.

    Raises:
        InvalidInputError: a file fails here.
    """
    for file in files:
        _run(file)


def failure_of(error: BaseException, file: str = "") -> str:
    """Where an import failed, and why, in one line.

    Args:
        error: what was raised.
        file: whose last line is named; by default the last place outside of gennas and the import machinery.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: SyntaxError: {error.msg}"
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames, here = traceback.extract_tb(error.__traceback__), str(Path(__file__).parent)
    own = [frame for frame in frames if frame.filename == file]
    own = own or [f for f in frames if "importlib" not in f.filename and not f.filename.startswith(here)]
    return f"{own[-1].filename}, line {own[-1].lineno}: {reason}" if own else reason


def _run(file: UserFile) -> ModuleType:
    if _loaded.get(file.path) == file:
        return sys.modules[file.module]
    module = ModuleType(file.module)
    module.__file__ = file.path
    before = sys.modules.get(file.module)
    # Dataclasses and pickles look a class's module up while it still runs.
    sys.modules[file.module] = module
    if (folder := str(Path(file.path).parent)) not in sys.path:
        sys.path.append(folder)
    try:
        exec(compile(file.source, file.path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        sys.modules.pop(file.module)
        if before is not None:
            sys.modules[file.module] = before
        raise InvalidInputError(f"cannot load {failure_of(error, file.path)}") from error
    _loaded[file.path] = file
    return module
