"""The NAS-Bench-Graph space: notation, canonical form, permutations, costs and networks."""

import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.nasbench_graph.space import NasBenchGraph
from gennas.spaces.nasbench_graph.trees import LINKS, OPS, canonical, permutations
from gennas.tables import load_table
from gennas.tasks import Task, get_task
from gennas.testing import check_space

SPACE = NasBenchGraph()
ARCHS = list(SPACE.enumerate())
KEYS = [arch.key for arch in ARCHS]
ALL_LINKS = list(itertools.product((0,), range(2), range(3), range(4)))
TINY = Task("tiny", (12,), 5)


# Notation


def test_key_is_the_published_notation() -> None:
    arch = SPACE.parse(" 0012 gat  gcn gin cheb\n")
    assert arch.key == "0012 gat gcn gin cheb"
    assert arch.ops == ("input", "gat", "from0", "gcn", "from1", "gin", "from2", "cheb", "output")
    assert all(SPACE.parse(key) == arch for key, arch in zip(KEYS, ARCHS, strict=True))


def test_question_marks_leave_open() -> None:
    partial = SPACE.read("?0?2 gat ? gin skip")
    assert partial.ops == ("input", "gat", "from0", None, None, "gin", "from2", "skip", "output")
    with pytest.raises(InvalidArchError, match="is incomplete"):
        SPACE.parse("001? gat gcn gin skip")
    assert SPACE.read("0000 ? ? ? ?").ops[2] == "from0"
    assert SPACE.partial("link3=from1, node4=fc").ops[4:] == ("from1", None, None, "fc", "output")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", ["'' is not a valid nasbench_graph arch", "0 words; expected 5"]),
        ("0012 gat gcn gin", ["4 words; expected 5, as in '0012 gat gcn gin cheb'"]),
        ("001 gat gcn gin cheb", ["'001' has links for 3 nodes; expected 4"]),
        ("0412 gat gcn gin cheb", ["node 2 reads '4'; expected 0 to 1"]),
        ("0022 gat gcn gin gatt", ["unknown nasbench_graph operation 'gatt'. Did you mean 'gat'?"]),
        ("0032 gat gcn gin cheb", ["node 3 reads '3'; expected 0 to 2, or '?'"]),
        ("1012 gat gcn gin cheb", ["node 1 reads '1'; expected 0, or '?'"]),
    ],
)
def test_malformed_strings_are_explained(key: str, words: list[str]) -> None:
    with pytest.raises(InvalidArchError) as caught:
        SPACE.parse(key)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert repr(key) in str(caught.value)


def test_every_choice_of_the_template_is_an_arch() -> None:
    template = SPACE.template
    assert not template.free_edges
    choices = [np.flatnonzero(row) for row in template.allowed]
    assert np.prod([len(row) for row in choices]) == len(ALL_LINKS) * 9**4 == 157_464
    rng = np.random.default_rng(0)
    for _ in range(200):
        ops = [template.vocabulary[rng.choice(row)] for row in choices]
        arch = SPACE.arch(ops)
        assert SPACE.parse(arch.key) == arch
        assert not SPACE.is_constant(arch)


# Canonical form


def test_canonical_archs_are_those_of_the_table() -> None:
    assert len(set(KEYS)) == SPACE.size == 26_206
    assert list(load_table("nasbench_graph").frame.index) == KEYS
    assert all(SPACE.canonical(arch) == arch for arch in ARCHS[::50])
    ops, edges = SPACE.enumerate_graphs()
    again = SPACE.arrays(ARCHS)
    assert np.array_equal(ops, again[0])
    assert np.array_equal(edges, again[1])


def test_all_combinations_are_equivalent_to_an_arch_of_the_table() -> None:
    found: Counter[str] = Counter()
    for link in ALL_LINKS:
        for ops in itertools.product(OPS, repeat=4):
            first, words = canonical(link, ops)
            found[" ".join(("".join(map(str, first)), *words))] += 1
    assert set(found) == set(KEYS)
    assert sum(found.values()) == 157_464


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("0121 gcn gin fc cheb", "0112 gcn gin cheb fc"),
        ("0000 gin fc gat gcn", "0000 gat gcn gin fc"),
        ("0012 gcn gat gin fc", "0012 gat gcn fc gin"),
        ("0123 gcn gat gin skip", "0123 skip gcn gat gin"),  # the only reader of a node
        ("0112 gcn skip gat fc", "0122 skip gcn gat fc"),  # is read
        ("0011 gcn gat skip fc", "0011 gcn gat fc skip"),  # a leaf next to its sibling
        ("0011 gcn gat skip skip", "0011 gcn gat skip skip"),
        ("0000 skip gcn gat fc", "0111 skip gat gcn fc"),  # raw features next to wider outputs
        ("0110 skip gcn gat skip", "0122 skip skip gat gcn"),
        ("0101 skip skip skip skip", "0123 skip skip skip fc"),
    ],
)
def test_canonical_form(key: str, expected: str) -> None:
    assert SPACE.canonical(SPACE.parse(key)).key == expected
    assert SPACE.canonical(SPACE.parse(expected)).key == expected


def test_the_links_are_the_trees_of_four_nodes() -> None:
    trees = {frozenset(permuted for permuted, _ in permutations(link)) for link in ALL_LINKS}
    assert len(trees) == len(LINKS) == 9
    assert sum(map(len, trees)) == len(ALL_LINKS) == 24
    assert all(sum(link in tree for link in LINKS) == 1 for tree in trees)


# Dataflow


def test_dataflow_follows_the_links_of_the_key() -> None:
    archs = ARCHS[::97]
    ops, edges = SPACE.arrays(archs)
    given_ops, flow = SPACE.dataflow(ops, edges)
    assert given_ops is ops
    slots = SPACE.template.slots
    for arch, found in zip(archs, flow, strict=True):
        link = [int(source) for source in arch.key.split()[0]]
        names = ["input", "node1", "node2", "node3", "node4"]
        expected = {(names[source], names[node]) for node, source in enumerate(link, start=1)}
        expected |= {(names[node], "output") for node in range(1, 5) if node not in link}
        assert {(slots[i], slots[j]) for i, j in np.argwhere(found)} == expected


def test_dataflow_of_the_chain_and_of_the_star() -> None:
    for key, leaves in (("0123 gat gcn gin cheb", ["node4"]), ("0000 gat gcn gin cheb", SPACE.template.slots[1:-1:2])):
        _, flow = SPACE.dataflow(*SPACE.arrays([SPACE.parse(key)]))
        assert [SPACE.template.slots[i] for i in np.flatnonzero(flow[0, :, -1])] == list(leaves)


def test_dataflow_of_an_empty_batch() -> None:
    assert SPACE.dataflow(*SPACE.arrays([]))[1].shape == (0, 9, 9)


# Permutations


def test_permuting_keeps_the_function_and_reaches_every_permutation() -> None:
    ops, edges = SPACE.enumerate_graphs()
    rng = np.random.default_rng(1)
    permuted, permuted_edges = SPACE.permuted(ops, edges, rng)
    assert (permuted != ops).any(axis=1).mean() > 0.5
    allowed = SPACE.template.allowed[np.arange(permuted.shape[1]), permuted]
    assert allowed.all()
    back, back_edges = SPACE.canonical_form(permuted, permuted_edges)
    assert np.array_equal(back, ops)
    assert np.array_equal(back_edges, edges)
    words = np.array(SPACE.template.vocabulary)
    for row in range(0, len(ops), 500):
        assert SPACE.canonical(SPACE.arch(words[permuted[row]].tolist())) == ARCHS[row]


def test_permutations_are_drawn_uniformly() -> None:
    arch = SPACE.parse("0012 gat gcn gin cheb")
    ops, edges = SPACE.arrays([arch] * 6_000)
    permuted, _ = SPACE.permuted(ops, edges, np.random.default_rng(2))
    counts = Counter(map(tuple, permuted.tolist()))
    # Four nodes in two chains, each in its order: 4! / (2! 2!) permutations.
    assert len(counts) == 6
    assert max(abs(count - 1_000) for count in counts.values()) < 150


def test_permuting_an_empty_batch() -> None:
    ops, edges = SPACE.arrays([])
    assert SPACE.permuted(ops, edges, np.random.default_rng(0))[0].shape == (0, 9)
    assert SPACE.canonical_form(ops, edges)[0].shape == (0, 9)


def test_samples_are_canonical() -> None:
    rng = np.random.default_rng(3)
    drawn = {SPACE.sample(rng).key for _ in range(300)}
    assert drawn <= set(KEYS)
    assert len(drawn) > 290


# Costs and networks


def _data_folder() -> Path:
    beside = Path(__file__).parents[3] / "shared" / "data"
    return Path(os.environ.get("GENNAS_DATA") or beside)


def test_costs_equal_the_published_columns_on_all_archs() -> None:
    path = _data_folder() / "nasbench_graph.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set GENNAS_DATA to the folder that holds it")
    published = pd.read_parquet(path)
    assert list(published["link"] + " " + published["ops"]) == KEYS
    for name in ("cora", "citeseer", "pubmed", "cs", "photo", "computers", "arxiv", "physics"):
        task = get_task(name)
        ours = np.array([SPACE.costs(arch, task)["params_m"] for arch in ARCHS])
        # Published with six digits.
        differ = np.abs(published[f"params_{name}"] / ours - 1) > 6e-6
        assert differ.sum() == (1_567 if name == "physics" else 0), name


@pytest.mark.parametrize(
    ("task", "key", "params_m"),
    # Published with the benchmark.
    [
        ("arxiv", "0000 gat gat gat gat", 0.138920),
        ("arxiv", "0000 gat gat gat cheb", 0.155048),
        ("proteins", "0000 gcn gcn gcn gcn", 0.558704),
        ("proteins", "0012 gcn gcn gcn gcn", 0.427632),
    ],
)
def test_costs_equal_published_values(task: str, key: str, params_m: float) -> None:
    assert SPACE.costs(SPACE.parse(key), get_task(task))["params_m"] == pytest.approx(params_m, abs=5e-7)


def _archs(count: int) -> list[Arch]:
    """Random archs, and every operation applied to raw features and to the output of a node."""
    rng = np.random.default_rng(4)
    keys = [f"0123 skip {op} {op} fc" for op in OPS]
    keys += ["".join(map(str, ALL_LINKS[rng.integers(24)])) + " " + " ".join(rng.choice(OPS, 4)) for _ in range(count)]
    return [SPACE.parse(key) for key in keys]


@pytest.mark.parametrize("name", ["pubmed", "computers", "arxiv", "proteins"])
def test_built_networks_have_the_claimed_costs(name: str) -> None:
    task = get_task(name)
    for arch in _archs(12):
        network = SPACE.build(arch, task)
        costs = SPACE.costs(arch, task)
        assert sum(p.numel() for p in network.parameters()) == round(costs["params_m"] * 1e6), arch.key
        # Every weight matrix counts but the unused one of an ARMA layer.
        unused = sum(module.weight.numel() for module in network.modules() if type(module).__name__ == "ARMAConv")
        matrices = sum(p.numel() for n, p in network.named_parameters() if p.squeeze().dim() == 2 and "att" not in n)
        assert matrices - unused == round(costs["macs_m"] * 1e6), arch.key


def _graph(nodes: int = 9, features: int = 12) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    ring = torch.arange(nodes)
    chords = torch.randint(nodes, (2, 6), generator=rng)
    one_way = torch.cat([torch.stack([ring, (ring + 1) % nodes]), chords[:, chords[0] != chords[1]]], dim=1)
    edges = torch.cat([one_way, one_way.flip(0)], dim=1).unique(dim=1)
    return torch.randn(nodes, features, generator=rng), edges


def _network(arch: Arch, task: Task = TINY) -> nn.Module:
    torch.manual_seed(0)
    return SPACE.build(arch, task).eval()


def test_networks_are_permutation_equivariant() -> None:
    x, edges = _graph()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    for arch in _archs(20):
        network = _network(arch)
        with torch.no_grad():
            logits = network(x, edges)
            moved = network(x[order], order.argsort()[edges])
        assert logits.shape == (9, 5)
        assert torch.allclose(logits[order], moved, atol=1e-5), arch.key


def test_only_graph_operations_use_the_edges() -> None:
    x, edges = _graph()
    for op in OPS:
        network = _network(SPACE.parse(f"0123 skip skip fc {op}"))
        with torch.no_grad():
            same = torch.allclose(network(x, edges), network(x, edges[:, :4]), atol=1e-6)
        assert same == (op in ("fc", "skip")), op


def test_archs_of_equal_function_are_one_network() -> None:
    x, edges = _graph()
    with torch.no_grad():
        first = _network(SPACE.parse("0121 gcn gin fc cheb"))(x, edges)
        second = _network(SPACE.parse("0112 gcn gin cheb fc"))(x, edges)
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["tiny", "pubmed"])
def test_networks_train(name: str) -> None:
    task = Task(name, (12,), 5)
    x, edges = _graph()
    network = SPACE.build(SPACE.parse("0112 gat skip sage arma"), task).train()
    network(x, edges).logsumexp(1).sum().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(gradients) > 10
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_images_are_refused() -> None:
    cifar10 = get_task("cifar10")
    message = "space 'nasbench_graph' needs a graph, but task 'cifar10' has 3x32x32 images; choose .* e.g. cora"
    for work in (SPACE.build, SPACE.costs):
        with pytest.raises(InvalidInputError, match=message):
            work(ARCHS[0], cifar10)
    images = get_space("nasbench201", "channels=4,cells=1")
    cell = images.sample(np.random.default_rng(0))
    message = "space 'nasbench201' needs images, but task 'cora' is on a graph with 1433 features per node; choose"
    for work in (images.build, images.costs):
        with pytest.raises(InvalidInputError, match=message):
            work(cell, get_task("cora"))


def test_passes_the_conformance_suite() -> None:
    check_space(get_space("nasbench_graph"), TINY)
