"""Bundles: a few networks as files, and all that measures them on a device that gennas does not run on."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch

from gennas.arch import Arch
from gennas.commands import command
from gennas.evaluators.timing import onnx_document
from gennas.files import replacing
from gennas.hardware import measure
from gennas.hardware.profile import written_skeleton
from gennas.hardware.target import HardwareTarget, Precision
from gennas.progress import progress
from gennas.spaces import Space, space_option
from gennas.spaces.sizes import expect_networks
from gennas.tasks import Task
from gennas.tasks.base import image_shape, shape_text

_README = """Networks to be measured on {device}
{line}
{count} networks of gennas' space {space} for {images}, {precision}, as ONNX files. They are UNTRAINED: their
weights are random, so that they take the time of trained ones and are of no other use.

On the device, in this folder, with Python 3.8 or newer, onnxruntime and numpy:

    python measure.py

It measures each network until the result is precise, and writes measurements.csv. With --threads 4 it uses four
threads of the processor. Close other programs; what disturbs is written down.

Where Python does not run: run every file of networks/ with one image, often enough, with whatever will run networks
there, and write the median in milliseconds into the column latency_ms of measurements.csv. The columns runtime,
threads and machine are for your own notes, the same in every row; those beside them that are empty may stay so.

Then, where gennas is:

    {add}
"""


def write_bundle(
    path: Path,
    device: str,
    archs: Sequence[Arch],
    *,
    space: Space,
    task: Task,
    precision: Precision = "float32",
    seed: int = 0,
) -> None:
    """Writes a zip file with networks, ``measure.py``, the CSV file that it fills, and what to do with it.

    Args:
        path: of the zip file.
        device: name that the device will have.
        archs: distinct archs of ``space``.
        space: with the skeleton of the networks.
        task: sizes the networks' inputs and outputs.
        precision: ``float32``, or ``int8`` with ranges from random images.
        seed: of the networks' weights.

    Raises:
        InvalidInputError: the task has no images, or the precision is another one.
        OSError: the file cannot be written.
    """
    image_shape(task, "measuring latency")
    shape, target = space.measured_shape(task), HardwareTarget(precision=precision)
    expect_networks(space, task, archs)
    names = {arch: f"networks/{number:02d}.onnx" for number, arch in enumerate(archs, start=1)}
    rows = [{"file": file, "key": arch.key, **_facts(space, shape, precision)} for arch, file in names.items()]
    texts = {
        "README.txt": _readme(device, len(archs), space, shape, precision),
        "measure.py": Path(measure.__file__).read_text(encoding="utf-8"),
        "measurements.csv": _csv(rows),
        "bundle.json": json.dumps({"precision": precision, "device": device, "options": _options(space)}, indent=1),
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in texts.items():
            bundle.writestr(name, text)
        with progress("writing networks", len(archs)) as report:
            for done, (arch, name) in enumerate(names.items(), start=1):
                torch.manual_seed(seed)
                native = space.native_task(arch, task)
                sides = image_shape(native, "measuring latency")
                bundle.writestr(name, onnx_document(space.build(arch, native), sides, target))
                report(done, name)


def _facts(space: Space, shape: tuple[int, ...], precision: Precision) -> dict[str, str]:
    return {
        "precision": precision,
        "space": space.name,
        "skeleton": written_skeleton(space),
        "input_shape": shape_text(shape),
    }


def _csv(rows: Sequence[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, measure.COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _readme(device: str, count: int, space: Space, shape: tuple[int, ...], precision: Precision) -> str:
    title = f"Networks to be measured on {device}"
    return _README.format(
        device=device,
        line="=" * len(title),
        count=count,
        space=space.name,
        images=f"{shape_text(shape)} images" if shape else "images of the sizes that they chose",
        precision=precision,
        add=command("hardware", "add", device, csv="measurements.csv", space=space_option(space)),
    )


def _options(space: Space) -> str:
    """What ``gennas hardware add`` needs beside the file."""
    option = space_option(space)
    return f"--space {option}" if option else ""
