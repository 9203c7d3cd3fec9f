"""The documentation: what it shows works, what it names exists."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
from argparse import ArgumentParser
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

from gennas.cli.main import build_parser, main
from gennas.cli.words import spelled, with_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [
    ROOT / "README.md",
    *(path for name in ("CHANGELOG", "CONTRIBUTING") if (path := ROOT / f"{name}.md").exists()),
]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
#: Made when the site is built.
GENERATED = {"reference/cli.md"}
#: Flags of other programs.
OTHERS = {"--json", "--index-url", "--strict", "--constraint", "--threads"}
#: ``<!-- run -->`` before a block says that it is run, ``<!-- run, dies -->`` that it kills itself, and
#: ``<!-- run with --budget 4 -->`` or, of Python, ``<!-- run with budget=4 -->``, other values of options, to be quick
#: here; a block with a title is a file, for which ``<!-- file with budget=4 -->`` does the same. The Python blocks of a
#: page share their names. What another file of the repository runs is marked ``<!-- run elsewhere: FILE -->``, and what
#: nobody can, ``<!-- not run: REASON -->``.
BLOCK = re.compile(
    r"(?:<!-- (run|run, dies|(?:run|file) with [^>]+) -->\n)?```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)```",
    flags=re.DOTALL,
)
LEFT = re.compile(r"(?:<!-- ([^>]+) -->\n)?```(?:bash|python)\n(.*?)```", flags=re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> list[tuple[str, str, str, str]]:
    """How each code block of a page is run, if at all; its language, title and text."""
    return BLOCK.findall(path.read_text())


def is_run(mark: str) -> bool:
    return mark.startswith("run")


def commands(text: str) -> list[list[str]]:
    """The words of every command of a bash block."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip() and not line.startswith("#")]


@cache
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_cli_reference", ROOT / "scripts" / "write_cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def parser() -> ArgumentParser:
    return build_parser()


@cache
def all_flags() -> set[str]:
    return set.union(*(reference().flags(verb) for _, verb in reference().commands(parser())))


@pytest.mark.usefixtures("measured_once", "taught_briefly")
@pytest.mark.parametrize("path", [path for path in PAGES if any(is_run(run) for run, *_ in blocks(path))], ids=name_of)
def test_what_a_page_runs_works(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if path.name != "images_and_device.md":  # which writes photos of its own
        write_photos(tmp_path / "photos")
    module = ModuleType(path.stem)
    # Dataclasses look their module up.
    monkeypatch.setitem(sys.modules, path.stem, module)
    for run, language, title, text in blocks(path):
        mark, _, settings = run.partition(" with ")
        given = settings.split()
        if title:
            Path(title).write_text(quicker(text, given))
        if not mark.startswith("run"):
            continue
        if language == "python":
            exec(compile(quicker(text, given), name_of(path), "exec", dont_inherit=True), vars(module))
            continue
        for words in commands(text):
            if words[0] == "gennas":
                assert main(with_options(words[1:], given)) == 0, words
            else:
                assert words[0] == "python", words
                done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
                assert done.returncode == (-signal.SIGKILL if run == "run, dies" else 0), done.stderr


def write_photos(folder: Path) -> None:
    """A task of three classes, each with four tiny photos."""
    for name, colour in (("cat", "sienna"), ("dog", "tan"), ("fox", "orangered")):
        (folder / "train" / name).mkdir(parents=True)
        for number in range(4):
            photo = Image.new("RGB", (16, 16), colour)
            photo.putpixel((number, number), (0, 0, 0))
            photo.save(folder / "train" / name / f"{number}.png")


def quicker(code: str, given: list[str]) -> str:
    """Python code with other values of some keyword arguments."""
    for pair in given:
        name, _, value = pair.partition("=")
        code, count = re.subn(rf"\b{name}=[^,)\s]+", f"{name}={value}", code)
        assert count, f"no {name} in the block"
    return code


def with_options(words: list[str], given: list[str]) -> list[str]:
    """A command with other values of some options; those that it has none of are added where its verb knows them."""
    words = list(words)
    known = {
        f for names, verb in reference().commands(parser()) if names[0] == words[0] for f in reference().flags(verb)
    }
    for flag, value in zip(given[::2], given[1::2], strict=True):
        if flag in words:
            words[words.index(flag) + 1] = value
        elif flag in known:
            words += [flag, value]
    return words


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_every_block_is_run_or_says_why_not(path: Path) -> None:
    for mark, text in LEFT.findall(path.read_text()):
        first = text.partition("\n")[0]
        if mark.startswith("run elsewhere: "):
            assert (ROOT / mark.removeprefix("run elsewhere: ")).is_file(), mark
        else:
            assert mark.startswith(("run", "not run: ")), f"{first!r} is not marked"


def test_what_contributing_adds_works(tmp_path: Path) -> None:
    code = [text for run, language, _, text in blocks(ROOT / "CONTRIBUTING.md") if run and language == "python"]
    assert len(code) > 5
    # In a process of its own: what it registers is not for the other tests.
    (tmp_path / "added.py").write_text("\n\n".join(code))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "GENNAS_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "added.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_tutorial_runs_something() -> None:
    assert TUTORIALS
    assert not [name_of(path) for path in TUTORIALS if not any(is_run(run) for run, *_ in blocks(path))]


@pytest.mark.parametrize("path", [*PAGES, *TEXTS[1:]], ids=name_of)
def test_every_command_is_understood(path: Path) -> None:
    for _, language, _, text in blocks(path):
        for words in commands(text) if language == "bash" else []:
            if words[0] == "gennas":
                assert parser().parse_args(with_recipe(spelled(words[1:]))).verb == words[1]


@pytest.mark.parametrize("path", [*PAGES, *TEXTS[:1]], ids=name_of)
def test_every_flag_exists(path: Path) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*(?:\.[a-z][\w-]*)*", path.read_text()))
    known = all_flags() | OTHERS
    # Scripts are run with flags of their own.
    own = re.findall(r"scripts/\w+\.py[^\n`]*", path.read_text())
    assert {flag for flag in named if reference().hyphened(flag) not in known and flag not in " ".join(own)} == set()


def test_the_command_line_page_has_every_flag() -> None:
    page = reference().page()
    assert "## gennas search\n" in page
    assert "| `--image-size` |" in page
    assert "_size`" not in page
    sections = re.findall(r"^## gennas (.+)$", page, flags=re.MULTILINE)
    assert sections == [" ".join(words) for words, _ in reference().commands(parser())]


@pytest.mark.parametrize("path", [*PAGES, *TEXTS], ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    # Code is full of what looks like links.
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", text)
    missing = []
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        target = (path.parent / link).resolve()
        if not target.exists() and str(target.relative_to(ROOT / "docs")) not in GENERATED:
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("path", [*PAGES, *TEXTS], ids=name_of)
def test_files_that_a_page_names_exist(path: Path) -> None:
    named = set(re.findall(r"`((?:gennas|scripts|tests|datasets|checkpoints)/[\w/.-]*\w)", path.read_text()))
    if path.name == "CHANGELOG.md":
        named = set()
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_navigation_has_every_page() -> None:
    def leaves(part: object) -> list[str]:
        if isinstance(part, str):
            return [part]
        parts = part.values() if isinstance(part, dict) else part
        return [leaf for one in parts for leaf in leaves(one)]  # type: ignore[attr-defined]

    nav = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    pages = {str(path.relative_to(ROOT / "docs")) for path in PAGES}
    assert set(nav) == pages | GENERATED
    assert len(nav) == len(set(nav))


def page_writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_benchmarks", ROOT / "scripts" / "write_benchmarks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_search_methods_is_the_scripts() -> None:
    page = (ROOT / "docs" / "benchmarks" / "search_methods.md").read_text()
    assert page.startswith(page_writer().HEAD)


def test_the_page_in_pairs_says_better_only_of_what_is() -> None:
    """Ten seeds: a is below c in all of them, and below b in five."""

    def document(method: str, regrets: list[float]) -> dict[str, object]:
        runs = [{"seed": seed, "curves": {"regret": [regret, regret]}} for seed, regret in enumerate(regrets)]
        return {"setting": {"method": method, "options": {}, "budget": 2}, "runs": runs}

    ones = [0.1 * seed for seed in range(10)]
    near = [value + (0.01 if seed % 2 else -0.01) for seed, value in enumerate(ones)]
    far = [value + 0.5 + 0.01 * seed for seed, value in enumerate(ones)]
    lines = page_writer().pairs([document("a", ones), document("b", near), document("c", far)])
    assert lines[0] == "In pairs, over 2 queries:"
    # Two of 2^10 sign patterns are as extreme, times the three pairs.
    assert f"| a | c ({3 * 2 / 1024:.3f}; 10) | b (" in "\n".join(lines)
    assert "| c |  |  |" in lines
