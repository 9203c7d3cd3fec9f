"""The store of the user's hardware: what is added is found again, damage is told, nothing is half-written."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gennas.errors import DataMissingError, InvalidInputError, StudyError, UnknownNameError
from gennas.hardware import store
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware, merged

ROWS = (Measurement("a", 1.5), Measurement("b", 2.5, (2.25, 3.0)), Measurement("c", 0.1 + 0.2))
MINE = Hardware("mine", "toy", ROWS, {"csv": "rows.csv"}, "channels=16", (3, 32, 32))
HERE = replace(MINE, how={"runtime": "torch", "threads": 1, "machine": "abacus", "software": "torch 2.6"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def files(home: Path) -> list[str]:
    """Everything that is there, hidden or not."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_what_is_added_is_found_again(home: Path) -> None:
    assert store.names("toy") == ()
    assert store.spaces() == ()
    assert store.stored("toy", "mine") is None
    other = replace(MINE, name="A.b_c-2", how={"runtime": "torch", "threads": 2}, input_shape=None, skeleton="")
    for hardware in (MINE, other):
        path = store.add(hardware)
        assert path == store.path_of("toy", hardware.name)
        assert store.load("toy", hardware.name) == hardware
        assert store.stored("toy", hardware.name) == hardware
    assert files(home) == ["hardware/toy/A.b_c-2.json", "hardware/toy/mine.json"]
    assert store.names("toy") == ("A.b_c-2", "mine")
    assert store.spaces() == ("toy",)
    assert MINE.keys == ("a", "b", "c")
    np.testing.assert_array_equal(MINE.latency_ms, [1.5, 2.5, 0.1 + 0.2])


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a@b",
        "a/b",
        "../a",
        ".a",
        "-a",
        "a\n",
        "ä",
        "a<1",
        "a,b",
        "x.part",
        "a.",
        "a" * 65,
        "a\\b",
        "a:b",
        "\0",
    ],
)
def test_names_that_files_and_places_cannot_have(home: Path, name: str) -> None:
    for action in (
        lambda: store.add(replace(MINE, name=name)),
        lambda: store.load("toy", name),
        lambda: store.remove("toy", name),
    ):
        with pytest.raises(InvalidInputError, match="cannot be the name of a hardware; expected 1 to 64 letters"):
            action()
    assert not home.exists()


def test_unknown_names_are_told_with_the_nearest() -> None:
    store.add(MINE)
    with pytest.raises(UnknownNameError, match="Did you mean 'mine'"):
        store.load("toy", "mime")
    with pytest.raises(UnknownNameError, match="unknown hardware of your own for toy 'mime'"):
        store.remove("toy", "mime")
    with pytest.raises(UnknownNameError, match="Known: none"):
        store.load("nasbench201", "mine")


def test_unfinished_measurements_have_no_name_but_are_removed_with_it(home: Path) -> None:
    store.add(MINE)
    store.part_of("toy", "mine").write_text("{}")
    store.part_of("toy", "other").write_text("{}")
    assert store.names("toy") == ("mine",)
    assert {path.name for path in store.remove("toy", "mine")} == {"mine.json", "mine.part.json"}
    assert [path.name for path in store.remove("toy", "other")] == ["other.part.json"]
    assert files(home) == []
    assert store.spaces() == ()


def document(**changes: Any) -> str:
    return json.dumps({**MINE.document(), **changes})


def rows(**changes: Any) -> list[dict[str, Any]]:
    return [*MINE.document()["measurements"][:2], {"key": "c", "latency_ms": 3.0, **changes}]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Expecting value"),
        (document()[:-20], "delimiter"),
        ("[]", "list indices"),
        ("null", "NoneType"),
        ("{}", "it lacks 'format'"),
        (document(format=7), "its format is 7, this gennas reads 1"),
        (document(name="other"), "it is of hardware 'other' for 'toy'"),
        (document(space="other"), "it is of hardware 'mine' for 'other'"),
        (document(skeleton=3), "skeleton is 3, expected a text"),
        (document(input_shape=[3, "x"]), "invalid literal"),
        (document(how=3), "not iterable"),
        (document(measurements=None), "not iterable"),
        (document(measurements=rows()[:2]), "2 distinct archs measured; expected at least 3"),
        (document(measurements=[*rows(), *rows()]), "6 measurements of 3 archs; expected one each"),
        (document(measurements=rows(latency_ms=float("nan"))), "arch 'c': latency_ms is nan"),
        (document(measurements=rows(latency_ms=-1)), "arch 'c': latency_ms is -1"),
        (document(measurements=rows(latency_ms="3")), "is no measurement"),
        (document(measurements=rows(latency_ms=True)), "is no measurement"),
        (document(measurements=rows(latency_ms=10**400)), "too large"),
        (document(measurements=rows(key=3)), "is no measurement"),
        (document(measurements=rows(quartiles_ms=[1])), "index out of range"),
        (document(measurements=[3]), "not subscriptable"),
        ("\udcff", "codec can't decode"),
    ],
)
def test_damaged_files(content: str, told: str) -> None:
    path = store.add(MINE)
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataMissingError) as error:
        store.load("toy", "mine")
    assert str(error.value).startswith(f"{path} is damaged: ")
    assert told in str(error.value)
    assert str(error.value).endswith("gennas hardware remove mine --space toy")


@pytest.mark.parametrize(
    ("measurements", "told"),
    [
        ((), "0 distinct archs"),
        (ROWS[:2], "hardware 'mine': 2 distinct archs measured"),
        ((*ROWS, ROWS[0]), "4 measurements of 3 archs"),
        (tuple(Measurement(key, 2.0) for key in "abcd"), "all 4 archs have the latency 2 ms"),
    ],
)
def test_what_cannot_be_used_is_not_stored(home: Path, measurements: tuple[Measurement, ...], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        store.add(replace(MINE, measurements=measurements))
    assert not home.exists()


def test_a_write_that_fails_leaves_what_was_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(MINE)
    before = store.path_of("toy", "mine").read_bytes()

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InvalidInputError, match=r"cannot be written: No space left on device. Set GENNAS_HOME"):
        store.add(replace(MINE, skeleton="channels=8"))
    assert files(home) == ["hardware/toy/mine.json"]
    assert store.path_of("toy", "mine").read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_home_that_cannot_be_written(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)
    with pytest.raises(InvalidInputError, match="Permission denied"):
        store.add(MINE)


def test_measurements_made_alike_are_put_together() -> None:
    more = replace(MINE, measurements=(ROWS[2], Measurement("d", 9.0)), how={"csv": "more.csv"})
    both = merged(MINE, more)
    assert both.measurements == (*ROWS, Measurement("d", 9.0))
    assert both.how == {"csv": "rows.csv, more.csv"}
    assert merged(both, more) == both
    assert merged(None, more) == more
    newer = replace(HERE, how={**HERE.how, "software": "torch 2.7"}, measurements=(Measurement("d", 9.0),))
    assert merged(HERE, newer).how["software"] == "torch 2.7"
    assert len(merged(HERE, newer).measurements) == 4


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (replace(MINE, skeleton="channels=8"), "skeleton was 'channels=16', is 'channels=8'"),
        (replace(MINE, input_shape=None), r"input_shape was \(3, 32, 32\), is None"),
        (replace(MINE, measurements=(Measurement("b", 2.6),)), "arch 'b' took 2.5 ms, takes 2.6 ms"),
        (HERE, "csv was 'rows.csv', is None; runtime was None, is 'torch'"),
    ],
)
def test_measurements_made_otherwise_are_not(other: Hardware, told: str) -> None:
    with pytest.raises(StudyError, match=f"hardware 'mine' was measured otherwise before: .*{told}.*--replace"):
        merged(MINE, other)


def test_another_machine_or_setting_is_another_hardware() -> None:
    for field, value in {"machine": "slide rule", "threads": 2, "runtime": "cuda"}.items():
        with pytest.raises(StudyError, match=f"{field} was"):
            merged(HERE, replace(HERE, how={**HERE.how, field: value}))
