"""What the verbs about hardware start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gennas.errors import GennasError, InvalidInputError

if TYPE_CHECKING:
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
        from gennas.spaces import get_space, registered_space
        from gennas.tasks import get_task

        # As in `gennas generate`: graphs are small, and a second thread makes sums depend on it.
        torch.set_num_threads(1)
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

    def refuse_known(self, name: str) -> None:
        """Refuses the name of a device that a trained predictor of the space already predicts.

        Raises:
            InvalidInputError: it is one.
        """
        from gennas.checkpoint import checkpoints
        from gennas.part_files import read_config
        from gennas.spaces import registered_space

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


def _task_like(predictor: Predictor, config: dict[str, Any]) -> str:
    """The task with the inputs of the measured networks; the first that the checkpoint knows where none has them."""
    from gennas.tasks import get_task, sizing_task

    shape = tuple(config["latency_input_shape"])
    tasks = predictor.targets("accuracy") or (sizing_task((), shape).name,)
    return next((task for task in tasks if get_task(task).input_shape == shape), tasks[0])
