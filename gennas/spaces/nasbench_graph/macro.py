"""What surrounds the four nodes of a NAS-Bench-Graph arch for each data set, and what a whole network costs.

The settings are those of Qin et al. (NeurIPS 2022). Its package does not state them: they are the only ones
(widths 64, 128, 256; none or one layer before and after) that reproduce the published numbers of parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: How many ``(width in, width out)`` matrices an operation has.
_MATRICES = {"gat": 1, "gcn": 1, "gin": 1, "cheb": 2, "sage": 2, "arma": 2, "graph": 2, "fc": 1, "skip": 0}


@dataclass(frozen=True)
class Macro:
    """The network around the nodes.

    Attributes:
        width: width of every node's output.
        before: whether a linear layer brings the features to this width first; without it the nodes that read
            the input read the features themselves.
        after: whether there are two linear layers after the concatenated leaves (to ``width``, to the classes)
            instead of one.
    """

    width: int
    before: bool
    after: bool

    def costs(self, link: Sequence[int], ops: Sequence[str], features: int, classes: int) -> dict[str, float]:
        """``params_m`` and ``macs_m`` of a network; see ``NasBenchGraph.costs``."""
        width = self.width
        macs = params = 0
        # The width of what each node puts out; the input's is the first.
        widths = [width if self.before else features]
        if self.before:
            macs += features * width
            params += width
        for source, op in zip(link, ops, strict=True):
            matrices = _MATRICES[op]
            macs += matrices * widths[source] * width
            # A bias, and in every node the batch norm before its operation.
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
#: For a graph that the benchmark does not have.
USUAL = Macro(128, before=True, after=True)
