"""The files of a trained network, and the name of its folder in a run."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

WEIGHTS, MODEL, FACTS, PREDICTIONS = "network.safetensors", "network.onnx", "arch.json", "predictions.parquet"
#: Of a supernet, in a folder of its own.
SUPERNET = "supernet.safetensors"
#: Subfolder of a run, with a folder for every trained network.
NETWORKS = "networks"
#: Subfolder of a run for several tasks, with a folder like that of a run for each task but the first.
TASKS = "tasks"


def folder_name(key: str) -> str:
    """The name of the folder of an arch's network: 12 hexadecimal digits of a hash of its key."""
    return sha256(key.encode()).hexdigest()[:12]


def task_folder(run: Path, task: str) -> Path:
    """Where a run for several tasks keeps the files of one that is not the first, as a run for it alone would.

    Args:
        run: folder of the run.
        task: name of the task.
    """
    # A task of the user's own may have a name that is no name of a folder.
    is_plain = task.strip(".") and all(sign.isalnum() or sign in "-_." for sign in task)
    return run / TASKS / (task if is_plain else folder_name(task))
