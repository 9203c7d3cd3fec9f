"""`gennas weights`: the pretrained weights on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gennas.cli.output import Outcome
from gennas.commands import command
from gennas.errors import GennasError, InvalidInputError


def weights(space: str | None = None, file: Path | None = None, convert: bool = False) -> Outcome:
    """Says which pretrained weights are here: where, with which checksum, under which licence. Downloads nothing.

    Args:
        space: whose parent's weights; by default all spaces with published ones.
        file: a file of weights, or a folder with one, to look at in place of what is installed; needs a space.
        convert: keep the weights as safetensors under GENNAS_HOME, as happens by itself when installed ones are first
            used; a file of your own is found there without being named again.
    """
    from gennas.spaces import get_space
    from gennas.weights import PUBLISHED
    from gennas.weights import convert as converted

    if file is not None and space is None:
        raise InvalidInputError("is needed with a file: say whose weights it holds, e.g. lite0.", argument="space")
    names = [*PUBLISHED] if space is None else [get_space(space).name]
    rows, notes, wrote = [], [], []
    for name in names:
        try:
            rows.append(_row(name, file))
            if convert:
                wrote.append(converted(name, file))
        except GennasError as error:
            if space is not None:
                raise
            rows.append({"space": name, "found": "no"})
            notes.append(str(error))
    following = command("generate", task="digits", space=names[0], n=8)
    return Outcome({"weights": rows, "notes": notes}, {"pretrained weights": rows}, notes, wrote, following)


def _row(name: str, file: Path | None) -> dict[str, Any]:
    from gennas.weights import find_weights, read_weights

    found = find_weights(name, file)
    state = read_weights(name, file)
    return {
        "space": name,
        "found": found.place,
        "numbers": f"{sum(values.numel() for values in state.values()):,}",
        "checksum": "as published" if found.published_as == name else "not a published one",
        "sha256": found.sha256,
        "licence": found.licence,
        "file": str(found.path),
    }
