"""`gennas export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gennas.cli.archs import read_archs
from gennas.cli.images import last_reading
from gennas.cli.options import ArchOptions
from gennas.cli.output import Outcome
from gennas.commands import command
from gennas.errors import InvalidInputError


def export(
    given: ArchOptions,
    task: str | None = None,
    study: Path | None = None,
    out: Path | None = None,
    raw_images: bool = False,
    int8: bool = False,
    max_drop: float = 0.01,
    formats: str = "",
    nested: bool = False,
    draw: bool = False,
    diff: str | None = None,
    block_times: bool = False,
    space: str | None = None,
) -> Outcome:
    """Writes a trained network as PyTorch source, as ONNX and as a program that classifies images; or draws archs.

    Args:
        task: that the study was for: digits, a folder of images, or another name of `gennas list tasks`; by default
            that of the study, whose folder of images is noted in the run folder. With --draw the whole network for this
            task is drawn, too.
        study: run folder of `gennas validate` or `gennas search`; without a key its best network is exported.
        max_drop: how much accuracy on the validation images INT8 may lose, a fraction; layers return to float32 until
            it is kept.
        formats: further formats, each with an extra of its own: openvino.
        out: folder for the files; by default exports/ where the study keeps the task's networks, or the current one for
            drawings.
        diff: with --draw, another arch: what differs from it is drawn in colour.
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class; by default that of
            --study, or nasbench201.
    """
    if draw:
        if study is not None:
            raise InvalidInputError("is for networks; drawings need keys only.", argument="study")
        return _drawn(given, space, Path() if out is None else out, task, diff, block_times, nested)
    if diff is not None or block_times:
        raise InvalidInputError("is for drawings; add --draw.", argument="block_times" if diff is None else "diff")
    if study is None:
        raise InvalidInputError(
            "nothing to export; give the run folder of a trained network with --study, or draw archs with --draw."
        )
    if not 0 <= max_drop < 1:
        raise InvalidInputError(f"is {max_drop}; must be in [0, 1).", argument="max_drop")
    return _networks(given, task, study, out, raw_images, max_drop if int8 else None, formats, nested, space)


def _networks(
    given: ArchOptions,
    task: str | None,
    folder: Path,
    out: Path | None,
    raw_images: bool,
    max_drop: float | None,
    formats: str,
    nested: bool,
    space: str | None,
) -> Outcome:
    from gennas.export.folder import check_out, export_network
    from gennas.export.formats import read_formats
    from gennas.export.quantisation import Int8Form
    from gennas.spaces import get_space
    from gennas.studies.networks import StudyNetworks, study_task
    from gennas.studies.study import Study

    further = read_formats(formats)
    with last_reading(), Study(folder) as study:
        the_space = get_space(space) if space else None
        networks = StudyNetworks(study, study_task(study, task, nested=nested), the_space)
        archs = read_archs(networks.space, given.key, given.archs) if given.key or given.archs else []
        keys = [arch.key for arch, _ in archs] or [networks.best()]
        places = [
            out if out is not None and len(keys) == 1 else (out or networks.exports) / networks.folder(key).name
            for key in keys
        ]
        for place in places:
            check_out(place)
        entries: list[dict[str, Any]] = []
        notes = list[str]()
        for key, place in zip(keys, places, strict=True):
            own = networks.trained(key)
            if own != networks.space.canonicalised([networks.space.parse(key)])[0].key:
                notes.append(f"{key} computes the same as {own}, whose network was trained and is exported.")
            int8 = None if max_drop is None else Int8Form(max_drop)
            exported = export_network(
                networks.load(own),
                place,
                numbers=networks.numbers(own),
                raw_images=raw_images,
                forms=[*([int8] if int8 else []), *further],
            )
            entries.append(
                {
                    "key": own,
                    "folder": str(place),
                    "files": list(exported.files),
                    "images_compared": exported.images,
                    **{f"difference_{form}": one.largest for form, one in exported.differences.items()},
                    **(int8.compared.facts() if int8 and int8.compared else {}),
                }
            )
            if int8 and int8.compared:
                notes.append(f"{int8.compared.recommended} is recommended: {int8.compared.reason}.")
    rows = [{name: _cell(value) for name, value in entry.items() if name != "files"} for entry in entries]
    precision = "int8" if entries[0].get("recommended") == "int8" else None
    following = command("predict", network=places[0], precision=precision) + " IMAGE ..."
    return Outcome({"networks": entries, "notes": notes}, {"exported": rows}, notes, places, following)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value))
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)


def _drawn(
    given: ArchOptions,
    space: str | None,
    out: Path,
    task: str | None,
    diff: str | None,
    block_times: bool,
    nested: bool,
) -> Outcome:
    from hashlib import sha256

    from gennas.files import write_text
    from gennas.spaces import DEFAULT, get_space
    from gennas.spaces.drawing import draw_diff, draw_svg
    from gennas.tasks import get_task

    if block_times and task is None:
        raise InvalidInputError("needs --task, for which networks are built.", argument="block_times")
    if diff is not None and task is not None:
        raise InvalidInputError("is drawn without the networks; leave out --task.", argument="diff")
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"{out} is a file; expected a folder for the drawings.", argument="out")
    the_space = get_space(space or DEFAULT)
    the_task = None if task is None else get_task(task, nested=nested)
    other = None if diff is None else the_space.parse(diff)
    entries = []
    for arch, _ in read_archs(the_space, given.key, given.archs):
        name = arch.key if other is None else f"{arch.key} {other.key}"
        path = out / f"{the_space.name}-{sha256(name.encode()).hexdigest()[:10]}.svg"
        if other is None:
            write_text(path, draw_svg(the_space, arch, task=the_task, latency=block_times))
        else:
            write_text(path, draw_diff(the_space, arch, other))
        entries.append({"key": arch.key, "drawing": str(path)})
    wrote = [Path(entry["drawing"]) for entry in entries]
    return Outcome({"archs": entries}, {"drawings": entries}, (), wrote, f"open {wrote[0]} in a browser")
