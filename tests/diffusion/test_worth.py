"""The order of archs by their worth."""

import torch

from gennas.diffusion.worth import Worth


def test_what_keeps_bounds_comes_first_then_what_lacks_least() -> None:
    scores = torch.tensor([[5.0], [1.0], [9.0], [2.0], [8.0]])
    margins = torch.tensor([[0.1, 0.0], [0.5, 3.0], [-2.0, 1.0], [1.0, 1.0], [-0.5, -0.5]])
    worth = Worth(scores, margins)
    assert worth.violation.tolist() == [0, 0, 2, 0, 1]
    assert worth.best(5).tolist() == [0, 3, 1, 4, 2]
    assert worth.best(2).tolist() == [0, 3]


def test_of_several_objectives_the_front_comes_first_with_its_ends() -> None:
    scores = torch.tensor([[0.0, 10.0], [1.0, 9.0], [9.0, 9.0], [10.0, 0.0], [5.0, 9.5], [4.0, 4.0]])
    best = Worth(scores, torch.zeros(6, 0)).best(6).tolist()
    assert set(best[:2]) == {0, 3}
    assert set(best[:4]) == {0, 2, 3, 4}


def test_rows_and_sums() -> None:
    worth = Worth(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [-4.0]]))
    assert len(worth + worth) == 4
    assert (worth + worth)[torch.tensor([3])].violation.tolist() == [4]
