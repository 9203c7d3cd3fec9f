"""Trainings by an executor, one network at a time by each of its workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gennas.collecting.evaluator import MetricsEvaluator
from gennas.collecting.store import failure_of, rows_of
from gennas.executors.base import Executor, Job, JobResult
from gennas.metrics import first_implausible
from gennas.progress import Report
from gennas.spaces import Space
from gennas.studies.records import Row
from gennas.studies.study import Study
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member

#: Subfolder of the study, where interrupted trainings resume.
RUNNING = "running"

# What is lost with its worker is tried again.
_ATTEMPTS = 3


def train_one_by_one(
    space: Space,
    members: Sequence[Member],
    recipe: Recipe,
    study: Study,
    executor: Executor,
    timeout: float | None,
    report: Report,
) -> None:
    """Trains networks and stores their metrics, each as soon as it is known.

    Args:
        space: of the networks.
        members: what is trained.
        recipe: how.
        study: open for writing.
        executor: trains.
        timeout: seconds after which a training has failed.
        report: receives how many are done, and the last one's outcome.
    """
    waiting = deque((number, 1) for number in range(len(members)))
    running: dict[int, int] = {}
    done = 0
    while waiting or running:
        while waiting and len(running) < executor.capacity:
            number, attempt = waiting.popleft()
            member = members[number]
            folder = study.folder / RUNNING / member.task.name / f"seed_{member.seed}"
            evaluator = MetricsEvaluator(space, recipe, folder)
            executor.submit(Job(number, member.arch, evaluator, member.task, member.seed, None, timeout))
            running[number] = attempt
        for result in executor.wait():
            number = result.job.number
            attempt = running.pop(number)
            if result.reason == "lost" and attempt < _ATTEMPTS:
                waiting.appendleft((number, attempt + 1))
                continue
            study.add(_rows(members[number], result, attempt))
            result.job.evaluator.stored(result.job.arch)
            done += 1
            report(done, f"{members[number].task.name}{f': {result.message}' if result.values is None else ''}")


def _rows(member: Member, result: JobResult, attempt: int) -> list[Row]:
    evaluator, seconds = result.job.evaluator, result.seconds
    if result.values is None:
        return [failure_of(evaluator, member, result.reason or "raised", result.message, seconds, attempt)]
    if defect := first_implausible(result.values):
        return [failure_of(evaluator, member, "implausible", defect, seconds, attempt)]
    return rows_of(evaluator, member, result.values, seconds)
