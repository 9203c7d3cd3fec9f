"""What all labels have in common is found in them, and what lies outside of it is said to be unknown."""

from __future__ import annotations

import numpy as np
import pytest
from parts_spaces import DepthChain

from gennas.errors import InvalidInputError
from gennas.predictors.domain import Domain, domains_of, restricted, undecided
from gennas.spaces import get_space

SPACE = get_space("mobilenet_v3")
RNG = np.random.default_rng
LARGE = Domain({"resolution": "r224"}, {"width": 100})
ARCHS = [SPACE.sample(RNG(seed)) for seed in range(60)]
AT_224 = [SPACE.parse(arch.key.replace(arch.ops[1], "r224", 1)) for arch in ARCHS]


def ops_of(archs: list[object]) -> np.ndarray:
    return SPACE.arrays(archs)[0]  # type: ignore[arg-type]


def test_a_choice_that_all_labels_share_is_found() -> None:
    assert Domain.of(SPACE, ops_of(AT_224)) == LARGE
    assert not Domain.of(SPACE, ops_of(ARCHS))
    # Of few archs, what they share may be chance.
    assert not Domain.of(SPACE, ops_of(AT_224[:49]))


def test_a_choice_whose_alternatives_other_slots_show_needs_more_labels() -> None:
    space, rng = get_space("nasbench201"), RNG(0)
    archs = [space.parse("|none~0|" + space.sample(rng).key.split("|", 2)[2]) for _ in range(1000)]
    ops = space.arrays(archs)[0]
    assert not Domain.of(space, ops[:999])
    assert Domain.of(space, ops).fixed == {"0->1": "none"}


def test_slots_that_are_no_positions_have_no_domain() -> None:
    space = get_space("nasbench101")
    archs = [arch for arch in (space.sample(RNG(seed)) for seed in range(400)) if arch.ops[1] == "conv3x3-bn-relu"]
    assert len(archs) > 30
    assert not Domain.of(space, space.arrays(archs)[0])


def test_archs_and_networks_outside_are_told() -> None:
    assert LARGE.holds(SPACE, [AT_224[0], ARCHS[0]]).tolist() == [True, ARCHS[0].ops[1] == "r224"]
    assert not LARGE.holds(get_space("mobilenet_v3", "width=120"), AT_224).any()
    assert Domain().holds(get_space("mobilenet_v3", "width=120"), ARCHS).all()


def test_it_is_stored_in_a_configuration() -> None:
    assert domains_of({"domains": {"accuracy@imagenet": LARGE.document()}}) == {"accuracy@imagenet": LARGE}
    assert domains_of({}) == {}


def test_archs_are_moved_into_it() -> None:
    ops, _ = LARGE.within(SPACE, *SPACE.arrays(ARCHS))
    assert np.array_equal(ops, ops_of(AT_224))


def test_archs_are_moved_where_a_choice_switches_others() -> None:
    space = DepthChain()
    depth = next(slot for slot in space.template.slots if slot.startswith("depth"))
    at, word = space.template.slots.index(depth), space.template.operations[space.template.slots.index(depth)][0]
    archs = [space.sample(RNG(seed)) for seed in range(50)]
    ops, edges = Domain({depth: word}).within(space, *space.arrays(archs))
    assert len(ops) >= 50
    assert (ops[:, at] == space.template.vocabulary.index(word)).all()
    assert space.keeps_rules(ops, edges).all()


def test_what_is_asked_is_restricted_and_said() -> None:
    domains = {"accuracy@imagenet": LARGE, "latency_ms@v100_1": Domain()}
    partial, notes = restricted(undecided(SPACE), SPACE, domains)
    assert [op for op in partial.ops if op is not None] == ["input", "r224", "output"]
    assert notes == ["accuracy@imagenet is known for resolution=r224 and width=100 only, so resolution=r224 is fixed."]
    assert restricted(partial, SPACE, domains) == (partial, [])


def test_what_cannot_be_known_is_refused() -> None:
    domains = {"accuracy@imagenet": LARGE}
    with pytest.raises(InvalidInputError, match="known for resolution=r224 and width=100 only, and resolution is r192"):
        restricted(SPACE.partial("resolution=r192"), SPACE, domains)
    with pytest.raises(InvalidInputError, match="not for the skeleton width=120"):
        restricted(undecided(SPACE), get_space("mobilenet_v3", "width=120"), domains)
    other = {"accuracy@one": LARGE, "accuracy@two": Domain({"resolution": "r128"}, {"width": 100})}
    with pytest.raises(InvalidInputError, match="resolution is r224 for accuracy@one"):
        restricted(undecided(SPACE), SPACE, other)
