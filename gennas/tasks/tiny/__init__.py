"""Tiny tasks: some sixty small ones that differ as much as possible in which archs are good at them.

They are what is learnt from about tasks themselves, as the data set ``tiny-tasks`` of trained accuracies: a network for
one of them trains in about a second. :data:`TRAINING_TASKS` are there to learn from. :data:`HELD_OUT_TASKS` are of
other kinds, for measuring what was learnt; nothing may be chosen by them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from gennas.tasks.tiny.held_out import HELD_OUT
from gennas.tasks.tiny.task import TinyTask
from gennas.tasks.tiny.training import TRAINING

#: Name -> the task; to be called for a :class:`gennas.Task`, as :func:`gennas.tasks.get_task` does.
TINY_TASKS: Mapping[str, TinyTask] = MappingProxyType({task.name: task for task in (*TRAINING, *HELD_OUT)})
#: Names of the tasks to learn from, with their kinds.
TRAINING_TASKS: Mapping[str, str] = MappingProxyType({task.name: task.kind for task in TRAINING})
#: Names of the tasks of other kinds.
HELD_OUT_TASKS: Mapping[str, str] = MappingProxyType({task.name: task.kind for task in HELD_OUT})

__all__ = ["HELD_OUT_TASKS", "TINY_TASKS", "TRAINING_TASKS", "TinyTask"]
