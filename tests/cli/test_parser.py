"""Flags from signatures, groups of options, and messages that show arguments as flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from gennas.cli.main import build_parser, main
from gennas.cli.options import Options
from gennas.cli.output import Outcome
from gennas.cli.parser import arguments_of, error_with_flags, option_names, parser_of, with_flags
from gennas.errors import GennasError, InvalidInputError


@dataclass(frozen=True)
class Pace(Options):
    """How fast.

    Args:
        top_speed: in steps per second.
        limit: in steps.
    """

    top_speed: float = 1.5
    limit: int | None = None


@dataclass(frozen=True)
class Inner:
    """Nested.

    Args:
        batch_size: archs at once.
    """

    batch_size: int = 4


def walk(pace: Pace, inner: Inner = Inner(), where: Sequence[str] = (), image_size: int = 8) -> Outcome:
    """Walks.

    Args:
        inner: nested options.
        image_size: pixels.
    """
    return Outcome({"pace": pace, "inner": inner, "where": where})


def parsed(*words: str) -> dict[str, object]:
    parser = parser_of({"walk": walk}, {})
    options = parser.instantiate(parser.parse_args(["walk", *words]))
    return arguments_of(walk, dict(vars(options["walk"]).items()))


def test_a_group_of_options_becomes_one_object() -> None:
    assert parsed()["pace"] == Pace(1.5, None)
    assert parsed("--top_speed", "3", "--limit", "7")["pace"] == Pace(3.0, 7)
    assert parsed("--inner.batch_size", "9")["inner"] == Inner(9)
    assert parsed("--config", '{"top_speed": 2, "inner": {"batch_size": 1}}') == {
        "pace": Pace(2.0),
        "inner": Inner(1),
        "where": [],
        "image_size": 8,
    }


def test_bounds_may_be_repeated_and_separated_by_commas() -> None:
    assert parsed("--where", "a <= 1, b >= 2", "--where", "c <= 3")["where"] == ["a <= 1", "b >= 2", "c <= 3"]
    assert parsed("--config", '{"where": "a <= 1,b >= 2"}')["where"] == ["a <= 1", "b >= 2"]


def test_help_shows_hyphens_titles_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_of({"walk": walk}, {})
    with pytest.raises(SystemExit):
        parser.parse_args(["walk", "--help"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "How fast:" in lines
    assert "in steps per second. (default: 1.5)" in lines
    assert "--limit LIMIT in steps." in lines, "nothing is said of a default that is none"
    assert "--inner.batch-size BATCH_SIZE" in lines
    assert not any("_size" in line or "_speed" in line for line in lines)
    assert "--inner CONFIG" not in lines


def test_every_verb_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["search"], ["bench", "search"], ["hardware", "add"], ["list"], ["evaluate", "generator"]):
        with pytest.raises(SystemExit):
            build_parser().parse_args([*words, "--help"])
        shown = capsys.readouterr().out
        assert "--config" in shown
        assert "type:" not in shown


@pytest.mark.parametrize("words", [["list"], ["export"], ["hardware", "remove", "x"]])
def test_verbs_that_draw_no_random_numbers_take_no_seed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--seed", "1"]) == 2
    assert "--seed is not an option of gennas" in capsys.readouterr().err


NAMES = ("n", "strength", "image_size", "recipe.batch_size", "recipe_space", "latency.batch", "batch")


def test_arguments_are_shown_as_flags() -> None:
    assert with_flags("lower `strength` or `recipe.batch_size`; `gennas list`, `other`", NAMES) == (
        "lower --strength or --recipe.batch-size; `gennas list`, `other`"
    )
    error = InvalidInputError("is 0; raise it, or `image_size`.", argument="n")
    assert str(error) == "n is 0; raise it, or `image_size`."
    assert error_with_flags(error, NAMES) == "-n is 0; raise it, or --image-size."
    assert error_with_flags(InvalidInputError("is 0.", argument="batch_size"), NAMES) == "--recipe.batch-size is 0."
    assert error_with_flags(InvalidInputError("is 0.", argument="batch"), NAMES) == "--batch is 0."
    assert error_with_flags(InvalidInputError("is 0.", argument="latency.batch"), NAMES) == "--latency.batch is 0."
    assert error_with_flags(InvalidInputError("is 0.", argument="training.n"), NAMES) == "-n is 0."
    assert error_with_flags(InvalidInputError("is 0.", argument="unheard"), NAMES) == "unheard is 0."
    # What a file holds has no flag, though another option may have one of that name.
    of_a_file = InvalidInputError("is 0; raise `n`.", argument="recipe_space.batch_size")
    assert error_with_flags(of_a_file, NAMES) == "--recipe-space: batch_size is 0; raise -n."
    of_a_group = InvalidInputError("no.yaml cannot be read.", argument="recipe")
    assert error_with_flags(of_a_group, NAMES) == "--recipe no.yaml cannot be read."
    assert error_with_flags(GennasError("what strength is"), NAMES) == "what strength is"
    of_a_path = InvalidInputError("is 'my-photos', which has no images.", argument="task")
    for typed, said in (("there/my photos", "there/my photos"), ("photos", "my-photos"), (["photos"], "my-photos")):
        assert error_with_flags(of_a_path, ["task"], {"task": typed}) == f"--task is '{said}', which has no images."


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("images are shrunk to 8x8; for more detail give `image_size`, e.g. 73", "images are shrunk to 8x8"),
        ("shrunk; for more detail give `image_size`, e.g. 73. Then go on.", "shrunk. Then go on."),
        ("shrunk; give `image_size`; two are equal.", "shrunk; two are equal."),
        ("raise `image_size`; lower `other`.", "raise `image_size`; lower `other`."),
    ],
)
def test_what_a_verb_cannot_change_is_not_advised(text: str, without: str) -> None:
    assert with_flags(text, ["out", "nested"]) == without
    assert with_flags(text, NAMES) == text.replace("`image_size`", "--image-size")


def test_names_of_all_options() -> None:
    names = option_names(walk)
    assert names[-5:] == ["top_speed", "limit", "inner.batch_size", "where", "image_size"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "no verb; list them with: gennas --help"),
        ("serch", "unknown verb 'serch'. Did you mean 'search'?"),
        (
            "design --task a.csv --targets regression --out x",
            "--targets is not an option of gennas design, which is for classes; for values and labels: gennas search "
            "--space lite0 --targets ...",
        ),
        ("pretrain", "gennas pretrain needs one of generator, predictor."),
        ("pretrain generater", "unknown verb 'generater'. Did you mean 'generator'?"),
        ("generate", "--task is required."),
        ("generate --task", "--task needs a value."),
        (
            "generate --task digits --image-sise 8",
            "Did you mean --image-size? List them with: gennas generate --help",
        ),
        ("generate --task digits --image-size a", "--image-size is 'a'; expected a whole number."),
        ("generate --task digits more", "unexpected 'more'"),
        ("search --task digits --out x --recipe.batch-size a", "--recipe.batch-size is 'a'; expected a whole number."),
        ("search --task digits --out x --recipe.optimiser a", "is 'a'; expected one of sgd, adamw."),
        ("list --config nowhere.yaml", "--config nowhere.yaml cannot be read"),
        ("list --config setup.py", "--config setup.py cannot be read"),
    ],
)
def test_what_cannot_be_parsed_is_one_sentence(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (InvalidInputError("is 0.", argument="study"), 2, "error: --study is 0.\n"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to start over\n"),
        (SystemExit(1), 130, "interrupted; run the same command again to start over\n"),
        (OSError(28, "No space left on device"), 2, "error: cannot use a file: No space left on device; make room, or"),
        (
            PermissionError(13, "Permission denied", "a/b"),
            2,
            "error: cannot use a/b: Permission denied; choose another",
        ),
        (OSError(36, "File name too long", "A" * 300), 2, f"error: cannot use {'A' * 60}...{'A' * 60}: File name too"),
        (OSError(5, "Input/output error", "\udce2"), 2, "error: cannot use \\udce2: Input/output error.\n"),
        (InvalidInputError("is 'a\nb\x1b[2J'.", argument="study"), 2, "error: --study is 'a\\nb\\x1b[2J'.\n"),
        (ConnectionRefusedError(111, "Connection refused"), 1, "error: [Errno 111] Connection refused\n"),
        (MemoryError("Unable to allocate 719 GiB"), 1, "error: the memory of this machine is not enough (Unable to"),
        (ZeroDivisionError("by 0"), 1, "internal error: ZeroDivisionError: by 0. "),
    ],
)
def test_exit_codes(
    raised: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spaces() -> None:
        raise raised

    monkeypatch.setattr("gennas.cli.listing.LISTINGS", {"spaces": spaces})
    assert main(["list"]) == code
    assert capsys.readouterr().err.startswith(message)


def test_an_interrupted_verb_resumes_where_its_work_is_stored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> Outcome:
        """Is interrupted."""
        raise KeyboardInterrupt

    monkeypatch.setattr("gennas.cli.main.VERBS", {"list": verb})
    monkeypatch.setattr("gennas.cli.main.RESUMING", (verb,))
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted; run the same command again to resume\n"


def test_work_that_came_to_nothing_shows_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> Outcome:
        """Fails."""
        return Outcome({"archs": []}, failed=True)

    monkeypatch.setattr("gennas.cli.main.VERBS", {"list": verb})
    assert main(["list", "--format", "json"]) == 1
    assert '"archs": []' in capsys.readouterr().out


def test_a_flag_for_what_takes_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--key", "x"]) == 2
    assert "--key is not an option of gennas predict; write its value without the flag." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "help"),
    [
        (["generate"], "how many distinct archs to return, the best predicted first. (default: 10)"),
        (["hardware", "choose"], "how many archs to measure; 10 or more tell a device well. (default: 10)"),
        (["hardware", "bundle"], "how many networks to write; 10 or more tell a device well. (default: 12)"),
    ],
)
def test_every_verb_says_what_its_number_is_of(words: list[str], help: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args([*words, "--help"])
    assert f"-n N, --n N {help}" in " ".join(capsys.readouterr().out.split())
