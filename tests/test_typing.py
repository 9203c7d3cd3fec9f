"""A user's own code is checked by mypy in strict mode, and an editor completes ``gennas.``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import gennas

ROOT = Path(__file__).parent.parent


def test_strict_mypy_accepts_a_users_files_and_finds_what_is_wrong(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorials" / "ask_and_tell.md").read_text()
    (code,) = re.findall(r'```python title="my_search.py"\n(.*?)```', page, re.DOTALL)
    assert len(code.splitlines()) <= 25
    (tmp_path / "my_search.py").write_text(code)
    shutil.copy(ROOT / "tests" / "data" / "typed" / "subclasses.py", tmp_path)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from gennas import Problem, Search\n"
        "search = Search(Problem('nasbench201', 'cifar10'), budgets=3)\n"
        "search.tell(search.ask(1), {'accuracy': 0.5})\n"
    )
    # Only the user's files are to be strict, and libraries without types are not theirs to mend.
    options = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", "--config-file", ""]
    files = ["my_search.py", "subclasses.py", "wrong.py"]
    command = [sys.executable, "-m", "mypy", *options, "--cache-dir", str(tmp_path / "cache"), *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert all(line.startswith("wrong.py") for line in errors), done.stdout
    assert any('Unexpected keyword argument "budgets"' in line for line in errors), done.stdout
    assert any('Argument 1 to "tell"' in line for line in errors), done.stdout


def test_every_public_name_is_there_listed_and_lazy() -> None:
    assert set(gennas.__all__) == set(gennas._HOMES)
    assert set(gennas.__all__) <= set(dir(gennas))
    for name in gennas.__all__:
        assert getattr(gennas, name).__name__ == name
    code = "import sys, gennas; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
