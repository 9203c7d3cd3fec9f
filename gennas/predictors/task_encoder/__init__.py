"""The task encoder: a task in numbers, from a few of its images, before anything is trained on it."""

from gennas.predictors.task_encoder.encoder import PER_CLASS, PROBE, TaskEncoding, encode_task
from gennas.predictors.task_encoder.image_features import weights_found

__all__ = ["PER_CLASS", "PROBE", "TaskEncoding", "encode_task", "weights_found"]
