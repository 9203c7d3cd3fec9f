"""Recipe: the settings that a network is trained with, validated, named and hashed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

from gennas.errors import InvalidInputError, UnknownNameError, in_file, unknown
from gennas.settings import read_settings
from gennas.training.network_files import NETWORKS, SUPERNET, WEIGHTS

Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "warmup-stable-decay", "constant"]
Augmentation = Literal["none", "shift", "flip+crop"]
Precision = Literal["float32", "bfloat16", "float16"]
ClassWeights = Literal["none", "balanced"]

#: What :attr:`Recipe.inherit` may be beside a folder.
PRETRAINED, RANDOM = "pretrained", "random"

# To be increased when a change of the training code changes its results, so that older values are not reused.
# 2: batch norm statistics are made anew before a network is evaluated.
_VERSION = 2


@dataclass(frozen=True)
class Recipe:
    """The settings that a network is trained with; :meth:`named` gives those that have a name.

    The defaults, recipe ``quick``, were selected by validation accuracy of three random NAS-Bench-201 cells on
    ``digits``, among SGD and AdamW, batch sizes 32 and 64, and 8 to 12 epochs.

    Args:
        optimiser: ``sgd`` (with Nesterov momentum) or ``adamw``.
        learning_rate: peak learning rate, reached after the warm-up.
        momentum: momentum of ``sgd``; first beta of ``adamw``.
        weight_decay: weight decay.
        schedule: learning-rate schedule after the warm-up: ``cosine`` decay to 0; ``warmup-stable-decay``, constant and
            then to 0 over the last ``decay_share`` of the epochs; or ``constant``.
        warmup_epochs: length of the linear warm-up; may be a fraction.
        epochs: passes over the training images.
        batch_size: images per step.
        augmentation: ``shift`` shifts images by up to an eighth of their side; ``flip+crop`` also mirrors half of them,
            which is not suitable for digits and letters; or ``none``.
        label_smoothing: weight of the uniform distribution in the targets.
        seed: seed of the initial weights, the order of images and the augmentation.
        decay_share: share of the epochs in which ``warmup-stable-decay`` decays.
        decay_norms: whether norms and biases have weight decay, too.
        ema_epochs: time constant, in epochs, of the exponential moving average of the weights that is evaluated and
            kept; 0 for the weights of the last step.
        randaugment: operations of RandAugment per image; 0 for none.
        magnitude: strength of RandAugment's operations, 0 to 10.
        mixup: images are mixed in pairs with a share from Beta(mixup, mixup); 0 for none.
        class_weights: ``balanced`` weighs every image by the inverse of its class' frequency.
        clip_norm: largest norm of all gradients together; 0 for no limit.
        clip_adaptive: largest norm of a unit's gradient as a share of that of its weights, as in NFNet; 0 for no limit.
        gradient_noise: variance of the normal noise that is added to gradients in the first step; 0 for none.
        precision: of the networks' arithmetic: ``float32``, or mixed with ``bfloat16`` or, on a GPU only, ``float16``.
        patience: epochs without a better validation accuracy after which training ends, with the weights of the best
            epoch; 0 for never.
        val_every: epochs between measurements of the validation accuracy for the log; 0 for none but the last, or every
            one with ``patience``.
        views: crops per image that are made once, from the task's images at twice the size or the teacher's, and shown
            one per epoch in turn, mirrored with ``flip+crop``; 0 for images that are augmented anew in each epoch. A
            teacher sees the same crops at its own resolution.
        head_factor: learning rate of the last linear layer, the classifier, as a multiple of that of the others.
        teacher: folder of a trained network, whose answers are learnt beside the labels; none by default.
        teacher_weight: share of the loss that compares with the teacher.
        teacher_temperature: divides both networks' logits before they are compared.
        inherit: what networks begin with: the folder of a supernet, of a trained network, or of a run with some, of
            which the nearest arch's is taken; ``pretrained``, the weights of the parent of an elastic space; or
            ``random``. By default pretrained weights where gennas knows some, as of ``lite0``, and else random ones.
        feature_epochs: epochs at the start in which the blocks also learn what those of the inherited network compute;
            0 for none.

    Raises:
        InvalidInputError: a value is out of range.
    """

    optimiser: Optimiser = "adamw"
    learning_rate: float = 0.003
    momentum: float = 0.9
    weight_decay: float = 0.05
    schedule: Schedule = "cosine"
    warmup_epochs: float = 1.0
    epochs: int = 10
    batch_size: int = 32
    augmentation: Augmentation = "shift"
    label_smoothing: float = 0.0
    seed: int = 0
    # What follows came later: in the hash, and in a study's settings, it is left out where it changes nothing, so that
    # older values stay valid.
    decay_share: float = 0.2
    decay_norms: bool = True
    ema_epochs: float = 0.0
    randaugment: int = 0
    magnitude: float = 5.0
    mixup: float = 0.0
    class_weights: ClassWeights = "none"
    clip_norm: float = 0.0
    clip_adaptive: float = 0.0
    gradient_noise: float = 0.0
    precision: Precision = "float32"
    patience: int = 0
    val_every: int = 0
    views: int = 0
    head_factor: float = 1.0
    teacher: str | None = None
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0
    inherit: str | None = None
    feature_epochs: int = 0

    def __post_init__(self) -> None:
        choices = {
            "optimiser": Optimiser,
            "schedule": Schedule,
            "augmentation": Augmentation,
            "precision": Precision,
            "class_weights": ClassWeights,
        }
        for name, literal in choices.items():
            if getattr(self, name) not in get_args(literal):
                _reject(name, getattr(self, name), f"one of {', '.join(get_args(literal))}")
        integers = ("epochs", "batch_size", "seed", "randaugment", "patience", "val_every", "views", "feature_epochs")
        for name in integers:
            if not isinstance(getattr(self, name), int) or isinstance(getattr(self, name), bool):
                _reject(name, getattr(self, name), "an integer")
        if not isinstance(self.decay_norms, bool):
            _reject("decay_norms", self.decay_norms, "true or false")
        if self.teacher is not None and not isinstance(self.teacher, str | Path):
            _reject("teacher", self.teacher, "the folder of a trained network")
        if self.inherit is not None and not isinstance(self.inherit, str | Path):
            _reject("inherit", self.inherit, "the folder of a supernet, a trained network, or a run")
        for name, (low, high, expected) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                _reject(name, value, "a finite number")
            if not (low <= value <= high) or (expected.startswith("above") and value == low):
                _reject(name, value, expected)
        for name in ("randaugment", "mixup") if self.views else ():
            if getattr(self, name):
                _reject(name, getattr(self, name), "0, as views are shown as they are")

    @classmethod
    def named(cls, name: str | Path) -> Recipe:
        """A recipe of :data:`RECIPES`, or one of your own from a YAML file.

        A file holds settings, one ``name: value`` per line; those that it does not name are those of ``base``, a name
        or another file beside it, and of ``quick`` without one.

        Raises:
            UnknownNameError: no such recipe or file; the nearest is suggested.
            InvalidInputError: the file cannot be read, names a setting that does not exist, or has a wrong value.
        """
        return cls._named(str(name), ())

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Recipe:
        """A recipe from some of its settings, as a file holds them; see :meth:`named`.

        Raises:
            UnknownNameError: a setting that does not exist, or an unknown ``base``.
            InvalidInputError: a wrong value.
        """
        return cls._of(settings, Path(), ())

    @classmethod
    def _named(cls, name: str, above: tuple[str, ...]) -> Recipe:
        if name in RECIPES:
            return RECIPES[name]
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            raise unknown("recipe", name, RECIPES, "Or give a YAML file of your own.")
        if name in above:
            raise InvalidInputError(f"{name} is based on itself; name another base.", argument="recipe")
        try:
            return cls._of(read_settings(path), path.parent, (*above, name))
        except (InvalidInputError, UnknownNameError) as error:
            if error.argument == "recipe":
                # Of the file that this one is based on.
                raise
            raise in_file(path, error, "recipe") from error

    @classmethod
    def _of(cls, settings: Mapping[str, Any], folder: Path, above: tuple[str, ...]) -> Recipe:
        named = {str(name).replace("-", "_"): value for name, value in settings.items()}
        base = str(named.pop("base", "quick"))
        known = [field.name for field in fields(cls)]
        for name in named:
            if name not in known:
                raise unknown("setting of a recipe", name, [*known, "base"])
        return replace(cls._named(base if base in RECIPES else str(folder / base), above), **named)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as a study stores them: those that came later only where they change something.

        A teacher, and what networks begin with, are told by their weights, wherever they are.

        Raises:
            InvalidInputError: there is no teacher in the folder, or nothing to begin with.
        """
        idle = asdict(RECIPES["quick"])
        found = {name: value for name, value in asdict(self).items() if name not in _LATER or value != idle[name]}
        if self.schedule != "warmup-stable-decay":
            found.pop("decay_share", None)
        if not self.randaugment:
            found.pop("magnitude", None)
        if self.teacher is None:
            found.pop("teacher_weight", None)
            found.pop("teacher_temperature", None)
        else:
            found["teacher"] = _weights_hash(str(self.teacher))
        if self.inherit is None:
            found.pop("feature_epochs", None)
        elif self.inherit not in (PRETRAINED, RANDOM):
            found["inherit"] = inherited_hash(Path(self.inherit))
        return found

    @property
    def hash(self) -> str:
        """A hash of the recipe, twelve hexadecimal digits; part of the key of a stored value."""
        return settings_hash(self.settings)

    def learning_rate_factor(self, epoch: float) -> float:
        """The learning rate after ``epoch`` passes over the images, as a fraction of ``learning_rate``.

        The decay of ``warmup-stable-decay`` is 1 - sqrt, the best of Hägele et al., "Scaling Laws and Compute-Optimal
        Training Beyond Fixed Training Durations", 2024.
        """
        warmup = min(self.warmup_epochs, self.epochs)
        if epoch < warmup:
            return epoch / warmup
        if self.schedule == "constant" or warmup == self.epochs:
            return 1.0
        if self.schedule == "warmup-stable-decay":
            begin = max(self.epochs * (1 - self.decay_share), warmup)
            return 1.0 if epoch <= begin else 1 - math.sqrt(min((epoch - begin) / (self.epochs - begin), 1.0))
        return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (self.epochs - warmup)))


_INFINITE = math.inf
_BELOW_ONE = math.nextafter(1, 0)
#: Setting -> least value, largest value, what is expected in words; ``above`` excludes the least.
_RANGES: dict[str, tuple[float, float, str]] = {
    "learning_rate": (0, _INFINITE, "above 0"),
    "momentum": (0, _BELOW_ONE, "in [0, 1)"),
    "weight_decay": (0, _INFINITE, "at least 0"),
    "warmup_epochs": (0, _INFINITE, "at least 0"),
    "epochs": (1, _INFINITE, "at least 1"),
    "batch_size": (2, _INFINITE, "at least 2, because of batch norm"),
    "label_smoothing": (0, _BELOW_ONE, "in [0, 1)"),
    "seed": (0, 2**32 - 1, "0 to 4294967295"),
    "decay_share": (0, 1, "above 0 and at most 1"),
    "ema_epochs": (0, _INFINITE, "at least 0"),
    "randaugment": (0, 10, "0 to 10"),
    "magnitude": (0, 10, "in [0, 10]"),
    "mixup": (0, _INFINITE, "at least 0"),
    "clip_norm": (0, _INFINITE, "at least 0"),
    "clip_adaptive": (0, _INFINITE, "at least 0"),
    "gradient_noise": (0, _INFINITE, "at least 0"),
    "patience": (0, _INFINITE, "at least 0"),
    "val_every": (0, _INFINITE, "at least 0"),
    "views": (0, _INFINITE, "at least 0"),
    "head_factor": (0, _INFINITE, "above 0"),
    "feature_epochs": (0, _INFINITE, "at least 0"),
    "teacher_weight": (0, 1, "in [0, 1]"),
    "teacher_temperature": (0, _INFINITE, "above 0"),
}
_FIRST = ("optimiser", "learning_rate", "momentum", "weight_decay", "schedule", "warmup_epochs", "epochs")
_LATER = {field.name for field in fields(Recipe)} - {
    *_FIRST, "batch_size", "augmentation", "label_smoothing", "seed",
}  # fmt: skip

#: Name -> recipe. ``quick`` ranks archs in minutes, ``standard`` gives a usable network, ``thorough`` a good one;
#: ``tiny`` is for a few hundred small images, as those of tiny tasks, and hundreds of networks at once.
RECIPES: Mapping[str, Recipe] = {
    "quick": Recipe(),
    "standard": Recipe(epochs=30, decay_norms=False, label_smoothing=0.1, ema_epochs=1.0, val_every=10),
    "thorough": Recipe(
        epochs=100,
        warmup_epochs=5.0,
        decay_norms=False,
        label_smoothing=0.1,
        ema_epochs=2.0,
        randaugment=1,
        clip_norm=1.0,
        val_every=10,
    ),
    # At three times the learning rate networks learn more, and cells differ less.
    "tiny": Recipe(epochs=20, augmentation="none"),
}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """The :attr:`Recipe.hash` of a recipe with these :attr:`Recipe.settings`."""
    canonical = json.dumps({"version": _VERSION, **settings}, sort_keys=True)
    return sha256(canonical.encode()).hexdigest()[:12]


def _weights_hash(folder: str) -> str:
    path = Path(folder) / WEIGHTS
    try:
        facts = path.stat()
    except OSError as error:
        raise InvalidInputError(
            f"is {folder!r}, which has no network.safetensors; expected the folder of a trained network, as "
            "`gennas validate` writes it.",
            argument="recipe.teacher",
        ) from error
    return _file_hash(path, facts.st_mtime_ns, facts.st_size)


def with_inherited(recipe: Recipe, folder: str | None) -> Recipe:
    """The recipe, whose networks begin with what is in a folder; None for the recipe's own."""
    return recipe if folder is None else replace(recipe, inherit=folder)


def inherited_files(folder: Path) -> list[Path]:
    """The weights that networks may begin with: of a supernet, of a trained network, or of all those of a run.

    Raises:
        InvalidInputError: the folder has none.
    """
    own = [path for name in (SUPERNET, WEIGHTS) if (path := folder / name).is_file()]
    found = own[:1] or sorted((folder / NETWORKS).glob(f"*/{WEIGHTS}"))
    if not found:
        raise InvalidInputError(
            f"is {str(folder)!r}, which has neither {SUPERNET} nor {WEIGHTS}, nor {NETWORKS} as those of a run; "
            "expected the folder of a supernet, of a trained network, or of a run of `gennas validate`.",
            argument="inherit",
        )
    return found


def inherited_hash(folder: Path) -> str:
    """A hash of the weights that networks may begin with, twelve hexadecimal digits."""
    hashes = []
    for path in inherited_files(folder):
        facts = path.stat()
        hashes.append(_file_hash(path, facts.st_mtime_ns, facts.st_size))
    return hashes[0] if len(hashes) == 1 else sha256(" ".join(sorted(hashes)).encode()).hexdigest()[:12]


@lru_cache(maxsize=1024)
def _file_hash(path: Path, changed: int, size: int) -> str:
    return sha256(path.read_bytes()).hexdigest()[:12]


def _reject(name: str, value: object, expected: str) -> None:
    raise InvalidInputError(f"is {value!r}; expected {expected}.", argument=f"recipe.{name}")
