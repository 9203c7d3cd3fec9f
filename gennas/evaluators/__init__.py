"""Evaluators give values: looked up, computed, trained, measured or predicted, all behind one signature."""

from gennas.evaluators.base import Evaluator
from gennas.registry import Registry

#: Which evaluators :func:`gennas.evaluators.selection.evaluators_of` chooses among; see :meth:`Evaluator.make`.
EVALUATORS: Registry[type[Evaluator]] = Registry(
    "evaluator",
    {
        "computed": "gennas.evaluators.costs:CostEvaluator",
        "memory": "gennas.evaluators.memory:MemoryEvaluator",
        "predicted": "gennas.evaluators.predicted:PredictedEvaluator",
        "table": "gennas.evaluators.table:TableEvaluator",
        "measured": "gennas.evaluators.latency:LatencyEvaluator",
        "inherited": "gennas.evaluators.inherited:InheritedEvaluator",
        "int8": "gennas.evaluators.int8:Int8Evaluator",
        "trained": "gennas.evaluators.train:TrainEvaluator",
    },
    group="gennas.evaluators",
    expected="a subclass of gennas.Evaluator",
    accepts=lambda entry: isinstance(entry, type) and issubclass(entry, Evaluator),
    how="@EVALUATORS.register in a file of your own",
)

__all__ = ["EVALUATORS", "Evaluator"]
