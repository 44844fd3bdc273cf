"""Make manifests of files of NNI, Katib, W&B and Optuna: ``./autotune convert FILE… [-o OUT]``.

stdout (or OUT) carries the manifests, stderr says what became of what and what is not as it was.
Exit code 0, or 2 where a file could not be converted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.convert.conversion import Converted
from experiments.management.commands.validate import BAD_MANIFEST, problem_line
from experiments.problems import Problem, ProblemsError
from experiments.services.conversions import convert_file
from experiments.shell import screen

_COLUMN = 46  # characters


class Command(BaseCommand):
    help = "Make manifests of files of NNI, Katib, W&B and Optuna."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE")
        parser.add_argument("-o", "--out", help="file (- is stdout), or directory for several")
        parser.add_argument("--json", action="store_true", help="print all of it as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        files = [Path(file) for file in options["files"]]
        targets = _targets(files, options["out"])
        answers: list[dict[str, Any]] = []
        for file, target in zip(files, targets, strict=True):
            converted, problems = _converted(file, target)
            for problem in problems:
                self.stderr.write(problem_line("error", str(file), problem))
            if converted is not None:
                self._report(str(file), converted)
                self._write(converted, target, is_first=not answers, quiet=options["json"])
            answers.append(_answer(file, target, converted, problems))
        if options["json"]:
            self.stdout.write(screen.as_json(answers))
        if any(answer["errors"] for answer in answers):
            sys.exit(BAD_MANIFEST)

    def _report(self, file: str, converted: Converted) -> None:
        """Both sides by side, then what is not as it was."""
        self.stderr.write(screen.clean(f"{file}: {converted.origin}"))
        for row in converted.rows:
            place = "" if row.line is None else str(row.line)
            left = f"{row.source}: {row.given}"[:_COLUMN]
            right = f"{row.target}: {row.becomes}"[:_COLUMN]
            self.stderr.write(screen.clean(f"{place:>5}  {left:<{_COLUMN}}  {right}"))
        for problem in converted.left:
            self.stderr.write(problem_line("not as it was", file, problem))

    def _write(
        self, converted: Converted, target: Path | None, *, is_first: bool, quiet: bool
    ) -> None:
        if target is None:
            if not quiet:
                text = screen.clean_text(converted.text) if self.stdout.isatty() else converted.text
                self.stdout.write(("" if is_first else "---\n") + text, ending="")
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(converted.text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{target}: {error.strerror or error}", returncode=1) from None
        self.stderr.write(f"Written to {target}.")


def _targets(files: list[Path], out: str | None) -> list[Path | None]:
    """Where each goes; raises CommandError where a file would be overwritten by its own."""
    if out in (None, "-"):
        return [None for _ in files]
    place = Path(out)
    if len(files) == 1 and not place.is_dir() and not out.endswith("/"):
        targets = [place]
    else:
        targets = [place / f"{file.parent.name}-{file.stem}.autotune.yaml" for file in files]
        if len(files) == 1 or len({file.stem for file in files}) == len(files):
            targets = [place / f"{file.stem}.autotune.yaml" for file in files]
    for target in targets:
        if target.resolve() in [file.resolve() for file in files]:
            raise CommandError(f"{target} is to be converted: name another file.", returncode=2)
    if len(set(targets)) < len(targets):
        raise CommandError("Two of these files would be written to one.", returncode=2)
    return list(targets)


def _converted(file: Path, target: Path | None) -> tuple[Converted | None, list[Problem]]:
    try:
        return convert_file(file, target), []
    except ProblemsError as error:
        return None, list(error.problems)
    except OSError as error:
        return None, [Problem("", f"{error.strerror or error}.")]


def _answer(
    file: Path, target: Path | None, converted: Converted | None, problems: list[Problem]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": str(file),
        "written": None if target is None or converted is None else str(target),
        "errors": [problem.as_dict() for problem in problems],
    }
    return found if converted is None else {**found, **converted.as_dict()}
