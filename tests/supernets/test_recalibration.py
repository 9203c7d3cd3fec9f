"""An arch's accuracy with inherited weights."""

import numpy as np
import torch
from supernet_toys import Tiny, stripes, supernet_of

from gennas.supernets.adaptation import adapt
from gennas.supernets.recalibration import Recalibration, native_task, recalibrated
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.strategies.sandwich import Sandwich


def test_accuracies_are_those_of_networks_with_statistics_of_their_own(tmp_path):
    settings = SupernetSettings(
        epochs=8, head_epochs=1, batch_size=16, augmentation="none", resolutions=(12, 15), learning_rate=0.01
    )
    task = stripes()
    supernet = adapt(supernet_of(), task, settings, tmp_path, strategy=Sandwich(random=1)).supernet
    before = [values.clone() for values in supernet.state_dict().values()]
    measured = Recalibration(supernet, task)
    for arch in (supernet.smallest(), Tiny().parent_arch(15)):
        found = measured(arch)
        assert found.accuracy > 0.8
        assert found.seconds > 0
        # Without statistics of its own it guesses.
        network = supernet.inherit(arch).eval()
        with torch.no_grad():
            images = torch.from_numpy(task.splits().val.images) / 127.5 - 1
            guessed = network(images).argmax(1).numpy()
        assert (guessed == task.splits().val.labels).mean() < found.accuracy
        again = recalibrated(supernet, arch, task)
        assert np.array_equal(found.predictions.probabilities, again.predictions.probabilities)
    assert all(torch.equal(a, b) for a, b in zip(before, supernet.state_dict().values(), strict=True))


def test_images_are_made_smaller_once_and_never_larger():
    supernet, task = supernet_of(), stripes(20)
    measured = Recalibration(supernet, task)
    assert native_task(supernet.space, Tiny().parent_arch(32), task) is task
    for side in (12, 32, 12):
        network = measured(Tiny().parent_arch(side)).network
        assert type(network[0]).__name__ == ("Identity" if side == 12 else "Resized")
    assert sorted(measured._kept) == [(3, 12, 12), (3, 20, 20)]
