"""The command line: each verb is a typed function in ``gennas.cli``; their signatures make the flags."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from gennas.cli.bench import bench_search
from gennas.cli.evaluate import evaluate_generator
from gennas.cli.export import export
from gennas.cli.generate import generate, predict
from gennas.cli.hardware import add_hardware, choose_hardware, remove_hardware
from gennas.cli.listing import list_names
from gennas.cli.output import Outcome
from gennas.cli.pretrain import pretrain_generator, pretrain_predictor
from gennas.cli.search import search
from gennas.cli.validate import validate
from gennas.errors import GennasError, InvalidInputError

Verb = Callable[..., Outcome]

VERBS: dict[str, Verb | dict[str, Verb]] = {
    "pretrain": {"generator": pretrain_generator, "predictor": pretrain_predictor},
    "generate": generate,
    "predict": predict,
    "evaluate-generator": evaluate_generator,
    "search": search,
    "validate": validate,
    "export": export,
    "hardware": {"add": add_hardware, "choose": choose_hardware, "remove": remove_hardware},
    "bench": {"search": bench_search},
    "list": list_names,
}
#: What the verbs of several parts are for.
_SEVERAL = {
    "pretrain": "trains one for a space",
    "hardware": "devices of your own, from a few measurements",
    "bench": "methods compared on a table, over many seeds",
}
#: What the command line spells in its own way, and therefore adds by hand.
_SPELLED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "key": (("key",), {"nargs": "*", "type": str, "help": "archs in their native notation"}),
    "where": (("--where",), {"action": "append", "default": [], "metavar": "BOUND",
                             "help": "a bound such as 'params_m <= 0.8'; may be repeated"}),
    "draw": (("--draw",), {"action": "store_true", "help": "an SVG drawing of every arch"}),
    "n": (("-n", "--n"), {"type": int, "default": 10, "help": "how many distinct archs to return (default: 10)"}),
    "name": (("name",), {"type": str, "help": "what the device is called, e.g. my-phone"}),
    "measure": (("--measure",), {"action": "store_true", "help": "measure archs on this machine"}),
    "replace": (("--replace",), {"action": "store_true",
                                 "help": "forget what was measured of this device before"}),
    "kind": (("kind",), {"nargs": "?", "type": str,
                              "help": "spaces, tables, checkpoints, hardware, tasks or evaluations"}),
}  # fmt: skip


def build_parser() -> ArgumentParser:
    """The parser of all"""
    parser = ArgumentParser(
        prog="gennas", description="Generates neural architectures for a task and a device. Start: gennas list"
    )
    commands = parser.add_subcommands(dest="verb", required=True)
    for name, verb in VERBS.items():
        if callable(verb):
            commands.add_subcommand(name, _verb_parser(verb), help=_summary(verb))
            continue
        nested = ArgumentParser(description=f"gennas {name}")
        commands.add_subcommand(name, nested, help=f"{', '.join(verb)}: {_SEVERAL[name]}")
        parts = nested.add_subcommands(dest="part", required=True)
        for part, function in verb.items():
            parts.add_subcommand(part, _verb_parser(function), help=_summary(function))
    return parser


def _summary(verb: Verb) -> str:
    return (verb.__doc__ or "").strip().splitlines()[0]


def _verb_parser(verb: Verb) -> ArgumentParser:
    parser = ArgumentParser(description=_summary(verb))
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    taken: set[str | int] = {
        name for name in _SPELLED if name in verb.__code__.co_varnames[: verb.__code__.co_argcount]
    }
    for name in _SPELLED.keys() & taken:
        flags, options = _SPELLED[name]
        parser.add_argument(*flags, **options)
    parser.add_function_arguments(verb, skip=taken, as_positional=False)
    parser.add_argument("--format", choices=["table", "json"], default="table", help="what is printed on stdout")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; 0 done, 1 a defect of gennas, 2 something the user can mend, 130 interrupted."""
    words = [_underscored(word) for word in (sys.argv[1:] if argv is None else argv)]
    debug = "--debug" in words
    try:
        parser = build_parser()
        config = parser.instantiate(parser.parse_args(words))
        verb, options = VERBS[config.verb], config[config.verb]
        if isinstance(verb, dict):
            verb, options = verb[options.part], options[options.part]
        arguments: dict[str, Any] = dict(vars(options).items())
        form = arguments.pop("format")
        for name in ("config", "debug"):
            arguments.pop(name, None)
        show(_run(verb, arguments), form)
    except GennasError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; repeat the command to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does.
        sys.stderr.close()
        return 0
    except Exception as error:
        # The last resort: whatever got here is a defect of ours, told in one line, traceback on request.
        if debug:
            raise
        print(f"internal error: {type(error).__name__}: {error}. Repeat with --debug and report it.", file=sys.stderr)
        return 1
    return 0


def _run(verb: Verb, arguments: dict[str, Any]) -> Outcome:
    # By default torch's threads spin for milliseconds while they wait, and a training crawls as soon as another
    # process wants their core; not spinning at all halves its speed on an idle machine. This is in between.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if not 0 <= arguments["seed"] < 2**32:
        raise InvalidInputError(f"--seed is {arguments['seed']}; expected 0 to {2**32 - 1}.")
    try:
        return verb(**arguments)
    except SystemExit as stop:
        # What Lightning makes of an interrupt.
        raise KeyboardInterrupt from stop


def _underscored(word: str) -> str:
    """``--image-size=64`` as ``--image_size=64``: options may be spelled either way."""
    flag, equals, value = word.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value if flag.startswith("--") else word


def show(outcome: Outcome, form: str) -> None:
    """Prints an outcome: one JSON document on stdout, or tables; notes and paths go to stderr with JSON."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    aside = sys.stderr if form == "json" else sys.stdout
    if form == "json":
        print(json.dumps(outcome.document, indent=2, default=str))
    # Off a terminal nothing is gained by folding: lines are for grep.
    console = Console(file=aside, width=None if aside.isatty() else 10_000, highlight=False)
    for title, rows in outcome.tables.items() if form == "table" else ():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(row.get(column, ""))) for column in columns))
        console.print(table, soft_wrap=False)
        console.print()
    for note in outcome.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for path in outcome.wrote:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)
    if outcome.next:
        console.print(f"next: {outcome.next}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
