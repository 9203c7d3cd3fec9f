"""Files of archs: one key a line, a table with a column key, a list, or a result of gennas."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from toys import mixed

from gennas.cli.archs import read_archs
from gennas.cli.output import cell
from gennas.errors import GennasError, InvalidArchError, InvalidInputError
from gennas.spaces import Space, get_space

NB201, NB101 = get_space("nasbench201"), get_space("nasbench101")
KEYS = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
]
SPEC = {"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}


def read(space: Space, path: Path, text: str) -> list[str]:
    path.write_text(text)
    return [arch.key for arch, _ in read_archs(space, [], str(path))]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(KEYS),
        "id,key,accuracy\n1,{},0.9\n\n2,{},0.8\n".format(*KEYS),
        'Key;note\n"{}";a\n{};b\n'.format(*KEYS),
        "key\n{}\n{}\n".format(*KEYS),
        json.dumps(KEYS),
        json.dumps(KEYS, indent=1),
        str(KEYS),
        str(tuple(KEYS)),
        json.dumps([{"key": key, "accuracy": 0.5} for key in KEYS]),
        json.dumps({"archs": [{"key": key} for key in KEYS]}),
        "\n".join(f"Structure(4 nodes with {key})" for key in KEYS),
    ],
)
def test_files_of_archs(tmp_path: Path, text: str) -> None:
    assert read(NB201, tmp_path / "archs", text) == KEYS


def test_cells_as_json_alone_in_a_list_and_one_a_line(tmp_path: Path) -> None:
    text, key = json.dumps(SPEC), "10/1 maxpool3x3"
    for written in (text, json.dumps(SPEC, indent=2), json.dumps([SPEC]), str(SPEC)):
        assert read(NB101, tmp_path / "archs", written) == [key]
    assert read(NB101, tmp_path / "archs", f"{text}\n{text}\n") == [key, key]


def test_a_key_counts_whatever_stands_beside_it(tmp_path: Path) -> None:
    assert read(NB201, tmp_path / "archs", str([{"key": key, "tags": {1, 2}} for key in KEYS])) == KEYS


def test_standard_input_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gennas.cli.archs.MOST_BYTES", 1000)
    monkeypatch.setattr("sys.stdin", io.StringIO("a" * 1001))
    with pytest.raises(InvalidInputError, match="'-' cannot be read: it has more than 1000 characters"):
        read_archs(NB201, [], "-")


def test_keys_that_are_lists_themselves(tmp_path: Path) -> None:
    space = mixed()
    keys = [arch.key for arch in list(space.enumerate())[:3]]
    assert read(space, tmp_path / "archs", "\n".join(keys)) == keys
    assert read(space, tmp_path / "archs", keys[0]) == keys[:1]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (f"{KEYS[0]}\n235\n", InvalidArchError, "line 2: '235' looks like an index"),
        (f"id,key\n1,{KEYS[0]}\n2,nonsense\n", InvalidArchError, "line 3: 'nonsense' is not a valid nasbench201"),
        (json.dumps([KEYS[0], "nonsense"]), InvalidArchError, "arch 2: 'nonsense' is not a valid nasbench201"),
        ("(4, 0, 3, 1, 4, 3)\n", InvalidArchError, "line 1: .* looks like op indices"),
        ("[[1, 2], [3, 4]]", InvalidArchError, "line 1: .* looks like a list of indices"),
        ("(5)", InvalidArchError, "line 1: .*5"),
        ("[5]", InvalidArchError, "line 1: .*5"),
        ("(None)", InvalidArchError, "line 1: '.None.'"),
        ("('a')", InvalidArchError, r"line 1: .*\('a'\)"),
        ("(\n'abc'\n)", InvalidArchError, r"line 1: '\('"),
        ("({'key': 'a'})", InvalidArchError, "line 1: "),
        ("[{'x': {1, 2}}]", InvalidInputError, "arch 1 is no cell: Object of type set is not JSON .*; expected "),
        ("[{'key': {'x': b'1'}}]", InvalidInputError, "arch 1 is no cell: .*bytes"),
        ("[{(1, 2): 3}]", InvalidInputError, "arch 1 is no cell: keys must be"),
        ('{"archs": 3}', InvalidInputError, "is not a result of gennas.* a CSV with a column key, or one key a line"),
        ("key,accuracy\n", InvalidInputError, "no archs were given"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: str, error: type[GennasError], message: str) -> None:
    with pytest.raises(error, match=message):
        read(NB201, tmp_path / "archs", text)


@pytest.mark.parametrize(
    ("predicted", "defect"),
    [
        ({"latency_ms@a": {"mean": 3.0, "std": 2.0, "median": 2.0}}, "the low of latency_ms@a is missing"),
        ({"latency_ms@a": {"mean": 3.0, "std": 2.0, "median": "x", "low": 1.0, "high": 4.0}}, "latency_ms@a is 'x'"),
    ],
)
def test_a_median_comes_with_its_interval(tmp_path: Path, predicted: dict[str, object], defect: str) -> None:
    with pytest.raises(InvalidInputError, match=defect):
        read(NB201, tmp_path / "archs.json", json.dumps({"archs": [{"key": KEYS[0], "predicted": predicted}]}))


def test_cells_show_a_mean_a_median_and_what_is_not_defined() -> None:
    assert cell({"mean": 0.91234, "std": 0.0123}) == "0.9123 +- 0.012"
    assert cell({"mean": 3.0, "std": 2.0, "median": 2.0, "low": 0.5, "high": 8.0}) == "2 (0.5 to 8)"
    assert cell({"mean": None, "std": 0.0}) == "not defined"
