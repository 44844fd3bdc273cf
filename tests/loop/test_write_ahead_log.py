"""The ticker moves SQLite's log into the database, so that no report waits for it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from django.db import connection

from experiments.embedded.write_ahead_log import checkpoint
from experiments.models import Project


@pytest.mark.django_db(transaction=True)
def test_after_a_checkpoint_the_database_holds_it_all_without_its_log(tmp_path: Path) -> None:
    if connection.vendor != "sqlite":
        checkpoint()  # nothing to do, and no error
        return
    checkpoint()
    Project.objects.create(name="written-a-moment-ago")
    assert "written-a-moment-ago" not in _names_without_log(tmp_path / "before.sqlite3")
    checkpoint()
    assert "written-a-moment-ago" in _names_without_log(tmp_path / "after.sqlite3")


def _names_without_log(copy: Path) -> set[str]:
    """Names of the projects in a copy of the database's file alone."""
    shutil.copy(str(connection.settings_dict["NAME"]), copy)
    database = sqlite3.connect(copy)
    try:
        return {name for (name,) in database.execute("SELECT name FROM experiments_project")}
    finally:
        database.close()
