"""Move SQLite's write-ahead log into the database where nobody waits for it.

Whoever commits when the log is long does that work, and every report behind it waits for the disk
(140 ms, measured). So the settings let the log grow, and the ticker empties it every two seconds.
"""

from __future__ import annotations

from django.db import connection


def checkpoint() -> None:
    """Copy what the log holds as far as no reader or writer is in the way; nothing elsewhere."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
