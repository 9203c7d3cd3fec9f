"""Options that several verbs share, in groups; a verb that takes a group has its flags, ``--help`` its title."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """A group of options: every field is a flag of its own name, not nested under the name of the group."""
