"""Options that belong together; a verb that takes a group has its flags, and ``--help`` shows them under its title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Options:
    """A group of options: every field is a flag of its own name, not nested under the name of the group."""


@dataclass(frozen=True)
class GoalOptions(Options):
    """What to generate for

    Args:
        task: digits, a folder of images with a folder per class, or another name of `gennas list tasks`.
        objective: metrics to optimise, e.g. "accuracy, -latency_ms@pixel3", +macs_m for the most of these, or none; by
            default accuracy, or none where no predictor was trained on any.
        hardware: the hardware of latencies and energies that name none, of `gennas list hardware`; cpu is this machine.
    """

    task: str
    objective: str | None = None
    where: Sequence[str] = ()
    hardware: str | None = None


@dataclass(frozen=True)
class SearchGoalOptions(Options):
    """What to search for

    Args:
        task: digits, a folder of images with a folder per class, or with --table a task of the table; repeated, one
            search for several tasks.
        objective: metrics to optimise, e.g. "accuracy, -latency_ms@pixel3"; by default accuracy, or what stands for it
            with other --targets: r2 of values, mean_average_precision of labels. Of several tasks each has its own.
        hardware: the hardware of latencies and energies that name none, of `gennas list hardware`; cpu is this machine.
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class; by default that of
            --table, or nasbench201.
    """

    task: Sequence[str]
    objective: str | None = None
    where: Sequence[str] = ()
    hardware: str | None = None
    space: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.task, str):
            # A file of options may name one alone.
            object.__setattr__(self, "task", (self.task,))


@dataclass(frozen=True)
class NetworkOptions(Options):
    """Networks

    Args:
        skeleton: settings of the network around the searched part, e.g. "channels=16,cells=3".
        image_size: side length to which images are resized.
        nested: read the images in subfolders of class folders, too.
        targets: what a label file holds: classification, a class per image; regression, numbers; multilabel, lists of
            labels as red;round, or a column of 0 and 1 per label.
    """

    skeleton: str = ""
    image_size: int | None = None
    nested: bool = False
    targets: str = "classification"


@dataclass(frozen=True)
class ArchOptions(Options):
    """Architectures

    Args:
        archs: a file with one key a line, a CSV with a column key, a JSON list, or one that `gennas generate --out`
            wrote; - is standard input.
    """

    key: Sequence[str] = ()
    archs: str | None = None


@dataclass(frozen=True)
class SamplingOptions(Options):
    """Sampling

    Args:
        n: how many distinct archs to return, the best predicted first.
        strength: how strongly the objective guides the sampling, in standard deviations of the space; 0 is unguided.
        confidence: probability with which a bound on a predicted metric must hold, in [0.5, 1).
        distinct: whether archs must differ as such, or compute different functions.
        diversity: 0 returns the best archs; towards 1 they differ more from each other.
        particles: guided graphs that compete, a power of 2 up to 512; more follow a strong guidance more closely.
    """

    n: int = 10
    strength: float = 3.0
    confidence: float = 0.9
    distinct: Literal["archs", "functions"] = "functions"
    diversity: float = 0.0
    particles: int = 64


@dataclass(frozen=True)
class EditOptions(Options):
    """Completing and varying given architectures

    Args:
        fix: what all archs have in common, as "slot=op,slot->slot=present", or a partial arch with "?".
        mutate: an arch to vary.
        fraction: share of its decisions that are resampled, in (0, 1].
    """

    fix: str | None = None
    mutate: str | None = None
    fraction: float = 0.3


@dataclass(frozen=True)
class PolicyOptions(Options):
    """Search policy

    Args:
        policy: gennas, a baseline of `gennas bench search`, package.module:Class or path/to/file.py:Class.
        options: options of the policy, as "name=value,name=value".
        prior: known starts from predictions of a trained predictor, or from the table's other tasks and hardware;
            none starts from nothing.
        distinct: functions proposes nothing that computes the same as an arch before it; archs allows it.
        checkpoint: a name of `gennas list checkpoints`, or a folder; by default the one named like the space.
    """

    policy: str = "gennas"
    options: str = ""
    prior: Literal["known", "none"] = "known"
    distinct: Literal["functions", "archs"] = "functions"
    checkpoint: str | None = None


@dataclass(frozen=True)
class WorkerOptions(Options):
    """Workers

    Args:
        workers: evaluations at a time, each in a process of its own.
        ray: address of a Ray cluster whose nodes are the workers, e.g. auto; needs gennas[ray].
        timeout: seconds after which an evaluation has failed.
        batch: archs proposed at a time; by default as many as workers, 5 with a table.
    """

    workers: int = 1
    ray: str | None = None
    timeout: float | None = None
    batch: int | None = None


@dataclass(frozen=True)
class StorageOptions(Options):
    """Where results are stored

    Args:
        out: run folder: the study, and for every trained arch its weights and ONNX file.
        cache: SQLAlchemy URL of a database of evaluations that runs share, e.g. sqlite:///evaluations.sqlite.
        database: SQLAlchemy URL of a database of studies; by default a file in the run folder.
        study_name: name of the study in the database, which resumes it from any run folder; by default a random one.
        export: write all evaluations to this .parquet, .csv or .json file, or to a .db file for optuna-dashboard.
    """

    out: Path
    cache: str | None = None
    database: str | None = None
    study_name: str | None = None
    export: Path | None = None


@dataclass(frozen=True)
class ComparisonOptions(Options):
    """Policies

    Args:
        policies: policies to compare, e.g. "gennas,random"; those of gennas are gennas, random, regularised_evolution,
            local_search, area, bananas, nsga2, gp, gp_hamming, tpe, smac and generator.
        options: options of single policies, as "POLICY:NAME=VALUE,...", e.g. "regularised_evolution:population=10".
    """

    policies: str = "random,regularised_evolution,local_search"
    options: str = ""


@dataclass(frozen=True)
class BenchmarkOptions(Options):
    """Benchmark

    Args:
        table: a name of `gennas list tables`, or a CSV or Parquet file of your own; on nasbench101 the objective is its
            single-repeat test accuracy.
        task: a task of the table.
        objective: metrics to optimise, e.g. "accuracy, -latency_ms".
        hardware: the hardware of latencies and energies that name none.
        space: of a table of your own: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class; by
            default the one whose notation the table is written in.
    """

    table: str = "nasbench201"
    task: str = "cifar10"
    objective: str = "accuracy"
    where: Sequence[str] = ()
    hardware: str | None = None
    space: str | None = None
    within_table: bool = False


@dataclass(frozen=True)
class RunOptions(Options):
    """Runs

    Args:
        seeds: runs of every policy; fewer than 30 are for trying out.
        budget: queries of a run.
        batch: archs proposed at a time.
        processes: runs at a time.
        seed: seed of the first run; the others follow.
    """

    seeds: int = 30
    budget: int = 150
    batch: int = 5
    processes: int = 1
    seed: int = 0


Unit = Literal["s", "ms", "us"]
Calibrate = Literal["once", "again", "never"]


@dataclass(frozen=True)
class PredictorOptions(Options):
    """Networks that were measured

    Args:
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class.
        checkpoint: the checkpoint whose predictor is fitted to the device; by default the one named like the space.
        task: the task that sizes the networks; by default that of the checkpoint's own latencies.
        skeleton: settings of the measured networks, e.g. "channels=16,cells=3"; by default the checkpoint's.
        image_size: side of the images that the networks were measured on, for digits and folders of images.
    """

    space: str = "nasbench201"
    checkpoint: str | None = None
    task: str | None = None
    skeleton: str | None = None
    image_size: int | None = None


@dataclass(frozen=True)
class MeasuringOptions(Options):
    """How --measure measures

    Args:
        target: how networks run here, e.g. cpu-torch, cpu-4threads-int8 or cuda-float16 (default: the name, or cpu).
        batch: images per run (default: 1).
        seconds: most seconds for the runs of a network (default: 1).
        count: archs to measure (default: 20).
    """

    target: str | None = None
    batch: int | None = None
    seconds: float | None = None
    count: int | None = None
