"""Documents from anybody: what would keep a reader busy, or break it, is a ValueError at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gennas.documents import parse_json, parse_yaml, read_json, read_text


def test_documents_are_read(tmp_path: Path) -> None:
    document = {"archs": [{"key": "a", "predicted": {"accuracy": {"mean": 0.5}}}], "text": "\u00e4", "none": None}
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(document, ensure_ascii=False).encode())
    assert read_json(tmp_path / "a.json") == document
    assert parse_yaml("a: {b: [1, 2.5, x]}\nc: null\nd: &x [1]\ne: *x\n") == {
        "a": {"b": [1, 2.5, "x"]},
        "c": None,
        "d": [1],
        "e": [1],
    }


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("levels", [40, 900, 100_000])
def test_json_that_is_nested_too_deeply(opening: str, levels: int) -> None:
    closing = "".join({"[": "]", "{": "}"}[sign] for sign in reversed(opening) if sign in "[{")
    with pytest.raises(ValueError, match="it is nested too deeply"):
        parse_json(opening * levels + "1" + closing * levels)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "\0", "{'a': 1}", "9" * 5000])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [true]",
        "a: [",
        "? {a: b}\n: c",
        "a: *b",
        "- &a [*a]",
        "%YAML 9.9\n---\na",
        "\0",
    ],
)
def test_what_is_no_yaml_of_ours(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


def test_a_file_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has more than 1000 bytes"):
        read_text(Path("/dev/zero"), most_bytes=1000)
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="codec can't decode"):
        read_text(tmp_path / "a")
