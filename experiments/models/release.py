"""Which versions may use this database: so that old code never stumbles over what it cannot know.

A migration only ever adds what the last release can do without (a test reads them all), and drops
a release later what nobody reads any more. ``RUNS_FROM`` says how far back that holds; `migrate`
writes it into the database, where code that is older than its database looks it up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import connection, models

VERSION = "0.1.0"  # as in pyproject.toml; a test keeps them equal
# Newest migration of the oldest code that still runs on what our newest migration makes.
RUNS_FROM = "0005_cluster_objects"
_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


class Release(models.Model):
    """The one row that says who brought the database to where it is."""

    version = models.CharField(max_length=50)
    runs_from = models.CharField(max_length=200)  # RUNS_FROM of that version

    def __str__(self) -> str:
        return self.version


def newest_migration() -> str:
    """Name of our newest one: names begin with four digits."""
    return max(path.stem for path in _MIGRATIONS.glob("[0-9]*.py"))


def too_new() -> str:
    """Why this code must not touch the database, in one line; "" where it may.

    Plain SQL, without the model: the table may have got other columns since. Raises DatabaseError
    where the database cannot be asked.
    """
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        if "django_migrations" not in tables:
            return ""
        cursor.execute("SELECT MAX(name) FROM django_migrations WHERE app = 'experiments'")
        (applied,) = cursor.fetchone()
        if applied is None or applied <= newest_migration():
            return ""
        version, runs_from = "a newer version", applied
        if Release._meta.db_table in tables:
            cursor.execute(f"SELECT version, runs_from FROM {Release._meta.db_table}")
            version, runs_from = cursor.fetchone() or (version, runs_from)
    if runs_from <= newest_migration():
        return ""
    return (
        f"The database was brought to AutoTune Web {version} (migration {applied}), which this"
        f" version, {VERSION}, does not know: start {version} or newer."
    )


def note_release(using: str, **_: Any) -> None:
    """After ``migrate``: write down which versions may use the database from now on."""
    with connection.cursor() as cursor:
        if Release._meta.db_table not in connection.introspection.table_names(cursor):
            return  # it was brought back to before there was one
        cursor.execute("SELECT MAX(name) FROM django_migrations WHERE app = 'experiments'")
        (applied,) = cursor.fetchone()
    if applied == newest_migration():
        values = {"version": VERSION, "runs_from": RUNS_FROM}
        Release.objects.using(using).update_or_create(pk=1, defaults=values)
