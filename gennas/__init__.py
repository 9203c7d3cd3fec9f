"""gennas generates neural architectures: from a task and a device to trained, exportable networks."""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

#: Public name -> the module it lives in, imported when it is first used: `import gennas` costs nothing.
_HOMES = {
    "Arch": "arch",
    "Constraint": "metrics",
    "Evaluation": "studies.records",
    "GNNPredictor": "predictors.gnn",
    "Generator": "diffusion.generator",
    "GennasError": "errors",
    "GraphBatch": "graph",
    "Guide": "diffusion.guides.base",
    "LatencyEvaluator": "evaluators.latency",
    "Metric": "metrics",
    "Objective": "metrics",
    "Predictor": "predictors.base",
    "Problem": "problem",
    "Recipe": "training.recipe",
    "Request": "generation.request",
    "Space": "spaces",
    "Study": "studies.study",
    "Table": "tables",
    "Task": "tasks",
    "TrainEvaluator": "evaluators.train",
    "find_checkpoint": "checkpoint",
    "get_space": "spaces",
    "get_task": "tasks",
    "load_generator": "diffusion.generator",
    "load_predictor": "predictors",
    "load_table": "tables",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gennas' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(f"gennas.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
