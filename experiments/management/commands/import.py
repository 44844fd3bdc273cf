"""Store earlier results as finished experiments: ``./autotune import FILE…``.

Optuna storages, NNI's database and exports, Katib's trials, W&B's tables, our own exports. Exit
code 0, or 2 with what is wrong; then nothing is stored. With ``--url`` another server stores them.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from experiments.access import accounts
from experiments.earlier import postgres
from experiments.earlier.reading import read_url
from experiments.earlier.study import PastStudy, Wanted
from experiments.management.commands.validate import BAD_MANIFEST, problem_line
from experiments.models import release
from experiments.problems import Problem, ProblemsError
from experiments.services import imports
from experiments.shell import screen, server
from experiments.shell.trouble import Trouble


class Command(BaseCommand):
    help = "Store earlier results of Optuna, NNI, Katib, W&B or our own as finished experiments."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = argparse.HelpFormatter
        parser.add_argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="the results, and the configuration beside them; or an Optuna storage's URL",
        )
        parser.add_argument("--study", action="append", default=[], help="of several: this one")
        parser.add_argument("--all", action="store_true", help="of several studies: all")
        parser.add_argument(
            "--mode", choices=["minimize", "maximize"], help="where the file does not say it"
        )
        parser.add_argument("--objective", default="", help="the metric that decides, by name")
        parser.add_argument(
            "--parameters", default="", help="of a table: its columns that are parameters, a,b"
        )
        parser.add_argument("--json", action="store_true", help="answer as JSON")
        parser.add_argument("--data", help="data directory (also AUTOTUNE_DATA)")
        parser.add_argument("--url", help="of another server (AUTOTUNE_URL)")
        parser.add_argument("--token", help="for --url (AUTOTUNE_TOKEN)")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stderr.style_func = None
        files: list[str] = options["files"]
        try:
            named = server.named(options["url"], options["token"])
            heads = (
                self._hand_over(named, files, options) if named else self._import(files, options)
            )
        except ProblemsError as error:
            for problem in error.problems:
                self._say("error", files[0], problem)
            sys.exit(BAD_MANIFEST)
        except Trouble as trouble:
            self.stderr.write(screen.clean_text("\n".join(trouble.lines)))
            sys.exit(trouble.code)
        if options["json"]:
            self.stdout.write(screen.as_json(heads))
            return
        for head in heads:
            words = f"{head['id']}  {head['name']}  {head['n_trials']} trials  {head['url']}"
            self.stdout.write(screen.clean(words))

    def _import(self, files: list[str], options: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = Wanted(
            studies=tuple(options["study"]),
            all_studies=options["all"],
            mode=options["mode"] or "",
            objective=options["objective"],
            parameters=tuple(filter(None, options["parameters"].split(","))),
        )
        studies = _read(files, wanted)
        _bring_up_to_date()
        made = imports.store_all(studies, owner=accounts.find(accounts.ADMINISTRATOR))
        there = server.of_directory(settings.DATA_DIR)
        base = there.url if there else settings.PUBLIC_URL.rstrip("/")
        heads = []
        for experiment, study in zip(made, studies, strict=True):
            for problem in study.left:
                self._say("not as it was", study.whence, problem)
            heads.append(
                {
                    "id": experiment.pk,
                    "name": experiment.name,
                    "n_trials": len(study.trials),
                    "url": f"{base}/experiments/{experiment.pk}/",
                    "left": [problem.as_dict() for problem in study.left],
                }
            )
        return heads

    def _hand_over(
        self, named: server.Server, files: list[str], options: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Upload the files to a server; id, name and page of each experiment."""
        if any(postgres.is_url(file) for file in files):
            raise ProblemsError(
                [Problem("", "A server reads no storage at a URL: import it on this machine.")]
            )
        query = {
            "study": ",".join(f'"{name}"' for name in options["study"]),
            "all": "true" if options["all"] else "",
            "mode": options["mode"],
            "objective": options["objective"],
            "parameters": options["parameters"],
        }
        body, kind = _multipart([Path(file) for file in files])
        asked = {name: value for name, value in query.items() if value}
        client = server.Client(lambda: named)
        headers = {"Content-Type": kind}
        answer = client.ask("POST", "experiments/import/", asked, body, headers).json
        for head in answer["experiments"]:
            for left in head["left"]:
                problem = Problem(left["path"], left["message"], left["hint"])
                self._say("not as it was", head["name"], problem)
        found: list[dict[str, Any]] = answer["experiments"]
        return found

    def _say(self, kind: str, where: str, problem: Problem) -> None:
        shown = postgres.without_password(where) if postgres.is_url(where) else where
        self.stderr.write(problem_line(kind, shown, problem))


def _read(files: list[str], wanted: Wanted) -> list[PastStudy]:
    urls = [file for file in files if postgres.is_url(file)]
    if not urls:
        return imports.read([(file, Path(file)) for file in files], wanted)
    if len(files) > 1:
        raise ProblemsError([Problem("", "A storage's URL stands alone: it says everything.")])
    try:
        return read_url(urls[0], wanted)
    except OSError as error:
        raise ProblemsError([Problem("", f"{error.strerror or error}.")]) from None


def _bring_up_to_date() -> None:
    """The database of the data directory, which may be new; a server's is left to it."""
    if words := release.too_new():
        raise CommandError(words, returncode=1)
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    if server.of_directory(settings.DATA_DIR) is not None:
        words = "The server of this data directory is of an earlier release: start it anew."
        raise CommandError(words, returncode=2)
    call_command("migrate", verbosity=0, interactive=False)


def _multipart(files: list[Path]) -> tuple[bytes, str]:
    """The files as a form sends them, and what that is called. Raises ProblemsError."""
    mark = secrets.token_hex(16)
    parts = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            message = f"{file}: {error.strerror or error}."
            raise ProblemsError([Problem("", message)]) from None
        name = os.path.basename(file).replace('"', "")
        parts.append(
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
            .encode() + content + b"\r\n"
        )  # fmt: skip
    body = b"".join(parts) + f"--{mark}--\r\n".encode()
    return body, f"multipart/form-data; boundary={mark}"
