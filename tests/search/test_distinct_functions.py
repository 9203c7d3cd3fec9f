"""Nothing that computes the same as an evaluated arch is proposed, evaluated or trained again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from loop_toys import ACCURACY, SPACE, Attentive, Toy, accuracy_of, problem
from toys import Toy as ToySpace

from gennas.arch import Arch
from gennas.benchmarks.simulation import simulate
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.executors.inline import InlineExecutor
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.loop import run
from gennas.search.mutation import random_archs
from gennas.search.policies.area import Area
from gennas.search.policies.registry import POLICIES, make_policy
from gennas.search.run import search_archs
from gennas.search.search import Search
from gennas.search.taken import Taken
from gennas.spaces.functions import Distinct, function_key, key_of
from gennas.spaces.template import FIXED, Template
from gennas.studies.cache import Cache
from gennas.studies.records import Proposed
from gennas.studies.study import Study
from gennas.tasks import Task, get_task

#: The cells of NAS-Bench-201 within it compute 48 functions, one of which ignores its input.
SMALL = "params_m <= 0.08"
QUICK = {
    "bananas": {"steps": "5", "candidates": "20"},
    "gp": {"steps": "3", "candidates": "20", "first": "6"},
    "smac": {"challengers": "100", "searches": "1", "tries": "4"},
}


class Chain(ToySpace):
    """A user's chain of four slots of which each may be skipped: 3 operations, 81 archs, 31 functions."""

    name = "chain"
    template = Template(
        ("in", "a", "b", "c", "d", "out"),
        ("in", "p", "q", "skip", "out"),
        np.array([[1, 0, 0, 0, 0], *[[0, 1, 1, 1, 0]] * 4, [0, 0, 0, 0, 1]], dtype=bool),
        np.where(np.eye(6, k=1), FIXED, 0).astype(np.int8),
    )

    def canonical(self, arch: Arch) -> Arch:
        """What is skipped comes last."""
        inner = [op for op in arch.ops[1:-1] if op != "skip"]
        return self.arch(["in", *inner, *["skip"] * (4 - len(inner)), "out"])


class ListedChain(Chain):
    """The same, which says how many archs it has."""

    size = 81


def functions_of(archs: Sequence[Arch], space: ToySpace | None = None) -> set[str]:
    return {function_key(space or SPACE, arch) for arch in archs}


def chain_problem(listed: bool) -> Problem:
    return Problem(ListedChain() if listed else Chain(), get_task("cifar10"), Objective.parse("accuracy@cifar10"))


def policy_of(method: str, problem: Problem) -> Policy:
    if method == "area":
        archs = random_archs(problem.space, 20, np.random.default_rng(3))
        return Area(problem, drawn=40, scores=pd.DataFrame({"naswot": range(20)}, [arch.key for arch in archs]))
    return make_policy(method, problem, QUICK.get(method))


class Hashed(Evaluator):
    """Instant, and different for archs of the same function, as a table's values are."""

    source, is_instant = "table", True

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {f"accuracy@{task.name}": np.random.default_rng(list(arch.key.encode())).random()}


@pytest.mark.parametrize("listed", [True, False], ids=["size", "no-size"])
@pytest.mark.parametrize("method", [name for name in POLICIES.list() if name not in ("gennas", "generator")])
def test_every_policy_proposes_every_function_of_a_chain_with_skips_once(method: str, listed: bool) -> None:
    chain = chain_problem(listed)
    result = search_archs(chain, 60, policy=policy_of(method, chain), evaluators=[Hashed()], seed=1)
    keys = result.frame()["key"]
    assert len(keys) == 31 == len(functions_of([chain.space.parse(key) for key in keys], chain.space))
    assert any("no" in note and "31" in note and "functions" in note for note in result.notes), result.notes


BOUNDED = Problem(SPACE, get_task("cifar10"), Objective.parse("accuracy"), (Constraint.parse(SMALL),))


@pytest.mark.parametrize("policy", ["gennas", "generator"])
def test_the_last_functions_within_a_bound_are_found_among_all_that_is_generated(policy: str) -> None:
    by_function = {function_key(SPACE, arch): arch for arch in within() if not SPACE.is_constant(arch)}
    assert len(by_function) == 47
    left = {key: by_function.pop(key) for key in list(by_function)[5:8]}
    known = tuple(by_function.values())
    values, nothing = np.random.default_rng(0).random((44, 1)), np.zeros(44, dtype=bool)
    values = np.column_stack([values, [SPACE.costs(arch, BOUNDED.task)["params_m"] for arch in known]])
    history = History(known, values, nothing, nothing, ("random",) * 44, key_of(SPACE, "functions"))
    proposals = make_policy(policy, BOUNDED).propose(3, history, np.random.default_rng(0))
    found = {function_key(SPACE, proposal.arch) for proposal in proposals}
    assert len(found) == len(proposals) == 3
    constant = {function_key(SPACE, arch) for arch in within() if SPACE.is_constant(arch)}
    assert found <= (set(left) if policy == "gennas" else set(left) | constant)


@cache
def within() -> list[Arch]:
    kept = BOUNDED.where[0].holds
    return [arch for arch in SPACE.enumerate() if kept(SPACE.costs(arch, BOUNDED.task)["params_m"])]


def test_all_functions_within_a_bound_and_a_word_that_there_are_no_more() -> None:
    result = search_archs(BOUNDED, 60, policy="regularised_evolution", evaluators=[Hashed()], seed=0)
    assert result.proposed == 48 == len(functions_of([SPACE.parse(key) for key in result.frame()["key"]]))
    word = "there are no more functions within params_m <= 0.08: all 48 were proposed."
    assert any(note.startswith(word) for note in result.notes), result.notes


def test_a_search_that_has_no_more_functions_resumes_and_goes_on_with_repeats(tmp_path: Path) -> None:
    chain = chain_problem(listed=True)
    for budget in (40, 60):
        result = search_archs(chain, budget, policy="random", evaluators=[Hashed()], study=tmp_path)
        assert result.proposed == 31
        assert any("there are no more functions: all 31 were proposed" in note for note in result.notes)
    more = search_archs(chain, 60, policy="random", evaluators=[Hashed()], study=tmp_path, distinct="archs")
    assert more.proposed == 60 == more.frame()["key"].nunique()
    assert not any("no more" in note for note in more.notes)


def test_functions_repeat_where_that_is_allowed_only() -> None:
    chain = chain_problem(listed=True)
    archs = search_archs(chain, 81, policy="random", evaluators=[Hashed()], distinct="archs").frame()["key"]
    assert archs.nunique() == 81
    with pytest.raises(InvalidInputError, match=r"is 'both'; must be 'functions' or 'archs'"):
        search_archs(chain, 5, policy="random", evaluators=[Hashed()], distinct="both")  # type: ignore[arg-type]


def test_tables_are_simulated_arch_by_arch_as_published() -> None:
    chain = chain_problem(listed=True)
    keys = [arch.key for arch in chain.space.enumerate()]
    table = pd.DataFrame({"accuracy@cifar10": np.linspace(0, 1, 81)}, keys)
    policy = make_policy("random", chain)
    assert len(simulate(chain, policy, table, budget=81, batch=5, seed=0).archs) == 81
    assert len(simulate(chain, policy, table, budget=81, batch=5, seed=0, distinct="functions").archs) == 31


def test_a_policy_that_knows_no_functions_is_helped(tmp_path: Path) -> None:
    """What it proposes again is replaced; the study has distinct functions, and resumes the same way."""
    with Study.open(tmp_path, {"seed": 0}) as study:
        history = run(problem(), Repeating(), [Hashed()], study, budget=12, batch=4, seed=0)
    assert len(functions_of(history.archs)) == 12
    assert set(history.proposed_by) == {"stubborn", "random"}


class Repeating(Policy):
    """Proposes one identity after the other, written with other edges that lead nowhere."""

    name = "repeating"

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        ops = ("none", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
        keys = [f"|{a}~0|+|{b}~0|none~1|+|skip_connect~0|none~1|none~2|" for a in ops for b in ops]
        new = [SPACE.parse(key) for key in keys if key not in history.keys]
        return [Proposal(arch, "stubborn") for arch in new[:q]]


IDENTITIES = [
    SPACE.parse(f"|{op}~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    for op in ("nor_conv_3x3", "nor_conv_1x1", "none")
]


class Given(Policy):
    name = "given_anyway"

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        return [Proposal(arch, "given") for arch in IDENTITIES if arch.key not in history.keys][:q]


def test_a_study_with_repeated_functions_resumes_and_shares_what_was_trained(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Study.open(tmp_path / "run", {"seed": 0}) as study, InlineExecutor() as executor:
        # As an earlier version proposed: one evaluated, two of the same function waiting.
        run(problem(), Given(), [Toy(log=log)], study, executor, budget=1, batch=1, seed=0)
        rows = [Proposed(number=n, batch=n, arch=IDENTITIES[n].key, proposed_by="given") for n in (1, 2)]
        study.add(rows)
        history = run(problem(), Given(), [Toy(log=log)], study, executor, budget=3, batch=1, seed=0)
        assert len(log.read_text().splitlines()) == 1
        assert len(set(history.values[:, 0])) == 1
        assert not history.failed.any()
        assert {row.arch for row in study.find(metric=ACCURACY)} == {arch.key for arch in IDENTITIES}
        # And goes on with other functions.
        history = run(problem(), Attentive(), [Toy(log=log)], study, executor, budget=6, batch=1, seed=0)
    assert len(history.archs) == 6
    assert len(functions_of(history.archs)) == 4


def test_the_cache_shares_what_depends_on_the_function_alone(tmp_path: Path) -> None:
    log, shared = tmp_path / "log", Cache(f"sqlite:///{tmp_path / 'cache.sqlite'}")
    for number, arch in enumerate(IDENTITIES):
        with Study.open(tmp_path / str(number), {"seed": 0}) as study, InlineExecutor() as executor:
            study.add([Proposed(number=0, batch=0, arch=arch.key, proposed_by="given")])
            evaluators = [CostEvaluator(SPACE), Toy(log=log)]
            history = run(
                problem("params_m <= 9"), Given(), evaluators, study, executor, budget=1, batch=1, seed=0, cache=shared
            )
            (stored,) = {row.arch for row in study.find()}
            assert stored == arch.key, "rows are the arch's own"
            costs = SPACE.costs(arch, problem().task)["params_m"]
            assert history.values[0].tolist() == [pytest.approx(accuracy_of(IDENTITIES[0])), costs], "costs are its own"
    assert log.read_text().splitlines() == [IDENTITIES[0].key]


def evaluated_with(cache: Cache, folder: Path, arch: Arch, distinct: Distinct) -> list[str]:
    """Evaluates one arch; the keys of what was not known."""
    log = folder.with_suffix(".log")
    log.touch()
    with Study.open(folder, {"seed": 0}) as study, InlineExecutor() as executor:
        study.add([Proposed(number=0, batch=0, arch=arch.key, proposed_by="given")])
        run(
            problem(),
            Given(),
            [Toy(log=log)],
            study,
            executor,
            budget=1,
            batch=1,
            seed=0,
            cache=cache,
            distinct=distinct,
        )
    return log.read_text().splitlines()


def test_what_a_function_shares_is_not_taken_for_an_evaluation_of_its_first_arch(tmp_path: Path) -> None:
    first = SPACE.canonical(IDENTITIES[0])
    other = next(arch for arch in IDENTITIES if arch != first)
    cache = Cache(f"sqlite:///{tmp_path / 'cache.sqlite'}")
    assert evaluated_with(cache, tmp_path / "a", other, "functions") == [other.key]
    # Written where archs count as such, it is an evaluation of its own, and it stays.
    assert evaluated_with(cache, tmp_path / "b", first, "archs") == [first.key]
    with Study.open(tmp_path / "b", {"seed": 0}) as study:
        assert study.find(metric=ACCURACY)[0].value == pytest.approx(accuracy_of(first))
    assert evaluated_with(cache, tmp_path / "c", first, "archs") == []
    # What archs that count as such gave of one arch is nothing that others share.
    third = next(arch for arch in IDENTITIES if arch not in (first, other))
    assert evaluated_with(cache, tmp_path / "d", third, "functions") == [], "what the function shares"
    fresh = Cache(f"sqlite:///{tmp_path / 'fresh.sqlite'}")
    assert evaluated_with(fresh, tmp_path / "e", first, "archs") == [first.key]
    assert evaluated_with(fresh, tmp_path / "f", other, "functions") == [other.key]


def test_with_repeats_allowed_nothing_is_shared(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Study.open(tmp_path / "run", {"seed": 0}) as study, InlineExecutor() as executor:
        run(problem(), Given(), [Toy(log=log)], study, executor, budget=3, batch=1, seed=0, distinct="archs")
    assert log.read_text().splitlines() == [arch.key for arch in IDENTITIES]


def test_asking_ends_with_the_last_function() -> None:
    chain = chain_problem(listed=False)
    search = Search(chain, budget=60, policy="random")
    for trial in search:
        search.tell(trial, {"accuracy": 0.5})
    assert len(search.trials) == 31
    assert search.is_exhausted
    assert "no further functions were found after 31" in search.notes[-1]


def test_what_is_taken() -> None:
    taken = Taken(key_of(SPACE, "functions"), IDENTITIES[:1])
    assert IDENTITIES[2] in taken
    assert len(taken.beside(IDENTITIES)) == 1
    other = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert list(taken.untaken([*IDENTITIES, other, other])) == [other]
    assert list(taken.untaken([other], lambda arch: False)) == []
    assert other in taken.beside([other])
    assert other not in taken, "the copy was changed"
    by_key = Taken.of({IDENTITIES[0].key})
    assert IDENTITIES[0] in by_key
    assert IDENTITIES[1] not in by_key


def test_what_an_arch_computes_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search asks of the same thousands of archs in every iteration."""
    calls: list[str] = []
    canonical = Chain.canonical

    def counted(self: Chain, arch: Arch) -> Arch:
        calls.append(arch.key)
        return canonical(self, arch)

    monkeypatch.setattr(Chain, "canonical", counted)
    function_key.cache_clear()
    search_archs(chain_problem(listed=True), 31, policy="regularised_evolution", evaluators=[Hashed()])
    assert len(calls) == len(set(calls)) <= 81
    assert json.loads(calls[0])


def test_exhaustion_is_not_claimed_of_a_search_that_used_its_budget() -> None:
    search = Search(chain_problem(listed=True), budget=10, policy="random")
    for trial in search:
        search.tell(trial, {"accuracy": 0.5})
    assert not search.is_exhausted
    assert not any("no more" in note for note in search.notes)


class Failing(Hashed):
    """Fails wherever the first operation is ``q``."""

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        if arch.ops[1] == "q":
            raise RuntimeError("out of memory")
        return super().evaluate(arch, task=task)


@pytest.mark.parametrize("method", ["bananas", "gp", "regularised_evolution"])
def test_what_failed_is_known_too_and_the_last_functions_are_found_beside_it(method: str) -> None:
    chain = chain_problem(listed=True)
    result = search_archs(chain, 40, policy=policy_of(method, chain), evaluators=[Failing()], seed=0)
    assert result.proposed == 31
    assert result.failed > 0
    assert any("all 31 were proposed" in note for note in result.notes)
