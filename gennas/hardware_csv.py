"""The user's CSV of measurements: one arch and its latency a row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.files import write_text
from gennas.hardware import Hardware, merged, written_skeleton
from gennas.measurements import FEWEST, Measurement, check, defect_of
from gennas.spaces import Space

COLUMNS = ("key", "latency_ms")
_EXPECTED = "expected UTF-8 text whose first line is key,latency_ms (write one: gennas hardware choose --out FILE)"
_SHOWN = 5
#: Stricter than float(), which also reads 1_000.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


def read_hardware(
    path: Path, name: str, space: Space, input_shape: tuple[int, ...] | None, before: Hardware | None = None
) -> Hardware:
    """A hardware from a file of measurements, together with those that are stored under its name.

    Args:
        path: of the file.
        name: of the hardware.
        space: with the skeleton of the measured networks.
        input_shape: of the images they saw; None where the user did not say.
        before: what is stored.

    Raises:
        InvalidInputError: see :func:`read_csv`.
        StudyError: what is stored was measured in another way.
    """
    known = dict(zip(before.keys, before.latency_ms.tolist(), strict=True)) if before else None
    rows = read_csv(path, space, known)
    return merged(before, Hardware(name, space.name, rows, {"csv": str(path)}, written_skeleton(space), input_shape))


def read_csv(path: Path, space: Space, known: Mapping[str, float] | None = None) -> tuple[Measurement, ...]:
    """The measurements of a file with the columns ``key`` and ``latency_ms``, one per distinct arch.

    Separators may be commas, semicolons (then also with decimal commas) or tabs; other columns and blank lines are
    ignored, rows that say the same twice count once.

    Args:
        path: of the file.
        space: whose archs the keys are; equal archs may be written in different ways.
        known: latencies in ms of archs that were measured before, which a row must not contradict.

    Raises:
        InvalidInputError: no such file, another form, bad rows (the first few are told with their line), or rows
            that together say nothing: fewer than three archs, unless more are known, or one latency for all.
    """
    where, problems, found = str(path), [], dict[str, tuple[int, float]]()
    for line, fields in _rows(path):
        try:
            key, latency = _measured(fields, space)
            before, value = found.setdefault(key, (line, latency))
            if value != latency:
                raise InvalidInputError(f"{_short(key)} has {latency:g} ms, but {value:g} ms in line {before}")
            if known is not None and known.get(key, latency) != latency:
                raise InvalidInputError(
                    f"{_short(key)} has {latency:g} ms, but {known[key]:g} ms before; --replace starts the device over"
                )
        except (InvalidArchError, InvalidInputError) as error:
            problems.append(f"line {line}: {_short(str(error).rstrip('.'), 400)}")
    if problems:
        rows = f"{len(problems)} bad row{'s' if len(problems) > 1 else ''}"
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        listing = "\n  ".join([*problems[:_SHOWN], *more])
        raise InvalidInputError(f"{where} has {rows}; mend and repeat, nothing was stored:\n  {listing}")
    measurements = tuple(Measurement(key, latency) for key, (_, latency) in found.items())
    if len(measurements) >= FEWEST or not known:
        check(measurements, where)
    return measurements


def write_choices(path: Path, archs: Sequence[Arch]) -> None:
    """Writes a file for :func:`read_csv` in which only the latencies are missing.

    Raises:
        InvalidInputError: the path exists with other content, which may be measurements by now.
    """
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows([arch.key, ""] for arch in archs)
    text = written.getvalue()
    if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
        raise InvalidInputError(f"--out {path} exists and may hold measurements; choose another file.")
    write_text(path, text)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row: key, latency, and what is beyond the header's columns."""
    text = _text(path)
    head = next(line for line in re.split(r"[\r\n]+", text) if line.strip())
    for separator in (",", ";", "\t"):
        # No name holds a separator: what quotes there are need no care.
        header = [name.strip().strip('"').strip().casefold() for name in head.split(separator)]
        if all(header.count(name) == 1 for name in COLUMNS):
            break
    else:
        raise InvalidInputError(f"{path}: the first line is {_short(head)!r}; {_EXPECTED}.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    places = [header.index(name) for name in COLUMNS]
    line, is_header = 1, True
    try:
        for row in reader:
            if any(field.strip() for field in row):
                if not is_header:
                    key, latency = (row[place].strip() if place < len(row) else "" for place in places)
                    if separator == ";":
                        latency = (
                            latency.replace(",", ".") if latency.count(",") == 1 and "." not in latency else latency
                        )
                    yield line, [key, latency, *(field for field in row[len(header) :] if field.strip())]
                is_header = False
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInputError(f"{path}, line {line}: {error}; {_EXPECTED}.") from error


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except IsADirectoryError as error:
        raise InvalidInputError(
            f"--csv {path} is a folder; expected a file with the columns key,latency_ms."
        ) from error
    except OSError as error:
        raise InvalidInputError(f"--csv {path} cannot be read: {error.strerror}; {_EXPECTED}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"--csv {path} is no text in UTF-8 (byte {error.start}); {_EXPECTED}.") from error
    if "\0" in text:
        raise InvalidInputError(f"--csv {path} is no text: it holds zero bytes; {_EXPECTED}.")
    if not text.strip():
        raise InvalidInputError(f"--csv {path} is empty; {_EXPECTED}.")
    return text


def _measured(fields: Sequence[str], space: Space) -> tuple[str, float]:
    key, text, *beyond = fields
    if beyond:
        raise InvalidInputError(
            'more fields than the first line names; a key that holds a comma needs quotes: "KEY",7.1'
        )
    (arch,) = space.renumbered([space.parse(key)])
    if not text:
        raise InvalidInputError(f"{_short(key)} has no latency_ms; measure it, or delete the row")
    if not _NUMBER.fullmatch(text):
        raise InvalidInputError(f"latency_ms is {_short(text)!r}; expected a number of milliseconds such as 7.1")
    latency = float(text)
    if defect := defect_of(latency):
        raise InvalidInputError(defect)
    return arch.key, latency


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"
