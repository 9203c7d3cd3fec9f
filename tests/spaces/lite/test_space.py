"""The spaces of EfficientNet-Lite: the published sizes, their names, and archs spread over them."""

import numpy as np
import pytest
from elastic_spaces import TinyLite

from gennas.arch import Arch
from gennas.errors import InvalidInputError, UnknownNameError
from gennas.spaces import SPACES, get_space, space_option
from gennas.spaces.drawing import draw_svg
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.spread import spread_archs
from gennas.tasks import Task, get_task
from gennas.testing import check_space

IMAGENET = Task("imagenet", (3, 224, 224), 1000)


@pytest.mark.parametrize(
    ("name", "params_m", "macs_m"),
    # timm counts efficientnet_lite0 to 2 as 4.65, 5.42 and 6.09 million weights.
    [("lite0", 4.652008, 385.187552), ("lite1", 5.416680, 600.185232), ("lite2", 6.092072, 859.736272)],
)
def test_costs_of_the_published_networks(name: str, params_m: float, macs_m: float) -> None:
    space = get_space(name)
    assert isinstance(space, ElasticSpace)
    costs = space.costs(space.parent_arch(), IMAGENET)
    assert costs["params_m"] == pytest.approx(params_m, abs=1e-9)
    assert costs["macs_m"] == pytest.approx(macs_m, rel=1e-6)
    # The size of a task's images has no part in it.
    assert space.costs(space.parent_arch(), IMAGENET.resized(32)) == costs


def test_a_setting_says_which_parent() -> None:
    assert get_space("lite") == get_space("Lite", "parent=0") == get_space("lite0")
    assert get_space("lite", " parent=2 ") == get_space("lite2")
    assert space_option(get_space("lite", "parent=1")) == "lite1"
    assert "lite" not in SPACES  # nothing is stored by that name
    with pytest.raises(InvalidInputError, match=r"parent .* is '3'; expected 0 to 2, e\.g\. parent=1 for lite1"):
        get_space("lite", "parent=3")
    with pytest.raises(UnknownNameError, match="parents"):
        get_space("lite", "parents=1")
    with pytest.raises(UnknownNameError, match="parent"):
        get_space("lite1", "parent=1")


def test_the_parent_at_every_resolution() -> None:
    space = get_space("lite0")
    assert isinstance(space, ElasticSpace)
    assert space.parent_arch().key.startswith("lite0:r224/2.2.3.3.4/e6-e6-k5e6-")
    macs = []
    for side in space.resolutions:
        arch = space.parse(space.parent_arch(side).key)
        assert space.resolution(arch) == side
        assert space.native_task(arch, get_task("digits")).input_shape == (3, side, side)
        macs.append(space.costs(arch, IMAGENET)["macs_m"])
    assert macs == sorted(macs)


def test_a_tiny_parent_has_a_sound_space() -> None:
    check_space(TinyLite(), get_task("digits"), archs=300)


def test_archs_are_spread() -> None:
    space = get_space("lite0")
    assert isinstance(space, ElasticSpace)
    archs = spread_archs(space, 200)
    assert archs[:20] == spread_archs(space, 20)
    assert len({arch.key for arch in archs}) == 200
    assert {space.resolution(arch) for arch in archs} == set(space.resolutions)
    rng = np.random.default_rng(0)
    uniform = [space.sample(rng) for _ in range(200)]

    def shares(some: list[Arch]) -> np.ndarray:
        """Expansions of all blocks together, as a share of the parent's."""
        sums = [
            sum(
                int(option) for number, option in space.options_of(space.arrays([arch])[0][0]).items() if number in wide
            )
            for arch in [*some, space.parent_arch()]
        ]
        return np.array(sums[:-1]) / sums[-1]

    wide = {n for n, decision in enumerate(space.layout.decisions) if decision.name.startswith("expansion")}
    assert shares(archs).min() < 0.25 < 0.3 < shares(uniform).min()
    assert ((shares(archs) > 0.9).mean(), (shares(uniform) > 0.9).mean()) == (pytest.approx(0.3, abs=0.1), 0)


def test_a_drawing_shows_what_archs_choose() -> None:
    space = TinyLite()
    drawing = draw_svg(space, space.parent_arch(24), task=get_task("digits", image_size=24))
    for said in (
        "r24",
        "3\N{MULTIPLICATION SIGN}24\N{MULTIPLICATION SIGN}24",
        "kernel 5, expansion 4",
        "2 times inverted residual",
    ):
        assert said in drawing
