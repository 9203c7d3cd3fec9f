"""Checkpoints of the Hugging Face hub: a folder of configurations and weights, of which nothing is executed."""

from __future__ import annotations

import re
from pathlib import Path

from gennas.errors import DataMissingError, InvalidInputError, reason_of
from gennas.part_files import PARTS
from gennas.paths import gennas_home

#: What an id looks like: the owner and the name.
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
#: The files of a part, see :mod:`gennas.part_files`; no others are downloaded.
_FILES = ("config.json", "model.safetensors", "metrics.json", "README.md")


def is_hub_id(source: str) -> bool:
    """Whether a text is ``owner/name``, and no folder is there."""
    return _ID.fullmatch(source) is not None and not Path(source).exists()


def downloaded(source: str, revision: str | None, download: bool, endpoint: str | None = None) -> Path:
    """The folder of a checkpoint of the hub; what was downloaded before is taken from the cache below ``GENNAS_HOME``.

    Args:
        source: ``owner/name``.
        revision: a commit (best), a tag or a branch. There is no default, as a name alone may stand for other weights
            tomorrow.
        download: whether files may be downloaded; otherwise only the cache is looked in.
        endpoint: URL of another hub; by default the environment variable ``HF_ENDPOINT``, or https://huggingface.co.

    Raises:
        InvalidInputError: no revision.
        DataMissingError: huggingface_hub is not installed; there is no such checkpoint; it is not in the cache and
            ``download`` is false; or the hub cannot be reached.
    """
    if not revision:
        raise InvalidInputError(
            f"checkpoint {source!r} of the Hugging Face hub needs a `revision`: a commit, a tag or a branch. Give a "
            "commit to get the same weights every time."
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise DataMissingError(
            f"checkpoints of the Hugging Face hub need huggingface_hub ({error}); install it: pip install 'gennas[hub]'"
        ) from error
    patterns = [f"{part}/{name}" for part in PARTS for name in _FILES]
    try:
        folder = snapshot_download(
            source,
            revision=revision,
            cache_dir=gennas_home() / "hub",
            allow_patterns=patterns,
            local_files_only=not download,
            endpoint=endpoint,
        )
    except LocalEntryNotFoundError as error:
        if download:
            raise DataMissingError(f"the Hugging Face hub cannot be reached: {reason_of(error)}") from error
        raise DataMissingError(
            f"checkpoint {source!r} at {revision!r} is not in the cache {gennas_home() / 'hub'}; give `download`=True "
            "to download it from the Hugging Face hub."
        ) from error
    except HfHubHTTPError as error:
        raise DataMissingError(
            f"checkpoint {source!r} at {revision!r} cannot be downloaded: {reason_of(error)}"
        ) from error
    return Path(folder)
