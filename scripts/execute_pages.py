#!/usr/bin/env python
"""Runs the documentation's pages and writes what their blocks print, and the pictures that they make, into the pages.

    python scripts/execute_pages.py docs/guides/benchmark_search.md ...

Blocks marked ``<!-- run -->`` are run in order, in a new folder and with a new ``GENNAS_HOME``; Python blocks of a page
share their names, and blocks with a title are files. What a block prints replaces the block marked ``<!-- output -->``
after it, where there is one; ``<!-- output, first 12 lines -->`` keeps as many. A picture that the page shows from
``docs/assets`` is replaced by the file of that name that its blocks wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "docs" / "assets"
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]+) -->\n)?```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)```\n",
    flags=re.DOTALL,
)
_PICTURE = re.compile(r"!\[[^\]]*\]\([./]*assets/([\w./-]+)\)", flags=re.DOTALL)
_FIRST = re.compile(r"output, first (\d+) lines")


def executed(page: Path) -> str:
    """The page's text with the outputs of now."""
    text = page.read_text()
    with tempfile.TemporaryDirectory(prefix="gennas-page-") as folder:
        work = Path(folder)
        env = {**os.environ, "GENNAS_HOME": str(work / "home"), "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        module = ModuleType(page.stem)
        sys.modules[page.stem] = module  # dataclasses look their module up
        printed = ""

        def replaced(block: re.Match[str]) -> str:
            nonlocal printed
            mark, language, title, code = block["mark"] or "", block["language"], block["title"], block["text"]
            if title:
                (work / title).write_text(code)
            if mark.startswith("output"):
                first = _FIRST.fullmatch(mark)
                lines = printed.rstrip().splitlines()
                kept = (
                    lines
                    if first is None
                    else [*lines[: int(first[1])], *(["..."] if len(lines) > int(first[1]) else [])]
                )
                return f"<!-- {mark} -->\n```text\n" + "\n".join(line.rstrip() for line in kept) + "\n```\n"
            if mark.startswith("run") and not mark.startswith("run elsewhere"):
                print(f"{page.name}: {code.splitlines()[0]}", file=sys.stderr)
                printed = (
                    _python(code, module, page) if language == "python" else _shell(code, env, dies="dies" in mark)
                )
            return block[0]

        before = Path.cwd()
        os.environ.update(GENNAS_HOME=env["GENNAS_HOME"])
        os.chdir(work)
        try:
            text = _BLOCK.sub(replaced, text)
        finally:
            os.chdir(before)
        for name in _PICTURE.findall(text):
            made = work / Path(name).name
            if made.is_file():
                (ASSETS / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(made, ASSETS / name)
    return text


def _python(code: str, module: ModuleType, page: Path) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as captured:
        exec(compile(code, str(page), "exec", dont_inherit=True), vars(module))
    return captured.getvalue()


def _shell(code: str, env: dict[str, str], *, dies: bool) -> str:
    done = subprocess.run(["bash", "-euc", code], env=env, capture_output=True, text=True)
    if bool(done.returncode) != dies:
        sys.exit(f"exit {done.returncode}:\n{code}\n{done.stderr}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    for page in parser.parse_args().pages:
        page.write_text(executed(page.resolve()))


if __name__ == "__main__":
    main()
