"""TargetKind: what a task asks of an image, and all that training, reading and judging the answers depends on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from gennas.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TargetKind(ABC):
    """What a task asks of an image: its class, values, labels, ...

    A kind is one class, registered in :data:`gennas.tasks.targets.TARGET_KINDS`: whoever trains, exports or measures
    networks asks it, and knows no kind by name. ``n`` and ``b`` are images, ``k`` is the number of outputs of a
    network. Targets are arrays as a :class:`~gennas.tasks.base.Split` has them, answers what is read of outputs.

    Attributes:
        name: e.g. ``regression``.
        metrics: names of the registered metrics that every training gives. The first one is the *score*: at most 1,
            larger is better. Archs, epochs and networks in INT8 are chosen by it where nobody says otherwise.
        reading: how an exported program reads outputs; one of :data:`gennas.tasks.targets.reading.READINGS`.
        outputs: what the outputs of a network are called, e.g. ``classes``.
        judged: what the metrics are called, at the beginning of a sentence.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    reading: ClassVar[str]
    outputs: ClassVar[str]
    judged: ClassVar[str] = "Values"

    @property
    def score(self) -> str:
        """The metric that networks are chosen by."""
        return self.metrics[0]

    @property
    def score_words(self) -> str:
        """The name of the score in a sentence."""
        return self.score.replace("_", " ")

    def parsed(self, target: Any, names: Sequence[str]) -> np.ndarray:
        """The target of one image, as somebody's data set gives it, as an array of numbers.

        Args:
            target: a number, an array or a tensor; or what else the kind understands.
            names: of the outputs; empty where there are none.

        Raises:
            InvalidInputError: it cannot be understood.
        """
        return np.asarray(target)

    def from_table(self, columns: Mapping[str, Sequence[str]], named: str | None) -> tuple[tuple[str, ...], np.ndarray]:
        """The targets of a label file: names of the ``k`` outputs, and ``(n, k)`` float64, NaN where there are none.

        Args:
            columns: of the file but for those of files and splits: name -> cells, as they are written.
            named: that of them whose name is one of a column of labels; None where there is none.

        Raises:
            InvalidInputError: the cells are none of this kind.
        """
        raise InvalidInputError(f"label files hold no {self.name}; make the task by Task.from_dataset.")

    @abstractmethod
    def checked(self, targets: np.ndarray, count: int, where: str) -> np.ndarray:
        """Targets of images as a split has them.

        Args:
            targets: of ``n`` images.
            count: ``k``.
            where: the images, for messages, e.g. ``"the training images"``.

        Raises:
            InvalidInputError: they are none of this kind.
        """

    @abstractmethod
    def strata(self, targets: np.ndarray) -> np.ndarray:
        """``(n,)`` groups, from 0, of which every split of the images has the same share."""

    def traits(self, targets: np.ndarray) -> np.ndarray:
        """``(n, m)`` 0 or 1: what images have that some must have in every split, where groups do not see to it.

        Of training images that show every trait :meth:`fitted` refuses none.
        """
        return np.zeros((len(targets), 0), np.int64)

    def expect_measurable(self, targets: np.ndarray, where: str) -> None:
        """Raises InvalidInputError where the metrics of such targets are not defined.

        Args:
            targets: of validation or test images.
            where: these, for messages.
        """
        return

    def fitted(self, targets: np.ndarray) -> Self:
        """This kind with all that it takes from the training images, e.g. mean and standard deviation of values.

        Raises:
            InvalidInputError: nothing can be learnt from such targets.
        """
        return self

    @abstractmethod
    def encoded(self, targets: np.ndarray) -> np.ndarray:
        """Targets as :meth:`loss` compares outputs with them."""

    def soft(self, encoded: Tensor, count: int) -> Tensor:
        """``(b, k)`` of which mixtures may be made, for mixup; see :meth:`encoded`."""
        return encoded

    def balance(self, targets: np.ndarray, count: int) -> np.ndarray:
        """``(k,)`` weights of outputs by which rare targets count as much as common ones.

        Raises:
            InvalidInputError: this kind has none.
        """
        raise InvalidInputError(
            f"is 'balanced', but a {self.name} has no classes to balance; leave it out.",
            argument="recipe.class_weights",
        )

    @abstractmethod
    def loss(self, outputs: Tensor, encoded: Tensor, *, smoothing: float, weights: Tensor | None) -> Tensor:
        """The mean loss of a batch.

        Args:
            outputs: ``(b, k)`` of the network.
            encoded: targets, or mixtures of :meth:`soft` ones.
            smoothing: of the recipe; what it means is the kind's own, and it may mean nothing.
            weights: of :meth:`balance`; None for none.
        """

    @abstractmethod
    def distance(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """How far the outputs ``(b, k)`` of a student are from its teacher's."""

    @abstractmethod
    def read(self, outputs: np.ndarray) -> np.ndarray:
        """``(n, k)`` answers, of outputs ``(n, k)`` float32."""

    @abstractmethod
    def measured(self, targets: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """Metric of :attr:`metrics` -> its value.

        They are defined where :meth:`expect_measurable` says so.
        """

    @abstractmethod
    def columns(self, targets: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Columns of ``n`` rows that say what a network answered, for ``predictions.parquet``.

        Args:
            targets: of the images.
            answers: of the network.
            names: of the ``k`` outputs.
        """

    @staticmethod
    def named_columns(names: Sequence[str], **values: np.ndarray) -> dict[str, np.ndarray]:
        """A column ``WORD NAME`` of each word's values ``(n, k)`` for every output, those of one output together."""
        return {f"{word} {name}": own[:, k] for k, name in enumerate(names) for word, own in values.items()}

    def names(self, count: int) -> tuple[str, ...]:
        """Names of outputs that nobody has named."""
        word = self.outputs.removesuffix("s")
        return (word,) if count == 1 else tuple(f"{word}_{number}" for number in range(count))

    @abstractmethod
    def amount(self, count: int) -> str:
        """How much is asked, in words, e.g. ``3 classes``."""

    def said(self, count: int) -> str:
        """What the outputs of a network are, and how they are read, for its card."""
        return f"logits of {self.amount(count)}"

    def document(self) -> dict[str, Any]:
        """What :func:`gennas.tasks.targets.kind_of` makes this kind of again, for JSON.

        Empty for classification, as files of earlier versions have nothing.
        """
        return {"kind": self.name, "reading": self.reading}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`document`.

        Raises:
            KeyError, TypeError, ValueError: it lacks something.
        """
        return cls()
