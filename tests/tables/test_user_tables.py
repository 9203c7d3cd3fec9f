"""Tables of the user's own: what is read, and what is refused with its defect named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gennas.errors import DataMissingError, GennasError, InvalidInputError, UnknownNameError
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.tables import load_table, read_table
from gennas.tables.user import Row, TableFile, _distinct
from gennas.tasks import TASKS, Task, get_task
from gennas.testing import check_table

SPACE = get_space("nasbench201")
RNG = np.random.default_rng(0)
ARCHS = list(dict.fromkeys(SPACE.sample(RNG) for _ in range(30)))


def rows(**columns: object) -> pd.DataFrame:
    """A row per arch, with accuracies from 0.5 to 0.9."""
    accuracy = np.linspace(0.5, 0.9, len(ARCHS))
    return pd.DataFrame({"key": [arch.key for arch in ARCHS], "accuracy@mine": accuracy, **columns})


def written(folder: Path, frame: pd.DataFrame, name: str = "rows.csv") -> Path:
    path = folder / name
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def refusal(folder: Path, frame: pd.DataFrame, name: str = "rows.csv") -> str:
    path = written(folder, frame, name)
    with pytest.raises(GennasError) as caught:
        read_table(path)
    return str(caught.value).replace(str(folder), "")


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.tsv"])
def test_a_file_is_a_table(tmp_path: Path, name: str) -> None:
    frame = rows(**{"test_accuracy@mine": 0.5, "latency_ms@box": np.linspace(2, 3, len(ARCHS)), "note": "x"})
    frame.loc[3, "accuracy@mine"] = np.nan
    table = load_table(str(written(tmp_path, frame, name)))
    assert (table.name, table.space, table.is_partial) == (name, "nasbench201", True)
    assert table.metrics() == ("accuracy@mine", "test_accuracy@mine", "latency_ms@box")
    assert table.lookup(ARCHS[29], "accuracy@mine") == pytest.approx(0.9)
    with pytest.raises(DataMissingError, match="`within_table` proposes none but the archs of the table"):
        table.lookup(ARCHS[3], "accuracy@mine")
    check_table(table)


def test_its_task_is_known_from_then_on(tmp_path: Path) -> None:
    frame = rows().rename(columns={"accuracy@mine": "accuracy@never_heard_of"})
    read_table(written(tmp_path, frame))
    task = get_task("never_heard_of")
    assert task.input_shape == (3, 32, 32)
    assert "nothing but values is known" in task.notes[0]


@pytest.mark.parametrize("order", [("nasbench_graph", "nasbench201"), ("nasbench201", "nasbench_graph")])
def test_a_task_is_of_one_kind_of_networks(
    order: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))
    shapes = {"nasbench201": (3, 32, 32), "nasbench_graph": (1433,)}
    first, second = (written(tmp_path, _sampled(name), f"{name}.csv") for name in order)
    read_table(first)
    assert get_task("ours").input_shape == shapes[order[0]]
    read_table(first)
    with pytest.raises(InvalidInputError, match="task 'ours' is already known by values of networks for"):
        read_table(second)
    # Somebody who says more of it is not asked again.
    TASKS.register("ours", Task("ours", (3, 8, 8), 2))
    read_table(second)
    assert get_task("ours").input_shape == (3, 8, 8)


def _sampled(name: str) -> pd.DataFrame:
    space, rng = get_space(name), np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(5)))
    return pd.DataFrame({"key": [arch.key for arch in archs], "accuracy@ours": np.linspace(0.5, 0.6, len(archs))})


def test_several_rows_of_an_arch_are_averaged_and_tell_the_noise(tmp_path: Path) -> None:
    once = rows()
    frame = pd.concat(
        [
            once.assign(seed=seed, **{"accuracy@mine": once["accuracy@mine"] + error})
            for seed, error in ((0, 0.01), (1, -0.01))
        ]
    )
    for columns in (list(frame), ["key", "accuracy@mine"]):
        file = TableFile.read(written(tmp_path, frame[columns]))
        std, archs = file.noise()["accuracy@mine"]
        # Of two values that differ by d the std is d / sqrt(2).
        assert (std, archs) == (pytest.approx(0.02 / 2**0.5), len(ARCHS))
        table = file.table()
        assert table.noise == {"accuracy@mine": pytest.approx(0.01)}
        assert table.lookup(ARCHS[0], "accuracy@mine") == pytest.approx(0.5)


def test_equal_repeats_are_one_measurement(tmp_path: Path) -> None:
    file = TableFile.read(written(tmp_path, pd.concat([rows(), rows()])))
    assert (file.repeated, file.noise()) == (len(ARCHS), {})
    copied = pd.concat([rows(seed=0), rows(seed=1)])
    assert TableFile.read(written(tmp_path, copied)).noise() == {}


def test_equal_rows_among_repeated_measurements_count(tmp_path: Path) -> None:
    repeats = pd.concat([rows(**{"accuracy@mine": value}) for value in (0.90, 0.90, 0.93)])
    file = TableFile.read(written(tmp_path, repeats))
    assert (len(file.rows), file.repeated) == (3 * len(ARCHS), 0)
    assert file.table().lookup(ARCHS[0], "accuracy@mine") == pytest.approx(0.91)
    # Deviations of -0.01, -0.01 and 0.02, with two degrees of freedom.
    assert file.noise()["accuracy@mine"] == (pytest.approx(0.0003**0.5), len(ARCHS))
    # The same seed again with the same value is the same measurement.
    seeds = repeats.assign(seed=np.repeat([0, 0, 1], len(ARCHS)))
    file = TableFile.read(written(tmp_path, seeds))
    assert (file.repeated, file.table().lookup(ARCHS[0], "accuracy@mine")) == (len(ARCHS), pytest.approx(0.915))


def test_a_row_that_contradicts_none_is_not_named(tmp_path: Path) -> None:
    again = pd.concat([rows(), rows().iloc[:1], rows().iloc[:1].assign(**{"accuracy@mine": 0.4})])
    message = refusal(tmp_path, again)
    assert "1 invalid row;" in message
    assert "line 33: " in message


def test_repeats_are_found_in_one_pass() -> None:
    compared: list[str] = []

    class Counted(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            compared.append("")
            return str.__eq__(self, other)

    again = [Row(f"line {at}", ARCHS[at % 30], {"accuracy@mine": at / 3000}, Counted(at)) for at in range(3000)]
    assert len(_distinct([*again, again[0]], has_seeds=True)) == 3000
    assert len(compared) < 10 * len(again)


def test_columns_that_differ_by_their_case_are_refused(tmp_path: Path) -> None:
    assert "has 2 columns seed (seed, Seed); keep one" in refusal(tmp_path, rows(seed=0, Seed=1))
    assert "has 2 columns epochs (Epochs, epochs)" in refusal(tmp_path, rows(Epochs=1, epochs=1))


def test_keys_are_parsed_and_equal_archs_merge(tmp_path: Path) -> None:
    space = get_space("nasbench101")
    arch = next(a for a in (space.sample(np.random.default_rng(seed)) for seed in range(50)) if len(set(a.ops)) > 3)
    first, other = space.canonicalised([arch])[0], arch
    frame = pd.DataFrame({"arch": [first.key, f"  {other.key}"], "accuracy@mine": [0.5, 0.5]})
    table = read_table(written(tmp_path, frame), space)
    assert list(table.frame.index) == [first.key]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"accuracy@mine": np.linspace(50, 90, len(ARCHS))},
            "column accuracy@mine is in per cent: 30 of 30 values are above 1",
        ),
        (
            {"accuracy@mine": ["0.5"] * 29 + ["91 %"]},
            "line 31: accuracy@mine is '91 %'; expected a number; write a fraction",
        ),
        ({"accuracy@mine": [0.5] * 29 + [1.2]}, "line 31: accuracy@mine is 1.2; must be in [0, 1] (fraction)"),
        ({"accuracy@mine": [None] * 30}, "column accuracy@mine is empty"),
        ({"latency_ms@box": np.linspace(0.002, 0.003, len(ARCHS)) / 1e3}, "Are they seconds?"),
        ({"accuracy": 0.5}, "column 'accuracy' lacks its task; name it accuracy@mytask"),
        ({"acuracy@mine": 0.5}, "column 'acuracy@mine': unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"epochs": [12] * 29 + [200]}, "column epochs has 12 in 29 rows, 200 in 1 rows"),
    ],
)
def test_columns_that_are_refused(tmp_path: Path, columns: dict[str, object], expected: str) -> None:
    assert expected in refusal(tmp_path, rows(**columns))


def test_rows_that_are_refused_are_named(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[4, "key"] = "|nor_conv_3x3~0|"
    assert "1 invalid row; fix this row and rerun; nothing was saved:\n  line 6: " in refusal(tmp_path, frame)
    assert "\n  row 5: " in refusal(tmp_path, frame, "rows.parquet")
    again = pd.concat([rows(), rows().iloc[:1].assign(**{"accuracy@mine": 0.4})])
    message = refusal(tmp_path, again)
    assert (
        "is in line 2 too, with other values (accuracy@mine 0.5 and 0.4); correct one, or add a column seed" in message
    )
    seeds = pd.concat([rows(seed=0), rows(seed=0).assign(**{"accuracy@mine": 0.4})])
    assert "with seed 0 is in line 2 too, with other values" in refusal(tmp_path, seeds)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    assert "has no rows" in refusal(tmp_path, rows().iloc[:0])
    assert "has no column with a metric" in refusal(tmp_path, rows()[["key"]])
    assert "which nothing may be chosen by" in refusal(
        tmp_path, rows().rename(columns={"accuracy@mine": "test_accuracy@mine"})
    )
    assert "has the columns" in refusal(tmp_path, rows().rename(columns={"key": "cell"}), "rows.parquet")
    (tmp_path / "text.parquet").write_text("key,accuracy@mine")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_table(tmp_path / "text.parquet")
    with pytest.raises(InvalidInputError, match="cannot be read: No such file"):
        read_table(tmp_path / "nowhere.csv")


def test_the_space_is_found_out_or_asked_for(tmp_path: Path) -> None:
    message = refusal(tmp_path, rows(key="no arch"))
    assert "the key 'no arch' is of no registered space; name the space of the table with `space`" in message
    with pytest.raises(InvalidInputError, match="30 invalid rows"):
        load_table(str(written(tmp_path, rows())), get_space("nasbench101"))


def test_a_table_restricts_a_problem_to_its_archs(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[3, "accuracy@mine"] = np.nan
    table = read_table(written(tmp_path, frame))
    among = table.within(Problem(SPACE, "mine")).among
    assert among is not None
    assert set(among.archs) == {arch for arch in ARCHS if arch != ARCHS[3]}
    with pytest.raises(InvalidInputError, match="is of space 'nasbench201', not 'nasbench101'"):
        table.within(Problem("nasbench101", "mine"))


def test_its_identity_follows_its_values(tmp_path: Path) -> None:
    first = read_table(written(tmp_path, rows()))
    shuffled = read_table(written(tmp_path, rows().sample(frac=1, random_state=0)))
    changed = read_table(written(tmp_path, rows(**{"accuracy@mine": 0.5})))
    assert first.identity == shuffled.identity != changed.identity


def test_an_unregistered_metric_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="register_metric"):
        read_table(written(tmp_path, rows(**{"brightness@mine": 1.0})))
