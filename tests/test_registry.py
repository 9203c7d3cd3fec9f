"""Registries: names, globs, paths, files, entry points, and what unknown names are answered."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.registry import Registry
from gennas.user_files import load_again, load_file, loaded_files


@pytest.fixture
def shelf() -> Registry[object]:
    entries: dict[str, object] = {"fractions": "fractions:Fraction", "decimals-10": "decimal:Decimal"}
    return Registry("shelf", entries, group="gennas.shelves", how="`shelf` path/to/file.py:MyShelf")


class Oak:
    name = "oak"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_list_takes_a_glob(shelf: Registry[object]) -> None:
    assert shelf.list() == ["decimals-10", "fractions"]
    assert shelf.list("f*") == ["fractions"]
    assert shelf.list("x*") == []


def test_get_imports_registered_names_and_paths(shelf: Registry[object]) -> None:
    from fractions import Fraction

    assert shelf.get("fractions") is Fraction
    assert shelf.get("fractions:Fraction") is Fraction
    shelf.register("counters", "collections:Counter")
    assert "counters" in shelf.list()


@pytest.mark.parametrize("name", ["decimals-10", "DECIMALS_10", "Decimals10"])
def test_names_ignore_case_hyphens_and_underscores(shelf: Registry[object], name: str) -> None:
    from decimal import Decimal

    assert shelf.get(name) is shelf.registered(name) is Decimal
    assert name in shelf


def test_unknown_names_list_the_nearest_and_all(shelf: Registry[object]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        shelf.get("Fraction")
    assert str(caught.value) == (
        "unknown shelf 'Fraction'. Did you mean 'fractions'? Known: decimals-10, fractions. "
        "Your own: `shelf` path/to/file.py:MyShelf."
    )
    with pytest.raises(UnknownNameError) as caught:
        shelf.get("zzz")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("path", ["fractions:Nothing", "no_such_module:Class", ".fractions:Fraction"])
def test_paths_that_cannot_be_imported(shelf: Registry[object], path: str) -> None:
    with pytest.raises(UnknownNameError, match="cannot be imported"):
        shelf.get(path)


def test_listing_imports_nothing() -> None:
    code = (
        "import sys; from gennas.spaces import SPACES; from gennas.metrics import KINDS; SPACES.list(), KINDS.list(); "
        "sys.exit('gennas.spaces.nasbench201.space' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", ["fractions:", ":Fraction", "fraction"])
def test_what_is_no_path_is_an_unknown_name(shelf: Registry[object], path: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown shelf"):
        shelf.get(path)


def test_register_is_a_decorator(shelf: Registry[object]) -> None:
    @shelf.register("my-own")
    class Mine:
        pass

    assert shelf.get("my_own") is shelf.registered("MyOwn") is Mine
    assert shelf.name_of(Mine) == "my-own"
    assert shelf.own == ["my-own"]


def test_the_users_own_may_be_replaced_but_not_what_is_shipped(shelf: Registry[object]) -> None:
    shelf.register("mine", Oak)
    shelf.register("Mine", Registry)
    assert shelf.get("mine") is Registry
    with pytest.raises(InvalidInputError, match="shelf 'fractions' comes with gennas; give your own another name"):
        shelf.register("Fractions", Oak)
    from fractions import Fraction

    shelf.register("fractions", Fraction)  # what its module says once more
    assert shelf.get("fractions") is Fraction


@pytest.mark.parametrize("name", ["", "-_", "a:b", "a/b"])
def test_what_cannot_be_told_from_a_path_is_not_registered(shelf: Registry[object], name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be the name of a shelf"):
        shelf.register(name, Oak)


def test_entries_are_what_they_should_be() -> None:
    numbers: Registry[int] = Registry(
        "integer", {}, expected="a whole number", accepts=lambda entry: isinstance(entry, int)
    )
    with pytest.raises(InvalidInputError, match=r"'three' is not an integer but 3.5; expected a whole number"):
        numbers.register("three", 3.5)  # type: ignore[call-overload]
    with pytest.raises(InvalidInputError, match=r"'math:pi' is not an integer but 3.14159"):
        numbers.get("math:pi")


def test_a_file_is_loaded_and_known_by_its_class_name(shelf: Registry[object], tmp_path: Path) -> None:
    written(tmp_path / "neighbour.py", "WIDTH = 3")
    path = written(
        tmp_path / "my shelves.py",
        "from dataclasses import dataclass",
        "from neighbour import WIDTH",
        "@dataclass",
        "class Pine:",
        "    name = 'pine-wood'",
        "    width: int = WIDTH",
    )
    with pytest.raises(UnknownNameError, match=r"make it known: `shelf` path/to/file.py:MyShelf"):
        shelf.registered("pine-wood")
    pine = shelf.get(f"{path}:Pine")
    assert pine().width == 3  # type: ignore[operator]
    assert shelf.registered("Pine_Wood") is pine
    assert shelf.get(f"{path}:Pine") is pine, "it is loaded once"
    assert shelf.address_of(pine) == f"{path}:Pine"


def test_a_file_that_changed_is_loaded_again(shelf: Registry[object], tmp_path: Path) -> None:
    path = written(tmp_path / "fir.py", "class Fir:", "    name, height = 'fir', 1")
    assert shelf.get(f"{path}:Fir").height == 1  # type: ignore[attr-defined]
    written(path, "class Fir:", "    name, height = 'fir', 2")
    assert shelf.get(f"{path}:Fir").height == 2  # type: ignore[attr-defined]
    assert shelf.registered("fir").height == 2  # type: ignore[attr-defined]


def test_a_variant_of_what_is_shipped_does_not_replace_it(shelf: Registry[object], tmp_path: Path) -> None:
    path = written(tmp_path / "variant.py", "class Variant:", "    name = 'fractions'")
    variant = shelf.get(f"{path}:Variant")
    assert shelf.registered("fractions") is not variant
    assert shelf.address_of(variant) == f"{path}:Variant"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("x = 1", "import no_such_module"), "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        (("x = 1", "", "def broken(:"), "line 3: SyntaxError: invalid syntax"),
        (("def half():", "    return 1 / 0", "half()"), "line 2: ZeroDivisionError: division by zero"),
        (("import json", "json.loads('{')"), "line 2: JSONDecodeError"),
        (("raise SystemExit('enough')",), "line 1: SystemExit: enough"),
    ],
)
def test_a_file_that_fails_says_where_and_why(
    shelf: Registry[object], tmp_path: Path, lines: tuple[str, ...], told: str
) -> None:
    path = written(tmp_path / "bad.py", *lines)
    with pytest.raises(InvalidInputError) as caught:
        shelf.get(f"{path}:Bad")
    assert str(caught.value).startswith(f"cannot load {path}, {told}")
    assert "\n" not in str(caught.value)
    assert all(file.path != str(path) for file in loaded_files())


def test_files_and_names_that_are_not_there(shelf: Registry[object], tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"nowhere.py cannot be read: No such file or directory"):
        shelf.get("nowhere.py:Class")
    path = written(tmp_path / "elm.py", "class Elm:", "    pass")
    with pytest.raises(UnknownNameError, match=r"elm.py was read; unknown name 'Elms'. Did you mean 'Elm'\?"):
        shelf.get(f"{path}:Elms")
    with pytest.raises(UnknownNameError, match=r"elm.py lacks its ':Name'"):
        shelf.get(str(path))


def test_a_copy_of_a_loaded_file_runs_without_it(tmp_path: Path) -> None:
    path = written(tmp_path / "larch.py", "class Larch:", "    height = 7")
    module = load_file(path)
    file = loaded_files()[-1]
    assert file.path == str(path)
    path.unlink()
    code = (
        "import pickle, sys; from gennas.user_files import UserFile, load_again; "
        f"load_again([UserFile({file.path!r}, {file.source!r})]); "
        "sys.exit(pickle.loads(bytes.fromhex(sys.argv[1])).height)"
    )
    import pickle

    pickled = pickle.dumps(module.Larch).hex()
    assert subprocess.run([sys.executable, "-c", code, pickled], check=False).returncode == 7
    load_again([file])
    assert sys.modules[file.module] is module, "what is loaded already stays"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[metadata.EntryPoint]:
    """Entry points as an installed package would have them."""
    points: list[metadata.EntryPoint] = []

    def entry_points(*, group: str) -> metadata.EntryPoints:
        return metadata.EntryPoints(points).select(group=group)

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    # What was found before is remembered by where it was looked for.
    monkeypatch.setattr("gennas.registry._points_of", lambda group, path: tuple(entry_points(group=group)))
    return points


def test_installed_packages_add_entries(shelf: Registry[object], installed: list[metadata.EntryPoint]) -> None:
    from collections import Counter

    installed += [
        metadata.EntryPoint("counting-shelf", "collections:Counter", "gennas.shelves"),
        metadata.EntryPoint("fractions", "collections:Counter", "gennas.shelves"),
        metadata.EntryPoint("elsewhere", "collections:Counter", "gennas.spaces"),
    ]
    assert shelf.list() == ["counting-shelf", "decimals-10", "fractions"]
    assert shelf.get("Counting_Shelf") is shelf.registered("counting-shelf") is Counter
    assert shelf.get("fractions") is not Counter, "gennas' own comes first"
    with pytest.raises(UnknownNameError, match="Did you mean 'counting-shelf'"):
        shelf.registered("counting-shelves")


def test_a_package_that_cannot_be_imported_is_named(
    shelf: Registry[object], installed: list[metadata.EntryPoint]
) -> None:
    installed.append(metadata.EntryPoint("broken", "no_such_package.shelves:Shelf", "gennas.shelves"))
    assert "broken" in shelf.list()
    with pytest.raises(UnknownNameError, match=r"shelf 'broken' cannot be imported: .*no_such_package"):
        shelf.get("broken")


@pytest.mark.parametrize("name", ["os:path", "side_effect:Shelf", "side_effect.py:Shelf", None, 3])
def test_no_path_in_a_file_is_imported(
    shelf: Registry[object], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "side_effect.py", "from pathlib import Path", f"Path({str(tmp_path / 'ran')!r}).touch()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match=r"is not the name of a shelf.*`shelf` path/to/file.py:MyShelf"):
        shelf.registered(name)
    assert not (tmp_path / "ran").exists()
