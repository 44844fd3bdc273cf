"""Django's system checks, which our own commands leave out to start quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core import checks
from django.core.management import call_command

# Each takes longer to import than all of a start may last on a slow machine.
HEAVY = ("hyperopt", "kopf", "kubernetes", "networkx", "pandas", "scipy", "sklearn")
START = f"""
import sys, django
django.setup()
import experiments.management.commands.up, autotune_web.asgi, autotune_web.urls
print(*sorted(set({HEAVY}) & set(sys.modules)))
"""


def test_the_system_checks_find_nothing():
    assert checks.run_checks(include_deployment_checks=False) == []


def test_no_migration_is_missing(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.long
def test_a_server_starts_without_what_takes_long_to_import():
    """Those that an algorithm or a chart needs are loaded when it is asked for."""
    words = [sys.executable, "-c", START]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "\n"
