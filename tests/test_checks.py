"""Django's system checks, which our own commands leave out to start quickly."""

from __future__ import annotations

from django.core import checks
from django.core.management import call_command


def test_the_system_checks_find_nothing():
    assert checks.run_checks(include_deployment_checks=False) == []


def test_no_migration_is_missing(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
