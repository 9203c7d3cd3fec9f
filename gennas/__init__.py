"""gennas generates neural architectures: from a task and a device to trained, exportable networks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.3.0.dev0"

if TYPE_CHECKING:
    from gennas.arch import Arch, PartialArch
    from gennas.checkpoint import Checkpoint, checkpoints
    from gennas.collecting import Collection, collect
    from gennas.design import Design, design_networks
    from gennas.diffusion.generator import Generator
    from gennas.diffusion.guides.base import Guide
    from gennas.errors import GennasError
    from gennas.evaluators.base import Evaluator
    from gennas.evaluators.latency import LatencyEvaluator
    from gennas.evaluators.latency_spec import LatencySpec
    from gennas.evaluators.train import TrainEvaluator
    from gennas.executors.base import Executor
    from gennas.generation.pipeline import generate_archs
    from gennas.generation.request import Generated, Request
    from gennas.graph import GraphBatch
    from gennas.metrics import Constraint, Metric, MetricKind, Objective, register_metric
    from gennas.predictors.base import Predictor
    from gennas.predictors.gnn import GNNPredictor
    from gennas.problem import Problem
    from gennas.search.base import History, Policy, Proposal
    from gennas.search.entries import SearchEntry
    from gennas.search.policies.choice import PolicyChoice
    from gennas.search.run import SearchResult, search_archs
    from gennas.search.search import Search
    from gennas.search.settings import Measuring, Storage, Workers
    from gennas.search.trials import Trial
    from gennas.spaces import Space, Template, get_space
    from gennas.studies.records import Evaluation
    from gennas.studies.study import Study
    from gennas.tables import Table, load_table
    from gennas.tasks import Task, get_task
    from gennas.training.recipe import Recipe
    from gennas.validation import Validation, validate_archs

#: Public name -> the module it lives in, imported when it is first used: `import gennas` costs nothing.
_HOMES = {
    "Arch": "arch",
    "Checkpoint": "checkpoint",
    "Collection": "collecting",
    "Constraint": "metrics",
    "Design": "design",
    "Evaluation": "studies.records",
    "Evaluator": "evaluators.base",
    "Executor": "executors.base",
    "GNNPredictor": "predictors.gnn",
    "Generated": "generation.request",
    "Generator": "diffusion.generator",
    "GennasError": "errors",
    "GraphBatch": "graph",
    "Guide": "diffusion.guides.base",
    "History": "search.base",
    "LatencyEvaluator": "evaluators.latency",
    "LatencySpec": "evaluators.latency_spec",
    "Measuring": "search.settings",
    "Metric": "metrics",
    "MetricKind": "metrics",
    "Objective": "metrics",
    "PartialArch": "arch",
    "Policy": "search.base",
    "PolicyChoice": "search.policies.choice",
    "Predictor": "predictors.base",
    "Problem": "problem",
    "Proposal": "search.base",
    "Recipe": "training.recipe",
    "Request": "generation.request",
    "Search": "search.search",
    "SearchEntry": "search.entries",
    "SearchResult": "search.run",
    "Space": "spaces",
    "Storage": "search.settings",
    "Study": "studies.study",
    "Table": "tables",
    "Task": "tasks",
    "Template": "spaces",
    "TrainEvaluator": "evaluators.train",
    "Trial": "search.trials",
    "Validation": "validation",
    "Workers": "search.settings",
    "checkpoints": "checkpoint",
    "collect": "collecting",
    "design_networks": "design",
    "generate_archs": "generation.pipeline",
    "get_space": "spaces",
    "get_task": "tasks",
    "load_table": "tables",
    "register_metric": "metrics",
    "search_archs": "search.run",
    "validate_archs": "validation",
}

__all__ = [
    "Arch",
    "Checkpoint",
    "Collection",
    "Constraint",
    "Design",
    "Evaluation",
    "Evaluator",
    "Executor",
    "GNNPredictor",
    "Generated",
    "Generator",
    "GennasError",
    "GraphBatch",
    "Guide",
    "History",
    "LatencyEvaluator",
    "LatencySpec",
    "Measuring",
    "Metric",
    "MetricKind",
    "Objective",
    "PartialArch",
    "Policy",
    "PolicyChoice",
    "Predictor",
    "Problem",
    "Proposal",
    "Recipe",
    "Request",
    "Search",
    "SearchEntry",
    "SearchResult",
    "Space",
    "Storage",
    "Study",
    "Table",
    "Task",
    "Template",
    "TrainEvaluator",
    "Trial",
    "Validation",
    "Workers",
    "checkpoints",
    "collect",
    "design_networks",
    "generate_archs",
    "get_space",
    "get_task",
    "load_table",
    "register_metric",
    "search_archs",
    "validate_archs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gennas' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(f"gennas.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
