"""Deployment here: a checkpoint's predictor with what this machine and the task's images say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gennas.checkpoint import Checkpoint
from gennas.evaluators.calibration import Calibrate, this_machine
from gennas.evaluators.task_calibration import calibrated
from gennas.hardware.target import HardwareTarget
from gennas.predictors.deployment import DeploymentPredictor, deploy
from gennas.predictors.meta.applied import AccuracyForecast, accuracy_forecast
from gennas.predictors.transfer import Evaluated
from gennas.spaces import Space
from gennas.tasks import Task


def deployed_here(
    source: Checkpoint,
    space: Space,
    task: Task,
    hardware: str | None,
    *,
    targets: Sequence[str] = (),
    evaluated: Evaluated | None = None,
    calibrate: Calibrate = "never",
    is_forecast: bool = True,
    check: Callable[[DeploymentPredictor], object] = lambda deployed: None,
) -> tuple[DeploymentPredictor, tuple[str, ...]]:
    """:func:`.deploy` after measurements on this machine and trainings on the task's images.

    Args:
        source: a checkpoint with a predictor.
        space: with the skeleton to deploy.
        task: to deploy for.
        hardware: to deploy on, if any.
        targets: names of further hardware whose latency is wanted.
        evaluated: accuracies of some archs on the task, if any are known.
        calibrate: whether networks are measured and trained for it.
        is_forecast: whether the accuracy on the task is forecast from its images, where that can be done.
        check: raises an error for whatever cannot be predicted; called before anything is trained, where it may be.

    Returns:
        The deployed predictor, and sentences on what it was adapted to, and on the task's images.

    Raises:
        UnknownNameError: no latency is predicted for the hardware.
        InvalidInputError: the predictor does not support adaptation, and something has to be adapted; the images cannot
            be read; or something is to be measured that this machine does not have.
    """
    named = [HardwareTarget.parse(name) for name in dict.fromkeys((hardware or "", *targets))]
    here = this_machine(source, space, task, [target for target in named if target], calibrate)
    forecast = AccuracyForecast()
    if is_forecast:
        known = source.predictor.targets("accuracy")
        forecast = accuracy_forecast(source.folder, space, task, known)

    def deployed(of_task: AccuracyForecast) -> tuple[DeploymentPredictor, tuple[str, ...]]:
        return deploy(
            source.predictor,
            source.config("predictor"),
            space,
            task,
            hardware,
            targets=targets,
            evaluated=evaluated,
            here=here,
            forecast=of_task.after(evaluated),
        )

    found, notes = deployed(forecast)
    if forecast.forecast is not None:
        check(found)
        if (narrowed := calibrated(forecast, space, task, calibrate)) is not forecast:
            found, notes = deployed(narrowed)
    return found, (*notes, *(task.unreadable() if forecast.notes is None else forecast.notes))
