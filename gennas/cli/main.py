"""The command line: each verb is a typed function in ``gennas.cli``; their signatures make the flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from gennas.cli.asking import asker
from gennas.cli.bench import bench_search
from gennas.cli.check import check_space, check_table
from gennas.cli.collect import collect_trainings
from gennas.cli.console import console
from gennas.cli.design import design
from gennas.cli.evaluate import evaluate_generator
from gennas.cli.export import export
from gennas.cli.generate import generate
from gennas.cli.hardware import add_hardware, choose_hardware, remove_hardware
from gennas.cli.hardware_bundle import bundle_hardware
from gennas.cli.images import heard_while_reading
from gennas.cli.listing import list_names
from gennas.cli.output import Outcome
from gennas.cli.parser import (
    UsageError,
    Verb,
    arguments_of,
    error_with_flags,
    option_names,
    parser_of,
    usage_sentence,
    with_flags,
)
from gennas.cli.predict import predict
from gennas.cli.pretrain import pretrain_generator, pretrain_predictor
from gennas.cli.report import report
from gennas.cli.search import search
from gennas.cli.streams import check_streams, print_outcome, say
from gennas.cli.typed import typed as remembered
from gennas.cli.validate import validate
from gennas.cli.weights import weights
from gennas.cli.words import normalised, spelled
from gennas.consent import asked
from gennas.errors import GennasError, InvalidInputError, file_sentence, is_about_a_file

VERBS: dict[str, Verb | Mapping[str, Verb]] = {
    "pretrain": {"generator": pretrain_generator, "predictor": pretrain_predictor},
    "design": design,
    "generate": generate,
    "predict": predict,
    "evaluate": {"generator": evaluate_generator},
    "search": search,
    "validate": validate,
    "export": export,
    "report": report,
    "hardware": {
        "add": add_hardware,
        "choose": choose_hardware,
        "bundle": bundle_hardware,
        "remove": remove_hardware,
    },
    "bench": {"search": bench_search},
    "collect": collect_trainings,
    "weights": weights,
    "check-space": check_space,
    "check-table": check_table,
    "list": list_names,
}
#: Verbs whose work is stored as it goes on.
RESUMING: tuple[Verb, ...] = (
    design,
    pretrain_generator,
    pretrain_predictor,
    search,
    validate,
    collect_trainings,
    add_hardware,
    bench_search,
)
#: What the verbs that have parts are for.
_ABOUT = {
    "pretrain": "trains one for a space",
    "evaluate": "measures how good it is",
    "hardware": "devices of your own, from a few measurements",
    "bench": "compares search methods on a table, over many seeds",
}


def build_parser() -> ArgumentParser:
    """The parser of the whole command line."""
    return parser_of(VERBS, _ABOUT)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Returns:
        0 done, 1 the work failed or gennas has a defect, 2 an input that the user can correct, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    verb, typed = _verb_of(words)
    names, given = option_names(verb) if verb else [], dict[str, Any]()
    try:
        check_streams()
        parser = build_parser()
        options = parser.instantiate(parser.parse_args(normalised(words)))
        for name in typed:
            options = options[name]
        assert verb is not None, "the parser requires one"
        with remembered(words), heard_while_reading() as heard:
            given = dict(vars(options).items())
            outcome = _run(verb, given)
        said = {with_flags(note, names) for note in heard}
        outcome.notes = [note for one in outcome.notes if (note := with_flags(one, names)) not in said]
        unsaved = outcome.save()
        print_outcome(outcome, options.format)
        for sentence in unsaved:
            say(f"error: {sentence}")
    except UsageError as error:
        if debug:
            raise
        say(f"error: {usage_sentence(str(error), ' '.join(typed), names)}")
        return 2
    except GennasError as error:
        if debug:
            raise
        say(f"error: {error_with_flags(error, names, given)}")
        return 2
    except KeyboardInterrupt:
        say(f"interrupted; run the same command again to {'resume' if verb in RESUMING else 'start over'}")
        if argv is None:
            # All that was begun is ended by now. Python would take seconds to take torch apart.
            os._exit(130)
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does.
        return 0
    except OSError as error:
        # A full disk, a folder that is not writable, a name that is too long: for the user to correct.
        if debug:
            raise
        if not is_about_a_file(error):
            say(f"error: {error}")
            return 1
        say(f"error: {file_sentence(error)}")
        return 2
    except Exception as error:
        if debug:
            raise
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            # The latter is what torch says.
            say(f"error: the memory of this machine is not enough ({error or 'out of memory'}); ask for less.")
            return 1
        say(f"internal error: {type(error).__name__}: {error}. Run the command again with --debug and report it.")
        return 1
    return 2 if unsaved else 1 if outcome.failed else 0


def _verb_of(words: Sequence[str]) -> tuple[Verb | None, list[str]]:
    """The verb that the words ask for, and its name; without a verb where there is no such one."""
    words = spelled(words[:2])[:2]
    verb = VERBS.get(words[0]) if words else None
    if isinstance(verb, Mapping):
        return verb.get(words[1] if len(words) > 1 else ""), words
    return verb, words[:1] if verb else []


def _run(verb: Verb, given: Mapping[str, Any]) -> Outcome:
    # By default torch's threads spin for milliseconds while they wait, and a training crawls as soon as another
    # process wants their core; not spinning at all halves its speed on an idle machine. This is in between.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if not 0 <= given.get("seed", 0) < 2**32:
        raise InvalidInputError(f"is {given['seed']}; must be in [0, {2**32 - 1}].", argument="seed")
    try:
        with console(option_names(verb), debug=given.get("debug", False)), asked(asker(given.get("yes", False))):
            return verb(**arguments_of(verb, given))
    except SystemExit as stop:
        # What Lightning makes of an interrupt.
        raise KeyboardInterrupt from stop


if __name__ == "__main__":
    sys.exit(main())
