"""Archs that were trained, trained again with further seeds; no proposals, but rows of the same study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gennas.arch import Arch
from gennas.evaluators.train import TrainEvaluator
from gennas.executors.base import Executor
from gennas.problem import Problem
from gennas.progress import Report
from gennas.search.evaluation import EvaluationPipeline
from gennas.search.trials import Trial
from gennas.studies.cache import Cache
from gennas.studies.study import Study


def trained_with(
    seed: int,
    problem: Problem,
    archs: Sequence[Arch],
    trainer: TrainEvaluator,
    study: Study,
    executor: Executor,
    *,
    timeout: float | None = None,
    cache: Cache | None = None,
    counted: Mapping[str, int] | None = None,
    report: Report,
) -> list[Trial]:
    """The outcome of training archs with one more seed; what the study knows is not trained again.

    The networks are kept in a folder ``seed_<seed>`` within those of the first seed.

    Args:
        seed: of weights, order and augmentation.
        problem: its objective is the accuracy alone.
        archs: to train.
        trainer: with the first seed's settings.
        study: open for writing.
        executor: trains.
        timeout: seconds for each.
        cache: evaluations of other studies.
        counted: key -> how many archs of the caller's it stands for; None for one each.
        report: receives how many archs are done, and a note on the last one.
    """
    again = TrainEvaluator(
        trainer.space,
        trainer.recipe,
        trainer.folder,
        trainer.progress,
        kinds=trainer.kinds,
        place=f"seed_{seed}",
    )
    pipeline = EvaluationPipeline(
        problem,
        [again],
        study,
        executor,
        seed=seed,
        timeout=timeout,
        cache=cache,
        renews=[arch.key for arch in archs],
        distinct="archs",
        counted=counted,
        report=report,
    )
    pipeline.recall()
    pipeline.budget = len(archs)
    for number, arch in enumerate(archs):
        pipeline.begin([Trial(number, number, arch, "given")])
        # One after the other as far as nothing runs beside: an inline executor would train all before it stores any.
        while len(pipeline.running) >= executor.capacity:
            pipeline.wait()
    while pipeline.running:
        pipeline.wait()
    return pipeline.trials
