"""Supernets on disk: a folder with ``supernet.safetensors`` and ``supernet.json``; nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from gennas.documents import read_json
from gennas.errors import DataMissingError, InvalidInputError, reason_of
from gennas.files import write_json, write_safetensors
from gennas.spaces import name_in_files, registered_space
from gennas.spaces.skeleton import skeleton_text
from gennas.supernets.base import Supernet
from gennas.supernets.of_space import supernet_of
from gennas.supernets.strategies import STRATEGIES
from gennas.tasks import Task

WEIGHTS, FACTS = "supernet.safetensors", "supernet.json"
FORMAT = 1


def save_supernet(supernet: Supernet, folder: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Writes a supernet; ``supernet.json`` comes last, so that the folder holds a whole one or none.

    Args:
        supernet: that of its space, see :func:`gennas.supernets.of_space.supernet_of`, or made of it by a strategy.
        folder: receives the files.
        facts: of its training, for :func:`supernet_facts`.
    """
    task = supernet.task
    (folder / FACTS).unlink(missing_ok=True)
    write_safetensors(folder / WEIGHTS, supernet.state_dict())
    document = {
        "format": FORMAT,
        "grown": supernet.config(),
        "space": name_in_files(supernet.space),
        "skeleton": supernet.space.skeleton,
        "task": {
            "name": task.name,
            "input_shape": list(task.input_shape),
            "num_classes": task.num_classes,
            "class_names": list(task.class_names),
            "images": task.splits().fingerprint if task.has_images else None,
        },
        "origin": dict(supernet.origin),
        **(facts or {}),
        "fingerprint": fingerprint(folder),
    }
    write_json(folder / FACTS, document)
    return folder


def load_supernet(folder: Path, task: Task) -> Supernet:
    """The supernet in a folder, in evaluation mode.

    Args:
        folder: as :func:`save_supernet` writes it.
        task: that it was adapted to, at any size of its images.

    Raises:
        DataMissingError: there is none, or its files are damaged.
        InvalidInputError: it was adapted to another task.
    """
    facts = supernet_facts(folder)
    expect_task(folder, facts, task)
    space = registered_space(facts["space"], skeleton_text(facts["skeleton"]))
    try:
        supernet = supernet_of(space, task)
        if config := facts["grown"]:
            supernet = STRATEGIES.registered(config["strategy"]).regrown(supernet, config)
        supernet.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataMissingError(
            f"the supernet in {folder} cannot be read ({reason}); remove the folder and adapt it again."
        ) from error
    supernet.origin = dict(facts.get("origin", {}))
    return supernet.eval()


def holds_supernet(folder: Path) -> bool:
    """Whether a folder holds a whole supernet."""
    return (folder / FACTS).is_file()


def supernet_facts(folder: Path) -> dict[str, Any]:
    """What a folder's ``supernet.json`` says.

    Raises:
        DataMissingError: there is no supernet, or the file is damaged.
        InvalidInputError: another version of gennas wrote it.
    """
    path = folder / FACTS
    if not path.is_file():
        raise DataMissingError(f"there is no supernet in {folder}; expected a folder with {FACTS} and {WEIGHTS}.")
    try:
        facts = read_json(path)
        if not isinstance(facts, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise DataMissingError(
            f"{path} cannot be read ({reason_of(error)}); remove the folder and adapt the supernet again."
        ) from error
    if facts.get("format") != FORMAT:
        raise InvalidInputError(
            f"{path} has format {facts.get('format')!r}, this gennas reads {FORMAT}; adapt the supernet again."
        )
    return facts


def expect_task(folder: Path, facts: Mapping[str, Any], task: Task) -> None:
    """Raises InvalidInputError where a supernet was adapted to another task, or to other images of it."""
    known = facts["task"]
    if known["name"] != task.name or known["num_classes"] != task.num_classes:
        raise InvalidInputError(
            f"the supernet in {folder} was adapted to {known['name']} with {known['num_classes']} classes, not to "
            f"{task.name} with {task.num_classes}; adapt another one."
        )
    # At another size the same images have another checksum.
    if list(task.input_shape) == known["input_shape"] and task.has_images:
        images = task.splits().fingerprint
        if known["images"] != images:
            raise InvalidInputError(
                f"the supernet in {folder} was adapted to other images of {task.name} ({known['images']}, now "
                f"{images}); adapt another one."
            )


def fingerprint(folder: Path) -> str:
    """A hash of a supernet's weights, twelve hexadecimal digits: values of its archs are comparable only with it."""
    return sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:12]
