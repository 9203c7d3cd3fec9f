"""train_stack: the whole training of many networks at once, from their initial weights to their metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.spaces import Space
from gennas.spaces.stacks.base import Stack, StackLayout, fastest_layout
from gennas.tasks import Split, Splits, Task
from gennas.tasks.base import expect_classes, image_shape
from gennas.training.accelerator import accelerator
from gennas.training.batches import Normalisation
from gennas.training.memory import is_out_of_memory, release
from gennas.training.recipe import RANDOM, RECIPES, Recipe
from gennas.training.stacked.draws import StackedDraws
from gennas.training.stacked.evaluation import confusions, metrics_of, settle_stack
from gennas.training.stacked.images import StackedImages
from gennas.training.stacked.steps import TrainingSteps

#: Settings of a recipe that stacks are trained without.
UNKNOWN = (
    "ema_epochs", "randaugment", "mixup", "class_weights", "clip_adaptive", "gradient_noise", "patience", "views",
    "teacher", "inherit", "feature_epochs",
)  # fmt: skip

# Images of each network that are evaluated at a time.
_BATCH = 128


@dataclass(frozen=True)
class Member:
    """One of the trainings that are done at once.

    Attributes:
        arch: what is trained.
        task: what for; those of one stack have images of one shape, and equally many training images.
        seed: of weights, order and augmentation.
    """

    arch: Arch
    task: Task
    seed: int


def alike(task: Task, splits: Splits) -> tuple[tuple[int, ...], int]:
    """What the tasks of one stack have in common: the shape and the number of their training images."""
    return task.input_shape, len(splits.train)


@dataclass(frozen=True, eq=False)
class StackTrained:
    """What came of one of the trainings.

    Attributes:
        metrics: ``accuracy@<task>``, balanced accuracy and macro F1 on the validation images, and as ``test_...`` on
            test images, where the task has some; fractions. Empty where it diverged.
        losses: mean loss of each epoch.
        seconds: its share of the time of the stack.
        error: why there are no metrics; None where there are.
    """

    metrics: dict[str, float]
    losses: tuple[float, ...]
    seconds: float
    error: str | None = None


def unknown_settings(recipe: Recipe) -> list[str]:
    """The settings of a recipe that stacks cannot be trained with; such networks are trained one at a time."""
    idle = RECIPES["quick"]
    found = [name for name in UNKNOWN if getattr(recipe, name) != getattr(idle, name)]
    if recipe.inherit == RANDOM:
        found.remove("inherit")
    return found + (["precision"] if recipe.precision == "float16" else [])


def train_stack(
    space: Space,
    members: Sequence[Member],
    recipe: Recipe,
    *,
    device: torch.device | str | None = None,
    layout: StackLayout | None = None,
    graphs: bool = True,
    tf32: bool = True,
    progress: Callable[[int], None] = lambda epochs: None,
) -> list[StackTrained]:
    """Trains networks at once, each as :func:`gennas.training.fitting.train_network` would train it alone.

    Initial weights, order of images, augmentation, learning rates, batch norm statistics and evaluation are those of a
    training of its own; results differ by the order of sums. Where the memory does not suffice, the networks are
    trained in halves.

    Args:
        space: builds the networks; one of those that say :attr:`gennas.spaces.Space.trains_at_once`.
        members: what is trained; :func:`alike` is the same of all tasks.
        recipe: how, but for its seed.
        device: by default a GPU, if there is one.
        layout: of the stack; by default the fastest one on the device.
        graphs: whether steps are replayed from CUDA graphs on a GPU.
        tf32: whether matrices of float32 are multiplied in TF32 on a GPU, as its convolutions are by default.
        progress: receives the number of finished epochs.

    Raises:
        InvalidInputError: the space's networks do not stack, the recipe has settings that stacks do not know, or the
            members are not alike.
        DataMissingError: a task has no images.
        RuntimeError: the memory does not suffice for one network.
    """
    for member in members:
        expect_classes(member.task, "a stack", "train its networks one at a time.")

    def trained(part: Sequence[Member]) -> list[StackTrained]:
        try:
            return StackTraining(
                space, part, recipe, device=device, layout=layout, graphs=graphs, tf32=tf32, progress=progress
            ).run()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(part) == 1:
                raise
        # Outside of the handler, where what the failed attempt held is free.
        release()
        half = (len(part) + 1) // 2
        return [*trained(part[:half]), *trained(part[half:])]

    return trained(members)


class StackTraining:
    """The training of one stack; see :func:`train_stack`.

    Attributes:
        networks: the single ones, which :meth:`.Stack.write_back` gives the weights of the stack.
        stack: of these.
    """

    def __init__(
        self,
        space: Space,
        members: Sequence[Member],
        recipe: Recipe,
        *,
        device: torch.device | str | None = None,
        layout: StackLayout | None = None,
        graphs: bool = True,
        tf32: bool = True,
        progress: Callable[[int], None] = lambda epochs: None,
    ) -> None:
        self.begun = time.perf_counter()
        if unknown := unknown_settings(recipe):
            raise InvalidInputError(
                f"of recipe is set, but networks that are trained at once are trained without {', '.join(unknown)}.",
                argument=unknown[0],
            )
        self.tasks = list(dict.fromkeys(member.task for member in members))
        # Once: of many tasks not all are kept in memory otherwise.
        self.splits = [task.splits() for task in self.tasks]
        if len({alike(task, splits) for task, splits in zip(self.tasks, self.splits, strict=True)}) != 1:
            raise InvalidInputError(
                "the tasks of a stack have images of different shapes, or different numbers of training images; train "
                "those that are alike together."
            )
        self.members, self.recipe, self.progress, self.tf32 = members, recipe, progress, tf32
        self.device = accelerator() if device is None else torch.device(device)
        with torch.random.fork_rng(devices=[]):
            self.networks = [_built(space, member) for member in members]
        stack = space.stack(self.networks, layout or fastest_layout(self.device))
        self.stack: Stack = stack.to(self.device)
        self.of_network = torch.tensor([self.tasks.index(member.task) for member in members])
        self.normalise = [Normalisation.of(space, task) for task in self.tasks]
        classes = torch.tensor([member.task.num_classes for member in members])
        self.most_classes = int(classes.max())
        train = self._images([splits.train for splits in self.splits])
        self.steps = TrainingSteps(self.stack, train, recipe, classes.to(self.device), graphs=graphs)
        shape, count = image_shape(self.tasks[0], "training"), train.counts[0]
        self.draws = StackedDraws(count, shape, [member.seed for member in members], recipe, self.device)

    def run(self) -> list[StackTrained]:
        """Trains and evaluates; test images are looked at here, and nowhere else."""
        with computing(self.device, self.tf32):
            losses = self.train()
            return self._results(losses, self.evaluate())

    def train(self) -> Tensor:
        """``(epochs, n)`` mean losses, on the device: nothing waits for it before the end."""
        recipe, per_epoch = self.recipe, self.draws.steps
        losses = self.steps.losses.new_zeros(recipe.epochs, len(self.members))
        self.stack.train()
        for epoch in range(recipe.epochs):
            self.steps.losses.zero_()
            for step, (rows, moves) in enumerate(self.draws.epoch(epoch), start=epoch * per_epoch):
                # As in a training of its own, at the middle of each step.
                rate = recipe.learning_rate * recipe.learning_rate_factor((step + 0.5) / per_epoch)
                self.steps(rows, moves, rate)
            losses[epoch] = self.steps.losses / per_epoch
            self.progress(epoch + 1)
        return losses

    def evaluate(self) -> list[dict[str, float]]:
        """The metrics of every network, after its batch norms were settled."""
        train, dtype = self.steps.images, self.steps.dtype
        settle_stack(self.stack, (train.batch(rows)[0].to(dtype) for rows in self.draws.settling()))
        found: list[dict[str, float]] = [{} for _ in self.members]
        splits = self.splits
        # Tasks without test images have their validation images here, and no metrics of them.
        for prefix, parts in (("", [one.val for one in splits]), ("test_", [one.test or one.val for one in splits])):
            matrices = confusions(self.stack, self._images(parts), self.most_classes, dtype, _BATCH)
            for metrics, task, matrix in zip(found, self.of_network.tolist(), matrices, strict=True):
                if prefix and splits[task].test is None:
                    continue
                values = metrics_of(matrix)
                metrics |= {f"{prefix}{kind}@{self.tasks[task].name}": value for kind, value in values.items()}
        return found

    def _images(self, splits: Sequence[Split]) -> StackedImages:
        return StackedImages(splits, self.normalise, self.of_network, self.device)

    def _results(self, losses: Tensor, metrics: Sequence[dict[str, float]]) -> list[StackTrained]:
        bad = torch.zeros(len(self.members), device=self.device)
        for one in self.steps.owned:
            one.add_sums(bad, (~torch.isfinite(one.parameter.detach())).float())
        diverged, rows = bad.cpu() > 0, losses.T.cpu()
        seconds = (time.perf_counter() - self.begun) / len(self.members)
        found = []
        for values, row, is_bad in zip(metrics, rows, diverged, strict=True):
            error = _divergence(row, bool(is_bad), self.recipe)
            found.append(StackTrained({} if error else values, tuple(row.tolist()), seconds, error))
        return found


def _built(space: Space, member: Member) -> torch.nn.Module:
    # As torch.manual_seed does, but for the generators of GPUs.
    torch.default_generator.manual_seed(member.seed)
    return space.build(member.arch, member.task)


def _divergence(losses: Tensor, has_bad_weights: bool, recipe: Recipe) -> str | None:
    """What :func:`.train_network` says of a training with these losses."""
    bad = (~torch.isfinite(losses)).nonzero().flatten().tolist()
    if not bad and not has_bad_weights:
        return None
    advice = f"lower the learning rate ({recipe.learning_rate:g}), or lengthen the warm-up."
    if not bad:
        return f"training diverged: weights are not finite after epoch {recipe.epochs} of {recipe.epochs}; {advice}"
    return f"training diverged: the loss is {losses[bad[0]]} in epoch {bad[0] + 1} of {recipe.epochs}; {advice}"


@contextmanager
def computing(device: torch.device, tf32: bool) -> Iterator[None]:
    """Computes on one stream of a GPU, which graphs can be recorded on, while the context is open."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    stream, outer = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(outer)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        outer.wait_stream(stream)
        torch.set_float32_matmul_precision(before)
