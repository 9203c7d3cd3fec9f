"""Kinds of targets: what tasks ask of an image. A kind of your own is one class and one registration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennas.errors import InvalidInputError
from gennas.registry import Registry
from gennas.tasks.targets.base import TargetKind
from gennas.tasks.targets.classification import CLASSIFICATION, Classification

TARGET_KINDS: Registry[type[TargetKind]] = Registry(
    "kind of targets",
    {
        "classification": Classification,
        "regression": "gennas.tasks.targets.regression:Regression",
        "multilabel": "gennas.tasks.targets.multilabel:Multilabel",
    },
    group="gennas.target_kinds",
    expected="a subclass of gennas.tasks.targets.TargetKind",
    accepts=lambda entry: isinstance(entry, type) and issubclass(entry, TargetKind),
    how="`targets` path/to/file.py:MyKind (in Python: TARGET_KINDS.register)",
)


def target_kind(kind: TargetKind | str) -> TargetKind:
    """The kind of that name, before it has seen any targets.

    Raises:
        UnknownNameError: no kind of that name; the nearest is suggested.
    """
    return TARGET_KINDS.get(kind)() if isinstance(kind, str) else kind


def kind_of(document: Mapping[str, Any] | None) -> TargetKind:
    """The kind that a file keeps, see :meth:`TargetKind.document`; classification where it keeps nothing.

    Raises:
        UnknownNameError: no kind of that name.
        InvalidInputError: the document is damaged.
    """
    if not document:
        return CLASSIFICATION
    try:
        return TARGET_KINDS.registered(str(document["kind"])).of(document)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{document!r} does not describe targets ({type(error).__name__}: {error}).") from error


__all__ = ["CLASSIFICATION", "TARGET_KINDS", "Classification", "TargetKind", "kind_of", "target_kind"]
