"""card.md of an exported network: what it is, what it was trained on, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gennas import __version__
from gennas.tasks.base import shape_text

if TYPE_CHECKING:
    from gennas.export.agreement import Difference
    from gennas.export.trained import KeptNetwork


@dataclass(frozen=True)
class Number:
    """A number that is known of a network.

    Attributes:
        metric: with its target, e.g. ``accuracy@digits``.
        value: in the metric's unit.
        source: ``trained``, ``measured``, ``computed`` or ``predicted``.
        seed: of the training.
        epochs: of the training; 0 for other sources.
        machine: that computed it.
    """

    metric: str
    value: float
    source: str
    seed: int = 0
    epochs: int = 0
    machine: str = ""


def card(
    trained: KeptNetwork,
    numbers: Sequence[Number],
    differences: Mapping[str, Difference],
    images: int,
    said: Sequence[str],
) -> str:
    """The text.

    Args:
        trained: the network.
        numbers: that are known of it.
        differences: form -> how far it is from the trained network.
        images: that were compared.
        said: further sentences, e.g. of other formats in the folder.
    """
    task, facts = trained.task, trained.facts
    splits = task.splits()
    counts = f"{len(splits.train):,} for training, {len(splits.val):,} for validation"
    counts += f", {len(splits.test):,} for testing" if splits.test is not None else ""
    parts = [
        f"# A network for {task.name}",
        f"Exported by gennas {__version__}. `network.py` holds it as PyTorch modules, `network.onnx` as ONNX.",
        "## Network",
        _table(
            [
                ("arch", f"`{trained.key.replace('|', chr(92) + '|')}`"),
                ("space", trained.space.name),
                ("skeleton", ", ".join(f"{name}={value}" for name, value in trained.space.skeleton.items())),
                ("input", f"{shape_text(task.input_shape)}, normalised as in `preprocess.json`"),
                ("output", f"{trained.targets.said(task.num_classes)}, in the order of `labels.txt`"),
                ("initial weights", _origin(facts)),
            ]
        ),
        "## Data",
        f"Task {task.name}: {counts} images ({splits.fingerprint}). {trained.targets.judged} on validation "
        "images were used to select archs; those on test images were not.",
        "## Recipe",
        _recipe(facts, numbers),
        "## Numbers",
        _numbers(numbers),
        "## Check",
        f"Logits on {images} validation images, compared with the trained network:",
        _table([(form, f"{one.largest:.2g} apart at most") for form, one in differences.items()]),
    ]
    if not trained.preprocessing.reads_files:
        parts += [
            "There is no `predict.py`, as the task's images are not read from files of square RGB or grey images."
        ]
    if said:
        parts += ["## Further files", *said]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    filled = [(name, value) for name, value in rows if value]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in filled)])


def _origin(facts: Mapping[str, Any]) -> str:
    """Where the weights that the training started from come from, and under which licence."""
    started = facts.get("initial_weights")
    if not isinstance(started, Mapping):
        return "random, so that no licence of others applies to the weights"
    return f"{started.get('name', 'unknown')}, licence: {started.get('licence', 'unknown')}"


def _recipe(facts: Mapping[str, Any], numbers: Sequence[Number]) -> str:
    """How the network was trained: as its run noted it, or, by an older gennas, as far as its numbers tell."""
    recipe, versions = facts.get("recipe"), facts.get("versions")
    if isinstance(recipe, Mapping):
        rows = [(str(name), str(value)) for name, value in recipe.items() if value is not None]
        if isinstance(chosen := facts.get("recipe_chosen"), Mapping):
            rows.append(("searched with the arch", ", ".join(f"{name}={value}" for name, value in chosen.items())))
        if isinstance(seconds := facts.get("seconds"), int | float):
            rows.append(("training time", f"{seconds:.1f} s"))
        rows += [("hash of the recipe", str(facts.get("recipe_hash", "")))]
        rows += (
            [(str(name), str(version)) for name, version in versions.items()] if isinstance(versions, Mapping) else []
        )
        return _table(rows)
    trainings = sorted({(one.seed, one.epochs) for one in numbers if one.source == "trained"})
    rows = [("epochs", ", ".join(sorted({str(epochs) for _, epochs in trainings})))]
    rows += [("seed", ", ".join(str(seed) for seed, _ in trainings))]
    return _table(rows) if trainings else "Not recorded."


def _numbers(numbers: Sequence[Number]) -> str:
    if not numbers:
        return "None are known."
    lines = ["| metric | value | source | machine |", "| --- | --- | --- | --- |"]
    for one in numbers:
        seed = f", seed {one.seed}" if one.source == "trained" else ""
        lines.append(f"| {one.metric} | {one.value:.4g} | {one.source}{seed} | {one.machine} |")
    return "\n".join(lines)
