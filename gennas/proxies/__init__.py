"""Proxies: training-free scores of networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from gennas.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from gennas.proxies.base import Proxy

_HERE = "gennas.proxies"
PROXIES: Registry[Proxy] = Registry(
    "proxy",
    {
        **{
            name: f"{_HERE}.{name}:{name}"
            for name in ("naswot", "knas", "synflow", "grad_norm", "snip", "grasp", "jacov", "zico", "zen")
        },
        **{name: f"{_HERE}.az_nas:{name}" for name in ("expressivity", "progressivity", "trainability")},
        **{name: f"{_HERE}.costs:{name}" for name in ("params_m", "macs_m")},
    },
    group="gennas.proxies",
    expected="a function (network, batch) -> float",
    accepts=lambda entry: callable(entry) and not isinstance(entry, type),
    how="`proxy` path/to/file.py:my_proxy (in Python: @register_proxy)",
)
#: Draws a network's weights anew.
Initialise: TypeAlias = "Callable[[nn.Module], None]"


def register_proxy(name: str, *, initialise: Initialise | None = None) -> Callable[[Proxy], Proxy]:
    """Decorates a training-free score: gives it a name, and says how the network that it sees is initialised.

    Args:
        name: of the score.
        initialise: how the weights are drawn, where it is not torch's own way.

    Raises:
        InvalidInputError: gennas has a proxy of that name.
    """

    def decorate(proxy: Proxy) -> Proxy:
        setattr(proxy, _INITIALISE, initialise)
        PROXIES.register(name, proxy)
        return proxy

    return decorate


def initialise_of(proxy: Proxy) -> Initialise | None:
    """How the weights are drawn of a network that a proxy sees; None for torch's own way."""
    found: Initialise | None = getattr(proxy, _INITIALISE, None)
    return found


_INITIALISE = "gennas_initialise"

__all__ = ["PROXIES", "initialise_of", "register_proxy"]
