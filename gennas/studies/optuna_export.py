"""A study as one of Optuna: for its plots and importances, and for optuna-dashboard.

Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019, https://optuna.org.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

import numpy as np

from gennas.arch import Arch
from gennas.errors import InvalidInputError, StudyError
from gennas.metrics import Constraint, Objective
from gennas.spaces import Space, space_of
from gennas.studies.exporting import expect_optuna
from gennas.studies.records import mean_values

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import FrozenTrial

    from gennas.problem import Problem
    from gennas.studies.records import Evaluation, Failure
    from gennas.studies.study import Study

#: The user attribute by which an export is known to be one.
MARK = "gennas_study"


def to_optuna(
    study: Study, storage: str | None = None, name: str | None = None, problem: Problem | None = None
) -> OptunaStudy:
    """See :meth:`gennas.studies.study.Study.to_optuna`."""
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

    with _optuna() as optuna:
        space, objective, where = _asked(study, problem)
        signs = [metric.kind.sign for metric in objective.metrics]
        # Before anything is written: a study that cannot be read leaves none in the storage.
        trials = list(_trials(study, space, objective, where))
        try:
            made = optuna.create_study(
                storage=storage,
                study_name=name or study.name,
                directions=["maximize" if sign > 0 else "minimize" for sign in signs],
            )
        except optuna.exceptions.DuplicatedStudyError as error:
            raise StudyError(
                f"{storage} has a study {name or study.name!r} already; give another `name`, or delete it with optuna."
            ) from error
        except (ArgumentError, NoSuchModuleError, OperationalError, ImportError) as error:
            # Without its text, which may quote a URL with its password.
            raise InvalidInputError(
                f"cannot be used ({type(error).__name__}); expected a URL of SQLAlchemy whose driver is installed and "
                "whose place can be reached, e.g. sqlite:///optuna.sqlite.",
                argument="storage",
            ) from None
        with catch_warnings():
            simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made.set_metric_names([metric.name for metric in objective.metrics])
        made.set_user_attr(MARK, study.name)
        made.set_user_attr("space", space.name)
        made.set_user_attr("objective", str(objective))
        made.set_user_attr("where", [str(bound) for bound in where])
        made.add_trials(trials)
    return made


def write_optuna(study: Study, path: Path) -> None:
    """Writes a file of SQLite that Optuna and optuna-dashboard open.

    Args:
        study: what is written.
        path: whose content is replaced; the caller sees to it that this is an earlier export.
    """
    from gennas.files import replacing

    with replacing(path) as temporary:
        made = to_optuna(study, f"sqlite:///{temporary.resolve()}")
        _let_go(made)


def is_optuna_export(path: Path) -> bool:
    """Whether a file is what :func:`write_optuna` writes."""
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM study_user_attributes WHERE key = ?", (MARK,)).fetchone()
    except sqlite3.Error:
        return False
    return found is not None


def distributions_of(space: Space) -> dict[str, CategoricalDistribution]:
    """The choices of a space as Optuna's: the operations of every free slot, and whether every free edge is there."""
    from optuna.distributions import CategoricalDistribution

    template = space.template
    found = {
        template.slots[i]: CategoricalDistribution([template.vocabulary[op] for op in np.flatnonzero(row)])
        for i, row in enumerate(template.allowed)
        if row.sum() > 1
    }
    return found | {_edge(space, pair): CategoricalDistribution([False, True]) for pair in template.free_edges}


def params_of(space: Space, arch: Arch) -> dict[str, Any]:
    """What an arch is in terms of :func:`distributions_of`."""
    template, present = space.template, {*arch.edges}
    found: dict[str, Any] = {template.slots[i]: arch.ops[i] for i, row in enumerate(template.allowed) if row.sum() > 1}
    return found | {_edge(space, pair): pair in present for pair in template.free_edges}


def _edge(space: Space, pair: tuple[int, int]) -> str:
    return f"edge {space.template.slots[pair[0]]} to {space.template.slots[pair[1]]}"


def _asked(study: Study, problem: Problem | None) -> tuple[Space, Objective, Sequence[Constraint]]:
    """The space, the objective and the bounds of a study."""
    if problem is not None:
        return problem.space, problem.objective, problem.where
    config = study.config
    own = config.get("space")
    if not isinstance(own, Mapping) or not isinstance(config.get("objective"), str):
        raise StudyError(
            f"the settings of {study.folder} name no space and objective, as those of a search do; give `problem`."
        )
    where = [Constraint.parse(text) for text in config.get("where") or ()]
    return space_of(own), Objective.parse(config["objective"]), where


def _trials(study: Study, space: Space, objective: Objective, where: Sequence[Constraint]) -> Iterator[FrozenTrial]:
    """A trial for every arch: of a search in the order of its proposals, then in that of their first values."""
    rows: dict[str, list[Evaluation]] = {}
    for row in study.find():
        rows.setdefault(row.arch, []).append(row)
    failures: dict[str, list[Failure]] = {}
    for failure in study.failures():
        failures.setdefault(failure.arch, []).append(failure)
    proposals = {proposal.arch: proposal for proposal in study.proposals()}
    choices = distributions_of(space)
    for key in dict.fromkeys([*proposals, *rows, *failures]):
        proposal = proposals.get(key)
        facts: dict[str, Any] = {"key": key}
        if proposal is not None:
            facts |= {"proposed_by": proposal.proposed_by, "batch": proposal.batch}
        own, failed = rows.get(key, []), failures.get(key, [])
        trial = _trial(space.parse(key), space, choices, own, failed, objective, where, facts)
        if trial is None:
            continue
        created = [row.created for row in own] + [failure.created for failure in failed]
        stamps = [datetime.fromisoformat(text) for text in created]
        # All rows of an evaluation have its time.
        seconds = sum({(row.source, row.seed, row.fidelity): row.seconds for row in own}.values())
        begun = datetime.fromisoformat(proposal.created) if proposal else min(stamps) - timedelta(seconds=seconds)
        trial.datetime_start, trial.datetime_complete = _local(begun), _local(max([*stamps, begun]))
        yield trial


def _trial(
    arch: Arch,
    space: Space,
    choices: Mapping[str, CategoricalDistribution],
    rows: Sequence[Evaluation],
    failures: Sequence[Failure],
    objective: Objective,
    where: Sequence[Constraint],
    facts: Mapping[str, Any],
) -> FrozenTrial | None:
    """The trial of an arch; None while its evaluation is still to come."""
    from optuna.trial import TrialState, create_trial

    metrics = mean_values(rows)
    excess = {
        str(bound): metrics[bound.metric.name] - bound.bound
        if bound.relation == "<="
        else bound.bound - metrics[bound.metric.name]
        for bound in where
        if bound.metric.name in metrics
    }
    values = [metrics[metric.name] for metric in objective.metrics if metric.name in metrics]
    is_whole = len(values) == len(objective.metrics)
    is_broken = any(value > 0 for value in excess.values())
    if not (is_whole or failures or is_broken):
        return None
    state = TrialState.COMPLETE if is_whole else TrialState.PRUNED if is_broken else TrialState.FAIL
    message = {"message": failures[-1].message, "reason": failures[-1].reason} if state == TrialState.FAIL else {}
    return create_trial(
        state=state,
        values=values if is_whole else None,
        params=params_of(space, arch),
        distributions={**choices},
        user_attrs={**facts, **metrics, **message},
        constraints=excess or None,
    )


def _local(moment: datetime) -> datetime:
    """As Optuna has times: of this place, without a zone."""
    return moment.astimezone().replace(tzinfo=None)


def _let_go(made: OptunaStudy) -> None:
    """Closes the connections to a study's file, which may be moved then."""
    storage: Any = made._storage
    storage.remove_session()
    backend = getattr(storage, "_backend", storage)
    backend.engine.dispose()


@contextmanager
def _optuna() -> Iterator[Any]:
    """Optuna, without what it prints.

    Raises:
        DataMissingError: it is not installed.
    """
    expect_optuna()
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(verbosity)
