"""What a class of your own must pass to work with the rest of gennas; call these from your tests.

.. code-block:: python

    from gennas.testing import check_evaluator, check_policy, check_predictor, check_space

    def test_my_space():
        check_space(MySpace())

    def test_my_predictor():
        check_predictor(MyPredictor(), MySpace())

    def test_my_evaluator():
        check_evaluator(MyEvaluator(), MySpace(), get_task("digits"))

    def test_my_policy():
        check_policy(MyPolicy(problem), problem)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gennas.testing.evaluator import check_evaluator
    from gennas.testing.executor import check_executor
    from gennas.testing.policy import check_policy
    from gennas.testing.predictor import check_predictor
    from gennas.testing.proxy import check_proxy
    from gennas.testing.space import check_space
    from gennas.testing.table import check_table
    from gennas.testing.task import check_task

__all__ = [
    "check_evaluator",
    "check_executor",
    "check_policy",
    "check_predictor",
    "check_proxy",
    "check_space",
    "check_table",
    "check_task",
]


def __getattr__(name: str) -> Any:
    # One at a time: the workers of check_executor() import this package too, and start sooner without torch.
    if name not in __all__:
        raise AttributeError(f"module 'gennas.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"gennas.testing.{name.removeprefix('check_')}"), name)
