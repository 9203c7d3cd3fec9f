"""Once-for-all MobileNetV3: costs, notations and networks are those of its authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.mobilenet_v3.network import divisible
from gennas.spaces.mobilenet_v3.space import MobileNetV3
from gennas.tasks import Task, get_task

SPACE = MobileNetV3()
IMAGENET = get_task("imagenet")
#: Kernels / expansions / depths, parameters and multiply-adds of rows of the published table: the cheapest, the
#: dearest, and ten random ones.
ROWS = [
    ("33353355533335575353/33433334334333333343/22222", 3_423_464, 122_972_112),
    ("77777777775757777577/46664664646466646666/44444", 7_318_520, 506_480_288),
    ("73577557755553533535/33363443344366446664/23344", 6_347_624, 278_944_640),
    ("75375755575535355553/64464344443644443446/33322", 3_816_736, 224_552_464),
    ("75757777355533735733/66346643646364446666/44344", 6_702_512, 407_799_328),
    ("75777777577775557575/46666666664666436666/34344", 6_972_560, 431_071_328),
    ("75377337355357735575/66446663446346446666/44444", 6_888_432, 419_149_472),
    ("57555553753557375353/34443666434334464446/33243", 4_899_240, 281_688_384),
    ("57757577777755757775/46466663666466466666/44443", 6_521_008, 460_426_976),
    ("53557555555557337735/33363446443633446436/23333", 4_487_712, 206_107_200),
    ("53577577775355335777/66444664644464446436/33344", 5_836_792, 341_606_912),
    ("77757575577357557777/46446666644466466433/33444", 5_800_352, 398_169_376),
]
KERNELS, EXPANSIONS, DEPTHS = (list(map(int, part)) for part in ROWS[2][0].split("/"))
KEY = SPACE.parse(" / ".join(" ".join(part) for part in ROWS[2][0].split("/"))).key


@pytest.mark.parametrize(("lists", "params", "macs"), ROWS)
def test_costs_are_those_of_the_published_table(lists: str, params: int, macs: int) -> None:
    arch = SPACE.parse("/".join(" ".join(part) for part in lists.split("/")))
    costs = SPACE.costs(arch, IMAGENET)
    assert round(costs["params_m"] * 1e6) == params
    assert round(costs["macs_m"] * 1e6) == macs


def test_count() -> None:
    # Per stage 9 ways for each of 2, 3 or 4 blocks.
    assert SPACE.count == 25 * (9**2 + 9**3 + 9**4) ** 5
    assert len(SPACE.template.free_slots) == 46


@pytest.mark.parametrize(
    "text",
    [
        {"ks": KERNELS, "e": EXPANSIONS, "d": DEPTHS},
        {"ks": KERNELS, "e": EXPANSIONS, "d": DEPTHS, "r": [224]},
        {"wid": None, "ks": KERNELS, "e": EXPANSIONS, "d": DEPTHS, "r": 224},
        {"kernel_size": KERNELS, "expand_ratio": EXPANSIONS, "depth": DEPTHS, "image_size": 224},
        [KERNELS, EXPANSIONS, DEPTHS],
        (KERNELS, EXPANSIONS, DEPTHS, [224]),
        {"ks": [KERNELS[i : i + 4] for i in range(0, 20, 4)], "e": EXPANSIONS, "d": DEPTHS},
    ],
    ids=str,
)
def test_other_notations(text: object) -> None:
    assert SPACE.parse(str(text)).key == KEY


def test_looks() -> None:
    arch = SPACE.parse('{"ks": [3], "e": 6, "d": [2], "r": [128]}')
    assert arch.key == "mobilenet_v3:r128/2.2.2.2.2/" + "-".join(["k3e6"] * 10)


def test_what_blocks_that_are_absent_have_counts_for_nothing() -> None:
    ks, e = KERNELS.copy(), EXPANSIONS.copy()
    for stage, depth in enumerate(DEPTHS):
        for block in range(depth, 4):
            ks[4 * stage + block], e[4 * stage + block] = 0, 99
    assert SPACE.parse(str({"ks": ks, "e": e, "d": DEPTHS})).key == KEY


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        (str({"ks": KERNELS[1:], "e": EXPANSIONS, "d": DEPTHS}), "ks has 19 numbers; expected 20"),
        (str({"ks": KERNELS, "e": EXPANSIONS, "d": DEPTHS, "r": [224, 192]}), "r has 2 numbers; expected 1"),
        (str({"ks": KERNELS, "e": "wide", "d": DEPTHS}), "e is wide; expected whole numbers"),
        (str({"ks": KERNELS, "e": EXPANSIONS, "d": [5] * 5}), "'5' is not a valid depth"),
        (str({"ks": KERNELS, "e": EXPANSIONS, "d": DEPTHS, "r": 225}), "'r225' is not a valid resolution"),
        (str({"ks": [9] * 20, "e": EXPANSIONS, "d": DEPTHS}), "'k9e"),
        (str({"ks": KERNELS, "d": DEPTHS}), "looks like|not an arch"),
    ],
)
def test_what_is_wrong_is_named(text: str, defect: str) -> None:
    with pytest.raises(InvalidArchError, match=defect):
        SPACE.parse(text)


def test_other_spaces_know_the_notation() -> None:
    with pytest.raises(InvalidArchError, match="give `space` mobilenet_v3"):
        get_space("nasbench201").parse(str({"ks": KERNELS, "e": EXPANSIONS, "d": DEPTHS}))


def test_widths() -> None:
    wide = get_space("mobilenet_v3", "width=120")
    # Those of OFAMobileNetV3 with width_mult=1.2.
    assert [wide.layout.stages[row].blocks[0]["channels"] for row in range(5)] == [32, 48, 96, 136, 192]
    assert [divisible(channels * 1.2) for channels in (16, 960, 1280)] == [24, 1152, 1536]
    arch = SPACE.parse(KEY)
    assert wide.costs(arch, IMAGENET)["params_m"] > 1.2 * SPACE.costs(arch, IMAGENET)["params_m"]
    with pytest.raises(InvalidInputError, match=r"width=110 .*expected 100 or 120"):
        get_space("mobilenet_v3", "width=110")


@pytest.mark.parametrize("width", [100, 120])
def test_costs_are_those_of_the_network(width: int) -> None:
    space, rng = get_space("mobilenet_v3", f"width={width}"), np.random.default_rng(width)
    for _ in range(3):
        arch = space.sample(rng)
        with torch.device("meta"):
            network = space.build(arch, IMAGENET)
        params = sum(parameter.numel() for parameter in network.parameters())
        assert round(space.costs(arch, IMAGENET)["params_m"] * 1e6) == params


def test_costs_follow_the_resolution_not_the_images() -> None:
    small, large = (SPACE.parse(KEY.replace("r224", f"r{side}")) for side in (128, 224))
    assert SPACE.costs(small, IMAGENET)["macs_m"] < 0.4 * SPACE.costs(large, IMAGENET)["macs_m"]
    assert SPACE.costs(small, IMAGENET)["params_m"] == SPACE.costs(large, IMAGENET)["params_m"]
    other = Task("other", (3, 64, 64), 1000)
    assert SPACE.costs(large, other) == SPACE.costs(large, IMAGENET)


def test_cost_terms_add_up() -> None:
    rng, template = np.random.default_rng(3), SPACE.template
    terms = SPACE.cost_terms(get_task("cifar10"))
    assert terms is not None
    for _ in range(5):
        arch = SPACE.sample(rng)
        places = template.places[range(len(arch.ops)), [template.vocabulary.index(op) for op in arch.ops]]
        for name, (base, parts) in terms.items():
            total = base + sum(float(part.values[tuple(places[list(part.slots)])]) for part in parts)
            assert total == pytest.approx(SPACE.costs(arch, get_task("cifar10"))[name], rel=1e-9)


def test_drawings_have_a_row_for_every_stage() -> None:
    arch = SPACE.parse(KEY)
    figures = SPACE.figures(arch)
    assert [len(figure.boxes) for figure in figures] == DEPTHS
    assert figures[0].title == "resolution 224; stage 1: 24 channels, half the resolution"
    assert figures[3].title == "stage 4: 112 channels, squeeze-excite"
    assert figures[0].boxes[0] == (f"k{KERNELS[0]}e{EXPANSIONS[0]}", "block 1.1")
