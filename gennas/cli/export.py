"""`gennas export`."""

from __future__ import annotations

from pathlib import Path

from gennas.cli.archs import read_archs
from gennas.cli.options import ArchOptions
from gennas.cli.output import Outcome
from gennas.errors import InvalidInputError


def export(
    given: ArchOptions,
    draw: bool = False,
    space: str = "nasbench201",
    out: Path = Path(),
) -> Outcome:
    """Writes archs in another form.

    Args:
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class.
        out: folder for the files; by default the current one.
    """
    from hashlib import sha256

    from gennas.files import write_text
    from gennas.spaces import get_space
    from gennas.spaces.drawing import draw_svg

    if not draw:
        raise InvalidInputError("nothing to export; choose a form: --draw (SVG).")
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"{out} is a file; expected a folder for the drawings.", argument="out")
    the_space = get_space(space)
    entries = []
    for arch, _ in read_archs(the_space, given.key, given.archs):
        path = out / f"{the_space.name}-{sha256(arch.key.encode()).hexdigest()[:10]}.svg"
        write_text(path, draw_svg(the_space, arch))
        entries.append({"key": arch.key, "drawing": str(path)})
    wrote = [Path(entry["drawing"]) for entry in entries]
    return Outcome({"archs": entries}, {"drawings": entries}, (), wrote, f"open {wrote[0]} in a browser")
