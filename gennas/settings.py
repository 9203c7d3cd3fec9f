"""Settings as they are stored in files: reading them safely, and saying how two sets of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gennas.errors import InvalidInputError

#: Settings of gennas are far below these; a file above them would keep whoever reads it busy without end.
_MOST_BYTES, _MOST_VALUES, _MOST_LEVELS = 1_000_000, 100_000, 30


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """The settings that differ, one phrase each with both values; nested settings have dotted names.

    Args:
        stored: what was used before.
        asked: what is wanted now.

    Returns:
        E.g. ``["recipe.epochs was 8, is now 12", "recipe.seed was not set, is now 1"]``; empty where nothing differs.
    """
    old, new = _flat(stored), _flat(asked)
    return [
        f"{name} was {_shown(old, name)}, is now {_shown(new, name)}"
        for name in {**old, **new}
        if name not in old or name not in new or old[name] != new[name]
    ]


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "not set"


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a YAML file.

    Raises:
        InvalidInputError: the file cannot be read, or holds anything but settings: broken YAML, levels nested too
            deeply, a value that contains itself.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        settings = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        if not isinstance(settings, dict):
            raise ValueError(f"it holds {'nothing' if settings is None else type(settings).__name__}")
        _count(settings)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or type(error).__name__}.") from error
    except RecursionError:
        reason = "it is nested too deeply"
    except (yaml.YAMLError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
    else:
        return settings
    # Outside of the handlers: a chain of a thousand frames helps nobody.
    raise InvalidInputError(f"{path} is damaged ({reason}); expected settings, one 'name: value' per line.")


class _Loader(yaml.SafeLoader):
    """YAML without merge keys: they copy what they refer to during reading, and 30 lines can make 2 ** 30 values."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge keys ('<<') are not read", node.start_mark)


def _count(value: Any, levels: int = 0, values: int = 0) -> int:
    """Counts values as often as they are referred to, so that neither a loop nor an avalanche of references passes."""
    if levels > _MOST_LEVELS:
        raise ValueError("it is nested too deeply")
    if values > _MOST_VALUES:
        raise ValueError(f"it has more than {_MOST_VALUES} values")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
    for one in inner:
        values = _count(one, levels + 1, values)
    return values + 1


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    if not isinstance(settings, Mapping) or (prefix and not settings):
        return {prefix: settings}
    return {
        name: value
        for key, inner in settings.items()
        for name, value in _flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()
    }
