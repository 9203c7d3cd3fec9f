"""Reproduce: the commands, versions and settings of a run, its files, and how its evaluations failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from gennas.commands import command
from gennas.documents import parse_json
from gennas.report.run import Run


@dataclass(frozen=True)
class SessionReport:
    """One time that the run was worked on.

    Attributes:
        started: UTC time.
        command: as it was typed; empty where a program did it.
        machine: of the process.
        versions: package -> version.
    """

    started: str
    command: str
    machine: str
    versions: dict[str, str]


@dataclass(frozen=True)
class FailureReport:
    """Failed attempts with one cause.

    Attributes:
        reason: one word.
        message: in words.
        keys: of the archs.
        count: attempts.
    """

    reason: str
    message: str
    keys: tuple[str, ...]
    count: int


def sessions(run: Run) -> list[SessionReport]:
    """Who has written to the study; nothing in studies of an older gennas."""
    found = []
    for row in run.sessions:
        try:
            versions = parse_json(row.versions)
        except ValueError:
            versions = {}
        known = {str(name): str(one) for name, one in versions.items()} if isinstance(versions, dict) else {}
        found.append(SessionReport(row.created, row.command, row.machine, known))
    return found


def failures(run: Run) -> list[FailureReport]:
    """The causes of failures, the most frequent first."""
    counts = Counter((row.reason, row.message) for row in run.failures)
    return [
        FailureReport(
            reason,
            message,
            tuple(dict.fromkeys(row.arch for row in run.failures if (row.reason, row.message) == (reason, message))),
            count,
        )
        for (reason, message), count in counts.most_common()
    ]


def settings(run: Run) -> dict[str, str]:
    """All settings of the study with dotted names; those that are not set are left out."""
    return {name: str(value) for name, value in _flat(run.config, "").items() if value not in (None, [], {})}


def remake_command(run: Run, task: str | None) -> str:
    """What writes the page again."""
    return command("report", study=run.folder, task=task)


def _flat(part: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(part, dict) or not part:
        return {prefix: part}
    found: dict[str, Any] = {}
    for name, value in part.items():
        found |= _flat(value, f"{prefix}.{name}" if prefix else str(name))
    return found
