"""The macro structure of NAS-Bench-Graph networks for each data set, and the costs of whole networks.

The settings are those of Qin et al. (NeurIPS 2022). The published package does not state them; of all combinations
(width 64, 128 or 256; a layer before; a layer after) only these reproduce the published numbers of parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: Number of ``(width in, width out)`` weight matrices of an operation.
_MATRICES = {"gat": 1, "gcn": 1, "gin": 1, "cheb": 2, "sage": 2, "arma": 2, "graph": 2, "fc": 1, "skip": 0}


@dataclass(frozen=True)
class Macro:
    """The network around the nodes.

    Attributes:
        width: output width of every node.
        before: whether a linear layer projects the features to this width first; otherwise the nodes that read the
            input read the raw features.
        after: whether two linear layers (to ``width``, then to the classes) follow the concatenated leaves, rather
            than one.
    """

    width: int
    before: bool
    after: bool

    def costs(self, link: Sequence[int], ops: Sequence[str], features: int, classes: int) -> dict[str, float]:
        """``params_m`` and ``macs_m`` of a network; see ``NasBenchGraph.costs``."""
        width = self.width
        macs = params = 0
        # Output width of each node, after that of the input.
        widths = [width if self.before else features]
        if self.before:
            macs += features * width
            params += width
        for source, op in zip(link, ops, strict=True):
            matrices = _MATRICES[op]
            macs += matrices * widths[source] * width
            # The bias, and the batch norm that every node has before its operation.
            params += width * (matrices > 0) + 2 * width
            widths.append(width if matrices else widths[source])
        params += 2 * width * ops.count("gat") + width * width * ops.count("arma")
        for c_in, c_out in self.head(link, classes):
            macs += c_in * c_out
            params += c_out
        return {"params_m": (macs + params) / 1e6, "macs_m": macs / 1e6}

    def head(self, link: Sequence[int], classes: int) -> list[tuple[int, int]]:
        """(width in, width out) of the linear layers after the leaves."""
        leaves = sum(node not in link for node in range(1, len(link) + 1))
        if self.after:
            return [(leaves * self.width, self.width), (self.width, classes)]
        return [(leaves * self.width, classes)]


#: Task -> the published setting.
PUBLISHED = {
    "cora": Macro(256, before=False, after=True),
    "citeseer": Macro(256, before=False, after=True),
    "pubmed": Macro(128, before=False, after=False),
    "cs": Macro(128, before=True, after=False),
    "physics": Macro(256, before=True, after=False),
    "photo": Macro(128, before=False, after=False),
    "computers": Macro(64, before=True, after=True),
    "arxiv": Macro(128, before=False, after=True),
    "proteins": Macro(256, before=True, after=True),
}
#: For graphs that are not in the benchmark.
USUAL = Macro(128, before=True, after=True)
