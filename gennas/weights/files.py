"""Reading files with weights, which may come from anybody: nothing in them is executed."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.errors import DataMissingError, InvalidInputError, short
from gennas.paths import readable

if TYPE_CHECKING:
    from torch import Tensor

#: Endings of files with weights.
ENDINGS = (".safetensors", ".pth", ".pt")
#: What the first level of a checkpoint calls its weights.
_WRAPPED = ("state_dict", "model", "model_state_dict")


def read_file(path: Path) -> dict[str, Tensor]:
    """The weights of a file: safetensors, or what ``torch.save`` wrote, if it holds nothing but weights.

    Raises:
        DataMissingError: there is no such file.
        InvalidInputError: it cannot be read, holds more than weights, or weights that are not finite.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataMissingError(f"there is no file {readable(path)} with weights.")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, weights_only=True, map_location="cpu")
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(
            path, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from error
    except pickle.UnpicklingError as error:
        raise _unreadable(path, "it is damaged, or holds more than weights, which might run code") from error
    if isinstance(state, Mapping):
        state = next((state[key] for key in _WRAPPED if isinstance(state.get(key), Mapping)), state)
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise _unreadable(path, "it holds no names with weights")
    odd = [name for name, values in state.items() if values.is_floating_point() and not bool(values.isfinite().all())]
    if odd:
        raise _unreadable(path, f"{odd[0]} has values that are not finite; {len(odd)} of {len(state)} have")
    return dict(state)


def _unreadable(path: Path, why: str) -> InvalidInputError:
    return InvalidInputError(f"{readable(path)} cannot be used as weights: {short(why, 200)}. Give an intact file.")


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin_of(path: Path) -> dict[str, str]:
    """What :func:`gennas.weights.convert` noted in a file of safetensors."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}
