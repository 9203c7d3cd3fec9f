"""Cache: what other studies evaluated, so that no network is trained twice under the same conditions."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Table, UniqueConstraint, delete, event, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column

from gennas.errors import InvalidInputError
from gennas.evaluators.base import EvaluationSettings
from gennas.metrics import first_implausible
from gennas.spaces import Space
from gennas.studies.database import Database
from gennas.studies.inserting import insert_new
from gennas.studies.records import Evaluation, EvaluationColumns
from gennas.tasks import Task
from gennas.tasks.base import shape_text

_LOG = logging.getLogger(__name__)

#: Seconds for which a process waits until another one has written.
_PATIENCE = 10
#: What a cached row takes from an evaluation.
_COMMON = tuple(field.name for field in fields(EvaluationColumns) if field.name != "space")


class _Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    pass


class _Cached(EvaluationColumns, _Base):
    """An evaluation with all that its value depends on.

    Attributes:
        space: name and skeleton of the space.
        images: fingerprint of the task's images; where it has none, the shape of its input and its number of classes.
    """

    __tablename__ = "cached"
    __table_args__ = (
        UniqueConstraint(
            "arch", "space", "task", "images", "hardware", "metric", "seed", "fidelity", "source", "recipe"
        ),
    )

    id: Mapped[int] = mapped_column(init=False, primary_key=True, sort_order=-1)
    images: Mapped[str]


class Cache:
    """Evaluations of any number of studies, read and written by any number of processes at once.

    No lock is held between two calls: every row is a transaction of its own, and whoever comes second waits. A cache
    only saves time, so nothing that happens to it stops a run: a warning is logged once, and the cache is not used any
    more.

    Args:
        url: of SQLAlchemy, e.g. ``sqlite:////home/me/gennas.sqlite``.
    """

    def __init__(self, url: str) -> None:
        self._usable = True
        self._database: Database | None = None
        try:
            self._database = Database(url)
            self._engine = self._database.engine()
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _share)
            self._create()
        except (SQLAlchemyError, OSError, InvalidInputError) as error:
            self._give_up(error)

    def look_up(
        self, key: str, *, space: Space, task: Task, source: str, conditions: EvaluationSettings
    ) -> list[Evaluation]:
        """The rows that other studies stored of an arch under exactly these conditions.

        Args:
            key: of the arch.
            space: with its skeleton.
            task: with its images, or its shape and classes.
            source: as of :class:`gennas.studies.records.Evaluation`.
            conditions: of the evaluation.
        """
        if not self._usable:
            return []
        wanted = {
            "arch": key,
            "space": _described(space),
            "task": task.name,
            "images": _images(task),
            "source": source,
            "seed": conditions.seed,
            "fidelity": conditions.fidelity,
            "recipe": conditions.recipe,
        }
        try:
            with Session(self._engine) as session:
                found = list(session.scalars(select(_Cached).filter_by(**wanted).order_by(_Cached.id)))
        except (SQLAlchemyError, OSError) as error:
            self._give_up(error)
            return []
        if defect := first_implausible({row.metric: row.value for row in found}):
            _LOG.warning("the cache is not believed: %s of %s; evaluating it again", defect, key)
            self._forget([row.id for row in found])
            return []
        return [Evaluation(space=space.name, **{name: getattr(row, name) for name in _COMMON}) for row in found]

    def add(self, rows: Sequence[Evaluation], *, space: Space, task: Task) -> None:
        """Remembers evaluations; what is there already stays as it is.

        Args:
            rows: of a study.
            space: with its skeleton.
            task: with its images, or its shape and classes.
        """
        if not self._usable or not rows:
            return
        described, images, table = _described(space), _images(task), cast(Table, _Cached.__table__)
        for row in rows:
            if not self._usable:
                return
            try:
                with self._engine.begin() as connection:
                    facts: dict[str, Any] = {name: getattr(row, name) for name in _COMMON}
                    insert_new(connection, table, [{"space": described, "images": images, **facts}])
            except IntegrityError:
                # Another study came first.
                continue
            except (SQLAlchemyError, OSError) as error:
                self._give_up(error)

    def _forget(self, ids: Sequence[int]) -> None:
        """Removes rows, so that others can take their place."""
        try:
            with self._engine.begin() as connection:
                connection.execute(delete(_Cached).where(_Cached.id.in_(ids)))
        except (SQLAlchemyError, OSError) as error:
            self._give_up(error)

    def _create(self, attempts: int = 5) -> None:
        # Processes that start together all find no table, and all but one fail to make it.
        try:
            _Base.metadata.create_all(self._engine)
        except DBAPIError:
            if attempts == 1:
                raise
            time.sleep(0.1)
            self._create(attempts - 1)

    def close(self) -> None:
        """Ends all connections."""
        if self._usable:
            self._engine.dispose()

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        reason = str(getattr(error, "orig", None) or error)
        _LOG.warning("cache disabled: %s", self._database.without_secrets(reason) if self._database else reason)


def _share(connection: object, record: object) -> None:
    """Lets SQLite's readers read while another process writes, and writers wait for each other."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute(f"pragma busy_timeout = {1000 * _PATIENCE}")
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = normal")
    cursor.close()


def _described(space: Space) -> str:
    return f"{space.name} {json.dumps(space.skeleton, sort_keys=True)}"


@lru_cache(maxsize=4)
def _images(task: Task) -> str:
    return task.splits().fingerprint if task.has_images else f"{shape_text(task.input_shape)} {task.num_classes}"
