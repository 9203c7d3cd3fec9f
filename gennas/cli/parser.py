"""The parser: the signature of every verb makes its flags, and a dataclass of options in it a titled group of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from gennas.cli.options import NetworkOptions, Options
from gennas.cli.output import Outcome
from gennas.errors import GennasError, InvalidInputError, unknown
from gennas.training.recipe import RECIPES

Verb = Callable[..., Outcome]
Verbs = Mapping[str, Verb | Mapping[str, Verb]]

#: What the command line spells in its own way, and therefore adds by hand; where no help is given, that of the verb and
#: its default stand.
_SPELLED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "key": (("key",), {"nargs": "*", "type": str, "help": "archs in their native notation"}),
    "where": (("--where",), {"action": "append", "default": [], "metavar": "BOUND",
                             "help": "bounds such as 'params_m <= 0.8, latency_ms@pixel3 <= 5'; may be repeated"}),
    "task": (("--task",), {"action": "append", "required": True, "metavar": "TASK",
        "help": "digits, a folder of images with a folder per class, or with --table a task of the table; repeated, "
                "one search for several tasks"}),
    "draw": (("--draw",), {"action": "store_true", "help": "draw every arch as SVG"}),
    "block_times": (("--block_times",), {"action": "store_true",
        "help": "with --draw and --task: add each block's share of the time, measured here with torch"}),
    "nested": (("--nested",), {"action": "store_true",
                               "help": "read the images in subfolders of class folders, too"}),
    "raw_images": (("--raw_images",), {"action": "store_true",
                                       "help": "also write network_raw.onnx, which takes raw RGB bytes of any size"}),
    "int8": (("--int8",), {"action": "store_true", "help": "also write network_int8.onnx, quantised to 8 bits"}),
    "within_table": (("--within_table",), {"action": "store_true",
                                           "help": "propose none but the archs that the table has"}),
    "correct": (("--correct",), {"action": "store_true",
                                 "help": "learn from these trainings to correct accuracies of --inherit's supernet"}),
    "n": (("-n", "--n"), {"type": int}),
    "name": (("name",), {"type": str, "help": "device name, e.g. my-phone"}),
    "measure": (("--measure",), {"action": "store_true", "help": "measure archs on this machine"}),
    "replace": (("--replace",), {"action": "store_true", "help": "discard earlier measurements of this device"}),
    "space_or_file": (("space_or_file",), {"type": str, "metavar": "SPACE",
                                           "help": "a name of `gennas list spaces`, or path/to/file.py:Class"}),
    "table_or_file": (("table_or_file",), {"type": str, "metavar": "TABLE",
                                           "help": "a CSV or Parquet file, or a name of `gennas list tables`"}),
    "kind": (("kind",), {"nargs": "?", "type": str,
                         "help": "spaces, tables, checkpoints, hardware, tasks or evaluations"}),
}  # fmt: skip
#: Of these, what most verbs take once: spelled only where it may be given several times.
_REPEATED = ("task",)
#: What stands for the settings of a recipe, see :mod:`gennas.cli.words`.
_RECIPE = "quick, standard, thorough or tiny, or a YAML file of your own; single settings change it"
#: Arguments of the library -> options that are called otherwise.
_OTHERWISE = {"fixed": "fix", "study": "out", "folder": "out"}
#: Options of other verbs, for what a verb cannot do, and what can.
_INSTEAD = {
    ("design", "targets"): ", which is for classes; for values and labels: gennas search --space lite0 --targets ...",
}
#: What is chosen before networks are trained.
_OF_NETWORKS = [field.name for field in fields(NetworkOptions)]
#: A last clause of a sentence which names an argument.
_ADVICE = re.compile(r"; [^;`]*`([a-z_.]+)`(?:[^;.]|\.(?! [A-Z]|$))*")
#: What every verb takes.
_COMMON = ("config", "format", "yes", "debug")


class _Help(DefaultHelpFormatter):
    """Without types, which the texts say better, and without defaults that say nothing."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = (action.help or "").replace("``", "")
        if action.required and action.option_strings:
            return f"{text} (required)"
        silent = any(action.default is none for none in (None, False, argparse.SUPPRESS)) or action.default in ("", [])
        return text if silent or "%(default)" in text or not action.option_strings else f"{text} (default: %(default)s)"

    def _format_action(self, action: argparse.Action) -> str:
        # A group of options can be read from a file of its own; --config does the same, and once is enough in a help.
        whole_group = action.metavar == "CONFIG" and action.dest != "config"
        return "" if whole_group else super()._format_action(action)


class UsageError(InvalidInputError):
    """The words of the command line cannot be read; the message is jsonargparse's, see :func:`usage_sentence`."""


class _Parser(ArgumentParser):
    """Shows flags with hyphens, and raises :class:`UsageError` for what it cannot read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, formatter_class=_Help, **options)

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        return _hyphens(super().format_help(formatter))

    def format_usage(self) -> str:
        return _hyphens(super().format_usage())

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise UsageError(message) from ex


def parser_of(verbs: Verbs, about: Mapping[str, str]) -> ArgumentParser:
    """The parser of the whole command line.

    Args:
        verbs: name -> verb, or its parts.
        about: what the verbs that have parts are for.
    """
    parser = _Parser(
        prog="gennas", description="Generates neural architectures for a task and a device. Start with: gennas list"
    )
    commands = parser.add_subcommands(dest="verb", required=True)
    for name, verb in verbs.items():
        if callable(verb):
            commands.add_subcommand(name, _verb_parser(verb), help=_summary(verb))
            continue
        nested = _Parser(description=f"gennas {name}: {about[name]}")
        commands.add_subcommand(name, nested, help=f"{', '.join(verb)}: {about[name]}")
        parts = nested.add_subcommands(dest="part", required=True)
        for part, function in verb.items():
            parts.add_subcommand(part, _verb_parser(function), help=_summary(function))
    return parser


def _verb_parser(verb: Verb) -> ArgumentParser:
    parser = _Parser(description=_summary(verb))
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    groups = option_groups(verb)
    own = set(get_type_hints(verb)) - {"return"}
    spelled = _add_spelled(parser, own, verb)
    parser.add_function_arguments(verb, as_group=False, skip=spelled | set(groups), as_positional=False)
    # argparse has no public way to find an argument.
    for action in parser._actions:
        if action.dest == "recipe":
            default = next(
                name for name, recipe in RECIPES.items() if recipe == signature(verb).parameters["recipe"].default
            )
            action.metavar, action.help = "NAME", f"{_RECIPE} (default: {default})"
    for kind in groups.values():
        group = parser.add_argument_group(_summary(kind).removesuffix("."))
        spelled = _add_spelled(group, {field.name for field in fields(kind)}, kind)
        group.add_class_arguments(kind, as_group=False, skip=spelled, instantiate=False)
    parser.add_argument("--format", choices=["table", "json"], default="table", help="what to print on stdout")
    parser.add_argument("--yes", action="store_true", help="begin work that takes hours or most of the memory unasked")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_spelled(container: Any, names: set[str], documented: Any) -> set[str | int]:
    hints = get_type_hints(documented)
    once = {name for name in _REPEATED if name in hints and get_origin(hints[name]) is not Sequence}
    taken = [name for name in _SPELLED if name in names - once]
    described = {one.arg_name: one.description for one in parse_docstring(documented.__doc__ or "").params}
    parameters = signature(documented).parameters
    for name in taken:
        flags, options = _SPELLED[name]
        own: dict[str, Any] = (
            {} if "help" in options else {"help": described[name], "default": parameters[name].default}
        )
        container.add_argument(*flags, **own, **options)
    return set(taken)


def option_groups(verb: Verb) -> dict[str, type[Options]]:
    """The parameters of a verb that hold several options, and their classes."""
    hints = get_type_hints(verb).items()
    return {name: hint for name, hint in hints if isinstance(hint, type) and issubclass(hint, Options)}


def arguments_of(verb: Verb, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the verb is called with: the options of a group become one object.

    Args:
        verb: the verb.
        given: option -> value, as parsed, those of every verb included.
    """
    arguments = {name: value for name, value in given.items() if name not in _COMMON}
    if isinstance(bounds := arguments.get("where"), str | list):
        bounds = [bounds] if isinstance(bounds, str) else bounds
        arguments["where"] = [part.strip() for text in bounds for part in str(text).split(",") if part.strip()]
    for name, kind in option_groups(verb).items():
        arguments[name] = kind(**{field.name: arguments.pop(field.name) for field in fields(kind)})
    return arguments


def option_names(verb: Verb) -> list[str]:
    """The options of a verb as a parser names them: ``image_size``, ``recipe.epochs``."""
    hints = {name: hint for name, hint in get_type_hints(verb).items() if name != "return"}
    names = list(_COMMON)
    for name, hint in hints.items():
        if not is_dataclass(hint):
            names.append(name)
        elif isinstance(hint, type) and issubclass(hint, Options):
            names += [field.name for field in fields(hint)]
        else:
            names += [f"{name}.{field.name}" for field in fields(hint)]
    return names


def with_flags(text: str, names: Iterable[str]) -> str:
    """A message of the library as the command line shows it: `` `image_size` `` becomes ``--image-size``.

    Where the verb has no such option, as the networks are trained, a clause that advises it is left out.
    """
    flags = _flags(tuple(names))
    text = _ADVICE.sub(lambda found: "" if found[1] in _OF_NETWORKS and found[1] not in flags else found[0], text)
    return re.sub(r"`([a-z_.]+)`", lambda found: flags.get(found[1], found[0]), text)


def error_with_flags(error: GennasError, names: Iterable[str], given: Mapping[str, object] | None = None) -> str:
    """The message of an error, its argument shown as a flag.

    Args:
        error: with the argument's name, if it is about one.
        names: of the verb's options.
        given: option -> value: a task is named as it was typed, which may be a path.
    """
    if error.argument == "task" and isinstance(typed := (given or {}).get("task"), str):
        from gennas.tasks.folder import task_name

        if error.message.startswith(named := f"is {task_name(Path(typed))!r}"):
            error = type(error)(f"is {typed!r}{error.message.removeprefix(named)}", argument=error.argument)
    if error.argument is None:
        return with_flags(str(error), names)
    names = tuple(names)
    flags, argument = _flags(names), error.argument
    option, _, setting = argument.rpartition(".")
    if option in flags and not any(name.startswith(f"{option}.") for name in names):
        # Of what a file holds, which has no flag, whatever flag has the same name.
        return f"{flags[option]}: {setting} {with_flags(error.message, names)}"
    flag = flags.get(argument) or flags.get(setting, argument)
    if any(name.startswith(f"{argument}.") for name in names):
        # Of a group of options that a file may hold.
        flag = _flag(argument)
    return f"{flag} {with_flags(error.message, names)}"


@cache
def _flags(names: tuple[str, ...]) -> dict[str, str]:
    """Argument -> flag; a field of a nested group also by its own name, where no option has that."""
    flags = {name.rpartition(".")[2]: _flag(name) for name in names if "." in name}
    flags |= {argument: _flag(name) for argument, name in _OTHERWISE.items() if name in names}
    return flags | {name: _flag(name) for name in names}


def _flag(name: str) -> str:
    return "-n" if name == "n" else "--" + name.replace("_", "-")


def _summary(documented: Any) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0]


def _hyphens(text: str) -> str:
    return re.sub(r"(?<![\w-])--\w[\w.]*", lambda flag: flag[0].replace("_", "-"), text)


def usage_sentence(message: str, verb: str, names: Sequence[str]) -> str:
    """One of jsonargparse's messages in the form of ours.

    Args:
        message: of a :class:`UsageError`.
        verb: as it was typed, e.g. ``"pretrain generator"``; empty where none was.
        names: of the verb's options.
    """
    listing = f"list them with: gennas {verb} --help".replace("  ", " ")
    if found := re.match(r"unrecognized arguments: --([\w.]+)", message):
        if found[1] in names:
            # What exists is no option: it has no flag.
            return f"{_flag(found[1])} is not an option of gennas {verb}; write its value without the flag."
        if instead := _INSTEAD.get((verb, found[1].replace("-", "_"))):
            return f"{_flag(found[1])} is not an option of gennas {verb}{instead}"
        near = get_close_matches(found[1], names, n=1, cutoff=0.6)
        suggestion = f" Did you mean {_flag(near[0])}?" if near else ""
        return f"{_flag(found[1])} is not an option of gennas {verb}.{suggestion} {listing.capitalize()}"
    if found := re.match(r"unrecognized arguments: (.+)", message):
        return f"unexpected {found[1]!r}; expected options of gennas {verb}; {listing}"
    if found := re.match(r"the following arguments are required: (.+)", message):
        missing = [_flag(name.strip().rpartition(".")[2]) for name in found[1].split(",")]
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} required."
    if found := re.match(r"argument (\S+): expected one argument", message):
        return f"{_hyphens(found[1].split('/')[0])} needs a value."
    if found := re.match(r'expected "(?:([\w.]+)\.)?(?:verb|part)" to be one of \{(.*?)\}', message):
        return f"gennas {found[1]} needs one of {found[2].replace(',', ', ')}." if found[1] else f"no verb; {listing}"
    if found := re.match(r"argument (?:verb|part): invalid choice: '(.*?)' \(choose from (.*)\)", message):
        return str(unknown("verb", found[1], re.findall(r"'(.*?)'", found[2])))
    if found := re.match(r'Parser key "([\w.]+)":\s*(.*)', message, re.DOTALL):
        reason = " ".join(found[2].split())
        if (expected := _expected(reason)) and (value := re.search(r"(?:Got|Given) value: (.*)", reason)):
            return f"{_flag(found[1])} is {value[1]!r}; expected {expected}."
        return f"{_flag(found[1])}: {reason}"
    return _hyphens(message)


def _expected(reason: str) -> str:
    """The type that jsonargparse expected, in words; empty where there are none for it."""
    if found := re.search(r"Literal\[(.*?)\]", reason):
        return "one of " + ", ".join(re.findall(r"'(.*?)'", found[1]))
    found = re.search(r"Expected an? <class '(\w+)'>|Subtypes: \[<class '(\w+)'>, <class 'NoneType'>\]", reason)
    return {"int": "a whole number", "float": "a number"}.get((found[1] or found[2]) if found else "", "")
