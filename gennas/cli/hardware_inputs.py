"""What the verbs about hardware start from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.errors import GennasError, InvalidInputError

if TYPE_CHECKING:
    from gennas.cli.options import PredictorOptions
    from gennas.hardware.csv_settings import CsvSettings
    from gennas.hardware.target import HardwareTarget
    from gennas.predictors.base import Predictor
    from gennas.spaces import Space
    from gennas.tasks import Task


@dataclass(frozen=True)
class HardwareInputs:
    """What is fitted to a device: a checkpoint's predictor, and the networks that are measured.

    Attributes:
        checkpoint: its name or folder.
        predictor: its predictor.
        config: the predictor's configuration.
        space: with the skeleton of the measured networks.
        task: what sizes them.
    """

    checkpoint: str
    predictor: Predictor
    config: dict[str, Any]
    space: Space
    task: Task

    @property
    def image_size(self) -> int | None:
        """The side of the images where they are not those of the task, which is one of the checkpoint's."""
        from gennas.tasks import get_task

        is_named = get_task(self.task.name).input_shape == self.task.input_shape
        return None if is_named else self.task.input_shape[-1]

    @property
    def sizing_name(self) -> str:
        """A task with images of that size, where they have any."""
        return self.task.name if self.image_size is None else "digits"

    @property
    def other_skeleton(self) -> str | None:
        """The skeleton's settings, where they are not those of the space."""
        from gennas.hardware.profile import written_skeleton

        return None if self.space.skeleton == type(self.space)().skeleton else written_skeleton(self.space)

    @classmethod
    def find(
        cls,
        space: str,
        checkpoint: str | None = None,
        task: str | None = None,
        skeleton: str | None = None,
        image_size: int | None = None,
    ) -> HardwareInputs:
        """The inputs that options describe; by default those of the checkpoint's own latencies.

        Raises:
            UnknownNameError: no space, checkpoint or task of that name.
            DataMissingError: the checkpoint has no predictor.
            InvalidInputError: the checkpoint is of another space, or the space has no such skeleton.
        """
        import torch

        from gennas.checkpoint import Checkpoint
        from gennas.predictors import load_predictor
        from gennas.spaces import family_member, get_space, registered_space
        from gennas.tasks import get_task

        # As in `gennas generate`: graphs are small, and a second thread makes sums depend on it.
        torch.set_num_threads(1)
        if skeleton is not None:
            space, skeleton = family_member(space, skeleton)
        plain = get_space(space)
        checkpoint = checkpoint or plain.name
        predictor, config = load_predictor(Checkpoint(checkpoint).folder)
        theirs = registered_space(config["space"])
        if theirs.name != plain.name:
            raise InvalidInputError(
                f"checkpoint {checkpoint!r} is of space {theirs.name!r}, not {plain.name!r}; give --space "
                f"{config['space']}, or another --checkpoint."
            )
        own = type(plain).with_skeleton(config["skeleton"] if skeleton is None else skeleton)
        return cls(
            checkpoint, predictor, config, own, get_task(task or _task_like(predictor, config), image_size=image_size)
        )

    @classmethod
    def measured(cls, networks: PredictorOptions, settings: CsvSettings | None = None) -> HardwareInputs:
        """The inputs that options describe; what these leave open is as a file of measurements says.

        Raises:
            InvalidInputError: as :meth:`find`, or the options say something else than the file.
        """
        if settings is None:
            return cls.find(networks.space, networks.checkpoint, networks.task, networks.skeleton, networks.image_size)
        from gennas.spaces import get_space
        from gennas.tasks.base import shape_text

        plain = get_space(networks.space)
        if settings.space and settings.space != plain.name:
            raise InvalidInputError(
                f"was measured for networks of space {settings.space!r}, not {plain.name!r}; give --space "
                f"{settings.space}.",
                argument="csv",
            )
        skeleton = settings.skeleton or None if networks.skeleton is None else networks.skeleton
        place = cls.find(networks.space, networks.checkpoint, networks.task, skeleton, networks.image_size)
        theirs = type(plain).with_skeleton(settings.skeleton) if settings.skeleton else place.space
        if theirs.skeleton != place.space.skeleton:
            raise InvalidInputError(
                f"is {networks.skeleton!r}, but the file has networks with {settings.skeleton}; leave it out.",
                argument="skeleton",
            )
        if settings.input_shape is None or settings.input_shape == place.task.input_shape:
            return place
        if networks.task is not None:
            raise InvalidInputError(
                f"has images of {shape_text(place.task.input_shape)}, but the file has networks for "
                f"{shape_text(settings.input_shape)}; leave it out.",
                argument="task",
            )
        return replace(place, task=replace(place.task, input_shape=settings.input_shape))

    def refuse_known(self, name: str) -> None:
        """Refuses the name of a device that a trained predictor of the space already predicts.

        Raises:
            InvalidInputError: it is one, or the space's table has its latencies.
        """
        from gennas.checkpoint import checkpoints
        from gennas.part_files import read_config
        from gennas.spaces import registered_space
        from gennas.tables import TABLES, load_table

        table = load_table(self.space.name) if self.space.name in TABLES else None
        if table is not None and f"latency_ms@{name}" in (*table.metrics(), *table.missing):
            raise InvalidInputError(
                f"hardware {name!r} already exists: table {table.name!r} has its latencies, which yours would be taken "
                "for. Choose another name for yours."
            )
        known = {self.checkpoint: self.config}
        for other, folder in checkpoints().items():
            try:
                config = read_config(folder, "predictor")
                if registered_space(config["space"]).name == self.space.name:
                    known[other] = config
            except GennasError:
                # Without a predictor, or not readable: whoever asks for that checkpoint gets the error.
                continue
        for checkpoint, config in known.items():
            if f"latency_ms@{name}" in config["metrics"]:
                raise InvalidInputError(
                    f"hardware {name!r} already exists: checkpoint {checkpoint!r} predicts it without any "
                    "measurements. Choose another name for yours."
                )


def measured_target(name: str, target: str | None, csv: Path | None) -> HardwareTarget:
    """How this machine runs networks that are measured as hardware of some name.

    A name of this machine tells it; another one is anything that the user calls so.

    Raises:
        InvalidInputError: a target that does not exist or that contradicts the name, or measurements of another machine
            under a name of this one.
    """
    from gennas.hardware.target import NAMING, HardwareTarget

    named = HardwareTarget.parse(name)
    if csv is not None and named is not None:
        raise InvalidInputError(
            f"hardware {name!r} is this machine, which is measured where its latency is asked for. Choose another name "
            "for what is in the file, e.g. my-board."
        )
    if target is None:
        return named or HardwareTarget()
    asked = HardwareTarget.parse(target)
    if asked is None:
        raise InvalidInputError(f"is {target!r}; expected {NAMING}.", argument="target")
    if named is not None and named != asked:
        raise InvalidInputError(
            f"is {target!r}, but the hardware is called {name!r}; leave it out, or choose another name.",
            argument="target",
        )
    return asked


def _task_like(predictor: Predictor, config: dict[str, Any]) -> str:
    """The task with the inputs of the measured networks; the first that the checkpoint knows where none has them."""
    from gennas.tasks import get_task, sizing_task

    shape = tuple(config["latency_input_shape"])
    tasks = predictor.targets("accuracy") or (sizing_task((), shape).name,)
    return next((task for task in tasks if get_task(task).input_shape == shape), tasks[0])
