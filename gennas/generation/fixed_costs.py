"""Bounds on costs that nothing keeps once some decisions are fixed, by the user or by what is known of a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

from gennas.arch import PartialArch
from gennas.diffusion.guides.costs import CostModel
from gennas.errors import InfeasibleError
from gennas.metrics import Constraint
from gennas.spaces import Space

#: More decisions than this are counted in a message instead of named.
NAMED = 3
#: Significant digits of the value that a message names.
DIGITS = 6


def check_fixed(
    costs: CostModel, constraint: Constraint, fixed: PartialArch, why: Sequence[str], instead: Sequence[str]
) -> None:
    """Checks that a bound on a cost can be kept by archs that complete a partial arch, if their costs are known.

    Args:
        costs: of the bounded metric.
        constraint: the bound.
        fixed: what the archs complete.
        why: sentences on why it is fixed.
        instead: what the user can do besides loosening the bound.

    Raises:
        InfeasibleError: no such arch keeps the bound; names the value that can be asked for.
    """
    cost_range = costs.range(fixed)
    if cost_range is None:
        return
    is_upper = constraint.relation == "<="
    extreme = cost_range[0 if is_upper else 1]
    # Nothing is known of choices that no arch has together: the drawing finds that there is none.
    if constraint.holds(extreme) or not math.isfinite(extreme):
        return
    name, task = constraint.metric.name, costs.task.name
    sentences = [
        f"no {costs.space.name} arch with {_choices(fixed, costs.space)} satisfies '{constraint}': {name} for task "
        f"{task!r} is at {'least' if is_upper else 'most'} {_attainable(extreme, is_upper)} there.",
        *why,
        alternatives(["loosen this bound to that", *instead]),
    ]
    raise InfeasibleError(" ".join(sentences))


def alternatives(advice: Sequence[str]) -> str:
    """What the user can do, as a sentence, of the clauses that say it."""
    *first, last = advice
    text = f"{', '.join(first)}, or {last}" if first else last
    return f"{text[0].upper()}{text[1:]}."


def _choices(fixed: PartialArch, space: Space) -> str:
    """What is decided of that which has a choice, in words."""
    made = [f"{space.template.slots[at]}={fixed.ops[at]}" for at in space.template.free_slots if fixed.ops[at]]
    return " and ".join(made) if 0 < len(made) <= NAMED else f"the {len(made)} decisions that are fixed"


def _attainable(value: float, is_upper: bool) -> str:
    """The value with few digits, rounded so that a bound by these can still be kept."""
    # Costs of archs sum in another order, so that their last bits may differ.
    slack = 1e-9 * abs(value) * (1 if is_upper else -1)
    rounded = Context(prec=DIGITS, rounding=ROUND_CEILING if is_upper else ROUND_FLOOR).create_decimal(value + slack)
    return f"{float(rounded):.{DIGITS}g}"
