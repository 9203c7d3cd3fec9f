"""Atomic writes: a file is either the complete old one or the complete new one, even after a crash."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to ``path``, which replaces ``path`` if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp creates private files; give the file the permissions of any other file of the user.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes text atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Writes indented JSON atomically."""
    write_text(path, json.dumps(document, indent=2) + "\n")


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


def write_safetensors(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    """Writes tensors atomically as safetensors."""
    from safetensors.torch import save

    write_bytes(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
