"""Database: a URL of SQLAlchemy whose password is never shown, stored or compared."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from gennas.errors import InvalidInputError

#: Drivers take passwords under many names, e.g. ``?password=``, ``?sslpassword=`` or ``?odbc_connect=...PWD=...``.
_SECRET = re.compile(r"pass|pwd|secret|token|api_?key|odbc_connect", re.IGNORECASE)
_IN_ODBC = re.compile(r"(?:pwd|password)\s*=\s*([^;]+)", re.IGNORECASE)
_HIDDEN = "***"
#: Seconds for which a study waits until another one has written to the same SQLite file.
_PATIENCE = 60


class Database:
    """Where rows are kept.

    Args:
        url: of SQLAlchemy, e.g. ``sqlite:////home/me/runs.sqlite`` or ``postgresql+psycopg://me@host/runs``.

    Raises:
        InvalidInputError: not a URL of SQLAlchemy, or one of a database in memory.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
            #: ``sqlite``, ``postgresql``, ...
            self.kind = self._url.get_backend_name()
        except (ArgumentError, NoSuchModuleError, ValueError, AttributeError, TypeError):
            # Without the reason, which may quote the URL with its password.
            raise _unusable(str(url), "it is not a URL of SQLAlchemy") from None
        #: The file of an SQLite database.
        self.path: Path | None = None
        if self._url.drivername in ("sqlite", "sqlite+pysqlite"):
            named = self._url.database or ""
            if named in ("", ":memory:") or "mode" in self._url.query:
                raise InvalidInputError(
                    f"is {url!r}; nothing in memory outlives the process. Give a file, e.g. sqlite:///runs.sqlite.",
                    argument="database",
                )
            if named.startswith("file:"):
                raise InvalidInputError(
                    f"is {url!r}; give the path of the file, e.g. sqlite:///runs.sqlite.", argument="database"
                )
            self.path = Path(named).absolute()

    @classmethod
    def of_file(cls, path: Path) -> Database:
        """An SQLite file."""
        return cls(URL.create("sqlite", database=str(path)).render_as_string())

    @property
    def url(self) -> str:
        """The URL with stars for its passwords; of an SQLite file with its whole path."""
        if self.path is not None:
            return self._url.set(database=str(self.path)).render_as_string()
        query = {name: _HIDDEN if _SECRET.search(name) else value for name, value in self._url.query.items()}
        return self._url.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", _HIDDEN)

    @property
    def name(self) -> str:
        """How messages call it: the path of an SQLite file, or :attr:`url`."""
        return self.url if self.path is None else str(self.path)

    def is_same(self, other: Database) -> bool:
        """Whether both URLs mean one database; their passwords and drivers may differ."""
        return self._identity() == other._identity()

    def _identity(self) -> object:
        if self.path is not None:
            return self.path.resolve()
        query = {name: value for name, value in self._url.query.items() if not _SECRET.search(name)}
        return self._url.set(drivername=self.kind, query=query, password="")

    def without_secrets(self, text: str) -> str:
        """A driver's message with stars for every password of the URL."""
        secrets = [str(self._url.password or "")]
        for name, value in self._url.query.items():
            if _SECRET.search(name):
                secrets += [value] if isinstance(value, str) else list(value)
        secrets += [found for secret in secrets for found in _IN_ODBC.findall(secret)]
        for secret in secrets:
            text = text.replace(secret, _HIDDEN) if secret else text
        return text

    def engine(self, *, read_only: bool = False) -> Engine:
        """Connections to it, opened when they are needed.

        Args:
            read_only: changes nothing, and makes no SQLite file that is not there.

        Raises:
            InvalidInputError: the driver is not installed.
        """
        try:
            if self.path is None:
                return create_engine(self._url)
            url = URL.create("sqlite", database=str(self.path))
            if read_only:
                # Opened for writing nevertheless: what a killed process left half-written must be rolled back.
                url = URL.create("sqlite", database=self.path.as_uri(), query={"mode": "rw", "uri": "true"})
            return create_engine(url, connect_args={"timeout": _PATIENCE})
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise _unusable(self.name, self.without_secrets(str(error))) from error


def _unusable(url: str, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"{url.partition(':')[0]}:... cannot be used: {reason}; expected a URL of SQLAlchemy whose driver is "
        "installed, e.g. sqlite:///runs.sqlite or postgresql+psycopg://user@host/name.",
        argument="database",
    )
