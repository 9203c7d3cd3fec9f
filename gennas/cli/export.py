"""`gennas export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gennas.cli.archs import read_archs
from gennas.cli.output import Outcome
from gennas.errors import InvalidInputError


def export(
    key: Sequence[str] = (),
    archs: str | None = None,
    draw: bool = False,
    space: str = "nasbench201",
    out: Path = Path(),
) -> Outcome:
    """Writes archs in another form.

    Args:
        archs: a file with one key a line, or one that `gennas generate --out` wrote; - is standard input.
        draw: an SVG drawing of every arch.
        space: a name of `gennas list spaces`, or package.module:Class.
        out: folder for the files; the current one where it is not given.
    """
    from hashlib import sha256

    from gennas.files import write_text
    from gennas.spaces import get_space
    from gennas.spaces.drawing import draw_svg

    if not draw:
        raise InvalidInputError("nothing to export; say in which form: --draw (an SVG drawing).")
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"--out {out} is a file; expected a folder for the drawings.")
    the_space = get_space(space)
    entries = []
    for arch, _ in read_archs(the_space, key, archs):
        path = out / f"{the_space.name}-{sha256(arch.key.encode()).hexdigest()[:10]}.svg"
        write_text(path, draw_svg(the_space, arch))
        entries.append({"key": arch.key, "drawing": str(path)})
    wrote = [Path(entry["drawing"]) for entry in entries]
    return Outcome({"archs": entries}, {"drawings": entries}, (), wrote, f"open {wrote[0]} in a browser")
