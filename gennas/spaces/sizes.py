"""What the networks of a space need, known before one is built."""

from __future__ import annotations

from collections.abc import Iterable

from gennas.arch import Arch
from gennas.consent import expect
from gennas.spaces.base import Space
from gennas.tasks import Task

#: Bytes per parameter while a network is trained: weight, gradient, momentum and a copy, 4 each.
_BYTES = 16


def expect_networks(space: Space, task: Task, archs: Iterable[Arch], copies: int = 1) -> None:
    """Says before the first is built what networks cost that take most of the memory.

    See :func:`gennas.consent.expect`.

    Args:
        space: builds them.
        task: sizes them.
        archs: that are to be built; some of them where they are not known yet.
        copies: how many are in memory at a time.
    """
    params_m = max((space.costs(arch, task)["params_m"] for arch in archs), default=0.0)
    expect(
        f"networks of {params_m:,.0f} million parameters" + (f", {copies} at a time" if copies > 1 else ""),
        gigabytes=params_m * copies * _BYTES / 1e3,
        instead="choose a smaller `skeleton`",
    )
