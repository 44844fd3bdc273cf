"""Set, delete or list the API keys that manifests name in ``spec.aistore.secret``."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.aistore import outbox, vault
from experiments.management.commands.sign_in_link import is_there, make_database
from experiments.models import Project
from experiments.problems import ProblemsError


class Command(BaseCommand):
    help = (
        "Set the secret NAME to the API key read from standard input (never from an argument: "
        "those can be seen by every user of the machine)."
    )

    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="as in spec.aistore.secret")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--delete", action="store_true", help="delete it")
        what.add_argument("--list", action="store_true", help="show the names there are")
        parser.add_argument("--project", default=Project.DEFAULT, help="whose secret")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"] and not is_there():
            return
        make_database()
        project = Project.objects.filter(name=options["project"]).first()
        if project is None and options["project"] == Project.DEFAULT:
            project = Project.default()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        if options["list"]:
            for secret in vault.secrets_of(project):
                self.stdout.write(f"{secret.name}  set {secret.changed_at:%Y-%m-%d %H:%M} UTC")
            return
        name = options["name"]
        if not name:
            raise CommandError("Give the secret's NAME, or --list.")
        if options["delete"]:
            if not vault.remove(project, name):
                raise CommandError(f"There is no secret {name!r}.")
            self.stdout.write(f"The secret '{name}' is deleted.")
            return
        self._set(project, name)

    def _set(self, project: Project, name: str) -> None:
        try:
            is_new = vault.put(project, name, _read_key().strip())
        except ProblemsError as error:
            raise CommandError(str(error)) from None
        n = outbox.secret_changed(project, name)
        self.stdout.write(f"The secret '{name}' is {'set' if is_new else 'changed'}.")
        if n:
            self.stdout.write("What failed for want of it is tried again.")


def _read_key() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("API key: ")  # not echoed
    return sys.stdin.readline(1000)
