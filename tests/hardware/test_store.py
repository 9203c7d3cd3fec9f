"""The store of the user's hardware: round trip, damaged files, atomic writes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gennas.errors import DataMissingError, InvalidInputError, StudyError, UnknownNameError
from gennas.hardware import HARDWARE, store
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
    """All files, hidden or not, but for those that hold locks."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_added_hardware_is_loaded(home: Path) -> None:
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
def test_invalid_names(home: Path, name: str) -> None:
    for action in (
        lambda: store.add(replace(MINE, name=name)),
        lambda: store.load("toy", name),
        lambda: store.remove("toy", name),
    ):
        with pytest.raises(InvalidInputError, match="is not a valid hardware name; expected 1 to 64 letters"):
            action()
    assert not home.exists()


def test_unknown_names_suggest_the_nearest() -> None:
    store.add(MINE)
    with pytest.raises(UnknownNameError, match="Did you mean 'mine'"):
        store.load("toy", "mime")
    with pytest.raises(UnknownNameError, match="unknown stored hardware for toy 'mime'"):
        store.remove("toy", "mime")
    with pytest.raises(UnknownNameError, match="Known: none"):
        store.load("nasbench201", "mine")


def test_unfinished_measurements_are_not_listed_but_removed(home: Path) -> None:
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
    ("content", "expected"),
    [
        ("", "Expecting value"),
        (document()[:-20], "delimiter"),
        ("[]", "list indices"),
        ("null", "NoneType"),
        ("{}", "'format' is missing"),
        (document(format=7), "its format is 7; this version of gennas reads format 1"),
        (document(name="other"), "it describes hardware 'other' for 'toy'"),
        (document(space="other"), "it describes hardware 'mine' for 'other'"),
        (document(skeleton=3), "skeleton is 3; expected a string"),
        (document(input_shape=[3, "x"]), "invalid literal"),
        (document(how=3), "not iterable"),
        (document(measurements=None), "not iterable"),
        (document(measurements=rows()[:2]), "2 distinct archs measured; expected at least 3"),
        (document(measurements=[*rows(), *rows()]), "6 measurements of 3 archs; expected one per arch"),
        (document(measurements=rows(latency_ms=float("nan"))), "arch 'c': latency_ms is nan"),
        (document(measurements=rows(latency_ms=-1)), "arch 'c': latency_ms is -1"),
        (document(measurements=rows(latency_ms="3")), "latency_ms is '3'; must be a number"),
        (document(measurements=rows(latency_ms=True)), "latency_ms is True; must be a number"),
        (document(measurements=rows(quartiles_ms=[1, float("inf")])), "latency_ms is inf"),
        (document(measurements=rows(latency_ms=10**400)), "too large"),
        (document(measurements=rows(key=3)), "is not a valid measurement"),
        (document(measurements=rows(quartiles_ms=[1])), "index out of range"),
        (document(measurements=[3]), "not subscriptable"),
        ("\udcff", "codec can't decode"),
    ],
)
def test_damaged_files(content: str, expected: str) -> None:
    path = store.add(MINE)
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataMissingError) as error:
        store.load("toy", "mine")
    assert str(error.value).startswith(f"{path} is damaged: ")
    assert expected in str(error.value)
    assert str(error.value).endswith("gennas hardware remove mine --space toy")


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        ((), "0 distinct archs"),
        (ROWS[:2], "hardware 'mine': 2 distinct archs measured"),
        ((*ROWS, ROWS[0]), "4 measurements of 3 archs"),
        (tuple(Measurement(key, 2.0) for key in "abcd"), "all 4 archs have the same latency, 2 ms"),
    ],
)
def test_invalid_measurements_are_not_stored(home: Path, measurements: tuple[Measurement, ...], expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        store.add(replace(MINE, measurements=measurements))
    assert not home.exists()


def test_a_failed_write_keeps_the_old_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(MINE)
    before = store.path_of("toy", "mine").read_bytes()

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InvalidInputError, match=r"cannot write .*mine\.json: No space left on device. Set GENNAS_HOME"):
        store.add(replace(MINE, skeleton="channels=8"))
    assert files(home) == ["hardware/toy/mine.json"]
    assert store.path_of("toy", "mine").read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_home(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)
    with pytest.raises(InvalidInputError, match="Permission denied"):
        store.add(MINE)


def test_measurements_with_equal_settings_are_merged() -> None:
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
    ("other", "expected"),
    [
        (replace(MINE, skeleton="channels=8"), "skeleton was 'channels=16', is now 'channels=8'"),
        (replace(MINE, input_shape=None), r"input_shape was \(3, 32, 32\), is now None"),
        (replace(MINE, measurements=(Measurement("b", 2.6),)), "arch 'b' took 2.5 ms, now takes 2.6 ms"),
        (HERE, "csv was 'rows.csv', is now not set; runtime was not set, is now 'torch'"),
    ],
)
def test_measurements_with_other_settings_are_not_merged(other: Hardware, expected: str) -> None:
    with pytest.raises(StudyError, match=f"hardware 'mine' was measured with other settings: .*{expected}.*`replace`"):
        merged(MINE, other)


def test_machine_and_settings_must_match() -> None:
    for field, value in {"machine": "slide rule", "threads": 2, "runtime": "cuda"}.items():
        with pytest.raises(StudyError, match=f"{field} was"):
            merged(HERE, replace(HERE, how={**HERE.how, field: value}))


def test_hardware_of_an_installed_package_is_one_of_the_names(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, phone: str
) -> None:
    packaged = replace(store.load("nasbench201", phone), name="packaged-phone")
    monkeypatch.setattr(HARDWARE, "_entries", {})
    HARDWARE.register("packaged-phone", packaged)
    HARDWARE.register("elsewhere", replace(packaged, name="elsewhere", space="nasbench101"))
    HARDWARE.register(phone, replace(packaged, name=phone))
    HARDWARE.register("broken", "no_such_package:DEVICE")
    assert store.names("nasbench201") == ("packaged-phone", phone)
    assert "hardware 'broken' cannot be imported" in caplog.text
    assert store.load("nasbench201", "packaged-phone") is packaged
    assert store.load("nasbench201", phone) is not HARDWARE.get(phone), "what the user has stored comes first"
    with pytest.raises(UnknownNameError, match="packaged-phone"):
        store.load("nasbench201", "elsewhere")
