"""predict.py of an exported folder: :mod:`gennas.export.predict` with what it needs of gennas in it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from gennas.export import predict
from gennas.tasks import decoding
from gennas.tasks.targets import reading

_HEAD = '''"""Tells of image files what the network in this folder answers.

    pip install -r requirements.txt
    python predict.py image.jpg ...

Images are read as they were read for the training. It needs onnxruntime, numpy and Pillow only.
"""
'''


def predict_script() -> str:
    """The text of a program that needs no gennas: the modules one after the other, with the imports of both."""
    imports, bodies = list[ast.stmt](), list[str]()
    for module in (decoding, reading, predict):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        heads = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
        imports += heads
        bodies.append("\n".join(text.splitlines()[heads[-1].end_lineno or 0 :]).strip("\n"))
    return f"{_HEAD}\n{_merged(imports)}\n\n" + "\n\n\n".join(bodies) + "\n"


def _merged(imports: Sequence[ast.stmt]) -> str:
    """The imports of several modules as one block: no name twice, and none of gennas."""
    whole, names = set[str](), dict[str, set[str]]()
    for node in imports:
        if isinstance(node, ast.ImportFrom):
            names.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
        else:
            whole.add(ast.unparse(node))
    future, numpy = "from __future__ import annotations", "import numpy as np"
    lines = [
        # Constants first, then classes, then functions, as ruff sorts them.
        f"from {module} import {', '.join(sorted(found, key=lambda name: (not name.isupper(), name.islower(), name)))}"
        for module, found in sorted(names.items())
        if module != "__future__" and not module.startswith("gennas")
    ]
    return "\n".join([future, "", *sorted(whole - {numpy}), *lines, "", numpy])
