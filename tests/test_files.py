"""Atomic writing: whole or not at all, and nothing left behind."""

import json
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file

from gennas.files import (
    check_writable,
    replacing,
    replacing_folder,
    write_bytes,
    write_json,
    write_parquet,
    write_safetensors,
    write_text,
    write_yaml,
)


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail_halfway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_the_old_file_stands_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_folders_are_made_and_files_are_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    before = os.umask(0o022)
    try:
        write_bytes(path, b"\x00\x01")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"\x00\x01"
    assert path.stat().st_mode & 0o777 == 0o644


def test_documents_are_read_back(tmp_path: Path) -> None:
    document = {"zebra": [1, 2.5, None], "ape": {"naïve": "ü"}}
    write_json(tmp_path / "d.json", document)
    write_yaml(tmp_path / "d.yaml", document)
    assert json.loads((tmp_path / "d.json").read_text()) == document
    assert yaml.safe_load((tmp_path / "d.yaml").read_text()) == document
    assert (tmp_path / "d.yaml").read_text().startswith("zebra")


def test_parquet_keeps_its_source(tmp_path: Path) -> None:
    frame = pd.DataFrame({"key": ["a", "b"], "value": [1.0, float("nan")]})
    write_parquet(frame, tmp_path / "t.parquet", {"source": "here", "licence": "MIT"})
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), frame)
    metadata = pq.read_schema(tmp_path / "t.parquet").metadata
    assert (metadata[b"source"], metadata[b"licence"]) == (b"here", b"MIT")


def test_tensors_are_read_back(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).reshape(2, 3).t()  # not contiguous
    write_safetensors(tmp_path / "m.safetensors", {"weight": tensor.requires_grad_()})
    torch.testing.assert_close(load_file(tmp_path / "m.safetensors")["weight"], tensor.detach())


def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable(pipe)
        write_text(pipe, "all of it")
        assert os.read(reader, 100) == b"all of it"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(NotADirectoryError), replacing_folder(pipe):
        pass
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_tensors_that_share_memory_are_written_in_full(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    write_safetensors(tmp_path / "tied.safetensors", {"a": weight, "b": weight, "c": weight.T})
    read = load_file(tmp_path / "tied.safetensors")
    assert read["a"].equal(weight)
    assert read["b"].equal(weight)
    assert read["c"].equal(weight.T)
