"""Running out of memory, and trying again with half as much at a time."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

# What the allocator for CPUs says, which raises a plain RuntimeError.
_SENTENCES = ("can't allocate memory", "not enough memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory, of the machine or of its GPU, did not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sentence in str(error).lower() for sentence in _SENTENCES)


def release() -> None:
    """Frees what a failed attempt held; called outside of its handler, where nothing refers to that any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def halving(work: Callable[[int], T], size: int) -> T:
    """``work(size)``; with half of the size, and so on, where memory does not suffice.

    Args:
        work: may be called several times.
        size: how much it does at a time.

    Raises:
        RuntimeError: not even for a size of 1.
    """
    while True:
        try:
            return work(size)
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not is_out_of_memory(error):
                raise
        # Outside of the handler, where the failed attempt's tensors are gone.
        size //= 2
