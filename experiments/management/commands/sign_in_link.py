"""Print a link that signs its holder in, once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from experiments.access import accounts
from experiments.embedded.supervisor import AlreadyRunning, DataLock
from experiments.models import SignInLink, release


def is_there() -> bool:
    """Whether the database has our tables."""
    with connection.cursor() as cursor:
        return SignInLink._meta.db_table in connection.introspection.table_names(cursor)


def require_database() -> None:
    """Raise CommandError where this data directory was never served, or by a later version."""
    if words := release.too_new():
        raise CommandError(words)
    if is_there():
        return
    raise CommandError(
        f"There is no database in {settings.DATA_DIR} yet: start {settings.COMMAND} up first, or "
        "name the directory that it serves with --data."
    )


def make_database() -> None:
    """Make the database of a data directory that was never served, for what is kept beforehand.

    Raises CommandError where that is not ours to do: a database server is migrated on purpose.
    """
    if is_there() or connection.vendor != "sqlite":
        require_database()
        return
    lock = DataLock(settings.DATA_DIR)
    try:
        lock.take()
    except AlreadyRunning:
        raise CommandError("AutoTune is just being started there; try again.") from None
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        lock.release()


class Command(BaseCommand):
    help = "Print a new one-time sign-in link."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default=accounts.ADMINISTRATOR)

    def handle(self, *args: Any, **options: Any) -> None:
        require_database()
        user = accounts.find(options["user"])
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        url = DataLock(settings.DATA_DIR).owner().get("url") or settings.PUBLIC_URL
        self.stdout.write(accounts.sign_in_url(user, url))
