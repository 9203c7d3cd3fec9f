"""The user's CSV files of archs: what is no such file is told in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennas.errors import InvalidInputError
from gennas.spaces import get_space
from gennas.tables.arch_csv import Column, read_numbers

COLUMN = Column("accuracy", "evaluated", "a share", "0.9", "see the guide")


def refused(path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_numbers(path, get_space("nasbench201"), COLUMN, lambda arch, number: "")
    return str(caught.value)


def test_a_file_without_end_is_refused_at_once() -> None:
    message = refused(Path("/dev/zero"))
    assert message.startswith("evaluated /dev/zero cannot be read: it has more than 100000000 bytes; expected ")


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)
    assert "cannot be read: No such file" in refused(tmp_path / "nowhere.csv")
    (tmp_path / "latin.csv").write_bytes(b"key,accuracy\n\xe4,1\n")
    assert "is not valid UTF-8 (at byte 13)" in refused(tmp_path / "latin.csv")
    (tmp_path / "null.csv").write_bytes(b"key,accuracy\n\0,1\n")
    assert "contains null bytes" in refused(tmp_path / "null.csv")
