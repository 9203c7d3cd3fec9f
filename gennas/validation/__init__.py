"""Validation: archs that are given are trained on a task, and their latency is measured."""

from gennas.validation.archs import validate_archs
from gennas.validation.entries import Validated, Validation

__all__ = ["Validated", "Validation", "validate_archs"]
