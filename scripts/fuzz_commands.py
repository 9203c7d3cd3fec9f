"""Commands with generated inputs: each must end with exit code 0 or 2 (1 where the work itself failed), and a sentence.

    python scripts/fuzz_commands.py --count 10000 --commands 300

All verbs get valid options of which some are replaced: by numbers beyond all bounds, words of other notations, names
that are no text, files that are damaged, deep, endless or of another kind. Most inputs run in this process, some as
real commands. What runs for longer than some seconds is interrupted, as by Ctrl-C. What failed is printed at the end,
with the words to repeat it, and the exit code is 1 then.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

KEY = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
SMALL = ["--task=digits", "--image-size=8", "--skeleton=channels=2,cells=1", "--recipe.epochs=1"]
TABLE = ["--table=nasbench_graph", "--task=cora"]
#: Verb -> options that are valid and soon done.
VALID: dict[str, list[list[str]]] = {
    "generate": [["--task=digits", "-n=1", "--strength=0"]],
    "predict": [[KEY, "--task=digits"], ["--archs=archs.txt", "--hardware=cpu"]],
    "search": [[*TABLE, "--policy=random", "--prior=none", "--budget=2", "--out=run"]],
    "validate": [[*SMALL, "--out=validation", "--latency.seconds=0.05", KEY]],
    "export": [[KEY, "--draw", "--out=drawings"]],
    "hardware add": [["mine", "--csv=rows.csv"]],
    "hardware choose": [["-n=3"]],
    "hardware remove": [["mine"]],
    "bench search": [[*TABLE, "--policies=random", "--seeds=1", "--budget=2", "--out=bench"]],
    "evaluate generator": [["--draws=2", "--strengths=[]"]],
    "pretrain generator": [["--training.steps=1", "--training.width=8", "--out=checkpoint"]],
    "pretrain predictor": [
        ["--table=nasbench_graph", "--space=nasbench_graph", "--training.steps=1", "--out=checkpoint"]
    ],
    "list": [["hardware"], ["checkpoints"], ["evaluations", "--study=run"]],
}
NUMBERS = [
    *("0", "-1", "1", "2", "1e400", "nan", "inf", "-inf", "1_0", "\u00b2", "\u0663", "0x10", "1.5"),
    *("9" * 30, "9" * 5000),
]
WORDS = [
    *("", " ", "-", "--", "none", "null", "true", "[]", "{}", "[1]", "{a: b}", "a b", "a=b", "a=b=c", "=", ",", "a,,b"),
    *("A" * 300, "A" * 5000, "\u00e4\u00f6\u00fc", "\U0001f600", "\udce2", "\n", "a\nb", "%s", "{0}", "$HOME", "`ls`"),
    *("nasbench201", "nasbench101", "nasbench_graph", "cora", "digits", "cpu", "pixel3", "random", "gennas", "mine"),
    *("os:system", "a.py:B", "../..", "accuracy", "-latency_ms@pixel3", "accuracy, -macs_m", "accuracy@", "@"),
    *("params_m <= 1", "params_m <= -1", "params_m <= nan", "macs_m >= 1e9", "accuracy >= 2", "latency_ms <= 5", "<="),
    *("channels=0", "cells=99999", "channels=2,channels=3", "0->1=none", "5->6=none", "0->1", "a=1", "strength=x"),
    *("random:a=1", "naswot", "az_nas,az_nas", "sqlite://", "sqlite:///x/y/z.sqlite", "postgresql://a:b@127.0.0.1:1/c"),
    *(KEY, KEY[:-1], KEY.replace("none", "?"), "?", "0123 gcn cheb fc arma", '{"matrix": [[0, 1], [0, 0]], "ops": []}'),
]
#: File -> content; None for a folder. See :func:`prepared`.
FILES: dict[str, bytes | None] = {
    "archs.txt": f"{KEY}\n".encode(),
    "rows.csv": f"key,latency_ms\n{KEY},1.5\n".encode(),
    "results.csv": f"key,accuracy\n{KEY},0.5\n".encode(),
    "empty": b"",
    "folder": None,
    "binary": b"\xff\xfe\x00\x80" * 9,
    "zeros.json": b"\0" * 100,
    "deep.json": b"[" * 100_000,
    "deep-archs.json": b'{"archs":' + b"[" * 100_000,
    "archs.json": b'{"archs": [{"key": "x", "predicted": {"a": {"mean": "b"}}}]}',
    "no-archs.json": b'{"archs": {"a": 5}}',
    "surrogate.json": b'{"archs": [{"key": "\\ud800"}]}',
    "numbers.json": b"9" * 5000,
    "loop.yaml": b"a: &a [*a]\n",
    "merge.yaml": b"a: &a {b: c}\nd: {<<: *a}\n",
    "deep.yaml": b"{" * 10_000,
    "lists.yaml": b"where: [[1]]\nkey: {a: b}\ntask: [1]\nn: []\nseed: {}\n",
    "nulls.yaml": b"where: null\ntask: null\nseed: null\nout: null\n",
    "wrong.yaml": b"seed: x\nstrength: []\nrecipe: 5\nlatency: [1]\nno_such: 1\n",
    "date.yaml": b"seed: 2026-01-01\n",
    "python.yaml": b"a: !!python/object/apply:os.system [true]\n",
    "study/config.yaml": b"space: {name: nasbench201}\n",
    "broken-study/config.yaml": b"[" * 5000,
    "other-study/config.yaml": b"format: 99\n",
    "text-study/config.yaml": b"format: 2\nstudy: a\n",
    "text-study/study.sqlite": b"no database" * 100,
    "far-study/config.yaml": b"format: 2\nstudy: a\n",
    "far-study/database.yaml": b"url: 'postgresql://127.0.0.1:1/x'\nstudy: a\n",
    "checkpoint-deep/generator/config.json": b"[" * 100_000,
    "checkpoint-deep/predictor/config.json": b"{",
    "checkpoint-other/generator/config.json": b'{"format": 1, "space": "os:path"}',
    "checkpoint-other/predictor/config.json": b'{"format": 1, "space": "nasbench201", "metrics": 5}',
    "images/train/a/x.png": b"no image",
    "images/train/b/x.png": b"no image",
    "home/hardware/nasbench201/deep.json": b"[" * 100_000,
    "home/hardware/nasbench201/other.json": b"{}",
    "home/checkpoints/deep/predictor/config.json": b"[" * 100_000,
}  # fmt: skip
SECONDS = 3


@dataclass(frozen=True)
class Ended:
    """How an input ended."""

    words: list[str]
    code: int
    out: str
    err: str

    @property
    def defect(self) -> str:
        """What is wrong with that; empty where nothing is."""
        if self.code == 130:
            # Whatever was interrupted may say so: half an import, or an object's end.
            return ""
        last = (self.err.strip().splitlines() or [""])[-1]
        if "Traceback" in self.err or "internal error" in self.err:
            return "a defect is shown"
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if self.code == 2 and not last.startswith("error: "):
            return "no sentence"
        return "no word" if self.code == 1 and not (self.err + self.out).strip() else ""


def prepared(folder: Path) -> None:
    """Fills a folder with files that are good for nothing."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)


def inputs(count: int, seed: int) -> Iterator[list[str]]:
    """Command lines; the same seed gives the same."""
    from gennas.cli.main import VERBS
    from gennas.cli.parser import option_names

    rng = random.Random(seed)
    options: dict[str, list[str]] = {}
    for name in VALID:
        verb: Any = VERBS
        for part in name.split():
            verb = verb[part]
        options[name] = [option for option in option_names(verb) if option not in ("yes", "debug")]
    for _ in range(count):
        name = rng.choice(list(VALID))
        words = list(rng.choice(VALID[name]))
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            kind = rng.random()
            if kind < 0.15 and words:
                del words[rng.randrange(len(words))]
            elif kind < 0.3:
                words.insert(rng.randrange(len(words) + 1), _value(rng))
            else:
                option = rng.choice(options[name])
                flag = "-n" if option == "n" else "--" + option.replace("_", "-")
                words = [word for word in words if not word.startswith(f"{flag}=")]
                words.append(f"{flag}={_value(rng)}")
        yield [*(name.split() if rng.random() < 0.99 else [_value(rng)]), *words]


def _value(rng: random.Random) -> str:
    files = [name for name in FILES if not name.startswith("home")]
    folders = [str(Path(name).parent) for name in files if "/" in name]
    return rng.choice(rng.choice((NUMBERS, WORDS, [*files, *folders])))


def run_here(words: list[str], seconds: int = SECONDS) -> Ended:
    """Runs a command in this process, for a limited time."""
    from gennas.cli.main import main

    out, err = io.StringIO(), io.StringIO()

    fired = []

    def interrupt(number: int, frame: object) -> None:
        fired.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    except SystemExit as stop:  # how argparse ends
        code = stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    # Python swallows an interrupt in an object's end.
    return Ended(words, 130 if fired else code, out.getvalue(), err.getvalue())


def run_command(words: list[str], seconds: int = 60) -> Ended:
    """Runs a command in a process of its own."""
    command = [sys.executable, "-m", "gennas", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate()
    return Ended(words, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def main(count: int = 10_000, commands: int = 300, seed: int = 0) -> None:
    """Runs generated inputs.

    Args:
        count: how many.
        commands: how many of them as real commands, the first ones.
        seed: of the inputs.
    """
    import gennas.cli.main as program

    # It takes most of the time of a command that is refused.
    program.build_parser = cache(program.build_parser)
    sys.stdin = io.StringIO()
    start, ends, defects = time.monotonic(), Counter[int](), []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepared(Path(folder))
        os.environ["GENNAS_HOME"] = f"{folder}/home"
        for name, options in VALID.items():
            # Without a limit: an interrupt in the middle of an import would leave half a module.
            run_here([*name.split(), *options[0]], seconds=0)
        for number, words in enumerate(inputs(count, seed)):
            is_command = number < commands and not any("\0" in word for word in words)
            ended = run_command(words) if is_command else run_here(words)
            ends[ended.code] += 1
            if ended.defect:
                defects.append(ended)
                print(f"{ended.defect}: {json.dumps(words)}\n  {ended.err.strip()[-300:]}", flush=True)
            if (number + 1) % 500 == 0:
                print(f"{number + 1} of {count}, {time.monotonic() - start:.0f} s, {dict(ends)}", flush=True)
        os.chdir("/")
    print(
        f"{count} inputs, {commands} of them as commands, seed {seed}: exit codes {dict(ends)}, {len(defects)} defects"
    )
    sys.exit(1 if defects else 0)


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main)
