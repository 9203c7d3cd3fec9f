"""Networks of timm as parents: ``--space timm:mobilenetv2_100``. timm is imported only when one is asked for.

Chains of inverted residual blocks without squeeze-excite: ``efficientnet_lite0`` to ``4``, ``mobilenetv2_050`` to
``140``, ``mnasnet_100``, ``spnasnet_100`` and their like; others are refused. Weights are never downloaded: they are
read from ``timm_NAME.safetensors`` (or ``.pth``) in the folder ``weights`` of ``GENNAS_HOME``, or from the file that
is given, by timm's own names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from gennas.errors import DataMissingError, InvalidInputError
from gennas.spaces.lite.elastic import ElasticSpace

if TYPE_CHECKING:
    from torch import nn

#: Begins the names of these spaces.
PREFIX = "timm_"


@cache
def timm_space(name: str) -> type[ElasticSpace]:
    """The space of a network of timm.

    Args:
        name: as timm calls it.

    Raises:
        DataMissingError: timm is not installed.
        InvalidInputError: timm has no such network, or it is no chain of inverted residual blocks.
    """
    from gennas.spaces.lite.chain import parent_of

    network = _network(name)
    config: dict[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    side = int(config.get("input_size", (3, 224, 224))[-1])
    mean, std = config.get("mean", (0.485, 0.456, 0.406)), config.get("std", (0.229, 0.224, 0.225))
    attributes = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": f"Sub-networks of timm's {name}.",
        "name": f"{PREFIX}{name}",
        "parent": parent_of(network, name, resolution=side, mean=mean, std=std),
        "brings_weights": False,
        "parent_network": classmethod(lambda cls: _network(name)),
    }
    made: type[ElasticSpace] = dataclass(frozen=True)(type(name, (ElasticSpace,), attributes))
    return made


def _network(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise DataMissingError(
            f"timm:{name} needs timm, which is not installed; install it: pip install timm"
        ) from error
    try:
        network: nn.Module = timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise InvalidInputError(f"timm has no network {name!r} ({error}).") from error
    return network


def __getattr__(name: str) -> type[ElasticSpace]:
    # Classes are found here by processes that a search starts.
    if name.startswith("_"):
        raise AttributeError(name)
    return timm_space(name)
