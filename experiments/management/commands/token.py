"""Make a REST token and print it once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.access import accounts
from experiments.access.tokens import make_api_token
from experiments.management.commands.sign_in_link import require_database


class Command(BaseCommand):
    help = "Make a REST token and print it; it is shown this once."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default=accounts.ADMINISTRATOR, help="whose token")
        parser.add_argument("--name", default="", help="a note for yourself")

    def handle(self, *args: Any, **options: Any) -> None:
        require_database()  # a token for a directory nobody serves would only puzzle
        user = accounts.find(options["user"])
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        self.stdout.write(make_api_token(user, options["name"]))
