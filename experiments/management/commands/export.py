"""Write an experiment to a file: ``./autotune manage export ID --format html``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation

from experiments.management.commands.sign_in_link import make_database
from experiments.models import Experiment
from experiments.selectors.export import CONTENT_TYPES, export


class Command(BaseCommand):
    help = "Write an experiment to a file: its HTML report, or all its trials."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="of the experiment")
        parser.add_argument("--format", choices=list(CONTENT_TYPES), default="json")
        parser.add_argument(
            "--language",
            choices=[code for code, _ in settings.LANGUAGES],
            default=settings.LANGUAGE_CODE,
            help=f"of an HTML report ({settings.LANGUAGE_CODE})",
        )
        parser.add_argument("--out", help="the file; - or nothing: standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        make_database()
        experiment = Experiment.objects.filter(pk=options["id"], deleting=False).first()
        if experiment is None:
            raise CommandError(f"There is no experiment {options['id']!r}.")
        with translation.override(options["language"]):
            whole = export(experiment, options["format"])
        if options["out"] in (None, "-"):
            sys.stdout.buffer.write(whole)
            return
        try:
            Path(options["out"]).write_bytes(whole)
        except OSError as error:
            raise CommandError(f"{options['out']}: {error.strerror or error}") from None
