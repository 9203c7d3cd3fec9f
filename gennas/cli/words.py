"""The words of a command line and the keys of a ``--config`` file, in the one spelling that the parser reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gennas.errors import InvalidInputError

#: Groups of the Python API -> their fields -> the options.
_GROUPS = {
    "workers": {"count": "workers", "ray": "ray", "timeout": "timeout", "batch": "batch"},
    "storage": {"folder": "out", "cache": "cache", "database": "database"},
}
#: Other spellings of an option -> its name.
ALIASES = {
    "method": "policy",
    "methods": "policies",
    **{f"{group}.{field}": name for group, members in _GROUPS.items() for field, name in members.items()},
}
#: Flags that take no value, or need none.
SWITCHES = {"draw", "measure", "replace", "debug", "help", "print_config"}
#: Flags of one dash. Any other word with one dash is a value, as in ``--objective -latency_ms``.
_SHORT = ("-h", "-n")


def normalised(words: Sequence[str]) -> list[str]:
    """The words as the parser reads them.

    Flags may be spelled with hyphens or underscores, and by an alias; a value that begins with a dash is joined to its
    flag, as argparse would take it for a flag of its own.
    """
    if words[:1] == ["evaluate-generator"]:
        words = ["evaluate", "generator", *words[1:]]
    aliases = ALIASES | ({"out": "study"} if words[:1] == ["list"] else {})
    read: list[str] = []
    waiting = False
    for position, word in enumerate(words):
        if word == "--":
            return [*read, *words[position:]]
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            name = flag.replace("-", "_")
            name = aliases.get(name, name)
            read.append(f"--{name}{equals}{value}")
            waiting = not equals and name not in SWITCHES
            continue
        if waiting and word.startswith("-") and not word.startswith(_SHORT):
            read[-1] += f"={word}"
        else:
            read.append(word)
        waiting = False
    return _with_config(read, aliases)


def _with_config(words: list[str], aliases: Mapping[str, str]) -> list[str]:
    """The words with the files of ``--config`` in place of their names, and their keys spelled as the parser does."""
    read = list(words)
    for position, word in enumerate(words):
        if word == "--config" and position + 1 < len(words):
            read[position + 1] = _config(words[position + 1], aliases)
        elif word.startswith("--config="):
            read[position] = "--config=" + _config(word.removeprefix("--config="), aliases)
    return read


def _config(file: str, aliases: Mapping[str, str]) -> str:
    import yaml

    try:
        options = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"--config {file} cannot be read: {error}.") from error
    if not isinstance(options, dict):
        raise InvalidInputError(f"--config {file} holds no options; expected a YAML file with lines such as 'seed: 1'.")
    return json.dumps(_keys(options, aliases), default=str)


def _keys(options: Mapping[Any, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for key, value in options.items():
        name = str(key).replace("-", "_")
        if aliases and name in _GROUPS and isinstance(value, dict):
            named |= _keys({f"{name}.{field}": value[field] for field in value}, aliases)
            continue
        named[aliases.get(name, name)] = _keys(value, {}) if isinstance(value, dict) else value
    return named
