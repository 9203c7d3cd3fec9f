"""The policies by name, and how one is made from what a user writes."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gennas.errors import InvalidInputError, unknown
from gennas.problem import Problem
from gennas.registry import Registry
from gennas.search.base import Policy

_HERE = "gennas.search.policies"
#: A policy is a dataclass: ``problem``, then its options.
POLICIES: Registry[type[Policy]] = Registry(
    "policy",
    {
        "gennas": f"{_HERE}.guided_bo:GuidedBO",
        "random": f"{_HERE}.random_search:RandomSearch",
        "regularised_evolution": f"{_HERE}.regularised_evolution:RegularisedEvolution",
        "local_search": f"{_HERE}.local_search:LocalSearch",
        "area": f"{_HERE}.area:Area",
        "bananas": f"{_HERE}.bananas:Bananas",
        "nsga2": f"{_HERE}.nsga2:Nsga2",
        "gp": f"{_HERE}.gaussian_process:GaussianProcess",
        "gp_hamming": f"{_HERE}.gp_hamming:GpHamming",
        "tpe": f"{_HERE}.tpe:Tpe",
        "smac": f"{_HERE}.smac:Smac",
        "generator": f"{_HERE}.unguided_generator:UnguidedGenerator",
    },
    group="gennas.policies",
    expected="a dataclass that is a subclass of gennas.search.base.Policy",
    accepts=lambda entry: isinstance(entry, type) and issubclass(entry, Policy),
    how="`policy` path/to/file.py:MyPolicy (in Python: POLICIES.register)",
)


def make_policy(policy: str, problem: Problem, options: Mapping[str, str] | None = None) -> Policy:
    """A policy for a problem.

    Args:
        policy: of ``POLICIES``, or ``"path/to/file.py:Class"`` or ``"package.module:Class"``.
        problem: what is searched.
        options: of the policy, as written; its fields say what they are.

    Raises:
        UnknownNameError: no such policy, or an option that it does not have.
        InvalidInputError: an option that cannot be read, or a class that is no policy.
    """
    kind = POLICIES.get(policy)
    types_of = option_types(kind)
    read: dict[str, Any] = {}
    for name, text in (options or {}).items():
        if name not in types_of:
            raise unknown(f"option of policy {policy!r},", name, types_of)
        read[name] = _read(text, types_of[name], f"option {name}={text!r} of policy {policy!r}")
    return kind(problem, **read)  # type: ignore[call-arg]


def option_types(kind: type[Policy]) -> dict[str, Any]:
    """The options of a policy and their types.

    Raises:
        InvalidInputError: the class is no dataclass.
    """
    if not is_dataclass(kind):
        raise InvalidInputError(
            f"policy {kind.__name__} has no fields; expected a dataclass with the field 'problem', then its options."
        )
    hints = get_type_hints(kind)
    own = [field.name for field in fields(kind) if field.init and field.name != "problem"]
    return {name: hints[name] for name in own}


def defaults(kind: type[Policy]) -> dict[str, Any]:
    """The options of a policy that have a default, with it."""
    known = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    return {name: known[name] for name in option_types(kind) if known[name] is not MISSING}


def parse_options(text: str) -> dict[str, str]:
    """Reads ``"key=value,key=value"``.

    Raises:
        InvalidInputError: not of that form.
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if bad := next((name for name, equals, _ in pairs if not equals or not name.strip()), None):
        raise InvalidInputError(f"has {bad!r}; expected name=value,name=value.", argument="options")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read(text: str, kind: Any, what: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        members = get_args(kind)
        if type(None) in members and text == "none":
            return None
        # A file or a word where one may be given beside what cannot be written.
        kind = next((member for member in members if member in (bool, int, float, Path, str)), kind)
    if get_origin(kind) is Literal:
        if text in get_args(kind):
            return text
        raise InvalidInputError(f"{what} cannot be read; expected one of {', '.join(get_args(kind))}.")
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float, Path, str):
            return kind(text)
    except (ValueError, KeyError):
        pass
    raise InvalidInputError(f"{what} cannot be read; expected {getattr(kind, '__name__', kind)}.")
