"""CSV files of measurements: every sensible format is read; all defects are reported together, with their lines."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennas.errors import InvalidInputError, StudyError
from gennas.hardware.measurement_csv import MILLISECONDS, Unit, read_csv, read_hardware, write_choices
from gennas.hardware.measurements import Measurement, doubtful_unit
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

CIFAR10 = get_task("cifar10")
NB201, NB101 = get_space("nasbench201"), get_space("nasbench101")
ARCHS = [NB201.sample(np.random.default_rng(seed)) for seed in range(8)]
KEYS = [arch.key for arch in ARCHS]
ROWS = [f"{key},{latency}" for key, latency in zip(KEYS, (7.25, 3.5, 11, 4.75), strict=False)]
EXPECTED = tuple(Measurement(key, latency) for key, latency in zip(KEYS, (7.25, 3.5, 11.0, 4.75), strict=False))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ten_rows.csv"


def refusal(file: Path, *lines: str, earlier: dict[str, float] | None = None) -> str:
    file.write_text("\n".join(lines))
    with pytest.raises(InvalidInputError) as caught:
        read_csv(file, NB201, earlier)
    assert file.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\n".join(["key,latency_ms", *ROWS]), id="plain"),
        pytest.param("\r\n".join(["key,latency_ms", *ROWS, ""]), id="crlf"),
        pytest.param("\r".join(["key,latency_ms", *ROWS]), id="cr"),
        pytest.param("\ufeff" + "\n".join(["key,latency_ms", *ROWS]), id="bom"),
        pytest.param("\n".join(["", "key,latency_ms", "", ROWS[0], "", *ROWS[1:], "", ""]), id="blank"),
        pytest.param("\n".join([" Key , Latency_MS ", *(row.replace(",", " , ") for row in ROWS)]), id="spaces"),
        pytest.param(
            "\n".join(['"key","latency_ms"', *('"' + row.replace(",", '","') + '"' for row in ROWS)]), id="quotes"
        ),
        pytest.param("\n".join(["key;latency_ms", *(row.replace(",", ";") for row in ROWS)]), id="semicolons"),
        pytest.param(
            "\n".join(["key;latency_ms", *(row.replace(",", ";").replace(".", ",") for row in ROWS)]),
            id="decimal-commas",
        ),
        pytest.param("\n".join(["key\tlatency_ms", *(row.replace(",", "\t") for row in ROWS)]), id="tabs"),
        pytest.param("\n".join(["latency_ms,key", *(",".join(reversed(row.split(","))) for row in ROWS)]), id="order"),
        pytest.param(
            "\n".join(["run,key,note,latency_ms", *(f"3,{row.replace(',', ',ok,')}" for row in ROWS)]), id="columns"
        ),
        pytest.param("\n".join(["key,latency_ms", *(row + ",," for row in ROWS), ",,"]), id="trailing"),
        pytest.param("\n".join(["key,latency_ms", *ROWS, ROWS[0], ROWS[2].replace("11", "1.1e1")]), id="twice"),
    ],
)
def test_accepted_formats(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    assert read_csv(file, NB201) == EXPECTED


@given(
    st.dictionaries(st.sampled_from(KEYS), st.floats(1e-6, 1e5), min_size=3).filter(lambda d: len(set(d.values())) > 1),
    st.sampled_from([csv.excel, csv.excel_tab, csv.unix_dialect]),
)
def test_written_files_are_read_back(latencies: dict[str, float], dialect: type[csv.Dialect]) -> None:
    text = io.StringIO()
    csv.writer(text, dialect).writerows([("key", "latency_ms"), *latencies.items()])
    path = Path(__file__).with_name("never.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode: io.BytesIO(text.getvalue().encode()))
        read = read_csv(path, NB201)
    assert {row.key: row.latency_ms for row in read} == latencies


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"key,latency_ms\n{text}".encode()))
def test_arbitrary_bytes_raise_only_invalid_input(content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode: io.BytesIO(content))
        with pytest.raises(InvalidInputError, match="never"):
            read_csv(Path("never.csv"), NB201)


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        ("nan", "latency_ms is nan; must be in [1e-06, 100000] (ms)"),
        ("inf", "latency_ms is inf; must be in"),
        ("1e999", "latency_ms is inf"),
        ("-7.1", "latency_ms is -7.1; must be in [1e-06, 100000] (ms)"),
        ("0", "latency_ms is 0; must be in"),
        ("", "has no latency_ms; fill it in or delete the row"),
        ("fast", "latency_ms is 'fast'; expected a number of milliseconds such as 7.1"),
        ("7.1 ms", "latency_ms is '7.1 ms'; expected a number of milliseconds such as 7.1"),
        ("1_000", "latency_ms is '1_000'"),
        ("0x10", "latency_ms is '0x10'"),
        ("100001", "latency_ms is 100001; must be in [1e-06, 100000] (ms); is it in another unit?"),
        ("1e-7", "latency_ms is 1e-07; must be in [1e-06, 100000] (ms); is it in another unit?"),
        ("7,1", "more fields than columns in the header; quote a key that contains a comma"),
    ],
)
def test_invalid_latencies(file: Path, latency: str, expected: str) -> None:
    message = refusal(file, "key,latency_ms", *ROWS, f"{KEYS[5]},{latency}")
    assert "has 1 invalid row; fix this row and rerun; nothing was saved" in message
    assert f"line 6: {expected}" in message or f"line 6: {KEYS[5]} {expected}" in message


def test_invalid_keys_are_reported(file: Path) -> None:
    wrong = KEYS[5].replace("~2", "~1")
    message = refusal(file, "key,latency_ms", *ROWS, f"{wrong},3", "nonsense,4", ",5", "?,6")
    assert "has 4 invalid rows" in message
    assert "line 6: " in message
    assert "must end in '~2'" in message
    assert "line 7: 'nonsense' is not a valid nasbench201 cell" in message
    assert "line 8: " in message
    assert "line 9: " in message


def test_up_to_five_invalid_rows_are_listed(file: Path) -> None:
    bad = [f"{KEYS[6]},-{number}" for number in range(1, 9)]
    message = refusal(file, "key,latency_ms", ROWS[0], "", *bad, ROWS[1])
    assert "has 8 invalid rows" in message
    assert [f"line {number}:" in message for number in range(3, 13)] == [False, *[True] * 5, *[False] * 4]
    assert message.endswith("and 3 more")


def test_an_arch_twice_with_different_values(file: Path) -> None:
    message = refusal(file, "key,latency_ms", *ROWS, f"{KEYS[1]},3.6", f"{KEYS[2]},12")
    assert f"line 6: {KEYS[1]} has latency_ms 3.6, but 3.5 in line 3" in message
    assert f"line 7: {KEYS[2]} has latency_ms 12, but 11 in line 4" in message


def test_isomorphic_keys_are_one_arch(file: Path) -> None:
    branches = ['"110/01/1 conv3x3-bn-relu,maxpool3x3"', '"110/01/1 maxpool3x3,conv3x3-bn-relu"']
    others = ["key,latency_ms", "1,1", "10/1 conv3x3-bn-relu,3"]
    file.write_text("\n".join([*others, f"{branches[0]},5", f"{branches[1]},5"]))
    assert [row.latency_ms for row in read_csv(file, NB101)] == [1, 3, 5]
    file.write_text("\n".join([*others, f"{branches[0]},5", f"{branches[1]},6"]))
    with pytest.raises(InvalidInputError, match="has latency_ms 6, but 5 in line 4"):
        read_csv(file, NB101)


def test_too_few_or_equal_measurements(file: Path) -> None:
    assert "1 distinct arch measured; expected at least 3" in refusal(file, "key,latency_ms", ROWS[0])
    assert "2 distinct archs measured" in refusal(file, "key,latency_ms", *ROWS[:2], ROWS[0])
    assert "0 distinct archs measured" in refusal(file, "key,latency_ms")
    message = refusal(file, "key,latency_ms", *(f"{key},7" for key in KEYS))
    assert "all 8 archs have the same latency, 7 ms" in message
    assert "gennas hardware choose" in refusal(file, "key,latency_ms", ROWS[0])


@pytest.mark.parametrize(
    "lines",
    [
        ROWS,
        ["key,latency", *ROWS],
        ["arch,latency_ms", *ROWS],
        ["key latency_ms", *ROWS],
        ["key,latency_ms,latency_ms", *ROWS],
        ["{", "}"],
    ],
)
def test_invalid_headers(file: Path, lines: list[str]) -> None:
    assert "starts with" in refusal(file, *lines)
    assert "expected UTF-8 text whose first line is key,latency_ms" in refusal(file, *lines)


def test_unreadable_files(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(InvalidInputError) as error:
            read_csv(path, NB201)
        return str(error.value)

    assert "is a folder; expected UTF-8 text" in message(tmp_path)
    assert "none.csv cannot be read: No such file or directory" in message(tmp_path / "none.csv")
    (tmp_path / "file").write_bytes(b"")
    assert "is empty" in message(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"\n \r\n")
    assert "is empty" in message(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    assert "is not valid UTF-8 (at byte 0)" in message(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"PK\3\4\0\0")
    assert "contains null bytes" in message(tmp_path / "file")
    (tmp_path / "file").write_text(f'key,latency_ms\n{ROWS[0]}\n"{ROWS[1]}\n{ROWS[2]}\n')
    assert "line 3: unexpected end of data" in message(tmp_path / "file")


def test_rows_must_agree_with_stored_measurements(file: Path) -> None:
    earlier = {KEYS[0]: 7.25, KEYS[6]: 2.0, KEYS[7]: 3.0}
    message = refusal(file, "key,latency_ms", *ROWS, f"{KEYS[6]},2.5", earlier=earlier)
    assert f"line 6: {KEYS[6]} has latency_ms 2.5, but 2 is stored; use `replace`" in message
    file.write_text(f"key,latency_ms\n{ROWS[0]}\n")
    assert read_csv(file, NB201, earlier) == EXPECTED[:1], "a single row may be added to others"
    assert "all 3 archs have the same latency, 5 ms" in refusal(
        file, "key,latency_ms", *(f"{key},5" for key in KEYS[3:6]), earlier=earlier
    )


def test_a_second_file_adds_rows(file: Path, tmp_path: Path) -> None:
    file.write_text("\n".join(["key,latency_ms", *ROWS[:3]]))
    first = read_hardware(file, "mine", NB201, None)
    assert (first.measurements, first.how) == (EXPECTED[:3], {"csv": str(file)})
    assert (first.skeleton, first.input_shape) == ("channels=16,cells=5", None)
    more = tmp_path / "more.csv"
    more.write_text("\n".join(["key,latency_ms", *ROWS[2:]]))
    second = read_hardware(more, "mine", NB201, None, first)
    assert (second.measurements, second.how) == (EXPECTED, {"csv": f"{file}, {more}"})
    assert read_hardware(file, "mine", NB201, None, second) == second, "the same file again changes nothing"
    with pytest.raises(StudyError, match=r"skeleton was 'channels=16,cells=5', is now 'channels=8,cells=5'"):
        read_hardware(more, "mine", get_space("nasbench201", "channels=8"), None, first)
    with pytest.raises(StudyError, match=r"input_shape was None, is now \(3, 32, 32\)"):
        read_hardware(more, "mine", NB201, (3, 32, 32), first)


def test_filled_in_template_is_read_back(file: Path) -> None:
    write_choices(file, ARCHS[:4])
    assert file.read_text().splitlines() == ["key,latency_ms", *(f"{key}," for key in KEYS[:4])]
    write_choices(file, ARCHS[:4])
    with pytest.raises(InvalidInputError, match="has 4 invalid rows"):
        read_csv(file, NB201)
    filled = "\n".join(["key,latency_ms", *ROWS])
    file.write_text(filled)
    with pytest.raises(InvalidInputError, match="already exists and may hold measurements; choose another file"):
        write_choices(file, ARCHS[:4])
    assert file.read_text() == filled
    assert read_csv(file, NB201) == EXPECTED


def test_template_quotes_keys_with_commas(file: Path) -> None:
    archs = [NB101.sample(np.random.default_rng(seed)) for seed in range(6)]
    write_choices(file, archs)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *(f"{line}{number}.5" for number, line in enumerate(lines[1:]))]))
    expected = {arch.key for arch in NB101.canonicalised(archs)}
    assert {row.key for row in read_csv(file, NB101)} == expected


@pytest.mark.parametrize(("factor", "word", "unit"), [(1e-3, "seconds", "s"), (1e3, "microseconds", "us")])
def test_latencies_in_another_unit_are_asked_about(file: Path, factor: float, word: str, unit: Unit) -> None:
    macs = [NB201.costs(arch, CIFAR10)["macs_m"] for arch in ARCHS]
    milliseconds = [6 + cost / 4 for cost in macs]
    rows = [f"{key},{factor * latency!r}" for key, latency in zip(KEYS, milliseconds, strict=True)]
    file.write_text("\n".join(["key,latency_ms", *rows]))
    with pytest.raises(InvalidInputError, match=rf"Are they {word}\? Give `unit` {unit}, or `unit` ms if they are"):
        read_hardware(file, "mine", NB201, None, task=CIFAR10)
    kept = read_hardware(file, "mine", NB201, None, task=CIFAR10, unit="ms")
    assert kept.latency_ms == pytest.approx([factor * latency for latency in milliseconds])
    read = read_hardware(file, "mine", NB201, None, task=CIFAR10, unit=unit)
    assert read.latency_ms == pytest.approx([factor * MILLISECONDS[unit] * latency for latency in milliseconds])


@pytest.mark.parametrize("device", ["pixel3", "raspi4", "eyeriss", "titan_rtx_32", "cpu"])
def test_latencies_of_known_devices_are_not_asked_about(device: str) -> None:
    table = load_table("nasbench201")
    metric = f"latency_ms@{device}"
    if metric in table.missing:
        pytest.skip("the file with latencies is not on this machine")
    known = table.column(metric).dropna().sample(30, random_state=0)
    macs = [NB201.costs(NB201.parse(str(key)), CIFAR10)["macs_m"] for key in known.index]
    for factor in (1.0, 10.0, 1 / 4):
        measured = [Measurement(str(key), factor * value) for key, value in known.items()]
        assert doubtful_unit(measured, macs) == "", factor
    assert "seconds" in doubtful_unit([Measurement(str(key), value / 1e3) for key, value in known.items()], macs)
