"""When the database is busy or away: a request is told to come again, and none waits for a stamp.

Called by the error handlers of REST and pages, and where something is written only by the way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, connection

RETRY_AFTER = 2  # seconds, told to clients
WORDS = "The database is busy or away just now."
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_busy(error: BaseException | None) -> bool:
    """Whether the same request may well succeed in a moment: no defect of ours, nor of the data."""
    if isinstance(error, InterfaceError):  # the connection was cut
        return True
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _LOCKED
    return True  # PostgreSQL's are of its server and the way there


@contextmanager
def without_waiting() -> Iterator[None]:
    """Statements inside fail at once where SQLite is being written by somebody else."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        (usual,) = cursor.fetchone()
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(usual)}")
