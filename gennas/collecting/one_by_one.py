"""Trainings by an executor, one network at a time by each of its workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gennas.collecting.evaluator import MetricsEvaluator
from gennas.executors.base import Executor, Job, JobResult
from gennas.metrics import first_implausible
from gennas.progress import Report
from gennas.spaces import Space
from gennas.studies.records import Row, evaluations_of, failure_row
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
            study.add(_rows(result, attempt))
            result.job.evaluator.stored(result.job.arch)
            done += 1
            report(done, f"{members[number].task.name}{f': {result.message}' if result.values is None else ''}")


def _rows(result: JobResult, attempt: int) -> Sequence[Row]:
    job, values, seconds = result.job, result.values, result.seconds
    what, defect = (job.evaluator, job.arch, job.task), first_implausible(values or {})
    if values is not None and not defect:
        return evaluations_of(*what, values, seed=job.seed, seconds=seconds)
    reason = "implausible" if defect else result.reason or "raised"
    message = defect or result.message
    return [failure_row(*what, reason, message, seed=job.seed, seconds=seconds, attempt=attempt)]
