"""Cross-references of docstrings (``:class:`gennas.arch.Arch```) as links of the documentation site."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|attr|mod|data|exc):`(~?)([\w.]+)`")


def _link(match: re.Match[str]) -> str:
    short, target = match.groups()
    text = target.rpartition(".")[2] if short or target.startswith("gennas.") else target
    # A link where the site has a page of the target, plain code where it has none.
    return f'<autoref identifier="{target}" optional><code>{text}</code></autoref>'


class Roles(griffe.Extension):
    """Rewrites the roles of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)
