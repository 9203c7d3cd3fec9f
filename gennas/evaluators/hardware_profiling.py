"""Measuring archs on this machine, which thereby becomes a hardware; a measurement that was stopped goes on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gennas.arch import Arch
from gennas.errors import StudyError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware, merged, written_skeleton
from gennas.hardware.store import part_of, write
from gennas.progress import progress
from gennas.settings import differences
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import image_shape

#: Archs that are measured a second time.
REPEATED = 3


def measure(
    name: str,
    archs: Sequence[Arch],
    *,
    space: Space,
    task: Task,
    spec: LatencySpec,
    before: Hardware | None = None,
    start_over: bool = False,
    seed: int = 0,
) -> tuple[Hardware, float | None]:
    """Measures the latency of archs on this machine, all but those that were measured before.

    Every measured arch is remembered in a file beside the hardware's own; the same call goes on from there. The file
    stays until :func:`finish`, so that nothing is lost if the measurements cannot be used yet.

    Args:
        name: of the hardware.
        archs: of ``space``; those that tell most about it.
        space: builds the networks.
        task: sizes the networks.
        spec: how to measure.
        before: what is stored under this name.
        start_over: forgets what was begun with other settings.
        seed: of the networks' weights.

    Returns:
        The hardware, with what was measured before, and its repeatability: the median over a few archs of
        ``|second / first measurement - 1|``; None where all archs were measured before.

    Raises:
        InvalidInputError: this machine lacks what ``spec`` asks for, or the task has no images.
        StudyError: what is stored, or was begun, was measured in another way.
    """
    shape = image_shape(task, "measuring latency")
    how: dict[str, str | int] = {**asdict(spec), "machine": _machine(spec), "software": _software(spec)}
    hardware = Hardware(name, space.name, (), how, written_skeleton(space), shape)
    # What cannot be merged in the end is not measured at all.
    merged(before, hardware)
    part = part_of(space.name, name)
    settings = {**hardware.document(), "replace": start_over}
    del settings["measurements"]
    rows = {row.key: row for row in _begun(part, settings, start_over)}
    known = {*rows, *(before.keys if before else ())}
    left = [arch for arch in archs if arch.key not in known]
    evaluator = LatencyEvaluator(space, spec, name)
    again = [*(arch for arch in archs if arch.key in rows), *left][:REPEATED]
    deviations = []
    with progress(f"measuring {name}", len(left) + len(again)) as report:
        for done, arch in enumerate(left, start=1):
            timing = evaluator.timing(arch, task=task, seed=seed)
            spread = (timing.lower_quartile_ms, timing.upper_quartile_ms)
            rows[arch.key] = Measurement(arch.key, timing.median_ms, spread)
            write(part, {**settings, "measurements": [row.document() for row in rows.values()]})
            report(done, f"{timing.median_ms:.4g} ms")
        for done, arch in enumerate(again, start=len(left) + 1):
            second = evaluator.timing(arch, task=task, seed=seed).median_ms
            deviations.append(abs(second / rows[arch.key].latency_ms - 1))
            report(done, f"again, {deviations[-1]:.1%} apart")
    hardware = merged(before, replace(hardware, measurements=tuple(rows.values())))
    return hardware, float(np.median(deviations)) if deviations else None


def finish(hardware: Hardware) -> None:
    """Forgets what :func:`measure` keeps; called when the hardware is stored."""
    part_of(hardware.space, hardware.name).unlink(missing_ok=True)


def _begun(part: Path, settings: dict[str, Any], start_over: bool) -> tuple[Measurement, ...]:
    """What an earlier call with the same settings has measured."""
    if not part.is_file():
        return ()
    try:
        document = json.loads(part.read_text(encoding="utf-8"))
        rows = tuple(Measurement.read(row) for row in document["measurements"])
        was = {**document, **document["how"]}
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        if start_over:
            return ()
        raise StudyError(f"{part}, a measurement that was begun, is damaged; --replace starts it over.") from error
    asked = {name: value for name, value in {**settings, **settings["how"]}.items() if name != "how"}
    differing = differences({name: was.get(name) for name in asked}, asked)
    if not differing:
        return rows
    if start_over:
        return ()
    raise StudyError(
        f"{part} was begun with other settings: {'; '.join(differing)}. Repeat them, or start over: --replace."
    )


def _machine(spec: LatencySpec) -> str:
    """What is measured: the processor as Linux names it, or the CUDA device."""
    if spec.runtime == "cuda":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    named = (
        value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == "model name"
    )
    return f"{next(named, platform.processor() or platform.machine())}, {os.cpu_count()} CPUs"


def _software(spec: LatencySpec) -> str:
    if spec.runtime == "onnxruntime":
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"
    import torch

    return f"torch {torch.__version__}"
