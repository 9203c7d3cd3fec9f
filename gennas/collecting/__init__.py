"""Collecting: many (task, arch, seed) trainings as one study, from which predictors of new tasks learn."""

from gennas.collecting.collection import Collection
from gennas.collecting.run import collect

__all__ = ["Collection", "collect"]
