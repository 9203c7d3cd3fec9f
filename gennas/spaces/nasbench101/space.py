"""NAS-Bench-101: cells of up to seven vertices and nine edges, with one of three operations per vertex.

Ying, Klein, Christiansen, Real, Murphy and Hutter, "NAS-Bench-101: Towards Reproducible Neural Architecture
Search", ICML 2019.

In the template every inner vertex is a slot that may be absent, and every pair of slots is a free edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidInputError
from gennas.spaces.base import Space
from gennas.spaces.nasbench101.costs import network_costs, skeleton_widths
from gennas.spaces.nasbench101.isomorphism import (
    INNER,
    MOST_EDGES,
    all_codes,
    canonical_codes,
    codes_of,
    decoded,
    hash_module,
    random_permutations,
)
from gennas.spaces.nasbench101.notation import OPS, read_rows, read_spec, spec, written, written_rows
from gennas.spaces.template import FREE, Template
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.tasks import Task

_ABSENT = "absent"
_OUTPUT = INNER + 1


def _template() -> Template:
    slots = ("input", *(str(vertex) for vertex in range(1, INNER + 1)), "output")
    vocabulary = ("input", *OPS, _ABSENT, "output")
    allowed = np.zeros((len(slots), len(vocabulary)), dtype=bool)
    allowed[0, 0] = allowed[-1, -1] = True
    allowed[1:-1, 1:-1] = True
    return Template(slots, vocabulary, allowed, np.triu(np.full((len(slots),) * 2, FREE, np.int8), 1))


@cache
def _ops(labels: bytes) -> tuple[str, ...]:
    inner = (np.frombuffer(labels, dtype=np.int64) + 1).tolist()
    return ("input", *(NasBench101.template.vocabulary[op] for op in inner), "output")


@cache
def _wiring(present: bytes) -> tuple[tuple[tuple[int, int], ...], str]:
    """The edges of a valid cell and the rows of their notation, from its ``(7, 7)`` boolean matrix."""
    matrix = np.frombuffer(present, dtype=bool).reshape(_OUTPUT + 1, _OUTPUT + 1)
    edges = tuple((int(i), int(j)) for i, j in np.argwhere(matrix))
    return edges, _rows(2 + int(matrix[1:-1].any(axis=1).sum()), edges)


def _rows(vertices: int, edges: Sequence[tuple[int, int]]) -> str:
    return written_rows(vertices, {(i, vertices - 1 if j == _OUTPUT else j) for i, j in edges})


def _vertices(arch: Arch) -> tuple[list[str], list[tuple[int, int]]]:
    """The operations of the inner vertices, and the edges, with vertices numbered without gaps."""
    ops = [op for op in arch.ops[1:-1] if op != _ABSENT]
    return ops, [(i, len(ops) + 1 if j == _OUTPUT else j) for i, j in arch.edges]


def _canonical_codes(ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
    # The vocabulary is "input", then the operations and "absent" in the order of their labels.
    return canonical_codes(codes_of(ops[:, 1:-1] - 1, edges))


def _graphs(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(b, 7)`` vocabulary indices and ``(b, 7, 7)`` present edges of codes."""
    labels, edges = decoded(codes)
    ops = np.zeros((len(codes), _OUTPUT + 1), dtype=np.int64)
    ops[:, 1:-1] = labels + 1
    ops[:, -1] = NasBench101.template.vocabulary.index("output")
    return ops, edges


@dataclass(frozen=True)
class NasBench101(Space):
    """The space ``nasbench101`` with its macro skeleton.

    Skeleton: a 3x3 convolution to ``channels``; ``stacks`` stacks of ``modules`` cells; 2x2 max pooling and twice the
    channels from one stack to the next; global average pooling and a linear layer. Every convolution is followed by
    batch norm and ReLU.

    Args:
        channels: width of the stem and the first stack (published: 128); at least 4, as up to four vertices share
            them.
        stacks: number of stacks (published: 3).
        modules: cells per stack (published: 3).

    Raises:
        InvalidInputError: fewer than 4 channels.
    """

    name: ClassVar[str] = "nasbench101"
    template: ClassVar[Template] = _template()
    size: ClassVar[int | None] = 423_624
    absent: ClassVar[str | None] = _ABSENT

    channels: int = 128
    stacks: int = 3
    modules: int = 3

    def __post_init__(self) -> None:
        least = MOST_EDGES // 2  # every vertex that feeds the output needs an incoming and an outgoing edge
        if self.channels < least:
            raise InvalidInputError(
                f"skeleton setting channels={self.channels}; must be >= {least}, as up to {least} vertices share them."
            )

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """``110/01/1 conv3x3-bn-relu,maxpool3x3``: rows, a blank, the operations of the inner vertices in order.

        Row i holds one digit for every later vertex: whether there is an edge to it from vertex i. The input is the
        first vertex and the output the last. The cell without inner vertices is ``1``.
        """
        used = [op for op in ops[1:-1] if op != _ABSENT]
        return written(_rows(len(used) + 2, edges), used)

    def notations(self, arch: Arch) -> dict[str, str]:
        """``spec``: the matrix and operations of the benchmark's ``ModelSpec``, as JSON, which :meth:`read` reads."""
        ops, edges = _vertices(arch)
        return {"spec": spec(len(ops) + 2, edges, ops)}

    def read(self, key: str) -> PartialArch:
        """Parses a native string, or the JSON of a ``ModelSpec`` with ``matrix`` and ``ops``.

        A ``?`` in a row leaves an edge undecided. A ``?`` among the operations leaves undecided which one the vertex
        has, and also whether the vertex exists: ``?????/????/???/??/? ?,?,?,?`` stands for all cells of up to six
        vertices. Slots beyond the written vertices are absent.

        Raises:
            InvalidArchError: the string is malformed, or JSON with a vertex that is on no path from input to output;
                the benchmark's ``ModelSpec`` would silently remove it.
        """
        text = key.strip()
        is_spec = text.startswith("{")
        rows, inner = (read_spec if is_spec else read_rows)(text)
        slots = [*range(len(rows)), _OUTPUT]
        bits = {(slots[i], slots[i + 1 + k]): bit for i, row in enumerate(rows) for k, bit in enumerate(row)}
        present, undecided = (tuple(sorted(pair for pair in bits if bits[pair] == bit)) for bit in "1?")
        ops = ("input", *inner, *[_ABSENT] * (INNER - len(inner)), "output")
        if is_spec:
            self.arch([op for op in ops if op is not None], present)
        return PartialArch(self.name, ops, present, undecided)

    def rule_problems(self, arch: Arch) -> list[str]:
        """Edges at absent slots, absent slots before used ones, too many edges, and unconnected vertices."""
        slots = self.template.slots
        used = [slot for slot, op in enumerate(arch.ops) if op != _ABSENT]
        found = []
        for slot in sorted(set(range(len(slots))) - set(used)):
            if edges := [f"{slots[i]}->{slots[j]}" for i, j in arch.edges if slot in (i, j)]:
                found.append(f"slot {slots[slot]} is absent but has the edges {', '.join(edges)}")
            if slot < (last := used[-2]):
                found.append(f"slot {slots[slot]} is absent before slot {slots[last]}; absent slots must come last")
        if len(arch.edges) > MOST_EDGES:
            found.append(f"{len(arch.edges)} edges; expected at most {MOST_EDGES}")
        # In sorted order, whether a source is reached is known before its edges come; in reverse order, the same
        # holds for targets.
        fed, used_later = {0}, {_OUTPUT}
        for i, j in sorted(arch.edges):
            fed |= {j} if i in fed else set()
        for i, j in sorted(arch.edges, reverse=True):
            used_later |= {i} if j in used_later else set()
        if dangling := [f"{slots[i]} ({arch.ops[i]})" for i in used[1:-1] if i not in fed & used_later]:
            found.append(f"on no path from input to output: {', '.join(dangling)}")
        if _OUTPUT not in fed:
            found.append("no path from input to output")
        return found

    def keeps_rules(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        used = ops != self.template.vocabulary.index(_ABSENT)
        has_input, has_output = edges.any(axis=1), edges.any(axis=2)
        without_gaps = (used[:, 1:-2] | ~used[:, 2:-1]).all(axis=1)
        # As edges only go forward, all vertices are on a path if and only if each has an edge in and an edge out.
        on_paths = (has_input == used)[:, 1:].all(axis=1) & (has_output == used)[:, :-1].all(axis=1)
        return without_gaps & on_paths & (edges.sum(axis=(1, 2)) <= MOST_EDGES)

    def channel_shares(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Vertices that feed the output share its channels; every other one is as wide as the widest it feeds."""
        feeding = edges[:, 1:-1, -1]
        shares = np.ones(ops.shape)
        for vertex in range(INNER, 0, -1):
            widest = np.where(edges[:, vertex, 1:-1], shares[:, 1:-1], 0).max(1)
            shares[:, vertex] = np.where(feeding[:, vertex - 1], 1 / feeding.sum(1).clip(1), widest)
        return shares

    def permuted(self, ops: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The same cells, each permuted uniformly at random among the orders in which all edges go forward."""
        slots = random_permutations(ops == self.template.vocabulary.index(_ABSENT), edges, rng)
        graph = np.arange(len(ops))[:, None]
        return ops[graph, slots], edges[graph[:, :, None], slots[:, :, None], slots[:, None, :]]

    def canonical_form(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same valid cells, each in its canonical form."""
        return _graphs(_canonical_codes(ops, edges))

    def md5(self, arch: Arch) -> str:
        """The graph hash that identifies the cell in NAS-Bench-101; isomorphic cells have the same hash."""
        ops, edges = self.arrays([arch])
        vertices = np.flatnonzero(ops[0] != self.template.vocabulary.index(_ABSENT))
        return hash_module(edges[0][np.ix_(vertices, vertices)], [-1, *(ops[0, vertices[1:-1]] - 1).tolist(), -2])

    def canonical(self, arch: Arch) -> Arch:
        """The permutation of the cell with the smallest code: one of the 423,624 of :meth:`enumerate`.

        Two cells have the same canonical form if and only if they are isomorphic, as in the benchmark. If the channels
        of a stack cannot be shared evenly, lower-numbered vertices get one more, so the networks of two isomorphic
        cells may differ by one channel per vertex.
        """
        return next(self._archs(_canonical_codes(*self.arrays([arch]))))

    def enumerate(self) -> Iterator[Arch]:
        """Yields the canonical form of every cell: by vertices, then edges, then operations."""
        return self._archs(all_codes())

    def enumerate_graphs(self) -> tuple[np.ndarray, np.ndarray]:
        return _graphs(all_codes())

    def _archs(self, codes: np.ndarray) -> Iterator[Arch]:
        """The archs of canonical codes."""
        for labels, present in zip(*decoded(codes), strict=True):
            ops = _ops(labels.tobytes())
            edges, rows = _wiring(present.tobytes())
            key = written(rows, [op for op in ops[1:-1] if op != _ABSENT])
            yield Arch(self.name, key, ops, edges)

    def sample(self, rng: np.random.Generator) -> Arch:
        """Draws a cell uniformly from :meth:`enumerate`."""
        codes = all_codes()
        return next(self._archs(codes[rng.integers(len(codes), size=1)]))

    def build(self, arch: Arch, task: Task) -> nn.Module:
        from gennas.spaces.nasbench101.network import NasBench101Network

        ops, edges = _vertices(arch)
        widths = self._widths(ops, edges)
        return NasBench101Network(
            ops, edges, widths, in_channels=image_shape(task, f"space {self.name!r}")[0], classes=task.num_classes
        )

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        """Parameters and multiply-adds as counted by the tables of NAS-Bench-101 (both in millions).

        Multiply-adds: a convolution's products, two per batch-norm output, and the linear layer's products; nothing
        for ReLU, pooling, sums and the linear layer's bias. Like the network, they depend on the order of the vertices
        if channels cannot be shared evenly; the tables hold each cell in the order in which it was trained.
        """
        ops, edges = _vertices(arch)
        params, macs = network_costs(
            ops, edges, self._widths(ops, edges), image_shape(task, f"space {self.name!r}"), task.num_classes
        )
        return {"params_m": params / 1e6, "macs_m": macs / 1e6}

    def _widths(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> list[list[list[int]]]:
        return skeleton_widths(len(ops) + 2, edges, self.channels, self.stacks, self.modules)
