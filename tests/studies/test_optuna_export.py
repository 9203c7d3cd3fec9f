"""Studies of Optuna: every arch a trial, opened by optuna's own tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gennas.errors import DataMissingError, GennasError, InvalidInputError, StudyError
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.studies import exporting
from gennas.studies.records import Evaluation, Failure, Proposed, Row
from gennas.studies.study import Study

optuna = pytest.importorskip("optuna")

SPACE = get_space("nasbench201")
ARCHS = [arch.key for arch, _ in zip(SPACE.enumerate(), range(8), strict=False)]
CONFIG = {
    "space": {"name": "nasbench201", "skeleton": {"channels": 16, "cells": 5}},
    "task": {"name": "digits", "input_shape": [3, 32, 32]},
    "objective": "accuracy@digits, -params_m",
    "where": ["macs_m <= 50"],
}


def _row(arch: str, metric: str, value: float, **more: Any) -> Evaluation:
    source = "trained" if metric.startswith("accuracy") else "computed"
    return Evaluation(arch=arch, space="nasbench201", task="digits", metric=metric, value=value, source=source, **more)


def _filled(folder: Path) -> Study:
    """Four whole archs, one that breaks a bound, one that is stopped by it, one that failed, one that is open."""
    rows: list[Row] = [
        Proposed(number=i, batch=i // 2, arch=key, proposed_by="random", created=f"2026-11-27T0{i}:00:00.000+00:00")
        for i, key in enumerate(ARCHS)
    ]
    for i, key in enumerate(ARCHS[:5]):
        stamp = f"2026-11-27T0{i}:30:00.000+00:00"
        rows += [_row(key, "accuracy@digits", 0.5 + 0.05 * i, seconds=60.0, created=stamp)]
        rows += [_row(key, "params_m", 0.1 * (i + 1)), _row(key, "macs_m", 60.0 if i == 4 else 20.0)]
    rows += [_row(ARCHS[0], "accuracy@digits", 0.6, seed=1), _row(ARCHS[5], "macs_m", 80.0)]
    rows += [Failure(arch=ARCHS[6], task="digits", metrics="accuracy@digits", reason="raised", message="no memory")]
    with Study.open(folder, CONFIG) as study:
        study.add(rows)
    return Study(folder)


def test_every_arch_is_a_trial(tmp_path: Path) -> None:
    study = _filled(tmp_path / "run").to_optuna()
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy@digits", "params_m"]
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE"] * 5 + ["PRUNED", "FAIL"]
    first, fifth, pruned, failed = (study.trials[i] for i in (0, 4, 5, 6))
    assert first.values == pytest.approx([0.55, 0.1])  # the mean of two seeds
    assert first.user_attrs["key"] == ARCHS[0]
    assert first.user_attrs["macs_m"] == 20.0
    assert first.user_attrs["proposed_by"] == "random"
    assert first.constraints == {"macs_m <= 50": -30.0}
    assert fifth.constraints == {"macs_m <= 50": 10.0}
    assert pruned.values is None
    assert failed.user_attrs["message"] == "no memory"
    assert first.duration is not None
    second = study.trials[1]
    assert first.params == dict(zip(first.params, SPACE.parse(ARCHS[0]).ops[1:-1], strict=True))
    assert second.duration is not None
    assert second.duration.total_seconds() > 0
    assert len(first.params) == 6
    assert set(first.distributions["0->1"].choices) == {
        *("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    }


def test_optuna_works_on_it(tmp_path: Path) -> None:
    study = _filled(tmp_path / "run").to_optuna()
    assert {trial.user_attrs["key"] for trial in study.best_trials} <= set(ARCHS[:4])  # not what breaks the bound
    importances = optuna.importance.get_param_importances(study, target=lambda trial: trial.values[0])
    assert set(importances) <= {"0->1", "0->2", "1->2", "0->3", "1->3", "2->3"}
    figure = optuna.visualization.plot_pareto_front(study)
    assert len(figure.data) > 0
    assert optuna.visualization.plot_parallel_coordinate(study, target=lambda trial: trial.values[0]).data


def test_free_edges_are_parameters() -> None:
    space = get_space("nasbench101")
    arch = space.parse("101/10/1 conv3x3-bn-relu,maxpool3x3")
    problem = Problem(space, "digits", "accuracy")
    study = Study.in_memory()
    study.add(
        [
            Evaluation(
                arch=arch.key, space=space.name, task="digits", metric="accuracy@digits", value=0.5, source="trained"
            )
        ]
    )
    (trial,) = study.to_optuna(problem=problem, name="other").trials
    edges = {name: there for name, there in trial.params.items() if name.startswith("edge")}
    assert len(edges) == len(space.template.free_edges)
    assert sum(edges.values()) == sum(pair in arch.edges for pair in space.template.free_edges)
    with pytest.raises(StudyError, match="give `problem`"):
        study.to_optuna()


def test_a_file_for_the_dashboard(tmp_path: Path) -> None:
    study, path = _filled(tmp_path / "run"), tmp_path / "trials.db"
    study.write(path)
    study.write(path)  # replaces what it wrote
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run", "trials.db"]
    loaded = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    assert len(loaded.trials) == 7
    assert loaded.user_attrs["objective"] == "accuracy@digits, -params_m"
    other = tmp_path / "other.db"
    other.write_text("something else")
    with pytest.raises(StudyError, match="not an export"):
        study.write(other)
    assert other.read_text() == "something else"


def test_a_name_that_is_taken_in_a_storage(tmp_path: Path) -> None:
    study, storage = _filled(tmp_path / "run"), f"sqlite:///{tmp_path / 'all.db'}"
    study.to_optuna(storage, "mine")
    with pytest.raises(StudyError, match="give another `name`"):
        study.to_optuna(storage, "mine")
    study.to_optuna(storage, "mine too")


@pytest.mark.parametrize("storage", ["nonsense", "nosuch://x", "sqlite:////nosuch/folder/all.db"])
def test_a_storage_that_cannot_be_used(storage: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"storage cannot be used .* expected a URL of SQLAlchemy"):
        _filled(tmp_path / "run").to_optuna(storage)


def test_a_study_that_cannot_be_read_leaves_nothing_in_a_storage(tmp_path: Path) -> None:
    study, storage = _filled(tmp_path / "run"), f"sqlite:///{tmp_path / 'all.db'}"
    with Study.open(tmp_path / "run", CONFIG) as opened:
        opened.add([_row("no arch", "accuracy@digits", 0.5)])
    with pytest.raises(GennasError, match="no arch"):
        study.to_optuna(storage)
    assert not (tmp_path / "all.db").exists()


def test_an_empty_study(tmp_path: Path) -> None:
    with Study.open(tmp_path / "run", CONFIG) as study:
        study.add([])
    assert Study(tmp_path / "run").to_optuna(f"sqlite:///{tmp_path / 'all.db'}").trials == []


def test_without_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    study = _filled(tmp_path / "run")
    with pytest.raises(DataMissingError, match=r"gennas\[bench\]"):
        study.to_optuna()
    with pytest.raises(DataMissingError, match=r"gennas\[bench\]"):
        study.write(tmp_path / "trials.db")
