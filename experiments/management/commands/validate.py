"""Check a manifest: ``./autotune validate FILE.yaml``; exit 0 or 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from experiments.problems import Problem
from experiments.services import samples
from experiments.services.intake import FileIntake, take_in_file
from experiments.shell import screen

BAD_MANIFEST = 2


def problem_line(kind: str, file: str, problem: Problem) -> str:
    """``FILE:LINE: error: PATH: message (hint)``, as compilers write it."""
    place = file if problem.line is None else f"{file}:{problem.line}"
    path = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return screen.clean(f"{place}: {kind}: {path}{problem.message}{hint}")


def read_file(command: BaseCommand, file: str) -> FileIntake:
    """What the file holds; prints errors and warnings to stderr and exits 2 on errors."""
    command.stderr.style_func = None  # most of it is no error: not all in red
    try:
        raw = samples.read_file(file)
    except OSError as error:
        command.stderr.write(f"{file}: error: {error.strerror or error}")
        sys.exit(BAD_MANIFEST)
    is_json = file.lower().endswith(".json")
    found = take_in_file(raw, is_json=is_json, directory=Path(file).resolve().parent)
    for problem in found.warnings:
        command.stderr.write(problem_line("warning", file, problem))
    for problem in found.problems:
        command.stderr.write(problem_line("error", file, problem))
    if found.problems:
        sys.exit(BAD_MANIFEST)
    for _, intake in found.experiments:
        for program in intake.forecast.programs if intake.forecast else ():
            command.stderr.write(screen.clean(program["sentence"] + "."))
    return found


class Command(BaseCommand):
    help = "Check a manifest: errors and warnings with path and line."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--python", help="the interpreter, or its environment, of trials")

    def handle(self, *args: Any, **options: Any) -> None:
        file = options["file"]
        found = read_file(self, file)
        for _, intake in found.experiments:
            assert intake.parsed is not None
            self.stdout.write(f"{file}: {intake.parsed.spec.name} is valid.")
        for secret in found.secrets:
            self.stdout.write(f"{file}: the secret {secret.name} would be set.")
