"""How the paths of a supernet are trained together: one class per file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennas.errors import unknown
from gennas.registry import Registry
from gennas.supernets.strategies.base import Step, Strategy, setting_names

_HERE = "gennas.supernets.strategies"
STRATEGIES: Registry[type[Strategy]] = Registry(
    "strategy",
    {
        "sandwich": f"{_HERE}.sandwich:Sandwich",
        "uniform": f"{_HERE}.uniform:Uniform",
        "sorted": f"{_HERE}.sorted:Sorted",
        "fair": f"{_HERE}.fair:Fair",
        "splits": f"{_HERE}.splits:Splits",
        "k_shot": f"{_HERE}.k_shot:KShot",
        "plasticity": f"{_HERE}.plasticity:Plasticity",
    },
    group="gennas.strategies",
    expected="a subclass of gennas.supernets.strategies.Strategy",
    accepts=lambda entry: isinstance(entry, type) and issubclass(entry, Strategy),
)


def get_strategy(name: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy of a name.

    Args:
        name: registered, or ``"path/to/file.py:Class"``.
        options: its settings; the others keep their defaults.

    Raises:
        UnknownNameError: no such strategy or setting; the nearest is suggested.
        InvalidInputError: a setting out of range.
    """
    strategy = STRATEGIES.get(name)
    known = setting_names(strategy)
    for option in options or {}:
        if option not in known:
            raise unknown(f"setting of strategy {name}", option, known)
    return strategy(**(options or {}))


__all__ = ["STRATEGIES", "Step", "Strategy", "get_strategy"]
