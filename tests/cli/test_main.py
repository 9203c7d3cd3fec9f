"""The command line: one JSON document on stdout, one message and exit code 2 for what the user can mend."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gennas.checkpoint import checkpoints
from gennas.cli.main import main
from gennas.predictors import training as predictor_training
from gennas.predictors.settings import PredictorTraining
from gennas.spaces import get_space
from gennas.studies.study import Study
from gennas.tables import load_table

KEYS = (
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
)
NB201 = get_space("nasbench201")


class Ran:
    """What a call of the command line came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def keys(self) -> list[str]:
        return [entry["key"] for entry in self.document["archs"]]


@pytest.fixture
def gennas(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object) -> Ran:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # how argparse ends
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


def refused(ran: Ran, *words: str) -> None:
    """One clear message, no traceback, nothing on stdout."""
    assert ran.code == 2, ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


@pytest.fixture
def generate(gennas: Any, tiny_checkpoint: Path) -> Any:
    def run(*words: object) -> Ran:
        # Bounds on what this machine is measured to take would depend on what else it does.
        cpu = ["--hardware", "cpu", "--calibrate", "never"]
        return gennas(*["generate", "--checkpoint", tiny_checkpoint, "--task", "cifar10", *cpu, *words])

    return run


def test_generate_prints_one_document(generate: Any) -> None:
    ran = generate("-n", 6, "--format", "json", "--where", "params_m <= 0.8", "--where", "latency_ms@cpu <= 3")
    document = ran.document
    issue_keys = {"archs", "requested", "sampled", "valid_rate", "unique_rate", "seconds"}
    assert issue_keys <= set(document)
    assert document["requested"] == len(document["archs"]) == 6
    for entry in document["archs"]:
        assert NB201.parse(entry["key"]).key == entry["key"]
        predicted = entry["predicted"]
        assert set(predicted["accuracy@cifar10"]) == {"mean", "std"}
        # Of a latency that was measured on another machine.
        assert set(predicted["latency_ms@cpu"]) == {"mean", "std", "median", "low", "high"}
        assert predicted["params_m"] <= 0.8
    assert document["request"]["where"] == ["params_m <= 0.8", "latency_ms@cpu <= 3"]
    assert "next: gennas validate --task cifar10" in ran.err


def test_the_seed_decides(generate: Any) -> None:
    first, again, other = (generate("-n", 8, "--format", "json", "--seed", seed).keys for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_tables_are_for_people(generate: Any) -> None:
    ran = generate("-n", 3)
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert lines[0].startswith("3 archs (")
    assert lines[1].split() == ["key", "accuracy@cifar10", "latency_ms@cpu", "params_m", "macs_m"]
    assert sum(line.startswith("|") for line in lines) == 3
    assert lines[-1].startswith("next: ")


def test_out_is_kept_and_not_overwritten_by_another_request(generate: Any, tmp_path: Path) -> None:
    out = tmp_path / "archs.json"
    first = generate("-n", 3, "--out", out, "--format", "json")
    assert f"wrote {out}" in first.err
    assert json.loads(out.read_text()) == {"made_by": "gennas generate", **first.document}
    assert generate("-n", 3, "--out", out).code == 0, "the same request may be repeated"
    refused(generate("-n", 4, "--out", out), "holds the result of another request: n was 3, is now 4")
    refused(generate("-n", 3, "--seed", 1, "--out", out), "seed was 0, is now 1")
    (tmp_path / "notes.txt").write_text("mine")
    refused(generate("-n", 3, "--out", tmp_path / "notes.txt"), "is not a result of gennas")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_both_spellings_of_an_option(gennas: Any, tiny_checkpoint: Path) -> None:
    base = ["generate", "--checkpoint", tiny_checkpoint, "--task", "digits", "-n", 2, "--format", "json"]
    documents = [gennas(*base, *words).document for words in (["--image-size", 16], ["--image_size=16"])]
    assert documents[0]["archs"] == documents[1]["archs"]
    wide = gennas(*base, "--image-size=32").document
    assert wide["archs"][0]["predicted"]["macs_m"] > documents[0]["archs"][0]["predicted"]["macs_m"]


def test_a_config_file_holds_any_of_the_options(generate: Any, tmp_path: Path) -> None:
    (tmp_path / "request.yaml").write_text("n: 2\nstrength: 0.0\nseed: 4\n")
    document = generate("--config", tmp_path / "request.yaml", "--format", "json").document
    assert (document["requested"], document["request"]["strength"], document["request"]["seed"]) == (2, 0.0, 4)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-n", 0], ["-n is 0; must be at least 1."]),
        (["--hardware", "cpuu"], ["unknown hardware 'cpuu'. Did you mean 'cpu'?"]),
        (["--task", "cifar11"], ["unknown task 'cifar11'. Did you mean 'cifar10'?"]),
        (["--checkpoint", "nasbenhc201"], ["unknown checkpoint 'nasbenhc201'."]),
        (["--objective", "acuracy"], ["unknown metric 'acuracy'. Did you mean 'accuracy'?"]),
        (["--objective", "latency_ms"], ["write '-latency_ms'"]),
        (["--where", "params_m < 1"], ["'params_m < 1' is not a valid constraint"]),
        (["--where", "params_m <= 0.001"], ["satisfies 'params_m <= 0.001'", "Loosen this bound"]),
        (["--where", "latency_ms@pixel3 <= 1"], ["unknown hardware 'pixel3'", "is not predicted"]),
        (["--task", "digits", "--where", "accuracy >= 0.9"], ["cannot be predicted"]),
        (["--skeleton", "cell=3"], ["unknown skeleton setting of nasbench201 'cell'. Did you mean 'cells'?"]),
        (["--image-size", 64], ["has images of 32x32, not 64"]),
        (["--strength", "high"], ["--strength is 'high'; expected a number"]),
        (["--no-such-option", 1], ["--no-such-option is not an option of gennas generate"]),
        (["--distinct", "kinds"], ["--distinct is 'kinds'; expected one of archs, functions"]),
        (["--diversity", 1.2], ["--diversity is 1.2; must be in [0, 1]"]),
        (["--particles", 100], ["--particles is 100; expected one of 1, 2, 4"]),
        (["--particles", "many"], ["--particles is 'many'; expected a whole number"]),
        (["--mutate", KEYS[0], "--fraction", 0], ["--fraction is 0; must be in (0, 1]"]),
        (["--mutate", KEYS[0], "--fix", "0->1=none"], ["--fix and --mutate were both given"]),
        (["--mutate", "nonsense"], ["'nonsense' is not a valid nasbench201 cell"]),
        (["--mutate", KEYS[0].replace("nor_conv_3x3", "?")], ["is incomplete ('?')"]),
        (["--fix", "0->1=none, 5->6=none"], ["unknown free slot or edge of nasbench201 '5->6'", "0->1"]),
        (["--fix", "0->1=nor_conv_3x4"], ["'nor_conv_3x4'", "Did you mean 'nor_conv_3x3'?"]),
        (["--fix", "nonsense"], ["'nonsense' is not a valid nasbench201 cell"]),
        (["--fix", ""], ["is not a valid nasbench201 cell"]),
    ],
)
def test_bad_requests(generate: Any, words: list[object], told: list[str]) -> None:
    refused(generate(*words), *told)


def test_fix_in_both_notations(generate: Any) -> None:
    by_name = generate("-n", 4, "--format", "json", "--fix", "0->1=nor_conv_1x1, 2->3=none")
    native = generate("-n", 4, "--format", "json", "--fix", "|nor_conv_1x1~0|+|?~0|?~1|+|?~0|?~1|none~2|")
    assert by_name.keys == native.keys
    for key in by_name.keys:
        assert key.startswith("|nor_conv_1x1~0|+|")
        assert key.endswith("|none~2|")
    assert by_name.document["request"]["fix"] == "0->1=nor_conv_1x1, 2->3=none"


def test_mutate_varies_what_is_given(generate: Any, tmp_path: Path) -> None:
    out = tmp_path / "archs.json"
    words = ["-n", 4, "--mutate", KEYS[0], "--fraction", 0.4, "--strength", 0, "--format", "json", "--out", out]
    ran = generate(*words)
    ops = [operation for operation in KEYS[0].replace("+", "").split("|") if operation]
    for key in ran.keys:
        other = [operation for operation in key.replace("+", "").split("|") if operation]
        assert 1 <= sum(a != b for a, b in zip(ops, other, strict=True)) <= 2
    assert (ran.document["request"]["mutate"], ran.document["request"]["fraction"]) == (KEYS[0], 0.4)
    assert generate(*words).keys == ran.keys
    refused(generate(*words, "--fraction", 0.5), "fraction was 0.4, is now 0.5")


def test_particles_and_diversity_are_told_and_counted(generate: Any) -> None:
    document = generate("-n", 3, "--particles", 8, "--diversity", 0.5, "--format", "json").document
    assert (document["request"]["particles"], document["request"]["diversity"]) == (8, 0.5)
    assert 0 < document["effective_share"] <= 1
    assert document["scored"] > 0
    default = generate("-n", 3, "--format", "json").document
    assert (default["request"]["particles"], default["request"]["diversity"]) == (64, 0.0)


STRENGTHS = ["--strengths", "[0.0,2.0]"]


@pytest.fixture
def known_table(tiny_table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture's table under its name, as if it were one of gennas."""
    monkeypatch.setattr("gennas.tables.load_table", lambda name, space=None: tiny_table)


@pytest.mark.usefixtures("known_table")
def test_evaluate_generator(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "quality.json"
    base = ["evaluate", "generator", "--checkpoint", tiny_checkpoint, "--draws", 300, *STRENGTHS]
    ran = gennas(*base, "--out", out, "--format", "json")
    document = ran.document
    assert json.loads(out.read_text()) == {"made_by": "gennas evaluate generator", **document}
    assert document["checkpoint"] == str(tiny_checkpoint)
    found = document["unconditional"]
    assert found["draws"] == 300
    assert found["valid_rate"] == 1.0
    assert found["distinct"] == pytest.approx(found["distinct_if_uniform"], abs=15)
    assert found["novel_rate"] is None
    assert set(found["distances"]) == {"operations", "in_degree", "out_degree", "depth", "paths"}
    assert any("novelty is not measured" in note for note in document["notes"])
    assert [point["strength"] for point in document["guided"]] == [0.0, 2.0]
    assert document["guided"][0]["predicted_score"] < document["guided"][1]["predicted_score"]
    assert document["guided"][0]["effective_share"] == 1.0
    again = gennas(*base, "--format", "json").document
    assert again == document
    assert gennas(*base, "--seed", 2, "--format", "json").document["unconditional"] != found


def test_evaluate_generator_without_the_table_of_its_predictor(gennas: Any, tiny_checkpoint: Path) -> None:
    # It learnt from a table of the user's own, which gennas does not know by name.
    base = ["evaluate", "generator", "--checkpoint", tiny_checkpoint, "--draws", 20, "--strengths", "[0.0]"]
    document = gennas(*base, "--format", "json").document
    assert document["guided"][0]["true_percentile"] is None
    assert any("no true percentiles" in note for note in document["notes"])


@pytest.mark.usefixtures("known_table")
def test_evaluate_generator_with_the_truth(gennas: Any, tiny_checkpoint: Path) -> None:
    base = ["evaluate", "generator", "--checkpoint", tiny_checkpoint, "--draws", 100, *STRENGTHS]
    document = gennas(*base, "--task", "cifar100", "--format", "json").document
    free, pulled = document["guided"]
    assert 35 < free["true_percentile"] < 65
    assert free["true_percentile"] + 10 < pulled["true_percentile"] <= 100
    table = gennas(*base)
    assert table.code == 0, table.err
    lines = table.out.splitlines()
    assert "unconditional" in lines[0]
    assert any(line.split()[:2] == ["strength", "valid_rate"] for line in lines)
    assert lines[-1].startswith("next: gennas generate --checkpoint")


def test_evaluate_generator_without_a_predictor(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "generator").symlink_to(tiny_checkpoint / "generator")
    document = gennas("evaluate", "generator", "--checkpoint", tmp_path, "--draws", 20, "--format", "json").document
    assert document["guided"] == []
    assert any("no guided curve" in note and "has no predictor" in note for note in document["notes"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--draws", 0], ["--draws is 0; must be at least 1"]),
        (["--draws", -5], ["--draws is -5"]),
        (["--task", "cifar11"], ["unknown task of this predictor 'cifar11'. Did you mean 'cifar10'?"]),
        (["--task", "digits"], ["unknown task of this predictor 'digits'.", "cifar10, cifar100"]),
        (["--checkpoint", "nasbenhc201"], ["unknown checkpoint 'nasbenhc201'"]),
        (["--strengths", "[high]"], ["--strengths is 'high'; expected a number"]),
        (["--seed", -1], ["--seed is -1"]),
    ],
)
def test_what_evaluate_generator_refuses(
    gennas: Any, tiny_checkpoint: Path, words: list[object], told: list[str]
) -> None:
    refused(gennas("evaluate", "generator", "--checkpoint", tiny_checkpoint, "--draws", 20, *words), *told)


@pytest.mark.usefixtures("known_table")
def test_evaluate_generator_overwrites_nothing_of_the_users(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    base = ["evaluate", "generator", "--checkpoint", tiny_checkpoint, "--draws", 20, "--strengths", "[0.0]"]
    ran = gennas(*base, "--out", notes)
    assert notes.read_text() == "mine"
    assert ran.code == 2


@pytest.mark.usefixtures("known_table")
def test_one_draw_is_measured_in_numbers(gennas: Any, tiny_checkpoint: Path) -> None:
    base = ["evaluate", "generator", "--checkpoint", tiny_checkpoint, "--draws", 1, "--strengths", "[0.0]"]
    document = gennas(*base, "--format", "json").document
    json.dumps(document, allow_nan=False)


def test_predict_reads_arguments_files_documents_and_stdin(
    gennas: Any, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, document = tmp_path / "keys.txt", tmp_path / "keys.json"
    lines.write_text(f"{KEYS[0]}\n\n  {KEYS[1]}\n")
    document.write_text(json.dumps({"archs": [{"key": key} for key in KEYS]}))
    base = ["predict", "--checkpoint", tiny_checkpoint, "--task", "cifar10", "--hardware", "cpu", "--format", "json"]
    base += ["--calibrate", "never"]
    by_key = gennas(*base, *KEYS).document
    assert [entry["key"] for entry in by_key["archs"]] == list(KEYS)
    predicted = by_key["archs"][0]["predicted"]
    assert list(predicted) == ["accuracy@cifar10", "latency_ms@cpu", "params_m", "macs_m"]
    assert 0 < predicted["accuracy@cifar10"]["mean"] < 1
    assert gennas(*base, "--archs", lines).document == by_key
    assert gennas(*base, "--archs", document).document == by_key
    monkeypatch.setattr("sys.stdin", io.StringIO(lines.read_text()))
    assert gennas(*base, "--archs", "-").document == by_key
    assert gennas(*base, KEYS[0], "--archs", lines).keys == [KEYS[0], *KEYS]


def test_predict_refuses_what_is_not_for_it(gennas: Any, tmp_path: Path) -> None:
    refused(gennas("predict", KEYS[0], "--top", 5), "--top is for images; it needs --network")
    refused(gennas("predict", KEYS[0], "--precision", "int8"), "--precision is for images; it needs --network")
    for option in ("task", "hardware", "checkpoint", "space", "proxy", "evaluated", "archs"):
        ran = gennas("predict", "--network", tmp_path, "image.png", f"--{option}", "something")
        refused(ran, f"--{option} is for metrics of archs; with --network, give image files")


def test_predict_without_a_place_tells_all(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "predicted.json"
    ran = gennas("predict", "--checkpoint", tiny_checkpoint, KEYS[0], "--format", "json", "--out", out)
    names = [f"accuracy@{task}" for task in ("cifar10", "cifar100", "imagenet16-120")]
    assert list(ran.document["archs"][0]["predicted"]) == [*names, "latency_ms@cpu", "params_m", "macs_m"]
    assert json.loads(out.read_text()) == {"made_by": "gennas predict", **ran.document}
    assert any("networks for cifar10" in note for note in ran.document["notes"])


def test_predict_and_generate_agree(gennas: Any, generate: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    generated = generate("-n", 4, "--format", "json", "--out", tmp_path / "archs.json").document
    place = ["--task", "cifar10", "--hardware", "cpu", "--calibrate", "never"]
    ran = gennas(
        "predict", "--checkpoint", tiny_checkpoint, "--archs", tmp_path / "archs.json", *place, "--format", "json"
    )
    for ours, theirs in zip(ran.document["archs"], generated["archs"], strict=True):
        assert ours["key"] == theirs["key"]
        for name, value in theirs["predicted"].items():
            assert ours["predicted"][name] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([KEYS[0].replace("nor_conv_3x3", "nor_conv_3x4")], ["'nor_conv_3x4'", "Did you mean 'nor_conv_3x3'?"]),
        (["|none~0|+|none~0|none~1|"], ["have [1, 2] operations", "expected [1, 2, 3]"]),
        ([KEYS[0].replace("~2", "~1")], ["must end in '~2'"]),
        ([""], ["expected [1, 2, 3]"]),
        ([], ["no archs were given"]),
    ],
)
def test_bad_cells(gennas: Any, tiny_checkpoint: Path, keys: list[str], told: list[str]) -> None:
    refused(gennas("predict", "--checkpoint", tiny_checkpoint, *keys), *told)


def test_bad_files_of_archs(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    base = ["predict", "--checkpoint", tiny_checkpoint, "--archs"]
    refused(gennas(*base, tmp_path / "none.txt"), "cannot be read")
    (tmp_path / "keys.txt").write_text(f"{KEYS[0]}\nnonsense\n")
    refused(gennas(*base, tmp_path / "keys.txt"), "keys.txt, line 2: 'nonsense' is not a valid nasbench201 cell")
    for content in ("{", '{"keys": []}', '{"archs": [1]}', '{"archs": 3}'):
        (tmp_path / "bad.json").write_text(content)
        refused(gennas(*base, tmp_path / "bad.json"), "is not a result of gennas", "one key a line")
    (tmp_path / "empty.txt").write_text("\n")
    refused(gennas(*base, tmp_path / "empty.txt"), "no archs were given")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    refused(gennas(*base, tmp_path / "binary"), "cannot be read")


@pytest.mark.parametrize("kind", ["spaces", "tables", "checkpoints", "hardware", "tasks"])
def test_list(gennas: Any, kind: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine").symlink_to(tiny_checkpoint)
    rows = gennas("list", kind, "--format", "json").document[kind]
    expected = {
        "spaces": {"name": "nasbench201", "archs": 15_625, "slots": 6},
        "tables": {"name": "nasbench201", "space": "nasbench201", "rows": 15_625},
        "checkpoints": {"name": "mine", "parts": "generator, predictor"},
        "hardware": {"name": "cpu", "metric": "latency_ms", "checkpoint": "mine"},
        "tasks": {"name": "digits"},
    }
    assert any(expected[kind].items() <= row.items() for row in rows), rows


def test_list_everything_and_nothing_of_that_name(gennas: Any) -> None:
    kinds = ["spaces", "tables", "checkpoints", "hardware", "tasks"]
    assert list(gennas("list", "--format", "json").document) == kinds
    refused(gennas("list", "devices"), "unknown listing 'devices'")
    refused(gennas("list", "evaluations"), "Give its run folder")


def test_defects_are_told_in_a_line(gennas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a screw is loose")

    monkeypatch.setitem(sys.modules["gennas.cli.listing"].LISTINGS, "spaces", broken)
    ran = gennas("list", "spaces")
    assert ran.code == 1
    assert ran.err.startswith("internal error: RuntimeError: a screw is loose.")
    with pytest.raises(RuntimeError, match="a screw is loose"):
        main(["list", "spaces", "--debug"])


def process(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_a_process_ends_with_2_and_without_a_traceback() -> None:
    ran = process(sys.executable, "-m", "gennas.cli.main", "predict", "--checkpoint", "nowhere", KEYS[0])
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: unknown checkpoint 'nowhere'")
    assert "Traceback" not in ran.stderr


def test_help_imports_no_torch() -> None:
    code = "import sys, gennas.cli.main; gennas.cli.main.build_parser(); print(*sys.modules)"
    imported = process(sys.executable, "-c", code).stdout.split()
    # Each takes a second or more, and the help is to appear in less.
    assert {"torch", "pandas", "scipy", "sklearn", "plotly", "onnxruntime"} & set(imported) == set()
    ran = process(sys.executable, "-m", "gennas.cli.main", "--help")
    assert ran.returncode == 0
    for verb in ("pretrain", "generate", "predict", "validate", "evaluate", "export", "list"):
        assert verb in ran.stdout


def test_pretrain_refuses_what_it_cannot_learn(gennas: Any, tmp_path: Path) -> None:
    refused(gennas("pretrain", "generator", "--space", "nasbench20", "--out", tmp_path / "a"), "unknown space")
    refused(gennas("pretrain", "generator", "--training.steps", 0, "--out", tmp_path / "a"), "steps is 0")
    if "accuracy@cifar10" not in load_table().metrics():
        refused(gennas("pretrain", "predictor", "--out", tmp_path / "a"), "has no accuracies", "GENNAS_DATA")
    assert not (tmp_path / "a").exists()


def test_from_nothing_to_trained_networks(
    gennas: Any, tmp_path: Path, shades: Path, tiny_table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pretrain, generate, validate, list: every verb starts from what the one before it wrote."""
    data = Path(__file__).parents[2] / "shared" / "data"
    if not os.environ.get("GENNAS_DATA") and not (data / "nasbench201.parquet").is_file():
        pytest.skip("validation accuracies are not shipped: set GENNAS_DATA to the folder with nasbench201.parquet")
    monkeypatch.setenv("GENNAS_DATA", os.environ.get("GENNAS_DATA") or str(data))
    # The whole table takes minutes to parse and measure; the rows with latencies do as well.
    whole = load_table()
    small = type(whole)(whole.name, whole.space, whole.frame.loc[tiny_table.frame.index[:400]], {}, (3, 32, 32))
    monkeypatch.setattr("gennas.tables.load_table", lambda name, space=None: small)
    quick = PredictorTraining(steps=30, batch_size=64, width=16, layers=1, members=1, few=0)
    monkeypatch.setattr(predictor_training, "few_label_training", lambda training: quick)
    checkpoint, settings = tmp_path / "checkpoint", ["--training.width", 16, "--training.layers", 1]

    ran = gennas("pretrain", "generator", "--out", checkpoint, "--training.steps", 20, *settings)
    assert ran.code == 0, ran.err
    assert f"next: gennas pretrain predictor --out {checkpoint}" in ran.out
    words = ["--training.steps", 30, "--training.members", 1, "--held-out-labels", 100, "--training.few", 0, *settings]
    words += ["--curve-seeds", 0]
    ran = gennas("pretrain", "predictor", "--out", checkpoint, *words, "--format", "json")
    assert set(ran.document["metrics"]["held_out"]["metrics"]) >= {"accuracy@cifar10", "latency_ms@cpu"}
    assert "test_accuracy@cifar10" not in ran.document["metrics"]["held_out"]["metrics"]

    archs, run = tmp_path / "archs.json", tmp_path / "run"
    place = ["--task", shades, "--image-size", 8, "--skeleton", "channels=4,cells=1"]
    request = ["generate", "--checkpoint", checkpoint, *place, "--hardware", "cpu", "-n", 3]
    generated = gennas(*request, "--where", "params_m <= 0.02", "--out", archs, "--format", "json")
    assert len(generated.keys) == 3
    assert any("the predictor was not trained on task 'shades'" in note for note in generated.document["notes"])

    validate = ["validate", *place, "--archs", archs, "--top", 2, "--recipe.epochs", 1, "--out", run]
    validated = gennas(*validate, "--format", "json")
    assert validated.keys == generated.keys[:2]
    for entry, predicted in zip(validated.document["archs"], generated.document["archs"], strict=False):
        measured = entry["measured"]
        assert {"accuracy@shades", "latency_ms@cpu", "params_m", "macs_m"} <= set(measured)
        assert 0 <= measured["accuracy@shades"] <= 1
        assert measured["latency_ms@cpu"] > 0
        assert measured["params_m"] == predicted["predicted"]["params_m"]
        assert entry["predicted"] == predicted["predicted"]
        assert not entry["reused"]
    frame = Study(run).frame()
    assert set(frame.arch) == set(validated.keys)
    assert "trained" in set(frame.source)
    assert "measured" in set(frame.source)
    listed = gennas("list", "evaluations", "--study", run, "--format", "json").document["evaluations"]
    assert len(listed) == len(frame)
    again = gennas(*validate, "--format", "json").document
    assert all(entry["reused"] for entry in again["archs"])
    refused(gennas(*validate[:-3], 2, "--out", run), "Choose another folder")


def test_checkpoints_that_have_a_name_work_by_name(
    gennas: Any, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine").symlink_to(tiny_checkpoint)
    assert "mine" in checkpoints()
    assert gennas("predict", "--checkpoint", "mine", KEYS[0], "--format", "json").keys == [KEYS[0]]


def test_export_draws_differences_and_whole_networks(gennas: Any, tmp_path: Path) -> None:
    words = ("export", KEYS[0], "--draw", "--out", tmp_path)
    (diff,) = gennas(*words, "--diff", KEYS[1], "--format", "json").document["archs"]
    assert "second: " in Path(diff["drawing"]).read_text()
    (network,) = gennas(*words, "--task", "digits", "--format", "json").document["archs"]
    assert network["drawing"] != diff["drawing"]
    text = Path(network["drawing"]).read_text()
    assert "logits" in text
    assert "share of time" not in text
    gennas(*words, "--task", "digits", "--block-times")
    assert "share of time" in Path(network["drawing"]).read_text()
    refused(gennas(*words, "--block-times"), "--block-times needs --task")
    refused(gennas(*words, "--diff", KEYS[1], "--task", "digits"), "leave out --task")
    refused(gennas("export", KEYS[0], "--diff", KEYS[1]), "add --draw")


def test_export_draws(gennas: Any, tmp_path: Path) -> None:
    document = gennas("export", *KEYS, "--draw", "--out", tmp_path, "--format", "json").document
    drawings = [Path(entry["drawing"]) for entry in document["archs"]]
    assert sorted(tmp_path.glob("*.svg")) == sorted(drawings)
    assert len(drawings) == 2
    for drawing in drawings:
        assert drawing.read_text().lstrip().startswith("<svg")
    refused(gennas("export", KEYS[0], "--out", tmp_path), "nothing to export")
    refused(gennas("export", KEYS[0], "--draw", "--out", drawings[0]), "is a file")
    refused(gennas("export", KEYS[0], "--draw", "--space", "nasbench202"), "Did you mean 'nasbench201'?")


def test_bounds_in_a_config_file(generate: Any, tmp_path: Path) -> None:
    (tmp_path / "request.yaml").write_text("where:\n- params_m <= 0.8\n- macs_m <= 100\nn: 2\n")
    document = generate("--config", tmp_path / "request.yaml", "--format", "json").document
    assert document["request"]["where"] == ["params_m <= 0.8", "macs_m <= 100"]
    more = generate("--where", "params_m <= 1", "--where", "macs_m <= 90", "-n", 2, "--format", "json").document
    assert more["request"]["where"] == ["params_m <= 1", "macs_m <= 90"]


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_seeds_out_of_range(generate: Any, seed: int) -> None:
    refused(generate("--seed", seed, "-n", 1), f"--seed is {seed}; must be in [0, 4294967295]")


def test_files_of_archs_by_other_tools(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    base = ["predict", "--checkpoint", tiny_checkpoint, "--archs", tmp_path / "archs", "--format", "json"]
    (tmp_path / "archs").write_bytes(b"\xef\xbb\xbf" + KEYS[0].encode() + b"\r\n")
    assert gennas(*base).keys == [KEYS[0]]
    (tmp_path / "archs").write_text(json.dumps({"archs": [{"key": KEYS[0], "predicted": 3}]}))
    refused(gennas(*base), "is not a result of gennas")


def test_predict_does_not_overwrite_other_things(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for out in (notes, tmp_path):
        refused(gennas("predict", "--checkpoint", tiny_checkpoint, KEYS[0], "--out", out), "is not a result of gennas")
    assert notes.read_text() == "mine"


def test_what_cannot_be_trained_on_is_not_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--space", "fbnet", "--task", "imagenet", "--objective", "none", "-n", "1"]
    assert main(["generate", *words]) == 0
    assert "next: gennas validate --task digits" in capsys.readouterr().out


def test_what_is_built_for_graphs_is_drawn_next_as_nothing_trains_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key = "0011 graph arma gcn gcn"
    for task in (["--task", "cora"], []):
        assert main(["predict", key, "--space", "nasbench_graph", *task]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
        assert main(shlex.split(line)[2:]) == 0
        capsys.readouterr()
    assert len(list(Path("drawings").glob("*.svg"))) == 1
