"""Printed commands can be pasted: they name the space as the user did."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gennas.commands import command
from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.hardware import store
from gennas.hardware.measurements import Measurement, check_measurements
from gennas.part_files import pretrain_command, read_config
from gennas.spaces import SPACES, get_space, space_option

OWN = f"{Path(__file__).parent / 'widths.py'}:Widths"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))


def test_the_default_space_goes_without_saying() -> None:
    assert space_option("nasbench201") is None
    assert space_option(get_space("nasbench201", "cells=1")) is None
    assert space_option("nasbench101") == "nasbench101"
    assert command("generate", n=5, space=None, nested=False, skeleton="") == "gennas generate -n 5"


def test_an_own_space_is_named_as_it_was_typed() -> None:
    space = get_space(OWN)
    assert space_option(space) == space_option("widths") == OWN
    assert space_option("never heard of") == "never heard of"
    assert pretrain_command("generator", space, "a b") == f"gennas pretrain generator --space {OWN} --out 'a b'"


def test_a_predictor_needs_a_table_where_no_table_has_the_name_of_the_space() -> None:
    assert pretrain_command("predictor") == "gennas pretrain predictor"
    assert pretrain_command("predictor", "nasbench101") == (
        "gennas pretrain predictor --space nasbench101 --table nasbench101"
    )
    assert pretrain_command("predictor", get_space(OWN)) == f"gennas pretrain predictor --space {OWN} --table FILE"


def test_what_a_checkpoint_lacks_is_trained_on_its_space(tmp_path: Path) -> None:
    get_space(OWN)
    (tmp_path / "generator").mkdir()
    (tmp_path / "generator" / "config.json").write_text('{"format": 1, "space": "widths"}')
    with pytest.raises(DataMissingError) as caught:
        read_config(tmp_path, "predictor")
    advice = shlex.split(str(caught.value).partition("Make one: ")[2])
    assert advice == shlex.split(f"gennas pretrain predictor --space {OWN} --table FILE --out {tmp_path}")


def test_advice_on_measurements_names_the_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    space = get_space(OWN)
    with pytest.raises(InvalidInputError, match=f"gennas hardware choose --space {OWN}"):
        check_measurements([Measurement("4-4-4-4-4", 1.0)], "mine.csv", space)
    with pytest.raises(UnknownNameError, match=f"gennas hardware add phone --csv FILE --space {OWN}"):
        store.load("widths", "phone")
