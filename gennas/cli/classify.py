"""The classes, labels or values of image files, by an exported network: `gennas predict --network`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from gennas.cli.output import Outcome, saving, stored_result
from gennas.commands import command
from gennas.errors import InvalidInputError


def classify(folder: Path, images: Sequence[str], top: int, precision: str, out: Path | None) -> Outcome:
    """Tells what a network answers to image files.

    Args:
        folder: that `gennas export` wrote.
        images: paths of the files.
        top: how many of the most probable classes are shown.
        precision: float32 or int8.
        out: JSON file for the result.

    Raises:
        InvalidInputError: the folder is no export, no files were given, or none of them can be used.
    """
    from gennas.export.predict import MODELS, Classifier

    stored_result(out, "predict")
    if not images:
        raise InvalidInputError("no images were given; expected image files after --network FOLDER.")
    if top < 1:
        raise InvalidInputError(f"is {top}; must be at least 1.", argument="top")
    if precision != "float32" and (folder / MODELS["float32"]).is_file() and not (folder / MODELS[precision]).is_file():
        raise InvalidInputError(
            f"is {precision}, but {folder} has no {MODELS[precision]}; export the network with --int8, and read in its "
            "card.md whether one keeps the accuracy.",
            argument="precision",
        )
    try:
        classifier = Classifier(folder, precision)
        if top > 1 and classifier.reading.listed != "classes":
            raise InvalidInputError(
                f"is {top}, but the network tells {classifier.reading.listed}, all of which are printed; leave it out.",
                argument="top",
            )
        results = classifier.classify(images, top)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InvalidInputError(
            f"is {str(folder)!r}, which is not a complete folder of gennas export ({error}).", argument="network"
        ) from error
    bad = [f"{result['file']}: {result['error']}" for result in results if "error" in result]
    if len(bad) == len(results):
        given = next((image for image in images if Path(image).is_dir()), None)
        files = ""
        if given is not None:
            # Left to the shell, which lists them.
            every = f"{shlex.quote(given.rstrip('/'))}/*"
            files = f" Give the files in it: {command('predict', network=folder)} {every}"
        raise InvalidInputError(f"none of the images can be used: {'; '.join(bad[:5])}.{files}")
    rows = [{"file": result["file"], **classifier.reading.cells(result)} for result in results if "error" not in result]
    document = {"network": str(folder), "images": results, "notes": bad}
    saves = saving(out, "predict", document)
    # As of the exported program: what some files lack is a failure, although the others are classified.
    return Outcome(document, {classifier.reading.listed: rows}, bad, failed=bool(bad), saves=saves)
