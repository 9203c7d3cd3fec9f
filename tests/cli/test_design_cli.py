"""`gennas design`: what it prints and returns."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gennas.cli.main import main
from gennas.design import EFFORTS, settings
from gennas.tasks import TASKS
from tests.design_toys import LITTLE, colours


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """The space and task by their names; the effort ``quick`` is next to none."""
    from gennas.design import generating, seeking
    from gennas.spaces import SPACES
    from tests.elastic_spaces import TinyLite

    monkeypatch.setattr(seeking, "EVALUATED", 60)
    monkeypatch.setattr(generating, "ROUNDS", 1)
    monkeypatch.setattr(settings, "EFFORTS", {**EFFORTS, "quick": LITTLE})
    SPACES.register("tiny_lite", TinyLite)
    TASKS.register("colours", colours())


def words(folder: Path, *more: str) -> list[str]:
    return [
        *("design", "--task", "colours", "--parents", "tiny_lite", "--weights", "random", "--effort", "quick"),
        *("--out", str(folder), "-n", "2", *more),
    ]


@pytest.mark.usefixtures("little")
def test_a_table_and_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert main(words(folder, "--where", "macs_m <= 0.3")) == 0
    printed = capsys.readouterr()
    assert "colours: 48 images, 3 classes of 16" in printed.err
    assert re.search(r"this machine: onnxruntime, 1 thread; about .* (seconds|minutes), \d\.\d GB", printed.err)
    for stage in range(1, 6):
        assert f"[{stage}/5]" in printed.err
    table = printed.out
    assert re.search(r"network +validation \(chosen by\) +test +latency +pixels +params", table)
    assert re.search(r"TinyLite +0\.\d{3} +0\.\d{3} \(0\.\d\d to \d\.\d\d\)", table)
    assert f"wrote {folder}/networks/2" in table
    assert f"wrote {folder}/report.html" in table
    assert f"next: gennas predict --network {folder}/networks/1 IMAGE ..." in table
    page = (folder / "report.html").read_text()
    assert "<h1>Design of networks of tiny_lite for colours</h1>" in page
    assert "<td>generated 2</td>" in page
    assert "<td>what you would have done" in page
    assert main([*words(folder, "--where", "macs_m <= 0.3"), "--format", "json"]) == 0
    printed = capsys.readouterr()
    # What of it is done already takes no time again.
    assert re.search(r"1 thread; at most .* (seconds|minutes), \d\.\d GB, as some of it is done\n", printed.err)
    document: dict[str, Any] = json.loads(printed.out)
    networks = [SimpleNamespace(**entry) for entry in document["networks"]]
    assert [entry.handed_over for entry in networks] == [1, 2, None]
    assert all(0 <= entry.accuracy <= 1 and entry.macs_m <= 0.3 for entry in networks)
    assert networks[0].folder == str(folder / "networks" / "1")
    assert main(words(folder, "--where", "macs_m <= 0.4")) == 2
    assert "with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--where", "energy_mj <= 1"], "--where holds 'energy_mj@cpu <= 1'"),
        (["--hardware", "pixel3"], "--hardware is 'pixel3', which a design cannot measure"),
        (["-n", "0"], "-n is 0; must be at least 1."),
        (["--effort", "slow"], "--effort is 'slow'; expected one of quick, standard, thorough"),
        (["--parents", "nasbench201"], "--parents is 'nasbench201', a space without a parent"),
        (["--task", "cora"], "a design needs images"),
        (["--where", "macs_m <= 0.0001"], "macs_m"),
    ],
)
@pytest.mark.usefixtures("little")
def test_bad_input_is_said_in_one_line(
    tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "run", *more)) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert message in error[0]
