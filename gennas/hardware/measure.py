"""Measures the latency of networks; this file runs by itself, too, and needs only onnxruntime and numpy.

In a folder that ``gennas hardware bundle`` has made, on the device that is to be measured:

    python measure.py                  one thread of the processor
    python measure.py --threads 4      four of them

It fills measurements.csv, network by network; if it is interrupted, the same command goes on. Then, where gennas is:

    gennas hardware add DEVICE --csv measurements.csv

gennas measures its own machine by the same functions. They are written for Python 3.8, which old boards have.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: Warm-up ends when the medians of two windows of runs, one after the other, agree within this share; a window has
#: so many seconds, and so many runs.
STABLE, WINDOW_SECONDS, WINDOW_RUNS = 0.02, 0.02, 3
#: Runs are repeated until the 95 % interval of their median is within this share of it, either way, and the medians of
#: so many blocks of them, one after the other, differ by no more than that.
PRECISE, BLOCKS, STEADY = 0.02, 5, 0.05
#: But so often and so long at the least, in seconds; and so long at the most, warm-up half of it.
LEAST_RUNS, LEAST_SECONDS, SECONDS = 7, 0.2, 1.0
#: A machine is busy where the medians of blocks differ by this share; where the median run waited for a core for this
#: share of its time; or where others use this share of the cores that are left to them, which share memory and caches
#: with ours, and at least so many.
UNSTEADY, WAITED, OTHERS, OTHER_CORES = 0.1, 0.05, 0.5, 0.2
#: How often a network is measured in all where the machine is busy, and seconds between.
ATTEMPTS, PAUSE = 3, 0.3

#: Of the file of measurements: what was measured, what came of it, and how.
NUMBERS = ("latency_ms", "lower_quartile_ms", "upper_quartile_ms", "p90_ms", "runs")
SETTINGS = ("runtime", "threads", "precision", "machine")
NETWORKS = ("space", "skeleton", "input_shape")
COLUMNS = ("file", "key", *NUMBERS, "busy", *SETTINGS, "software", *NETWORKS)


class LatencyTiming(NamedTuple):
    """The runs of one network, in ms, and what disturbed them: empty where the machine was idle."""

    median_ms: float
    lower_quartile_ms: float
    upper_quartile_ms: float
    p90_ms: float
    runs: int
    disturbance: str = ""


def timed(run: Callable[[], object], seconds: float = SECONDS, threads: int | None = 1) -> LatencyTiming:
    """Times a function: warm-up until it is stable, runs until their median is precise; again where others disturb.

    Time for which a run of one thread waits for a core that others have does not count. Of several attempts the one
    with the shortest median counts, as others can only make it longer.

    Args:
        run: one run of the network.
        seconds: that the runs of an attempt take at the most, beside the fewest; warm-up takes half of it.
        threads: of the processor that compute; None where something else computes, e.g. a GPU.
    """
    found: list[LatencyTiming] = []
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        found.append(_attempt(run, seconds, threads))
        if not found[-1].disturbance:
            return found[-1]
    return min(found)


def _attempt(run: Callable[[], object], seconds: float, threads: int | None) -> LatencyTiming:
    _warm_up(run, seconds / 2)
    times: list[float] = []
    waits: list[float] = []
    begin, before, check = time.perf_counter(), _processor_seconds(), LEAST_RUNS
    while True:
        processor, start = time.process_time(), time.perf_counter()
        run()
        wall = time.perf_counter() - start
        # Threads that wait for each other use cores, or not, as the runtime pleases; one thread waits only for a core.
        # Its clock is read around the other one, so that it never is the shorter one without that.
        used = time.process_time() - processor if threads == 1 and os.name == "posix" else wall
        times.append(min(wall, used))
        waits.append(1 - times[-1] / wall)
        if len(times) < check:
            continue
        # Sorting ever more runs after each of them would take longer than they do.
        check = len(times) + max(1, len(times) // 8)
        spent = time.perf_counter() - begin
        if spent >= seconds or (spent >= LEAST_SECONDS and _half_width(times) <= PRECISE and _spread(times) <= STEADY):
            break
    others = _other_cores(before, _processor_seconds(), time.perf_counter() - begin)
    disturbance = _disturbance(_spread(times), float(np.median(waits)), others, threads or 1)
    lower, median, upper, p90 = (float(value) for value in 1e3 * np.percentile(times, [25, 50, 75, 90]))
    return LatencyTiming(median, lower, upper, p90, len(times), disturbance)


def _warm_up(run: Callable[[], object], seconds: float) -> None:
    begin, before = time.perf_counter(), 0.0
    while True:
        window: list[float] = []
        while len(window) < WINDOW_RUNS or sum(window) < WINDOW_SECONDS:
            start = time.perf_counter()
            run()
            window.append(time.perf_counter() - start)
            if time.perf_counter() - begin >= seconds:
                return
        median = float(np.median(window))
        if abs(median - before) <= STABLE * median:
            return
        before = median


def _half_width(times: list[float]) -> float:
    """Half the width of the median's 95 % interval, relative to it: from one of the sorted values to another."""
    ordered, middle, reach = np.sort(times), len(times) / 2, 0.98 * len(times) ** 0.5
    low, high = max(int(middle - reach), 0), min(int(np.ceil(middle + reach)), len(times) - 1)
    return float((ordered[high] - ordered[low]) / 2 / np.median(ordered))


def _spread(times: list[float]) -> float:
    """By how much the medians of blocks of runs differ, relative to that of all; 0 for too few runs."""
    if len(times) < 2 * BLOCKS:
        return 0.0
    medians = [np.median(block) for block in np.array_split(np.array(times), BLOCKS)]
    return float((max(medians) - min(medians)) / np.median(times))


def _disturbance(spread: float, waited: float, others: float | None, threads: int) -> str:
    """What disturbed the runs, in words; empty for nothing."""
    cores = os.cpu_count() or 1
    if others is not None and others > max(OTHER_CORES, OTHERS * (cores - threads)):
        return f"other programs used {others:.1f} of {cores} cores"
    if waited > WAITED:
        return f"the median run waited for a core for {waited:.0%} of its time"
    if spread > UNSTEADY:
        return f"medians of runs one after the other differ by {spread:.0%}"
    return ""


def _processor_seconds() -> tuple[float, float] | None:
    """Seconds for which all programs, and this one, have used cores; None where the system does not tell."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            # user nice system idle iowait irq softirq steal; what the host takes of a virtual machine is not idle.
            fields = [int(field) for field in file.readline().split()[1:9]]
        return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK"), time.process_time()
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _other_cores(before: tuple[float, float] | None, after: tuple[float, float] | None, seconds: float) -> float | None:
    """How many cores other programs used."""
    if before is None or after is None or seconds <= 0:
        return None
    return max(0.0, (after[0] - before[0]) - (after[1] - before[1])) / seconds


def onnx_run(model: str | bytes, threads: int) -> Callable[[], object]:
    """One run of an ONNX model on random images, with onnxruntime on the processor.

    Args:
        model: its file, or what that holds.
        threads: that compute one operation.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # With untrained weights activations can become denormal, which would slow down some networks at random.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # If the output does not depend on the input, the exported model has no inputs.
    rng = np.random.default_rng(0)
    feed = {entry.name: rng.standard_normal(entry.shape).astype(np.float32) for entry in session.get_inputs()}
    return lambda: session.run(None, feed)


def machine() -> str:
    """The board or the processor, and the number of its cores."""
    name = platform.processor() or platform.machine()
    for path, mark in (("/proc/cpuinfo", "model name"), ("/proc/device-tree/model", "")):
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").replace("\0", "").splitlines()
        except OSError:
            continue
        name = next((line.split(":")[-1].strip() for line in lines if line.startswith(mark)), name)
    return f"{name}, {os.cpu_count()} CPUs"


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a file of measurements.

    Raises:
        OSError: it cannot be read.
        ValueError: it is another file, or was saved with other separators.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{path} has no column {missing[0]!r}; expected the bundle's measurements.csv, with its first line and "
                "commas between columns"
            )
        return [{name: row.get(name) or "" for name in COLUMNS} for row in reader]


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Writes a file of measurements at once: whoever is interrupted finds the old one or the new one."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def main() -> None:
    """Measures the networks beside this file."""
    folder = Path(__file__).resolve().parent
    template = folder / "measurements.csv"
    parser = argparse.ArgumentParser(description="Measures the latency of the networks in this folder.")
    parser.add_argument("--threads", type=int, default=1, help="threads of the processor (default: 1)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for a network's runs (default: {SECONDS:g})")
    parser.add_argument("--out", type=Path, default=template, help="the file to fill (default: measurements.csv)")
    options = parser.parse_args()
    if options.threads < 1 or not options.seconds > 0:
        parser.error("expected --threads of at least 1, and --seconds above 0")
    if options.out.is_dir() or not options.out.resolve().parent.is_dir():
        parser.error(f"--out is {str(options.out)!r}; expected a file in a folder that exists")
    try:
        import onnxruntime
    except ImportError as error:
        parser.error(f"{error}; install it with: pip install onnxruntime")
    is_new = not options.out.exists()
    try:
        bundle = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        rows = read_rows(template if is_new else options.out)
    except (OSError, ValueError) as error:
        parser.error(f"{error}; unzip the whole bundle, or give another file with --out")
    now = {
        "runtime": "onnxruntime",
        "threads": str(options.threads),
        "precision": bundle["precision"],
        "machine": machine(),
    }
    for row in rows:
        if is_new:
            row.update(dict.fromkeys((*NUMBERS, "busy"), ""))
        differing = [f"{name} {row[name]!r}, not {now[name]!r}" for name in SETTINGS if row[name] != now[name]]
        if row["latency_ms"] and differing:
            parser.error(
                f"{options.out} holds measurements with {differing[0]}; give another file with --out, and add it to "
                "gennas under another name"
            )
    failed = 0
    for number, row in enumerate(rows, start=1):
        if not row["latency_ms"]:
            # One damaged file, or one that this runtime cannot run, is no reason to lose the others' measurements.
            try:
                run = onnx_run(str(folder / row["file"]), options.threads)
                timing = timed(run, options.seconds, options.threads)
            except Exception as error:
                failed += 1
                reason = str(error).strip() or type(error).__name__
                print(f"{number}/{len(rows)}  {row['file']}  failed: {reason}", file=sys.stderr, flush=True)
                continue
            row.update(zip(NUMBERS, (f"{value:.6g}" for value in timing[:5])))  # noqa: B905 - Python 3.8 has no strict
            row.update({**now, "busy": timing.disturbance, "software": f"onnxruntime {onnxruntime.__version__}"})
            write_rows(options.out, rows)
        note = f"  busy: {row['busy']}" if row["busy"] else ""
        print(f"{number}/{len(rows)}  {row['file']}  {row['latency_ms']} ms{note}", flush=True)
    if any(row["busy"] for row in rows):
        print(
            "The machine was busy: empty latency_ms in rows marked so, and repeat, or expect less precise predictions."
        )
    if failed:
        sys.exit(
            f"error: {failed} of {len(rows)} networks could not be measured. Unzip the bundle again, and repeat, or "
            "delete their rows."
        )
    print(f"next, where gennas is: gennas hardware add DEVICE --csv {options.out.name} {bundle['options']}".rstrip())


if __name__ == "__main__":
    main()
