"""The README's own commands: every one is understood, and the quick ones are run as written."""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from gennas.cli.main import build_parser, main
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def commands() -> list[list[str]]:
    """The words of every `gennas ...` line in a bash block."""
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("gennas ")]


def test_there_are_commands() -> None:
    assert {words[0] for words in commands()} >= {
        "design",
        "generate",
        "validate",
        "search",
        "hardware",
        "predict",
        "export",
        "list",
    }


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_understood(words: list[str]) -> None:
    assert build_parser().parse_args(words).verb == words[0]


def is_about_my_device(words: list[str]) -> bool:
    return words[0] == "hardware" or "mydevice" in words


def trains(words: list[str]) -> bool:
    return words[0] in ("design", "validate", "pretrain") or (words[0] == "search" and "--table" not in words)


def follows_a_run(words: list[str]) -> bool:
    """It needs what a training command before it left."""
    return any(word in ("runs/digits", "runs/search", "exported") for word in words) and not trains(words)


@pytest.mark.usefixtures("measured_once")
def test_from_photos_to_an_exported_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that follow a training, as written, after shorter trainings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    (validation,) = [words for words in commands() if words[0] == "validate"]
    (search,) = [words for words in commands() if words[0] == "search" and "--table" not in words]
    short = ["--skeleton", "channels=8,cells=1", "--recipe.epochs", "1"]
    Path("archs.json").write_text(
        json.dumps(["|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|none~2|"])
    )
    assert main([*validation, *short]) == 0
    budget, workers = search.index("--budget"), search.index("--workers")
    search[budget + 1], search[workers + 1] = "1", "1"
    assert main([*search, *short, "--prior", "none"]) == 0
    pixels = get_task("digits").splits().val.images[0].transpose(1, 2, 0)
    Image.fromarray(pixels).save("photo.jpg")
    following = [words for words in commands() if follows_a_run(words)]
    assert {words[0] for words in following} == {"export", "predict", "report"}
    assert [main(words) for words in following] == [0] * len(following)


def test_a_device_from_ten_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    table = load_table("nasbench201").column("latency_ms@cpu").dropna()
    choose, *others = [words for words in commands() if is_about_my_device(words)]
    assert main(choose) == 0
    # What the user measures: here a cell's own parameters stand for its latency where the table has none.
    rows = Path("measurements.csv").read_text().splitlines()
    space, task = get_space("nasbench201"), get_task("cifar10")
    for number, row in enumerate(rows[1:], start=1):
        key = row.rstrip(",")
        macs_m = space.costs(space.parse(key), task)["macs_m"]
        rows[number] = f"{key},{table.get(key, 1 + macs_m / 20)}"
    Path("measurements.csv").write_text("\n".join(rows))
    assert [main(words) for words in others] == [0] * len(others)


@pytest.mark.usefixtures("measured_once")
@pytest.mark.parametrize(
    "words",
    [words for words in commands() if not (is_about_my_device(words) or trains(words) or follows_a_run(words))],
    ids=" ".join,
)
def test_quick_commands_work(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] == "search":
        # Fewer proposals, and a tenth of what each considers.
        words = [*words, "--options", "sought=300"]
        words[words.index("--budget") + 1] = "12"
    assert main(words) == 0


def test_python_example_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert "budget=40" in code
    # What the reader brings; and fewer trials, as each takes a second to propose.
    trained: list[int] = []

    def my_training(network: nn.Module) -> float:
        trained.append(sum(parameter.numel() for parameter in network.parameters()))
        return 0.5 + trained[-1] / 1e7

    exec(compile(code.replace("budget=40", "budget=3"), "README.md", "exec"), {"my_training": my_training})
    assert len(trained) == 3
    assert max(trained) <= 500_000
    assert "SearchEntry" in capsys.readouterr().out


def test_it_is_short() -> None:
    assert len(README.encode()) <= 6144


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("script", sorted(set(re.findall(r"scripts/\w+\.(?:sh|py)", README))))
def test_scripts_exist(script: str) -> None:
    assert (ROOT / script).is_file()
