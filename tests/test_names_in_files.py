"""Checkpoints and tables name what they need by registered names: nothing that a file says is ever imported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from gennas.diffusion.generator import load_generator
from gennas.errors import UnknownNameError
from gennas.part_files import expect_space
from gennas.predictors import load_predictor
from gennas.spaces import SPACES, address_of, get_space, registered_space
from gennas.tables import Table

SPACE = """
from gennas.spaces.nasbench201.space import NasBench201

class Mine(NasBench201):
    name = "mine-of-a-file"
"""


def checkpoint_of(folder: Path, space: str) -> Path:
    for part in ("generator", "predictor"):
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps({"format": 1, "space": space, "metrics": []}))
    return folder


def look_up(folder: Path) -> object:
    space = json.loads((folder / "predictor" / "config.json").read_text())["space"]
    return Table("t", space, pd.DataFrame({"accuracy@cifar10": []}), {}, ()).lookup("no key", "accuracy@cifar10")


READERS = [
    load_generator,
    load_predictor,
    lambda folder: expect_space(folder, get_space("nasbench201")),
    look_up,
]


@pytest.mark.parametrize("reader", READERS, ids=["generator", "predictor", "space", "table"])
@pytest.mark.parametrize("space", ["os:path", "side_effect:Mine", "side_effect.py:Mine"])
def test_a_path_in_a_file_is_refused(
    reader: Callable[[Path], object], space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "side_effect.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w'){SPACE}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match=f"'{space}' is not the name of a space.*name it yourself: `space`"):
        reader(checkpoint_of(tmp_path / "checkpoint", space))
    assert not (tmp_path / "ran").exists()


def test_a_space_of_a_file_is_known_once_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    folder = checkpoint_of(tmp_path / "checkpoint", "mine-of-a-file")
    with pytest.raises(UnknownNameError, match=r"make it known: `space` path/to/file.py:MySpace"):
        expect_space(folder, get_space("nasbench201"))
    mine = get_space(f"{tmp_path / 'space.py'}:Mine", "channels=4")
    expect_space(folder, mine)
    assert type(registered_space("Mine_of_a_file")) is type(mine)
    assert address_of(mine) == f"{tmp_path / 'space.py'}:Mine"
    assert "mine-of-a-file" in SPACES.list()
