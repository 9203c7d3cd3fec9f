"""Profiling of this machine: measures the latency of archs and makes it a hardware target; resumes if interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gennas.arch import Arch
from gennas.documents import read_json
from gennas.errors import StudyError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware, merged, written_skeleton
from gennas.hardware.store import part_of, write
from gennas.hardware.target import HardwareTarget
from gennas.machine import machine_name
from gennas.progress import progress
from gennas.settings import differences
from gennas.spaces import Space
from gennas.spaces.sizes import expect_networks
from gennas.tasks import Task
from gennas.tasks.base import image_shape

#: Number of archs that are measured twice, to estimate repeatability.
REPEATED = 3


def measure(
    name: str,
    archs: Sequence[Arch],
    *,
    space: Space,
    task: Task,
    target: HardwareTarget,
    spec: LatencySpec,
    before: Hardware | None = None,
    start_over: bool = False,
    seed: int = 0,
) -> tuple[Hardware, float | None]:
    """Measures the latency of archs on this machine, except those already measured.

    Measurements are saved one by one in a file next to that of the hardware, from which the same call resumes. The
    file is kept until :func:`finish`, so that no measurement is lost if they cannot be used yet.

    Args:
        name: name of the hardware.
        archs: archs of ``space`` to measure.
        space: builds the networks.
        task: defines the sizes of inputs and outputs.
        target: what the networks run on.
        spec: how to measure.
        before: the hardware already stored under this name, if any.
        start_over: discard unfinished measurements with other settings.
        seed: seed of the networks' weights.

    Returns:
        The hardware, including earlier measurements, and its repeatability: the median over a few archs of
        ``|second / first measurement - 1|``; None if all archs had been measured before.

    Raises:
        InvalidInputError: this machine does not support ``target``, or the task has no images.
        StudyError: stored or unfinished measurements have other settings, or the file is damaged.
    """
    image_shape(task, "measuring latency")
    evaluator = LatencyEvaluator(space, [target], spec)
    origin = {"machine": _machine(target), "software": _software(target)}
    how: dict[str, str | int] = {**target.settings, **spec.conditions, **origin}
    hardware = Hardware(name, space.name, (), how, written_skeleton(space), space.measured_shape(task))
    # Fails now rather than after measuring.
    merged(before, hardware)
    expect_networks(space, task, archs)
    part = part_of(space.name, name)
    settings = {**hardware.document(), "replace": start_over}
    del settings["measurements"]
    rows = {row.key: row for row in _unfinished(part, settings, start_over)}
    measured = {*rows, *(before.keys if before else ())}
    remaining = [arch for arch in archs if arch.key not in measured]
    repeated = [*(arch for arch in archs if arch.key in rows), *remaining][:REPEATED]
    deviations = []
    with progress(f"measuring {name}", len(remaining) + len(repeated)) as report:
        for done, arch in enumerate(remaining, start=1):
            timing = evaluator.timing(arch, target, task=task, seed=seed)
            rows[arch.key] = Measurement.of(arch.key, timing)
            write(part, {**settings, "measurements": [row.document() for row in rows.values()]})
            report(done, f"{timing.median_ms:.4g} ms")
        for done, arch in enumerate(repeated, start=len(remaining) + 1):
            second = evaluator.timing(arch, target, task=task, seed=seed).median_ms
            deviations.append(abs(second / rows[arch.key].latency_ms - 1))
            report(done, f"repeated, differs by {deviations[-1]:.1%}")
    hardware = merged(before, replace(hardware, measurements=tuple(rows.values())))
    return hardware, float(np.median(deviations)) if deviations else None


def finish(hardware: Hardware) -> None:
    """Removes the unfinished measurements of :func:`measure`; called once the hardware is stored."""
    part_of(hardware.space, hardware.name).unlink(missing_ok=True)


def _unfinished(part: Path, settings: dict[str, Any], start_over: bool) -> tuple[Measurement, ...]:
    """The measurements of an interrupted call with the same settings."""
    if not part.is_file():
        return ()
    try:
        document = read_json(part)
        rows = tuple(Measurement.read(row) for row in document["measurements"])
        was = {**document, **document["how"]}
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        if start_over:
            return ()
        raise StudyError(f"{part}, with unfinished measurements, is damaged; start over with `replace`.") from error
    asked = {name: value for name, value in {**settings, **settings["how"]}.items() if name != "how"}
    differing = differences({name: was.get(name) for name in asked}, asked)
    if not differing:
        return rows
    if start_over:
        return ()
    raise StudyError(
        f"{part} has unfinished measurements with other settings: {'; '.join(differing)}. "
        "Use the same settings, or start over with `replace`."
    )


def _machine(target: HardwareTarget) -> str:
    """Name of the measured device: the processor as Linux reports it, or the CUDA device."""
    if target.device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return machine_name()


def _software(target: HardwareTarget) -> str:
    if target.runtime == "onnxruntime":
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"
    import torch

    return f"torch {torch.__version__}"
