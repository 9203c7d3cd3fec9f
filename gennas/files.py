"""Atomic writes: a file is either the complete old one or the complete new one, even after a crash."""

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gennas.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to ``path``, which replaces ``path`` if the block ends without an error.

    A device or a pipe, as ``/dev/stdout``, is not replaced: the content is written to it at the end.

    Raises:
        OSError: the file cannot be written; ``filename`` is ``path``.
    """
    with _named(path):
        if _is_special(path):
            with _beside(Path(tempfile.gettempdir()) / path.name) as temporary:
                yield temporary
                with temporary.open("rb") as content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path) as temporary:
            yield temporary
            # mkstemp creates private files; give the file the permissions of any other file of the user.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder next to ``path``, which replaces ``path`` if the block ends without an error.

    Raises:
        OSError: the folder cannot be made; ``filename`` is ``path``.
    """
    with _named(path):
        if _is_special(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:40]}."))
    try:
        yield temporary
        with _named(path):
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o777 & ~umask)
            # A folder cannot be replaced in one step: the earlier one makes room, and comes back if that fails.
            earlier = temporary.with_name(f"{temporary.name}.earlier")
            if path.exists():
                path.rename(earlier)
            try:
                temporary.rename(path)
            except OSError:
                if earlier.exists():
                    earlier.rename(path)
                raise
            shutil.rmtree(earlier, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Finds out whether a file can be written, changing nothing: before the work whose result it is to hold.

    Raises:
        OSError: it cannot; ``filename`` is ``path``.
    """
    with _named(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if _is_special(path):
            return
        # Names that are too long are found out now.
        with suppress(FileNotFoundError):
            path.stat()
        there = next(parent for parent in path.absolute().parents if parent.exists())
        with _beside(there / path.name) as temporary:
            temporary.write_bytes(bytes(4096))


@contextmanager
def locked(path: Path, what: str, kind: str = "folder") -> Iterator[None]:
    """Holds a lock file, which the operating system gives back when the process dies.

    Args:
        path: of the lock file; it stays there, as removing it would race with others.
        what: is written to, for the message.
        kind: of what could be chosen instead.

    Raises:
        StudyError: another process holds it.
        OSError: the lock file cannot be made.
    """
    import filelock

    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise StudyError(
            f"another process is writing to {what}; wait until it ends, or choose another {kind}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _is_special(path: Path) -> bool:
    """Whether a path is that of a device, a pipe or a socket: something that renaming would destroy."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary file next to a path, which is gone at the end."""
    # A part of the name: it may be as long as names can be.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Names the file that could not be written, in place of a temporary one or of none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        # Path.mkdir says of a file in the place of a folder that it exists.
        number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno
        raise OSError(number, os.strerror(number), str(path)) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes text atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Writes indented JSON atomically; see :func:`json_text`."""
    write_text(path, json_text(document) + "\n")


def json_text(document: Any, indent: int | None = 2, default: Callable[[Any], Any] | None = None) -> str:
    """A document as JSON that every parser reads: numbers that are not finite, which JSON does not have, are null.

    Args:
        document: of dicts, lists, strings and numbers.
        indent: spaces per level; None for one line.
        default: what stands for other objects.
    """
    return json.dumps(_finite(document), indent=indent, default=default, allow_nan=False)


def _finite(document: Any) -> Any:
    if isinstance(document, float):
        return float(document) if math.isfinite(document) else None
    if isinstance(document, Mapping):
        return {name: _finite(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [_finite(value) for value in document]
    return document


def write_yaml(path: Path, document: Any) -> None:
    """Writes YAML atomically, keeping the order of the keys."""
    write_text(path, yaml.safe_dump(document, sort_keys=False))


def write_parquet(table: "pd.DataFrame", path: Path, source: Mapping[str, str]) -> None:
    """Writes a table atomically as Parquet, with ``source`` (provenance, licence, machine, ...) in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **source})
    with replacing(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def write_safetensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: "Mapping[str, str] | None" = None) -> None:
    """Writes tensors atomically as safetensors; those that share memory, as tied weights do, are written in full.

    Args:
        path: of the file.
        tensors: by their names.
        metadata: written beside them.
    """
    from safetensors.torch import save

    # The format refuses shared memory.
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, save(own, None if metadata is None else dict(metadata)))
