"""Settings as they are stored in files: reading them, and saying how two sets of them differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gennas.documents import parse_yaml, read_text
from gennas.errors import InvalidInputError, reason_of

_MOST_BYTES = 1_000_000
_HASH = re.compile("[0-9a-f]{12}|[0-9a-f]{64}")


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """The settings that differ, one phrase each with both values; nested settings have dotted names.

    Of a hash, which stands for the content of a file or of a network, it is only said that it differs.

    Args:
        stored: what was used before.
        asked: what is wanted now.

    Returns:
        E.g. ``["recipe.epochs was 8, is now 12", "recipe.seed was not set, is now 1"]``; empty where nothing differs.
    """
    old, new = _flat(stored), _flat(asked)
    return [
        f"{name} has other content than before"
        if _is_hash(old.get(name)) and _is_hash(new.get(name))
        else f"{name} was {_shown(old, name)}, is now {_shown(new, name)}"
        for name in {**old, **new}
        if name not in old or name not in new or old[name] != new[name]
    ]


def _shown(settings: Mapping[str, Any], name: str) -> str:
    if _is_hash(settings.get(name)):
        return "given"
    return repr(settings[name]) if name in settings else "not set"


def _is_hash(value: object) -> bool:
    """Whether a value is what ``hexdigest()`` gave, possibly cut."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def read_settings(path: Path, expected: str = "settings, one 'name: value' per line") -> dict[str, Any]:
    """The settings in a YAML file.

    Args:
        path: of the file.
        expected: what it should hold, for messages.

    Raises:
        InvalidInputError: the file cannot be read, or holds anything but settings: broken YAML, levels nested too
            deeply, a value that contains itself.
    """
    try:
        settings = parse_yaml(read_text(path, most_bytes=_MOST_BYTES))
        if not isinstance(settings, dict):
            raise ValueError(f"it holds {'nothing' if settings is None else type(settings).__name__}")
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be read: {reason_of(error)}; expected a YAML file of {expected}."
        ) from error
    except ValueError as error:
        raise InvalidInputError(f"{path} is damaged ({error}); expected {expected}.") from error
    return settings


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    if not isinstance(settings, Mapping) or (prefix and not settings):
        return {prefix: settings}
    return {
        name: value
        for key, inner in settings.items()
        for name, value in _flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()
    }
