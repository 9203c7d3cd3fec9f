"""Settings: what differs is named with both values; a file that would hang its reader is refused at once."""

from pathlib import Path

import pytest

from gennas.errors import InvalidInputError
from gennas.settings import differences, read_settings

#: Every line refers twice to the line before it.
AVALANCHE = "\n".join(["a: &a0 [1, 1]", *(f"b{i}: &a{i + 1} [*a{i}, *a{i}]" for i in range(28))])


def test_nested_settings_have_dotted_names_and_both_values() -> None:
    stored = {"space": {"name": "s", "skeleton": {"cells": 1}}, "recipe": {"epochs": 8}, "seed": 0, "table": None}
    asked = {"space": {"name": "s", "skeleton": {"cells": 1}}, "recipe": {"epochs": 12, "seed": 1}, "seed": 0}
    assert differences(stored, asked) == [
        "recipe.epochs was 8, is now 12",
        "table was None, is now not set",
        "recipe.seed was not set, is now 1",
    ]
    assert differences(stored, stored) == []


def test_hashes_of_contents_are_not_shown() -> None:
    before, now = "0123456789ab", "ba9876543210"
    assert differences({"evaluated": before}, {"evaluated": now}) == ["evaluated has other content than before"]
    assert differences({"evaluated": before}, {}) == ["evaluated was given, is now not set"]
    assert differences({"file": None}, {"file": before * 5 + "abcd"}) == ["file was None, is now given"]
    assert differences({"name": "photos-of-12"}, {"name": "my-photos-12"}) == [
        "name was 'photos-of-12', is now 'my-photos-12'"
    ]


def test_an_empty_group_differs_from_none_and_from_a_full_one() -> None:
    assert differences({"options": {}}, {"options": {}}) == []
    assert differences({"options": {}}, {}) == ["options was {}, is now not set"]
    assert differences({"options": {}}, {"options": {"first": 5}}) == [
        "options was {}, is now not set",
        "options.first was not set, is now 5",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "while parsing"),
        ("", "it holds nothing"),
        ("- 1", "it holds list"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply"),
        ("&a {b: *a}", "nested too deeply"),
        ("a: &a [*a]", "nested too deeply"),
        (
            "\n".join(["a: &a0 [1, 1]", *(f"b{i}: &a{i + 1} [*a{i}, *a{i}]" for i in range(28))]),
            "more than 100000 values",
        ),
        ("a: &a0 {x: 1}\nb: {<<: *a0}", "merge keys"),
        ("a: 2026-13-45", "month must be in"),
        ("{[1]: 2}", "while constructing a mapping"),
        ("a: " + "x" * 1_000_001, "more than 1000000 bytes"),
    ],
)
def test_a_damaged_file_is_one_error_with_its_name(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=rf"config\.yaml is damaged \(.*{reason}"):
        read_settings(path)


def test_a_file_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match=r"config\.yaml is damaged"):
        read_settings(tmp_path / "config.yaml")
    with pytest.raises(InvalidInputError, match=r"none\.yaml cannot be read: No such file"):
        read_settings(tmp_path / "none.yaml")


def test_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: {b: [1, 2.5, x]}\nc: null\n")
    assert read_settings(tmp_path / "config.yaml") == {"a": {"b": [1, 2.5, "x"]}, "c": None}
