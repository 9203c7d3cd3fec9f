"""The page of a study: its numbers are the study's, and nothing of a study runs in it."""

from __future__ import annotations

import shutil
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from report_runs import archs, config, data_of, write_network, write_study

from gennas.errors import GennasError, InvalidInputError, StudyError
from gennas.pareto import hypervolume, pareto_front
from gennas.report import write_report
from gennas.report.figures import Figure, thinned
from gennas.report.network import NetworkReport
from gennas.report.run import Run
from gennas.studies.records import Evaluation, Proposed, SessionRecord
from gennas.studies.study import Study
from gennas.tables import load_table

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden_0_2"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_study(folder)
    best = Run.read(folder)
    write_network(folder, best.archs["key"][best.front[0]])
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text()


class Table(HTMLParser):
    """The values of the table of all archs, by evaluation."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[int, list[str]] = {}
        self.feed(page.split('<table id="table">')[1].split("</table>")[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "tr" and "data-row" in found:
            self.row = int(found["data-row"] or 0)
            self.rows[self.row] = []
        if tag == "td":
            self.rows[self.row].append(found["data-value"] or "")


def test_the_table_is_the_study(run: Path, page: str) -> None:
    study, table = Study(run), Table(page)
    keys = [row.arch for row in study.proposals()]
    names = ["accuracy@digits", "latency_ms@cpu", "params_m", "test_accuracy@digits"]
    assert sorted(table.rows) == list(range(1, 25))
    frame = study.frame()
    for row, (number, key, *cells) in table.rows.items():
        assert (int(number), key) == (row, keys[row - 1])
        own = frame[frame["arch"] == key].set_index("metric")["value"]
        assert [float(cell) if cell else None for cell in cells[:4]] == [own.get(name) for name in names]
        assert cells[5] == ("done" if len(own) else "failed")
        assert float(cells[6]) == (3.75 if len(own) else 1.5)


def test_charts_have_the_numbers_of_the_study(run: Path, page: str) -> None:
    data, frame = data_of(page), Study(run).frame()
    wide = frame.pivot(index="arch", columns="metric", values="value")
    keys = [row.arch for row in Study(run).proposals()]
    points = {
        keys[row - 1]: (x, y)
        for trace in data["figures"]["front-0"]["data"]
        if "customdata" in trace and not trace["name"].startswith("predicted")
        for row, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
    }
    assert points == {key: (row["latency_ms@cpu"], row["accuracy@digits"]) for key, row in wide.iterrows()}
    gains = wide[["accuracy@digits", "latency_ms@cpu"]].to_numpy() * [1, -1]
    front = {wide.index[row] for row in pareto_front(gains)}
    marked = {
        keys[int(part.split('"')[0]) - 1] for part in page.split('<tr data-row="')[1:] if "data-front" in part[:20]
    }
    assert marked == front
    (line,) = [trace for trace in data["figures"]["front-0"]["data"] if trace["name"] == "front"]
    assert set(line["x"]) == {-gain for gain in pareto_points(gains)[:, 1]}


def pareto_points(gains: np.ndarray) -> np.ndarray:
    return gains[pareto_front(gains)]


def test_every_figure_is_one_that_plotly_accepts(page: str) -> None:
    figures = data_of(page)["figures"]
    assert {"front-0", "tried-0", "tried-1", "hypervolume", "confusion", "curve-0", "curve-1", "costs"} <= set(figures)
    for figure in figures.values():
        go.Figure(figure["data"], figure["layout"])
    for name in figures:
        assert page.count(f'id="{name}"') == 1


def test_hypervolume_is_that_of_the_archs_so_far(run: Path, page: str) -> None:
    read = Run.read(run)
    line = data_of(page)["figures"]["hypervolume"]["data"][0]
    known = np.isfinite(read.gains).all(1)
    front = pareto_points(read.gains[known])
    reference = front.min(0) - 0.1 * (front.max(0) - front.min(0))
    for row in (0, 9, 23):
        sofar = read.gains[: row + 1][known[: row + 1]]
        inside = sofar[(sofar > reference).all(1)]
        share = hypervolume(inside, reference) / hypervolume(front, reference)
        assert line["y"][line["x"].index(row + 1)] == pytest.approx(share, abs=1e-12)
    assert line["y"][-1] == pytest.approx(1)


def test_coverage_is_the_share_of_values_within_their_intervals(run: Path, page: str) -> None:
    study = Study(run)
    for name in ("accuracy@digits", "latency_ms@cpu"):
        values = {row.arch: row.value for row in study.find(metric=name)}
        own = [row for row in study.predictions() if row.metric == name]
        inside = sum(row.low <= values[row.arch] <= row.high for row in own)
        assert len(own) == 18
        assert 0 < inside < 18
        assert f"{inside} of 18 measured values ({inside / 18:.0%}) lie within their 90% interval" in page
        traces = data_of(page)["figures"][f"calibration-{name.replace('@', '-').replace('_', '-')}"]["data"]
        drawn = {trace["name"]: len(trace["x"]) for trace in traces if "customdata" in trace}
        assert drawn == {"within the interval": inside, "outside of it": 18 - inside}


def test_confusion_curves_and_mistakes_are_those_of_the_files(run: Path, page: str) -> None:
    best = Run.read(run)
    frame = write_network(run.parent / "again", best.archs["key"][best.front[0]])
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (frame["label"], frame["predicted"]), 1)
    figures = data_of(page)["figures"]
    assert figures["confusion"]["data"][0]["text"] == counts.tolist()
    assert figures["curve-0"]["data"][0]["y"] == [1.5, 0.7, 0.4]
    assert (figures["curve-1"]["data"][0]["x"], figures["curve-1"]["data"][0]["y"]) == ([2, 3], [0.8, 0.857])
    assert f"{100 * np.trace(counts) / counts.sum():.1f} % are classified correctly" in page
    worst = frame[frame["label"] != frame["predicted"]].sort_values("label_probability").iloc[0]
    assert f"Validation image {worst.row}: {worst.label}, taken for {worst.predicted}" in page
    assert ours(page).count("data:image/png;base64,") == 24


def test_of_a_thousand_classes_those_with_most_mistakes_are_shown(run: Path) -> None:
    confusion = np.diag(np.full(1000, 3))
    confusion[997, 5] = 7
    confusion[2, 0] = 1
    classes = tuple(f"c{index}" for index in range(1000))
    network = NetworkReport("key", run, {}, None, confusion, classes, (), ())
    names, counts = network.shown_confusion
    assert (len(names), counts.shape, names[-1]) == (60, (60, 60), "941 others")
    assert {"c0", "c2", "c5", "c997"} <= set(names)
    assert counts[names.index("c997"), names.index("c5")] == 7
    assert (counts.sum(), counts[-1, -1]) == (confusion.sum(), 3 * 941)
    assert network.confusion_figure().traces[0]["text"] == counts.tolist()


def test_time_is_summed_once_per_evaluation(page: str) -> None:
    # 23 trainings, of which each gave two metrics, 23 measurements, and a failure.
    for what, seconds in (("training", 23 * 3.25), ("measuring latency", 23 * 0.5), ("failed attempts", 1.5)):
        assert f'<td>{what}</td><td class="n">' in page
        assert f'<td class="n">{seconds:.2f}</td>' in page
    assert f'<td class="n">{23 * 3.75 + 1.5:.2f}</td>' in page


def test_what_is_needed_to_repeat_it_is_there(run: Path, page: str) -> None:
    assert "gennas search --task digits --out runs/x" in page
    assert "training diverged: the loss is nan" in page
    versions = Study(run).sessions()[0].versions
    assert "torch" in versions
    assert "torch 2" in page
    assert f"gennas report --study {run}" in page
    best = Run.read(run)
    commands = {arch["key"]: arch["command"] for arch in data_of(page)["archs"].values()}
    assert len(commands) == 24
    for key, command in commands.items():
        trained = key == best.archs["key"][best.front[0]]
        assert command == (
            f"gennas export '{key}' --task digits --study {run}" if trained else f"gennas export '{key}' --draw"
        )


def ours(page: str) -> str:
    """A page without plotly.js."""
    before, rest = page.split("<script>", 1)
    return before + rest.rsplit("<script>", 1)[1]


def test_a_page_loads_nothing_and_is_small(page: str) -> None:
    own = ours(page)
    assert "http://" not in own.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in own
    assert len(page.encode()) < 6_000_000


EVIL = "<script>alert(1)</script>"


def test_whatever_a_study_says_is_text(tmp_path: Path) -> None:
    settings = config() | {"method": EVIL}
    keys = archs(3)
    about = {"space": "nasbench201", "task": "digits"}
    with Study.open(tmp_path / "<b>run", settings) as study:
        study.add([SessionRecord(command=f"gennas {EVIL}")])
        study.add([Proposed(number=n, batch=n, arch=key, proposed_by=EVIL) for n, key in enumerate(keys)])
        for key in [*keys, EVIL]:
            for metric, value in (("accuracy@digits", 0.9), ("latency_ms@cpu", 1.0), (f"own_{EVIL}", 2.0)):
                study.add([Evaluation(arch=key, metric=metric, value=value, source=EVIL, seconds=2.0, **about)])
    write_network(tmp_path / "<b>run", keys[0], [EVIL, "</script><img src=x onerror=alert(1)>", *"23456789"])
    page = write_report(tmp_path / "<b>run").read_text()
    assert EVIL not in page
    assert "<img src=x" not in page
    assert ours(page).count("<script") == 1
    assert page.count("&lt;script&gt;alert(1)") > 5
    data = data_of(page)
    assert data["figures"]["confusion"]["data"][0]["x"][0].startswith("<script>")


@pytest.mark.parametrize("kind", ["study", "trained", "validated"])
def test_studies_of_an_older_gennas_give_a_smaller_page(kind: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / kind, tmp_path / kind))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "study.lock"}
    page = write_report(folder).read_text()
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert "did not remember commands and versions" in page
    assert "Predicted against measured" not in page
    if kind == "study":
        assert "The best network" not in page
    else:
        assert "There is no predictions.parquet" in page


def test_regret_is_against_the_best_of_the_table(tmp_path: Path) -> None:
    table = load_table("nasbench_graph")
    column = table.column("accuracy@cora").dropna()
    keys = [str(key) for key in column.index[:5]]
    settings = config("accuracy@cora", table="nasbench_graph", space={"name": "nasbench_graph", "skeleton": {}})
    settings["task"] = {"name": "cora", "input_shape": [1433]}
    with Study.open(tmp_path / "run", settings) as study:
        for number, key in enumerate(keys):
            about = {"arch": key, "space": "nasbench_graph", "task": "cora", "metric": "accuracy@cora"}
            study.add([Proposed(number=number, batch=0, arch=key, proposed_by="random")])
            study.add([Evaluation(**about, value=float(column[key]), source="table")])
    data = data_of(write_report(tmp_path / "run").read_text())
    expected = column.max() - np.maximum.accumulate(column[keys])
    assert data["figures"]["regret"]["data"][0]["y"] == pytest.approx(expected.tolist())
    assert expected.iloc[-1] > 0


def test_a_single_evaluation_and_one_that_failed(tmp_path: Path) -> None:
    write_study(tmp_path / "one", 1)
    page = write_report(tmp_path / "one").read_text()
    assert "1 of 1 archs were evaluated." in page
    assert "One arch beats all others" in page
    with Study.open(tmp_path / "failed", config()) as study:
        key = archs(3)[2]
        from report_runs import rows_of

        study.add([row for row in rows_of(archs(3)) if getattr(row, "arch", "") == key])
    page = write_report(tmp_path / "failed").read_text()
    assert "there is no best arch" in page
    assert "training diverged" in page


def test_what_is_no_study_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is no folder; expected the run folder"):
        write_report(tmp_path / "missing")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match="is not a study"):
        write_report(tmp_path / "foreign")
    Study.open(tmp_path / "empty", config()).close()
    with pytest.raises(StudyError, match="holds no evaluation yet"):
        write_report(tmp_path / "empty")
    with Study.open(tmp_path / "own", {"seed": 0}) as study:
        study.add([Evaluation(arch="a", space="s", task="t", metric="size_kb", value=1.0, source="mine")])
    with pytest.raises(StudyError, match="has no objective"):
        write_report(tmp_path / "own")
    write_study(tmp_path / "half", 2)
    (tmp_path / "half" / "study.sqlite").write_bytes((tmp_path / "half" / "study.sqlite").read_bytes()[:5000])
    with pytest.raises(StudyError, match="half"):
        write_report(tmp_path / "half")
    assert list(tmp_path.rglob("*.html")) == []


def test_nothing_else_is_replaced_and_nothing_half_written_stays(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine</p>")
    with pytest.raises(InvalidInputError, match=r"mine.html already exists and is no page of gennas report"):
        write_report(run, mine)
    assert mine.read_text() == "<p>mine</p>"
    with pytest.raises(InvalidInputError, match="is a folder"):
        write_report(run, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        write_report(run, tmp_path / "file" / "report.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine.html"]
    # An earlier page is replaced.
    page = write_report(run, tmp_path / "page.html")
    assert write_report(run, page) == page
    with pytest.raises(GennasError, match="nowhere"):
        write_report(run, tmp_path / "other.html", task="nowhere/")
    assert not (tmp_path / "other.html").exists()


def test_of_many_archs_a_part_is_drawn_and_the_front_always() -> None:
    rows = list(range(1, 5001))
    error = {"type": "data", "array": rows}
    points = {"type": "scatter", "x": rows, "y": rows, "customdata": rows, "marker": {"size": 3}, "error_y": error}
    line = {"type": "scatter", "x": rows, "y": [0] * 2500 + [1] * 2500}
    figure = thinned(Figure("f", "label", [points, line], {}), {2, 4999}, 100)
    drawn, steps = figure.traces
    assert {2, 4999} <= set(drawn["customdata"])
    assert 100 <= len(drawn["x"]) <= 102
    assert drawn["x"] == drawn["customdata"] == drawn["error_y"]["array"]
    assert steps["x"] == [1, 2501, 5000]
    same = thinned(Figure("f", "label", [points], {}), set(), 5000)
    assert same.traces == [points]


def test_links_lead_to_exports_wherever_the_page_is(tmp_path: Path) -> None:
    key = write_study(tmp_path / "a run", 2)[0]
    name = sha256(key.encode()).hexdigest()[:12]
    (tmp_path / "a run" / "exports" / name).mkdir(parents=True)
    assert f'<a href="exports/{name}/">export of {key}</a>' in write_report(tmp_path / "a run").read_text()
    elsewhere = write_report(tmp_path / "a run", tmp_path / "pages" / "page.html").read_text()
    assert f'<a href="../a%20run/exports/{name}/">' in elsewhere
