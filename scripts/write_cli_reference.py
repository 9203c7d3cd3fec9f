"""The page of the command line: every command and flag, read from the parser.

As a hook of mkdocs it adds ``reference/cli.md`` to the site; by hand:

    python scripts/write_cli_reference.py --out cli.md

Nothing is committed, so the page cannot disagree with the parser.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from gennas.cli.main import build_parser

PAGE = "reference/cli.md"
HEAD = """# Command line

Generated from the parser. Flags take hyphens or underscores; `--config FILE` reads any of them from YAML,
and `--print-config` prints such a file. Every command takes `--format json` (one document on stdout, everything else on
stderr) and `--debug` (the traceback of an error).
"""
#: In every command, and described once in ``HEAD``.
_EVERYWHERE = ("help", "config", "print_config", "format", "debug")


def main(out: Path) -> None:
    """Writes the page.

    Args:
        out: the file.
    """
    out.write_text(page())
    print(f"wrote {out}")


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs when it has listed the pages."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(words, parser) for words, parser in commands(build_parser()))])


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command with its parser: ``("pretrain", "generator")``, ..."""
    # argparse has no public way to list the arguments of a parser.
    nested = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield words, parser
    for choices in nested:
        for name in choices:
            yield from commands(choices[name], (*words, name))


def flags(parser: argparse.ArgumentParser) -> set[str]:
    """Every spelling of every flag of one command, with hyphens."""
    return {hyphened(flag) for action in parser._actions for flag in action.option_strings}


def section(words: tuple[str, ...], parser: argparse.ArgumentParser) -> str:
    """One command: what it does, and a table of its flags."""
    lines = [f"## gennas {' '.join(words)}", "", (parser.description or "").strip(), ""]
    lines += ["| flag | default | meaning |", "| --- | --- | --- |"]
    shown = [one for one in parser._actions if one.dest not in _EVERYWHERE and one.help != argparse.SUPPRESS]
    for action in sorted(shown, key=lambda one: (bool(one.option_strings), not one.required)):
        lines.append(f"| {_name(action)} | {_default(action)} | {_cell(action.help or '')} |")
    return "\n".join([*lines, ""])


def hyphened(flag: str) -> str:
    """``--image-size`` for ``--image_size``; ``--recipe.batch-size`` for ``--recipe.batch_size``."""
    return "--" + flag[2:].replace("_", "-") if flag.startswith("--") else flag


def _name(action: argparse.Action) -> str:
    spellings = list(dict.fromkeys(map(hyphened, action.option_strings))) or [action.dest.upper()]
    return ", ".join(f"`{spelling}`" for spelling in spellings)


def _default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    if action.nargs == 0:
        return "off"
    return "" if action.default in (None, "", argparse.SUPPRESS) or action.default == [] else f"`{action.default}`"


def _cell(text: str) -> str:
    """Help text in a table: choices at its end, ``code`` in one backtick."""
    return re.sub(r"\s+", " ", text.replace("%%", "%")).replace("``", "`").replace("|", "\\|").strip()


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
