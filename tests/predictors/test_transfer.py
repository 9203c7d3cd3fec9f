"""Evaluated archs of the user: files and run folders are read; defects are reported with their lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gennas.checkpoint import Checkpoint
from gennas.cli.following import evaluated_on
from gennas.cli.options import NetworkOptions
from gennas.collecting.store import settings_of
from gennas.errors import InvalidInputError, StudyError
from gennas.predictors.transfer import with_observations
from gennas.spaces import get_space
from gennas.studies.observations import read_evaluated
from gennas.studies.records import Evaluation
from gennas.studies.study import Study
from gennas.tasks import Task
from gennas.training.recipe import Recipe

NB201, NB101 = get_space("nasbench201"), get_space("nasbench101")
ARCHS = [NB201.sample(np.random.default_rng(seed)) for seed in range(8)]
KEYS = [arch.key for arch in ARCHS]
ROWS = [f"{key},{accuracy}" for key, accuracy in zip(KEYS, (0.5, 0.75, 0, 1), strict=False)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def refusal(path: Path, *lines: str) -> str:
    if lines:
        path.write_text("\n".join(lines))
    with pytest.raises(InvalidInputError) as caught:
        read_evaluated(path, NB201, "digits")
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\n".join(["key,accuracy", *ROWS]), id="plain"),
        pytest.param(
            "\ufeff" + "\r\n".join(["accuracy,note,key", *(f"{r.split(',')[1]},,{r.split(',')[0]}" for r in ROWS)]),
            id="order",
        ),
        pytest.param(
            "\n".join(["Key;Accuracy", *(r.replace(",", ";").replace(".", ",") for r in ROWS)]), id="decimals"
        ),
        pytest.param(
            "\n".join(["", "key\taccuracy", "", *(r.replace(",", "\t") for r in [*ROWS, ROWS[1]])]), id="twice"
        ),
    ],
)
def test_accepted_formats(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    found = read_evaluated(file, NB201, "digits")
    assert list(found.archs) == ARCHS[:4]
    assert found.accuracy.tolist() == [0.5, 0.75, 0, 1]


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        ("nan", "accuracy is nan; must be in [0, 1] (fraction)"),
        ("inf", "accuracy is inf; must be in [0, 1]"),
        ("93.1", "accuracy is 93.1; must be in [0, 1] (fraction); is it in per cent?"),
        ("-0.1", "accuracy is -0.1; must be in [0, 1]"),
        ("", "has no accuracy; fill it in or delete the row"),
        ("good", "accuracy is 'good'; expected a fraction such as 0.93"),
        ("0_1", "accuracy is '0_1'"),
        ("0,9", 'more fields than columns in the header; quote a key that contains a comma: "KEY",0.93'),
    ],
)
def test_invalid_accuracies(file: Path, accuracy: str, expected: str) -> None:
    message = refusal(file, "key,accuracy", *ROWS, f"{KEYS[5]},{accuracy}")
    assert "has 1 invalid row; fix this row and rerun:\n  line " in message
    assert "line 6: " in message
    assert expected in message


def test_invalid_rows_are_reported_together(file: Path) -> None:
    message = refusal(file, "key,accuracy", *ROWS, "nonsense,0.4", ",0.5", f"{KEYS[1]},0.8")
    assert "has 3 invalid rows" in message
    assert "line 6: 'nonsense' is not a valid nasbench201 cell" in message
    assert "line 7: " in message
    assert f"line 8: {KEYS[1]} has accuracy 0.8, but 0.75 in line 3" in message


def test_isomorphic_keys_are_one_arch(file: Path) -> None:
    branches = ['"110/01/1 conv3x3-bn-relu,maxpool3x3",0.5', '"110/01/1 maxpool3x3,conv3x3-bn-relu",0.5']
    file.write_text("\n".join(["key,accuracy", "1,0.1", "10/1 conv3x3-bn-relu,0.3", *branches]))
    assert read_evaluated(file, NB101, "digits").accuracy.tolist() == [0.1, 0.3, 0.5]


def test_too_few_accuracies(file: Path) -> None:
    message = refusal(file, "key,accuracy", *ROWS[:2], ROWS[0])
    assert "has accuracies of 2 archs on task 'digits'; expected at least 3. Evaluate more." in message
    assert "has accuracies of 0 archs" in refusal(file, "key,accuracy")


def test_how_there_can_be_more_accuracies_is_said(file: Path) -> None:
    file.write_text("\n".join(["key,accuracy", *ROWS[:2]]))
    network = NetworkOptions(skeleton="channels=8,cells=1", image_size=16)
    expected = r"gennas validate --task 'my photos/' --archs ARCHS.json --out runs/photos --skeleton channels=8,cells=1"
    photos = Task("photos", (3, 16, 16), 2)
    with pytest.raises(InvalidInputError, match=rf"at least 3\. Train some: {expected} --image-size 16"):
        evaluated_on(str(file), photos, "my photos/", NB201, network)
    with Study.open(file.parent / "run", {}) as study:
        study.add([row(KEYS[0], 0.5)])
    with pytest.raises(InvalidInputError, match=rf"Train some: .* --out {file.parent / 'run'}"):
        evaluated_on(str(file.parent / "run"), photos, "my photos/", NB201, network)
    with pytest.raises(InvalidInputError, match=r"at least 3\. Add rows of archs that you have trained\."):
        evaluated_on(str(file), Task("cora", (1433,), 7), "cora", NB201, network)


def test_a_latency_beside_accuracies_is_said_to_teach_nothing(file: Path) -> None:
    file.write_text("\n".join(["key,accuracy,latency_ms,accurracy", *(f"{key},0.5,3,1" for key in KEYS)]))
    unused, advice = read_evaluated(file, NB201, "digits").notes
    assert unused.endswith("not used: latency_ms, accurracy (accurracy: did you mean accuracy?).")
    assert advice.endswith(f"latencies of a device are learnt by: gennas hardware add NAME --csv {file}")


def test_equal_accuracies_are_read_and_teach_nothing(file: Path, tiny_checkpoint: Path) -> None:
    file.write_text("\n".join(["key,accuracy", *(f"{key},1.0" for key in KEYS)]))
    evaluated = read_evaluated(file, NB201, "digits")
    assert evaluated.accuracy.tolist() == [1.0] * 8
    predictor = Checkpoint(tiny_checkpoint).predictor
    adapted, (note,) = with_observations(predictor, NB201, "digits", evaluated, [])
    assert adapted is predictor
    assert "accuracy@digits is 1 for all 8 evaluated archs, so that nothing can be learnt of it" in note


def test_quality_that_cannot_be_estimated_is_said_to_be_unknown(file: Path, tiny_checkpoint: Path) -> None:
    file.write_text("\n".join(["key,accuracy", *(f"{key},0.1" for key in KEYS[:7]), f"{KEYS[7]},0.9"]))
    evaluated = read_evaluated(file, NB201, "digits")
    _, (note,) = with_observations(Checkpoint(tiny_checkpoint).predictor, NB201, "digits", evaluated, [])
    assert "8 evaluated archs and the known tasks; how well cannot be estimated, because too few of these" in note
    assert "nan" not in note
    assert "within their 90 % intervals" not in note


def test_unreadable_files(file: Path) -> None:
    assert "cannot be read" in refusal(file)
    assert "No such file or directory" in refusal(file)
    for content, expected in (
        (b"", "is empty"),
        (b"\x89PNG", "is not valid UTF-8 (at byte 0)"),
        (b"PK\0", "contains null bytes"),
        (b"\n".join(row.encode() for row in ROWS), "starts with"),
        (b"key,latency_ms\n", "starts with 'key,latency_ms'"),
        (b"key,accuracy,accuracy\n", "starts with"),
    ):
        file.write_bytes(content)
        message = refusal(file)
        assert expected in message
        assert "expected UTF-8 text whose first line is key,accuracy (or give a folder that 'gennas validate" in message


def row(arch: str, value: float, seed: int = 0, metric: str = "accuracy@digits", source: str = "trained") -> Evaluation:
    return Evaluation(
        arch=arch, space="nasbench201", task="digits", metric=metric, value=value, source=source, seed=seed
    )


def test_a_run_folder_gives_the_mean_of_its_trainings(tmp_path: Path) -> None:
    rows = [row(KEYS[0], 0.5), row(KEYS[1], 0.7), row(KEYS[1], 0.8, seed=1), row(KEYS[2], 0.9)]
    others = [row(KEYS[3], 0.1, metric="test_accuracy@digits"), row(KEYS[3], 0.1, source="table")]
    with Study.open(tmp_path / "run", {}) as study:
        study.add([*rows, *others])
    found = read_evaluated(tmp_path / "run", NB201, "digits")
    assert list(found.archs) == ARCHS[:3]
    assert found.accuracy == pytest.approx([0.5, 0.75, 0.9])
    with pytest.raises(InvalidInputError, match="has accuracies of 0 archs on task 'mine'"):
        read_evaluated(tmp_path / "run", NB201, "mine")


def test_seeds_of_one_recipe_are_averaged_and_other_recipes_named(tmp_path: Path) -> None:
    recipe, other = Recipe(epochs=4), Recipe(epochs=4, batch_size=8)

    def trained(key: str, value: float, seed: int = 0, by: Recipe = recipe) -> Evaluation:
        return replace(row(key, value, seed), fidelity=by.epochs, recipe=replace(by, seed=seed).hash)

    seeds = [trained(KEYS[0], 0.5), trained(KEYS[1], 0.7), trained(KEYS[1], 0.8, seed=1), trained(KEYS[2], 0.9, seed=2)]
    for name, stored in (("search", recipe.settings), ("collection", settings_of(NB201, recipe)["recipe"])):
        with Study.open(tmp_path / name, {"recipe": stored}) as study:
            study.add([*seeds, trained(KEYS[3], 0.1, by=other)])
        found = read_evaluated(tmp_path / name, NB201, "digits")
        assert list(found.archs) == ARCHS[:3]
        assert found.accuracy == pytest.approx([0.5, 0.75, 0.9])
        (note,) = found.notes
        assert "accuracy@digits of 1 archs in" in note


def test_accuracies_of_shorter_trainings_are_left_out(tmp_path: Path) -> None:
    rows = [replace(row(key, 0.5 + at / 10), fidelity=10) for at, key in enumerate(KEYS[:3])]
    short = [replace(row(key, 0.2), fidelity=1) for key in KEYS[:2]]
    with Study.open(tmp_path / "run", {}) as study:
        study.add([*short, *rows])
    assert read_evaluated(tmp_path / "run", NB201, "digits").accuracy == pytest.approx([0.5, 0.6, 0.7])
    more = [replace(row(key, 0.1 + at / 10), fidelity=1) for at, key in enumerate(KEYS[2:4])]
    with Study.open(tmp_path / "run", {}) as study:
        study.add(more)
    assert read_evaluated(tmp_path / "run", NB201, "digits").accuracy == pytest.approx([0.2, 0.2, 0.1, 0.2])


def test_invalid_run_folders_and_other_spaces(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is not a study"):
        read_evaluated(tmp_path, NB201, "digits")
    with Study.open(tmp_path / "run", {}) as study:
        study.add([row("1", 0.5)])
    assert "evaluated " in refusal(tmp_path / "run")
