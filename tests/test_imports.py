"""Imports run one way: no module imports what stands above it, and no two groups import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gennas

PACKAGE = Path(gennas.__file__).parent
#: The order of docs/decisions/layout.md: a name may import those of rows before it, and those before it in its row.
ORDER = (
    (
        "errors",
        "commands",
        "paths",
        "files",
        "documents",
        "machine",
        "settings",
        "user_files",
        "weights",
        "progress",
        "consent",
        "registry",
    ),
    ("arch", "metrics", "tasks"),
    ("spaces",),
    ("graph", "problem", "pareto", "tables", "hardware", "training", "export", "part_files", "hub"),
    ("proxies", "predictors"),
    ("diffusion",),
    ("checkpoint",),
    ("supernets",),
    ("evaluators",),
    ("executors", "studies"),
    ("generation", "search", "validation", "collecting"),
    ("design",),
    ("benchmarks", "report", "testing"),
    ("cli",),
)
RANK = {name: (row, column) for row, names in enumerate(ORDER) for column, name in enumerate(names)}


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The top names below ``gennas`` that a module imports, anywhere in it, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules = [f"gennas.{alias.name}" for alias in node.names] if node.module == "gennas" else [node.module]
        else:
            continue
        for module in modules:
            if module.startswith("gennas."):
                yield module.split(".")[1], node.lineno


def upward(path: Path, source: str) -> list[str]:
    """The imports of a module that run up."""
    own = path.parts[0].removesuffix(".py")
    return [
        f"{path}:{line} imports gennas.{name}, which stands above {own}"
        for name, line in imported(ast.parse(source))
        if name != own and name != "__version__" and RANK[name] > RANK[own]
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_up(path: Path) -> None:
    inside = path.relative_to(PACKAGE)
    if inside.parts in (("__init__.py",), ("__main__.py",)):
        return
    assert inside.parts[0].removesuffix(".py") in RANK, f"{inside} has no place in ORDER"
    assert upward(inside, path.read_text()) == []
    relative = [n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.level]
    assert relative == [], f"{inside} has relative imports, which this test does not read"


def test_an_import_that_runs_up_is_found() -> None:
    source = "def late():\n    from gennas.cli.main import main\n"
    assert upward(Path("search/loop.py"), source) == ["search/loop.py:2 imports gennas.cli, which stands above search"]
    assert upward(Path("arch.py"), "from gennas import tasks")
    assert upward(Path("tasks/base.py"), "from gennas.arch import Arch") == []


def test_no_module_imports_itself_in_a_circle() -> None:
    """Within a folder the order of imports is free, as long as it is one."""
    names = {path: _module(path) for path in PACKAGE.rglob("*.py")}
    known = set(names.values())
    graph = {name: _targets(ast.parse(path.read_text()), known) for path, name in names.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"circle: {' -> '.join((*above[above.index(name) :], name))}"
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def _module(path: Path) -> str:
    parts = ("gennas", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _targets(tree: ast.Module, known: set[str]) -> set[str]:
    """What a module imports when it is imported; later imports, and those for types alone, make no circle."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gennas"):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= submodules or ({node.module} & known)
    return found
