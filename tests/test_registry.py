"""Registries: names, globs, import paths, and what unknown names are answered."""

import subprocess
import sys

import pytest

from gennas.errors import UnknownNameError
from gennas.registry import Registry


@pytest.fixture
def shelf() -> Registry[object]:
    return Registry("shelf", {"fractions": "fractions:Fraction", "decimals": "decimal:Decimal"})


def test_list_takes_a_glob(shelf: Registry[object]) -> None:
    assert shelf.list() == ["decimals", "fractions"]
    assert shelf.list("f*") == ["fractions"]
    assert shelf.list("x*") == []


def test_get_imports_registered_names_and_paths(shelf: Registry[object]) -> None:
    from fractions import Fraction

    assert shelf.get("fractions") is Fraction
    assert shelf.get("fractions:Fraction") is Fraction
    shelf.register("counters", "collections:Counter")
    assert "counters" in shelf.list()


def test_unknown_names_list_the_nearest_and_all(shelf: Registry[object]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        shelf.get("fraction")
    assert str(caught.value) == (
        "unknown shelf 'fraction'. Did you mean 'fractions'? Known: decimals, fractions. "
        "Your own: 'package.module:Class'."
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
        "import sys; from gennas.spaces import SPACES; SPACES.list(); "
        "sys.exit('gennas.spaces.nasbench201.space' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", ["fractions:", ":Fraction", "fraction"])
def test_what_is_no_path_is_an_unknown_name(shelf: Registry[object], path: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown shelf"):
        shelf.get(path)
