"""Checkpoint: a folder with a trained generator, a trained predictor, or both, by its name or path."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.errors import DataMissingError, InvalidInputError, unknown
from gennas.hub import downloaded, is_hub_id
from gennas.part_files import Part, copy_part, expect_space, fingerprint, parts_of, pretrain_command, read_config
from gennas.paths import gennas_home, shipped
from gennas.spaces import JointSpace, Space, registered_space
from gennas.spaces.network_part import network_space

if TYPE_CHECKING:
    from gennas.diffusion.generator import Generator
    from gennas.predictors.base import Predictor


def checkpoints() -> dict[str, Path]:
    """The checkpoints that have a name: those shipped with gennas, and the user's own under ``GENNAS_HOME``."""
    found: dict[str, Path] = {}
    for root in (gennas_home() / "checkpoints", shipped("checkpoints")):
        if root.is_dir():
            found |= {path.name: path for path in sorted(root.iterdir()) if parts_of(path)}
    return found


class Checkpoint:
    """What ``gennas pretrain`` wrote: a generator, a predictor, or both, of one space.

    Nothing is read before it is asked for, and nothing twice.

    Args:
        source: a name of :func:`checkpoints`, or the path of a folder.
        space: the space that it is to be of, if the caller knows.

    Attributes:
        folder: where the files are.

    Raises:
        UnknownNameError: neither a named checkpoint nor a folder; lists what there is.
        DataMissingError: a folder without any trained part.
        InvalidInputError: it is of another space.
    """

    def __init__(self, source: str | Path, space: Space | None = None) -> None:
        named = checkpoints() if isinstance(source, str) else {}
        self.folder = named.get(str(source), Path(source))
        if not self.folder.is_dir():
            raise unknown("checkpoint", str(source), named or checkpoints(), "A folder of 'gennas pretrain' works too.")
        if not self.parts:
            raise DataMissingError(
                f"folder {str(source)!r} is not a checkpoint: it has no generator/config.json and no "
                f"predictor/config.json. Make one: {pretrain_command('generator', space, source)}"
            )
        if space is not None:
            self.expect_space(space)

    @classmethod
    def of(cls, source: Checkpoint | str | Path, space: Space | None = None) -> Checkpoint:
        """The checkpoint itself, or the one of that name or folder; of the space, if one is given."""
        if isinstance(source, Checkpoint):
            return source if space is None else source.expect_space(space)
        return cls(source, space)

    @classmethod
    def for_space(cls, space: Space, part: Part | None = None) -> Checkpoint | None:
        """The checkpoint named as a space, or as that of its networks; None where there is none, or where it lacks the
        part."""
        found = checkpoints().get(network_space(space).name)
        return cls(found, space) if found and (part is None or part in parts_of(found)) else None

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        revision: str | None = None,
        *,
        download: bool = False,
        space: Space | None = None,
        endpoint: str | None = None,
    ) -> Checkpoint:
        """The checkpoint of a folder, of a name, or of the Hugging Face hub.

        Whatever its files say, none of it is executed: weights are safetensors, all else is JSON, and names in it are
        registered ones.

        Args:
            source: as of the class; or ``owner/name`` for one of the hub.
            revision: of a checkpoint of the hub: a commit, a tag or a branch.
            download: confirms that files may be downloaded; otherwise only what was downloaded before is found.
            space: that it is to be of, if the caller knows.
            endpoint: URL of another hub; by default the environment variable ``HF_ENDPOINT``, or the public one.

        Raises:
            UnknownNameError, InvalidInputError: see the class; of the hub also: no revision; elsewhere: a revision.
            DataMissingError: see the class; or the extra ``hub`` is not installed, or the checkpoint is neither in the
                cache nor could it be downloaded.
        """
        text = str(source)
        if text not in checkpoints() and is_hub_id(text):
            found = cls(downloaded(text, revision, download, endpoint), space)
            # The name of a space of its user's own has to be known before.
            for part in found.parts:
                registered_space(str(found.config(part).get("space")))
            return found
        if revision is not None:
            raise InvalidInputError(f"is {revision!r}, but {text!r} is not of the hub.", argument="revision")
        return cls(source, space)

    def save_pretrained(self, folder: Path | str) -> Path:
        """Copies the trained parts into a folder, as they are stored, which :meth:`from_pretrained` reads; it can be
        uploaded as it is (``hf upload owner/name FOLDER``).

        Args:
            folder: new, or with parts that are replaced.

        Raises:
            InvalidInputError: it is a file, or this checkpoint's own folder.
            OSError: it cannot be written.
        """
        target = Path(folder)
        if target.exists() and not target.is_dir():
            raise InvalidInputError(f"{target} is a file; expected a folder for the checkpoint.", argument="folder")
        if target.exists() and target.samefile(self.folder):
            raise InvalidInputError(f"{target} is the checkpoint itself; expected another folder.", argument="folder")
        for part in self.parts:
            copy_part(self.folder, target, part)
        return target

    def __repr__(self) -> str:
        return f"Checkpoint({self.name!r}, parts={self.parts})"

    @property
    def name(self) -> str:
        """The folder's name, which is that of a named checkpoint."""
        return self.folder.name

    @property
    def parts(self) -> tuple[Part, ...]:
        """The trained parts: ``generator``, ``predictor``, or both."""
        return parts_of(self.folder)

    def config(self, part: Part) -> dict[str, Any]:
        """The configuration of a part: its space, skeleton and training settings.

        Raises:
            DataMissingError: the checkpoint lacks this part, or the file is not readable.
        """
        return read_config(self.folder, part)

    @cached_property
    def space(self) -> Space:
        """The space that it was trained on, with its default skeleton."""
        return registered_space(self.config(self.parts[0])["space"])

    def expect_space(self, space: Space) -> Checkpoint:
        """This checkpoint, if it is of the space; the skeleton around the searched part may differ.

        Raises:
            InvalidInputError: a part was trained on another space.
        """
        expect_space(self.folder, space)
        return self

    def fingerprint(self, part: Part) -> str:
        """A hash of a part's weights."""
        return fingerprint(self.folder, part)

    @property
    def fingerprints(self) -> dict[str, str]:
        """The hash of every part's weights."""
        return {part: self.fingerprint(part) for part in self.parts}

    def generator(self, skeleton: str | Space = "") -> Generator:
        """The generator.

        Args:
            skeleton: settings of the network around the searched part, e.g. ``"cells=3"``; or the space itself, with
                the skeleton that it has.

        Raises:
            DataMissingError: the checkpoint lacks a generator, or a file of it is damaged.
            InvalidInputError: a setting that the space does not have, or another space.
        """
        # torch takes a second to import, and names are listed without it.
        from gennas.diffusion.generator import Generator, load_generator
        from gennas.diffusion.joint_denoiser import JointDenoiser

        if isinstance(skeleton, Space):
            self.expect_space(skeleton)
            denoiser = load_generator(self.folder).denoiser
            joint = JointDenoiser(skeleton, denoiser) if isinstance(skeleton, JointSpace) else None
            return Generator(skeleton, joint or denoiser)
        return load_generator(self.folder, skeleton)

    @cached_property
    def predictor(self) -> Predictor:
        """The predictor.

        Raises:
            DataMissingError: the checkpoint lacks a predictor, or a file of it is damaged.
        """
        from gennas.predictors import load_predictor

        return load_predictor(self.folder)[0]


def generator_for(space: Space, source: Checkpoint | None) -> Generator:
    """The generator of a checkpoint; where there is none the exact one of the space, or else uniform draws.

    Raises:
        DataMissingError: a file of the generator is damaged.
        InvalidInputError: it was trained on another space.
    """
    from gennas.diffusion.exact_denoiser import ExactDenoiser
    from gennas.diffusion.generator import Generator
    from gennas.diffusion.uniform import UniformGenerator

    if source and "generator" in source.parts:
        return source.generator(space)
    return Generator(space, ExactDenoiser(space)) if space.is_exact else UniformGenerator(space)


def without_generator(space: Space, source: Checkpoint | None = None) -> str:
    """What the user should know where nothing guides the draws from a space, in a sentence; empty where guides do."""
    if space.is_exact or (source and "generator" in source.parts):
        return ""
    return (
        f"no generator of space {space.name!r}: archs are drawn uniformly, and then chosen from. A generator draws "
        f"better ones; train one: {pretrain_command('generator', space)}"
    )
