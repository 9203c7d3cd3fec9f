"""A space of the user's own: named once on the command line, its checkpoint is understood."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from gennas.cli.main import main
from gennas.spaces import SPACES

FILE = """
from gennas.spaces.nasbench201.space import NasBench201


class Narrow(NasBench201):
    name = "narrow"
"""
QUICK = ("--training.steps", "20", "--training.batch-size", "32", "--training.width", "8", "--training.layers", "1")


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))
    (tmp_path / "narrow.py").write_text(FILE)
    return f"{tmp_path / 'narrow.py'}:Narrow"


def test_a_generator_of_an_own_space_is_used_by_naming_the_space(
    narrow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "checkpoint"
    assert main(["pretrain", "generator", "--space", narrow, "--out", str(out), *QUICK]) == 0
    config: dict[str, Any] = json.loads((out / "generator" / "config.json").read_text())
    assert config["space"] == "narrow"
    # Another process knows nothing of it, and a file's word is not enough.
    monkeypatch.setattr(SPACES, "_entries", {k: v for k, v in SPACES._entries.items() if k != "narrow"})
    capsys.readouterr()
    wanted = ["evaluate", "generator", "--checkpoint", str(out), "--draws", "50", "--format", "json"]
    assert main(wanted) == 2
    assert "--space path/to/file.py:" in capsys.readouterr().err
    assert main([*wanted, "--space", narrow]) == 0
    assert json.loads(capsys.readouterr().out)["unconditional"]["valid_rate"] > 0.9
    assert main([*wanted, "--space", "nasbench101"]) == 2


#: A space without a checkpoint, whose file is named with every command.
WIDTHS = f"{Path(__file__).parents[1] / 'widths.py'}:Widths"


def test_an_own_space_generates_without_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    wanted = ["generate", "--space", WIDTHS, "--task", "digits", "-n", "5", "--where", "params_m <= 0.004"]
    assert main([*wanted, "--format", "json"]) == 0
    printed = capsys.readouterr()
    archs = json.loads(printed.out)["archs"]
    assert len(archs) == 5
    assert all(entry["predicted"]["params_m"] <= 0.004 for entry in archs)
    assert f"train one: gennas pretrain generator --space {WIDTHS}" in printed.err
    assert f"next: gennas validate --task digits --archs ARCHS.json --top 3 --out runs/digits --space {WIDTHS}" in (
        printed.err
    )
    assert main([*wanted, "--objective", "-macs_m", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["archs"][0]["key"] == "4-4-4-4-4"
    assert main([*wanted, "--objective", "accuracy"]) == 2
    error = capsys.readouterr().err
    assert "--objective can be none, -params_m or -macs_m without one" in error
    assert f"gennas pretrain predictor --space {WIDTHS} --table FILE" in error


def test_a_generator_alone_generates_and_the_printed_command_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))
    out = tmp_path / "checkpoint"
    assert main(["pretrain", "generator", "--space", WIDTHS, "--out", str(out), *QUICK]) == 0
    printed = capsys.readouterr().out.splitlines()[-1].removeprefix("next: gennas ")
    assert WIDTHS in (out / "generator" / "README.md").read_text()
    assert main([*shlex.split(printed), "--format", "json", "-n", "5", "--where", "macs_m <= 3"]) == 0
    archs = json.loads(capsys.readouterr().out)["archs"]
    assert len(archs) == 5
    assert all(entry["predicted"]["macs_m"] <= 3 for entry in archs)
    assert main(["evaluate", "generator", "--checkpoint", str(out), "--space", WIDTHS, "--draws", "50"]) == 0
    assert f"--space {WIDTHS}" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "following"), [("DepthChain", "gennas generate --task cifar10"), ("Rising", "pretrain")]
)
def test_a_checked_space_is_generated_from_or_trained_first(
    name: str, following: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))
    file = Path(__file__).parents[1] / "parts_spaces.py"
    assert main(["check-space", f"{file}:{name}"]) == 0
    assert following in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["pretrain", "predictor", "--table", "os:system", "--space", "nasbench_graph", "--out", "x"],
            "'os:system' fails",
        ),
        (["predict", "--task", "digits", "--proxy", "os:system", "--archs", "archs.txt"], "(network, batch) -> float"),
        (
            ["bench", "search", "--table=nasbench_graph", "--task=cora", "--out=x", "--seeds", "9" * 30],
            "from 1 to 100,000",
        ),
    ],
)
def test_functions_and_numbers_that_do_not_fit_are_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("archs.txt").write_text("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|\n")
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_archs_of_a_space_without_a_predictor_have_costs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))
    file, key = Path(__file__).parents[1] / "parts_spaces.py", "depth_chain:k3/1.0/e1"
    wanted = ["predict", "--space", f"{file}:DepthChain", "--task", "digits"]
    assert main([*wanted, key, "--format", "json"]) == 0
    (arch,) = json.loads(capsys.readouterr().out)["archs"]
    assert set(arch["predicted"]) == {"params_m", "macs_m"}
    assert main([*wanted, key, "--hardware", "cpu"]) == 2
    assert "there is none of space 'depth_chain'. Train one: gennas pretrain predictor" in capsys.readouterr().err
    # Its own key is what is looked at first.
    assert main([*wanted, "depth_chain:k9/1.0/e1"]) == 2
    assert "'k9' is not a valid kernel" in capsys.readouterr().err
