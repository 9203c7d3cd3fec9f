"""One check per metric at every border: what enters gennas and cannot be true is named, and never believed."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from loop_toys import ACCURACY, SPACE, TASK, Attentive, Toy, problem
from safetensors.torch import load_file, save_file
from toys import StubPredictor, drawn

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.cli.archs import read_archs
from gennas.cli.main import main
from gennas.errors import GennasError
from gennas.evaluators.table import TableEvaluator
from gennas.executors.base import JobResult
from gennas.executors.inline import InlineExecutor
from gennas.executors.processes import ProcessExecutor
from gennas.files import json_text, write_json
from gennas.hardware import store
from gennas.hardware.measurement_csv import read_csv
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware
from gennas.metrics import implausible
from gennas.predictors.deployment import DeploymentPredictor
from gennas.predictors.labels import Labels
from gennas.search.evaluation import EvaluationPipeline
from gennas.search.run import search_archs
from gennas.search.search import Search
from gennas.studies.cache import Cache
from gennas.studies.observations import read_evaluated
from gennas.studies.records import Evaluation
from gennas.studies.study import Study
from gennas.tables import Table
from gennas.tasks import Task, get_task

ARCHS = drawn(SPACE, 4)
KEYS = [arch.key for arch in ARCHS]
GOLDEN = Path(__file__).parent / "data" / "golden_0_2"


class Given(Toy):
    """Says of every arch the value that it was made with."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {ACCURACY: self.value}


# Each of these feeds a value to a border, as the accuracy of a task, a latency or a number of a file, and returns what
# gennas says to it.


def told(value: float, folder: Path) -> str:
    search = Search(problem(), policy=Attentive(), budget=1)
    (trial,) = search.ask()
    search.tell(trial, {"accuracy": value})
    return ""


def told_as_test(value: float, folder: Path) -> str:
    search = Search(problem(), policy=Attentive(), budget=1)
    (trial,) = search.ask()
    search.tell(trial, {"accuracy": 0.5, "test_accuracy": value})
    return ""


def evaluator_here(value: float, folder: Path) -> str:
    result = search_archs(problem(), 1, policy=Attentive(), evaluators=[Given(value)], workers=InlineExecutor())
    return str(result.frame()["message"].iloc[0])


def instant_evaluator(value: float, folder: Path) -> str:
    given = Given(value)
    given.is_instant = True
    return str(search_archs(problem(), 1, policy=Attentive(), evaluators=[given]).frame()["message"].iloc[0])


def executor_of_any_kind(value: float, folder: Path) -> str:
    """Processes, Ray and executors of one's own hand their results to the same place."""
    with Study.open(folder / "study", {}) as study, InlineExecutor() as executor:
        pipeline = EvaluationPipeline(problem(), [Toy()], study, executor)
        search = Search.over(problem(), Attentive(), pipeline, 1)
        (trial,) = search.propose(1, [])
        (job,) = executor._jobs
        pipeline.finish(JobResult(job, {ACCURACY: value}))
        assert not any(row.value == value for row in study.find())
        return trial.message


def table_of_the_user(value: float, folder: Path) -> str:
    table = Table("mine", SPACE.name, pd.DataFrame({ACCURACY: [0.5, value]}, index=KEYS[:2]), {}, ())
    TableEvaluator(table, [ACCURACY]).evaluate(ARCHS[0], task=TASK)
    return ""


def table_to_learn_from(value: float, folder: Path) -> str:
    Labels.of(SPACE, Table("mine", SPACE.name, pd.DataFrame({ACCURACY: [0.5, value]}, index=KEYS[:2]), {}, ()))
    return ""


def evaluated_csv(value: float, folder: Path) -> str:
    rows = [f"{key},{0.1 * number}" for number, key in enumerate(KEYS[:3])]
    (folder / "mine.csv").write_text("\n".join(["key,accuracy", *rows, f"{KEYS[3]},{value}"]))
    read_evaluated(folder / "mine.csv", SPACE, TASK.name)
    return ""


def row_of_a_study(value: float, folder: Path) -> str:
    with Study.open(folder / "study", {}) as study:
        study.add([evaluation()])
    spoil(folder / "study" / "study.sqlite", value)
    Study(folder / "study").find()
    return ""


def row_of_a_study_to_resume(value: float, folder: Path) -> str:
    row_of = {"study": folder / "run", "policy": Attentive(), "evaluators": [Toy()], "workers": InlineExecutor()}
    search_archs(problem(), 1, **row_of)  # type: ignore[arg-type]
    spoil(folder / "run" / "study.sqlite", value)
    search_archs(problem(), 2, **row_of)  # type: ignore[arg-type]
    return ""


def row_of_an_old_study(value: float, folder: Path) -> str:
    shutil.copytree(GOLDEN / "trained", folder / "old")
    spoil(folder / "old" / "study.sqlite", value)
    Study(folder / "old").find()
    return ""


def evaluated_study(value: float, folder: Path) -> str:
    shutil.copytree(GOLDEN / "trained", folder / "old")
    spoil(folder / "old" / "study.sqlite", value)
    read_evaluated(folder / "old", SPACE, "digits")
    return ""


def archs_file(value: float, folder: Path) -> str:
    entry = {"key": KEYS[0], "predicted": {ACCURACY: {"mean": value, "std": 0.1}}}
    (folder / "archs.json").write_text(json.dumps({"archs": [entry]}))
    read_archs(SPACE, [], str(folder / "archs.json"))
    return ""


def checkpoint_scale(value: float, folder: Path) -> str:
    return loaded_with(folder, "scores.values", 100 * value)


def evaluation() -> Evaluation:
    return Evaluation(arch=KEYS[0], space=SPACE.name, task=TASK.name, metric=ACCURACY, value=0.5, source="trained")


def spoil(database: Path, value: float) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("update evaluations set value = ? where metric like 'accuracy@%'", (value,))
    connection.close()


def loaded_with(folder: Path, tensor: str, value: float, part: str = "predictor") -> str:
    shutil.copytree(GOLDEN / "checkpoint", folder / "checkpoint")
    path = folder / "checkpoint" / part / "model.safetensors"
    tensors = load_file(path)
    (name,) = [name for name in tensors if name.endswith(tensor)][:1]
    tensors[name].view(-1)[1] = value
    save_file(tensors, path)
    checkpoint = Checkpoint(folder / "checkpoint")
    _ = checkpoint.predictor if part == "predictor" else checkpoint.generator()
    return ""


Border = Callable[[float, Path], str]
ACCURACIES: tuple[Border, ...] = (
    told,
    told_as_test,
    evaluator_here,
    instant_evaluator,
    executor_of_any_kind,
    table_of_the_user,
    table_to_learn_from,
    evaluated_csv,
    row_of_a_study,
    row_of_a_study_to_resume,
    row_of_an_old_study,
    evaluated_study,
    archs_file,
    checkpoint_scale,
)


def said(border: Border, value: float, folder: Path) -> str:
    try:
        return border(value, folder)
    except GennasError as error:
        return str(error)


@pytest.mark.parametrize("value", [7.5, -1.0])
@pytest.mark.parametrize("border", ACCURACIES, ids=lambda border: border.__name__)
def test_no_border_believes_an_accuracy_that_cannot_be(border: Border, value: float, tmp_path: Path) -> None:
    message = said(border, value, tmp_path)
    if border is checkpoint_scale:
        assert "is damaged: it predicts accuracy@cifar10 from" in message
    else:
        assert f"is {value:g}; must be in [0, 1] (fraction); is it in per cent?" in message
        assert "accuracy" in message


#: Where NaN can come in.
KNOWS_NAN = (told, told_as_test, evaluator_here, instant_evaluator, executor_of_any_kind, evaluated_csv, archs_file)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("border", ACCURACIES, ids=lambda border: border.__name__)
def test_no_border_believes_what_is_not_finite(border: Border, value: float, tmp_path: Path) -> None:
    if border not in KNOWS_NAN and math.isnan(value):
        # In a table it stands for an arch that was not measured, and no column of a database takes it.
        return
    message = said(border, value, tmp_path)
    assert message
    if border in KNOWS_NAN:
        assert "must be in [0, 1] (fraction)" in message
        assert "unit" not in message


@pytest.mark.parametrize("value", ["high", None, True, [0.5], 10**400], ids=str)
def test_a_caller_reports_numbers(value: object) -> None:
    search = Search(problem(), policy=Attentive(), budget=1)
    (trial,) = search.ask()
    with pytest.raises(GennasError, match=r"trial 0: accuracy is .*; must be (a number|finite)"):
        search.tell(trial, {"accuracy": value})  # type: ignore[dict-item]
    assert trial.is_open


def hardware_csv(value: float, folder: Path) -> str:
    rows = [f"{key},{number + 1}" for number, key in enumerate(KEYS[:3])]
    (folder / "mine.csv").write_text("\n".join(["key,latency_ms", *rows, f"{KEYS[3]},{value}"]))
    read_csv(folder / "mine.csv", SPACE)
    return ""


def device(value: float) -> Hardware:
    measured = [Measurement(key, number + 1.0) for number, key in enumerate(KEYS)]
    measured[-1] = replace(measured[-1], latency_ms=value)
    return Hardware("mine", SPACE.name, tuple(measured), {"csv": "mine.csv"})


def hardware_to_store(value: float, folder: Path) -> str:
    store.add(device(value))
    return ""


def hardware_in_the_store(value: float, folder: Path) -> str:
    write_json(store.path_of(SPACE.name, "mine"), device(1.5).document())
    text = store.path_of(SPACE.name, "mine").read_text().replace("1.5", json.dumps(value))
    store.path_of(SPACE.name, "mine").write_text(text)
    store.load(SPACE.name, "mine")
    return ""


def hardware_of_a_package(value: float, folder: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "registered_hardware", lambda space: {"mine": device(value)})
        store.load(SPACE.name, "mine")
    return ""


LATENCIES: tuple[Border, ...] = (hardware_csv, hardware_to_store, hardware_in_the_store, hardware_of_a_package)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e6, math.nan, math.inf])
@pytest.mark.parametrize("border", LATENCIES, ids=lambda border: border.__name__)
def test_no_border_believes_a_latency_that_cannot_be(
    border: Border, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    assert f"latency_ms is {value:g}; must be in [1e-06, 100000] (ms)" in said(border, value, tmp_path)


def test_a_worker_process_is_not_believed_either(tmp_path: Path) -> None:
    with ProcessExecutor(1) as executor:
        result = search_archs(problem(), 1, policy=Attentive(), evaluators=[Given(7.5)], workers=executor)
    assert result.best == ()
    assert result.failed == 1
    assert "accuracy@cifar100 is 7.5; must be in [0, 1]" in result.frame()["message"].iloc[0]


def test_what_a_cache_cannot_have_seen_is_evaluated_again_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'cache.sqlite'}"
    cache, evaluator = Cache(url), Toy()
    for seed in range(2):
        with Study.open(tmp_path / f"study{seed}", {}) as study, InlineExecutor() as executor:
            pipeline = EvaluationPipeline(problem(), [evaluator], study, executor, cache=cache)
            search = Search.over(problem(), Attentive(), pipeline, 1)
            (trial,) = search.propose(1, [])
            while trial.is_open:
                pipeline.wait()
            assert 0 <= trial.values[ACCURACY] <= 1
        if not seed:
            with sqlite3.connect(tmp_path / "cache.sqlite") as connection:
                connection.execute("update cached set value = 7.5")
            connection.close()
    assert any("the cache is not believed: accuracy@cifar100 is 7.5" in line for line in caplog.messages)
    with sqlite3.connect(tmp_path / "cache.sqlite") as connection:
        values = [value for (value,) in connection.execute("select value from cached where metric = ?", (ACCURACY,))]
    # The arch's own and its function's.
    assert values == [trial.values[ACCURACY]] * 2


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("part", ["predictor", "generator"])
def test_weights_that_are_not_finite_are_not_served(part: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(GennasError, match=r"model.safetensors is damaged: \S+ holds .* Train the"):
        loaded_with(tmp_path, "weight", value, part)


def test_a_command_with_such_weights_fails_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GennasError):
        loaded_with(tmp_path, "weight", math.nan)
    command = ["predict", "--checkpoint", str(tmp_path / "checkpoint"), "--task", "cifar10", "--format", "json"]
    assert main([*command, KEYS[0]]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "is damaged" in captured.err


@pytest.mark.parametrize("spoilt", ["scores", "std", "costs"])
def test_a_predictor_or_a_space_of_ones_own_that_gives_no_number(spoilt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = StubPredictor(["accuracy@cifar10"])
    if spoilt == "scores":
        predictor.scores.values[:] = math.nan
    if spoilt == "std":
        monkeypatch.setattr(predictor, "predict", lambda graph: (torch.zeros(1, 1), torch.full((1, 1), math.inf)))
    if spoilt == "costs":
        monkeypatch.setattr(type(SPACE), "costs", lambda self, arch, task: {"params_m": math.nan, "macs_m": 1.0})
    deployed = DeploymentPredictor(predictor, SPACE, get_task("cifar10"), None)
    with pytest.raises(GennasError, match=r"predicted for .*(must be finite)"):
        deployed.values(ARCHS[:1], ["accuracy@cifar10"])


def test_json_has_no_numbers_that_are_none() -> None:
    document = {"a": math.nan, "b": [math.inf, (1.5, {"c": -math.inf})], "d": np.float64("nan"), "e": 3, "f": "nan"}
    strict = json.loads(json_text(document), parse_constant=lambda name: pytest.fail(name))
    assert strict == {"a": None, "b": [None, [1.5, {"c": None}]], "d": None, "e": 3, "f": "nan"}


def test_metrics_that_are_not_registered_here_have_to_be_finite() -> None:
    assert implausible("size_of_a_plugin@x", 1e300) == ""
    assert implausible("size_of_a_plugin@x", math.nan) == "size_of_a_plugin@x is nan; must be finite"
    assert implausible("test_accuracy@x", 1.5).startswith("test_accuracy@x is 1.5; must be in [0, 1]")
    assert implausible("params_m", -1).startswith("params_m is -1; must be finite and at least 0")
    assert implausible("latency_ms@x", np.float32(3)) == ""
