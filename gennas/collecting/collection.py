"""Collection: what a run of trainings has in its study, as a table with a row per training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gennas.collecting.plan import Identity
from gennas.files import write_parquet
from gennas.studies.study import Study
from gennas.training.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

#: In the folder of the study: :meth:`Collection.frame`.
TABLE = "trainings.parquet"


@dataclass(frozen=True)
class Collection:
    """What came of :func:`gennas.collecting.collect`.

    Attributes:
        folder: of the study.
        wanted: trainings that were asked for.
        trained: those of this run; the others were there.
        failed: training -> why it has no values.
        seconds: that this run took.
    """

    folder: Path
    wanted: int
    trained: int
    failed: Mapping[Identity, str]
    seconds: float

    @property
    def table(self) -> Path:
        """The file with all trainings of the study."""
        return self.folder / TABLE

    def frame(self) -> pd.DataFrame:
        """A row per training of the study, see :func:`trainings_frame`."""
        import pandas as pd

        return pd.read_parquet(self.table)


def trainings_frame(study: Study) -> pd.DataFrame:
    """A row per training, in the order of their ends.

    Columns are ``task``, ``arch``, ``seed``, ``recipe`` (its hash), ``seconds``, and the metrics without their task:
    ``accuracy`` on validation images, ``test_accuracy``, and so on; fractions.
    """
    import pandas as pd

    rows: dict[tuple[str, str, int, str], dict[str, object]] = {}
    for one in study.find(source="trained"):
        facts = {"task": one.task, "arch": one.arch, "seed": one.seed, "recipe": one.recipe, "seconds": one.seconds}
        row = rows.setdefault((one.task, one.arch, one.seed, one.recipe), facts)
        row[one.metric.partition("@")[0]] = one.value
    first = ["task", "arch", "seed", "accuracy", "test_accuracy"]
    frame = pd.DataFrame(list(rows.values()), columns=None if rows else first)
    return frame[[*(name for name in first if name in frame), *(name for name in frame if name not in first)]]


def write_table(study: Study, recipe: Recipe, space: str) -> None:
    """Writes the table into the folder of the study.

    Args:
        study: holds the trainings.
        recipe: that they were done with, but for its seed.
        space: name of the space.
    """
    facts = {"made_by": "gennas collect", "space": space, "recipe": recipe.hash}
    write_parquet(trainings_frame(study), study.folder / TABLE, facts)
