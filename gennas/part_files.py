"""Checkpoint folders: what a trained part of gennas looks like on disk.

``<checkpoint>/generator/`` and ``<checkpoint>/predictor/`` each hold ``config.json`` (constructor arguments, space,
training settings), ``model.safetensors``, ``metrics.json`` (measured by the training) and ``README.md`` (the
model card, written by the training). Nothing in them is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any, Literal

from gennas.commands import command
from gennas.documents import read_json
from gennas.errors import DataMissingError, InvalidInputError, StudyError, reason_of
from gennas.files import replacing, write_json, write_safetensors, write_text
from gennas.settings import differences

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from gennas.spaces import Space


Part = Literal["generator", "predictor"]


PARTS: tuple[Part, ...] = ("generator", "predictor")


FORMAT = 1


def parts_of(folder: Path) -> tuple[Part, ...]:
    """The trained parts that a folder holds."""
    return tuple(part for part in PARTS if (folder / part / "config.json").is_file())


def read_config(checkpoint: Path, part: Part) -> dict[str, Any]:
    """The configuration of one part.

    Raises:
        DataMissingError: the checkpoint lacks this part, or the file is not readable.
    """
    path = checkpoint / part / "config.json"
    if not path.is_file():
        have = ", ".join(parts_of(checkpoint)) or "nothing"
        raise DataMissingError(
            f"checkpoint {str(checkpoint)!r} has no {part} (it has {have}). Make one: "
            + pretrain_command(part, _space_of(checkpoint), checkpoint)
        )
    config = _read_object(path, part)
    if config.get("format") != FORMAT:
        raise InvalidInputError(
            f"{path} has format {config.get('format')!r}, this gennas reads {FORMAT}. Train the {part} again."
        )
    return config


def pretrain_command(part: Part, space: Space | str | None = None, out: Path | str | None = None) -> str:
    """The command that trains a part of a checkpoint.

    Args:
        part: to train.
        space: to train it on, or its name; None for the default of the command.
        out: folder of the checkpoint; None for the default of the command.
    """
    from gennas.spaces import space_option
    from gennas.tables import TABLES

    option = None if space is None else space_option(space)
    table = None if option is None or part == "generator" else option if option in TABLES else "FILE"
    return command("pretrain", part, space=option, table=table, out=out)


def _space_of(checkpoint: Path) -> str | None:
    """The name of the space of what a checkpoint has; None where nothing tells."""
    for part in parts_of(checkpoint):
        name = _read_object(checkpoint / part / "config.json", part).get("space")
        if isinstance(name, str):
            return name
    return None


def _read_object(path: Path, part: Part) -> dict[str, Any]:
    try:
        document = read_json(path)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise DataMissingError(f"{path} cannot be read: {reason_of(error)}. Train the {part} again.") from error
    return document


def expect_space(checkpoint: Path, space: Space) -> None:
    """Checks that what a checkpoint holds was trained on a space; the skeleton around the searched part may differ.

    For a joint space it is that of its archs.

    Raises:
        InvalidInputError: a part was trained on another one.
    """
    from gennas.spaces import registered_space
    from gennas.spaces.network_part import network_space

    space = network_space(space)

    for part in parts_of(checkpoint):
        found = registered_space(read_config(checkpoint, part)["space"]).name
        if found != space.name:
            raise InvalidInputError(
                f"the {part} of checkpoint {str(checkpoint)!r} was trained on space {found!r}; expected "
                f"{space.name!r}. See: gennas list checkpoints"
            )


def fingerprint(checkpoint: Path, part: Part) -> str:
    """A hash of a part's weights."""
    return sha256((checkpoint / part / "model.safetensors").read_bytes()).hexdigest()[:12]


def read_tensors(checkpoint: Path, part: Part) -> dict[str, Tensor]:
    """The weights of one part.

    Raises:
        DataMissingError: the file is missing or damaged, or holds NaN.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = checkpoint / part / "model.safetensors"
    try:
        tensors = dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise DataMissingError(f"{path} cannot be read: {error}. Train the {part} again.") from error
    # Infinite are the edges of calibration bins, too, but no weights: see `expect_finite`.
    if spoilt := [name for name, tensor in tensors.items() if bool(tensor.isnan().any())]:
        raise DataMissingError(
            f"{path} is damaged: {spoilt[0]} holds values that are no numbers. Train the {part} again."
        )
    return tensors


def expect_finite(module: Module, checkpoint: Path, part: Part) -> None:
    """Checks that all weights of a part are finite.

    Raises:
        DataMissingError: one of them is not.
    """
    for name, weight in module.named_parameters():
        if not bool(weight.isfinite().all()):
            raise DataMissingError(
                f"{checkpoint / part / 'model.safetensors'} is damaged: {name} holds weights that are not finite. "
                f"Train the {part} again."
            )


@contextmanager
def fitting_together(checkpoint: Path, part: Part) -> Iterator[None]:
    """Tells a configuration and weights that are not of one training as what they are.

    Raises:
        DataMissingError: making the network of the one, or filling it with the other, failed.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataMissingError(
            f"config.json and model.safetensors in {checkpoint / part} do not fit together: "
            f"{type(error).__name__} {reason} Train the {part} again."
        ) from error


def write_part(
    checkpoint: Path,
    part: Part,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    metrics: Mapping[str, Any],
    card: str,
) -> Path:
    """Writes one part; ``config.json`` comes last, so that a part is either whole or not there."""
    folder = checkpoint / part
    (folder / "config.json").unlink(missing_ok=True)
    write_safetensors(folder / "model.safetensors", tensors)
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "README.md", card)
    write_json(folder / "config.json", {"format": FORMAT, **config})
    for leftover in ("begun.json", "training.ckpt"):
        (folder / leftover).unlink(missing_ok=True)
    return folder


def copy_part(checkpoint: Path, target: Path, part: Part) -> None:
    """Copies the files of a part; ``config.json`` comes last, so that the copy is either whole or not there.

    Raises:
        OSError: a file cannot be read or written.
    """
    (target / part / "config.json").unlink(missing_ok=True)
    for name in ("model.safetensors", "metrics.json", "README.md", "config.json"):
        source = checkpoint / part / name
        if source.is_file():
            with replacing(target / part / name) as temporary:
                copyfile(source, temporary)
        else:
            # An earlier part's would speak of other weights.
            (target / part / name).unlink(missing_ok=True)


def begin_part(checkpoint: Path, part: Part, settings: Mapping[str, Any]) -> bool:
    """Claims a part for a training with these settings; False if it is trained already with the same ones.

    Raises:
        StudyError: the folder holds this part, trained or begun, with other settings.
    """
    if checkpoint.exists() and not checkpoint.is_dir():
        raise InvalidInputError(f"{checkpoint} is a file; expected a folder for the checkpoint.", argument="out")
    folder = checkpoint / part
    for name in ("config.json", "begun.json"):
        path = folder / name
        if not path.is_file():
            continue
        stored = _read_object(path, part)
        # A finished part's config says more than what was asked for.
        if differing := differences({key: stored.get(key) for key in settings}, settings):
            raise StudyError(f"{folder} was made with other settings: {'; '.join(differing)}. Choose another `out`.")
        if name == "config.json":
            return False
    write_json(folder / "begun.json", settings)
    return True


def changed_flags(training: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    """How a card writes the training settings that are not the default ones, for the command line."""
    return "".join(f" --training.{name} {value}" for name, value in training.items() if value != default[name])
