"""The meta-predictor: accuracy on a task never seen, forecast from the task's encoding and updated by evaluations."""

from gennas.predictors.meta.conditioned import ForecastPredictor
from gennas.predictors.meta.forecast import TaskForecast
from gennas.predictors.meta.predictor import MetaPredictor, MetaSettings, TrainedTask

__all__ = ["ForecastPredictor", "MetaPredictor", "MetaSettings", "TaskForecast", "TrainedTask"]
