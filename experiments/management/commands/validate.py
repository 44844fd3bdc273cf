"""Check a manifest: ``./autotune validate FILE.yaml``; exit 0 or 2."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from experiments.manifest.spec import Parsed
from experiments.problems import Problem
from experiments.services import samples
from experiments.services.intake import take_in

BAD_MANIFEST = 2


def problem_line(kind: str, file: str, problem: Problem) -> str:
    """``FILE:LINE: error: PATH: message (hint)``, as compilers write it."""
    place = file if problem.line is None else f"{file}:{problem.line}"
    path = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{place}: {kind}: {path}{problem.message}{hint}"


def read_manifest(command: BaseCommand, file: str) -> tuple[str, Parsed]:
    """Text and parsed manifest; prints errors and warnings to stderr and exits 2 on errors."""
    try:
        text = samples.read_file(file)
    except OSError as error:
        command.stderr.write(f"{file}: error: {error.strerror or error}")
        sys.exit(BAD_MANIFEST)
    except UnicodeDecodeError as error:
        command.stderr.write(f"{file}: error: must be UTF-8 text: {error.reason}.")
        sys.exit(BAD_MANIFEST)
    intake = take_in(text.encode())
    for problem in intake.warnings:
        command.stderr.write(problem_line("warning", file, problem))
    for problem in intake.problems:
        command.stderr.write(problem_line("error", file, problem))
    if intake.problems or intake.parsed is None:
        sys.exit(BAD_MANIFEST)
    for program in intake.forecast.programs if intake.forecast else ():
        command.stderr.write(program["sentence"] + ".")
    return text, intake.parsed


class Command(BaseCommand):
    help = "Check a manifest: errors and warnings with path and line."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--python", help="the interpreter, or its environment, of trials")

    def handle(self, *args: Any, **options: Any) -> None:
        _, parsed = read_manifest(self, options["file"])
        self.stdout.write(f"{options['file']}: {parsed.spec.name} is valid.")
