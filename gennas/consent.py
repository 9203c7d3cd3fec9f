"""Costs out of proportion: said before the work begins, so that whoever speaks to a person may ask first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gennas.machine import memory_gigabytes

_LOG = logging.getLogger(__name__)

#: Takes a sentence about the cost, and what would make it smaller; returns where the work shall begin all the same.
Ask = Callable[[str, str], None]
#: The share of the machine's memory, and the hours, from which a cost is said.
MEMORY_SHARE, HOURS = 0.5, 2.0


def expect(what: str, *, gigabytes: float = 0.0, hours: float = 0.0, instead: str) -> None:
    """Says what the work that is about to begin costs at least, if that is out of proportion.

    Args:
        what: will be needed, e.g. ``"1,797 images of 20000x20000 pixels"``.
        gigabytes: of memory that it takes.
        hours: that it takes.
        instead: what makes it smaller, e.g. ``"lower `image_size`"``.

    Raises:
        GennasError: whoever was asked does not want it.
    """
    costs = []
    if gigabytes > MEMORY_SHARE * (here := memory_gigabytes()):
        costs.append(f"{gigabytes:,.0f} GB of memory, and this machine has {here:,.0f} GB")
    if hours > HOURS:
        costs.append(f"{hours:,.0f} hours")
    if costs:
        _ask.get()(f"{what}: that takes at least {', and '.join(costs)}", instead)


@contextmanager
def asked(ask: Ask) -> Iterator[None]:
    """Asks with ``ask``, in place of the log, while the context is open."""
    token = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(token)


def logged(cost: str, instead: str) -> None:
    """Logs the cost: what the library does."""
    _LOG.warning("%s; to have it cheaper, %s.", cost, instead)


_ask: ContextVar[Ask] = ContextVar("ask", default=logged)
