"""How a broken contract is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gennas.errors import GennasError
from gennas.metrics import Metric


def check(holds: bool, contract: str, found: object) -> None:
    """Raises an AssertionError with the contract and what was found, unless it holds."""
    if not holds:
        raise AssertionError(f"{contract}; found {found!r}")


@contextmanager
def sound(contract: str) -> Iterator[None]:
    """What raises an exception in here breaks the contract, which names it."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{contract}; found {type(error).__name__}: {error}") from error


def parsed(name: str, contract: str) -> Metric:
    """The metric of that name; an AssertionError where there is none."""
    try:
        return Metric.parse(name)
    except GennasError as error:
        raise AssertionError(f"{contract}; found {name!r}: {error}") from error
