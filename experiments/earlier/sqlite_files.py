"""SQLite files of others, opened for reading alone.

A database in WAL mode lives in two or three files and may be in use: it is opened beside whoever
writes; where its directory cannot be written, a copy is read. Nothing in a file is trusted: no
triggers and functions of its schema, bounded values, bounded time.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from experiments.earlier.study import MOST_BYTES, refused

MAGIC = b"SQLite format 3\x00"
BUSY_S = 5.0
MOST_SECONDS = 300.0
LONGEST_VALUE = 16 * 1024 * 1024
_STEPS = 100_000  # of SQLite's machine between two looks at the clock

Query = Callable[[str, tuple[Any, ...]], Iterable[tuple[Any, ...]]]


@contextmanager
def opened(file: Path) -> Iterator[tuple[Query, frozenset[str]]]:
    """A function that asks, and the names of the tables. Raises ProblemsError."""
    with tempfile.TemporaryDirectory(prefix="autotune-import-") as place:
        connection = _connect(file, Path(place))
        try:
            yield _asker(connection), _tables(connection)
        except sqlite3.Error as error:
            raise refused(f"The SQLite file cannot be read: {error}.") from None
        finally:
            connection.close()


def _connect(file: Path, place: Path) -> sqlite3.Connection:
    """Beside whoever uses it, or a copy where that cannot be."""
    try:
        return _checked(_read_only(file))
    except sqlite3.OperationalError as error:
        words = str(error)
        if "locked" in words or "busy" in words:
            raise refused(
                "Another program has locked the SQLite file.",
                "Wait until it has ended, or import a copy made with: sqlite3 FILE '.backup COPY'.",
            ) from None
    except sqlite3.DatabaseError as error:
        raise refused(f"The SQLite file is damaged, or none: {error}.") from None
    try:
        return _checked(_read_only(_copied(file, place)))
    except (sqlite3.Error, OSError) as error:
        raise refused(f"The SQLite file cannot be read: {error}.") from None


def _read_only(file: Path) -> sqlite3.Connection:
    uri = f"file:{quote(os.fspath(file.resolve()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    deadline = time.monotonic() + MOST_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    return connection


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    """With one view of it for all questions."""
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _copied(file: Path, place: Path) -> Path:
    """The database with its log of writes, where we may write beside it."""
    copy = place / "copy.db"
    for suffix in ("", "-wal"):
        part = Path(f"{file}{suffix}")
        if part.exists():
            if part.stat().st_size > MOST_BYTES:
                raise refused("The SQLite file is larger than 1 GiB.")
            shutil.copyfile(part, f"{copy}{suffix}")
    return copy


def _tables(connection: sqlite3.Connection) -> frozenset[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(str(name) for (name,) in rows)


def _asker(connection: sqlite3.Connection) -> Query:
    def ask(sql: str, values: tuple[Any, ...]) -> Iterable[tuple[Any, ...]]:
        return connection.execute(sql, values)

    return ask
