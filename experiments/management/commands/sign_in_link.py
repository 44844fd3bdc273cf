"""Print a link that signs its holder in, once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments import accounts
from experiments.supervisor import DataLock


class Command(BaseCommand):
    help = "Print a new one-time sign-in link."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default=accounts.ADMINISTRATOR)

    def handle(self, *args: Any, **options: Any) -> None:
        user = accounts.find(options["user"])
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        url = DataLock(settings.DATA_DIR).owner().get("url") or settings.PUBLIC_URL
        self.stdout.write(accounts.sign_in_url(user, url))
