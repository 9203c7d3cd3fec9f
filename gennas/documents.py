"""Documents that may come from anybody: JSON and YAML, read within limits that keep no reader busy without end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

#: Documents of gennas are far below these. Values are counted as often as they are referred to.
MOST_BYTES, MOST_LEVELS, MOST_VALUES = 100_000_000, 30, 10_000_000


def read_json(path: Path, *, most_bytes: int = MOST_BYTES) -> Any:
    """The document in a JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no JSON, or more or deeper nested values than any document of gennas.
    """
    return parse_json(read_text(path, most_bytes=most_bytes))


def parse_json(text: str) -> Any:
    """The document in a JSON text.

    Raises:
        ValueError: it is no JSON, or it is nested too deeply.
    """
    try:
        document = json.loads(text)
    except RecursionError:
        document = _TOO_DEEP
    if document is _TOO_DEEP:
        # Outside of the handler: a chain of a thousand frames helps nobody.
        raise ValueError("it is nested too deeply")
    _count(document, MOST_VALUES)
    return document


def parse_yaml(text: str, *, most_values: int = 100_000) -> Any:
    """The document in a YAML text; no objects but those of JSON, and dates.

    Raises:
        ValueError: it is no YAML, it is nested too deeply, it refers to itself, or its references to values make more
            than ``most_values`` of them.
    """
    try:
        document = yaml.load(text, _Loader)
    except RecursionError:
        document = _TOO_DEEP
    except (yaml.YAMLError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error).partition("\n")[0]) from error
    if document is _TOO_DEEP:
        raise ValueError("it is nested too deeply")
    _count(document, most_values)
    return document


def read_text(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file, which is UTF-8, with or without a byte order mark.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no text, or has more than ``most_bytes`` bytes.
    """
    return read_bytes(path, most_bytes=most_bytes).decode("utf-8-sig")


def read_bytes(path: Path, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has more than ``most_bytes`` bytes.
    """
    # Not Path.stat: devices and pipes have no size.
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes} bytes")
    return content


class _Loader(yaml.SafeLoader):
    """YAML without merge keys: they copy what they refer to during reading, and 30 lines can make 2 ** 30 values."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge keys ('<<') are not read", node.start_mark)


_TOO_DEEP = object()


def _count(value: Any, most_values: int, levels: int = 0, values: int = 0) -> int:
    """Counts values as often as they are referred to, so that neither a loop nor an avalanche of references passes."""
    if levels > MOST_LEVELS:
        raise ValueError("it is nested too deeply")
    if values > most_values:
        raise ValueError(f"it has more than {most_values} values")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set):
        return values + 1
    for one in value:
        values = _count(one, most_values, levels + 1, values)
    return values + 1
