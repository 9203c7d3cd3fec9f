"""The words of a command line and the keys of a ``--config`` file, in the one spelling that the parser reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gennas.documents import parse_yaml, read_text
from gennas.errors import InvalidInputError, reason_of
from gennas.files import json_text
from gennas.training.recipe import Recipe

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
SWITCHES = {
    *("draw", "block_times", "measure", "replace", "nested", "raw_images", "within_table", "correct"),
    *("yes", "debug", "help", "print_config"),
}
#: What is given without a flag, and what may be given several times.
_POSITIONAL, _LISTS = ("key", "name", "kind"), ("where",)
#: Verbs that train, by a recipe that has a name or a file.
_TRAINING = ("search", "validate", "collect")
#: Flags of one dash. Any other word with one dash is a value, as in ``--objective -latency_ms``.
_SHORT = ("-h", "-n")


def normalised(words: Sequence[str]) -> list[str]:
    """The words as the parser reads them, with the files of ``--config``, and the settings of ``--recipe``, in place of
    their names."""
    read = _with_config(spelled(words), _aliases(words))
    return with_recipe(read) if read[:1] and read[0] in _TRAINING else read


def spelled(words: Sequence[str]) -> list[str]:
    """The words in the one spelling that the parser knows; no file is read.

    Flags may be spelled with hyphens or underscores, and by an alias; a value that begins with a dash is joined to its
    flag, as argparse would take it for a flag of its own.
    """
    if words[:1] == ["evaluate-generator"]:
        words = ["evaluate", "generator", *words[1:]]
    aliases = _aliases(words)
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
    return read


def _aliases(words: Sequence[str]) -> dict[str, str]:
    return ALIASES | ({"out": "study"} if words[:1] == ["list"] else {})


def _with_config(words: list[str], aliases: Mapping[str, str]) -> list[str]:
    """The words with the files of ``--config`` in place of their names, and their keys spelled as the parser does."""
    read: list[str] = []
    position = 0
    while position < len(words):
        flag, equals, file = words[position].partition("=")
        if flag != "--config" or (not equals and position + 1 == len(words)):
            read.append(words[position])
            position += 1
            continue
        options = _config(file if equals else words[position + 1], aliases)
        # The parser takes these from the command line only.
        positional = [text for name in _POSITIONAL for text in options.pop(name, [])]
        read += ["--config", json.dumps(options, default=str), *positional]
        position += 1 if equals else 2
    return read


def with_recipe(words: list[str]) -> list[str]:
    """The words with the settings of the recipe in place of its name, before the flags that change single ones."""
    read: list[str] = []
    first, settings, position = None, "", 0
    while position < len(words):
        flag, equals, value = words[position].partition("=")
        if first is None and (flag == "--recipe" or flag.startswith("--recipe.")):
            first = len(read)
        if flag == "--recipe" and (equals or position + 1 < len(words)):
            settings = _recipe(value if equals else words[position + 1])
            position += 1 if equals else 2
            continue
        read.append(words[position])
        position += 1
    return [*read[:first], "--recipe", settings, *read[first:]] if settings else read


def _recipe(name: str) -> str:
    """All settings of a recipe, as one word, by its name or its file; settings as they are."""
    if name.startswith("{"):
        return name
    return json_text(asdict(Recipe.named(name)), indent=None)


def _config(file: str, aliases: Mapping[str, str]) -> dict[str, Any]:
    try:
        options = parse_yaml(read_text(Path(file)))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"--config {file} cannot be read: {reason_of(error)}.") from error
    if not isinstance(options, dict):
        raise InvalidInputError(f"--config {file} holds no options; expected a YAML file with lines such as 'seed: 1'.")
    named = _keys(options, aliases)
    if isinstance(recipe := named.get("recipe"), str):
        named["recipe"] = asdict(Recipe.named(recipe))
    elif isinstance(recipe, dict) and "base" in recipe:
        named["recipe"] = asdict(Recipe.of(recipe))
    for name in (*_POSITIONAL, *_LISTS):
        if name in named:
            named[name] = _texts(named[name], name, file)
    return named


def _texts(value: Any, name: str, file: str) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise InvalidInputError(f"--config {file}: {name} is {value!r}; expected a text, or a list of texts.")
    return [str(text) for text in texts]


def _keys(options: Mapping[Any, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for key, value in options.items():
        name = str(key).replace("-", "_")
        if aliases and name in _GROUPS and isinstance(value, dict):
            named |= _keys({f"{name}.{field}": value[field] for field in value}, aliases)
            continue
        named[aliases.get(name, name)] = _keys(value, {}) if isinstance(value, dict) else value
    return named
