"""Make experiments up: any size, any mixture of ends, for tests, benchmarks and screenshots."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from experiments.management.commands.sign_in_link import make_database
from experiments.models import Project
from experiments.problems import Problem, ProblemsError
from experiments.services.generated.rows import generate
from experiments.services.generated.wish import PHASES, SPACES, Wish

MOST_EXPERIMENTS = 100_000
_HELP = {
    "name": "of the experiment, in any script; several are numbered",
    "trials": "how many",
    "points": "intermediate reports of a trial that goes through",
    "metrics": "names in each report",
    "space": f"search space: {', '.join(SPACES)} (odd: names and values that are hard to show)",
    "phase": f"{', '.join(PHASES)}; a running one needs no worker, and a worker goes on with it",
    "running": "how many of the trials are not over yet",
    "concurrency": "how many run at a time",
    "failed": "share of the trials that fail",
    "diverged": "share that report NaN or Infinity, and fail with it",
    "stopped": "share that is stopped early",
    "lost": "share that the backend lost",
    "canceled": "share that somebody stopped",
    "excluded": "share left out of the best",
    "retried": "share of the failed and lost ones that is tried again",
    "minimize": "smaller values are better",
    "seed": "the same one makes the same experiment, but for ids, keys and the day",
}


class Command(BaseCommand):
    help = "Make up experiments of any size, as if they had been run."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", default=Project.DEFAULT, help="made where it is new")
        parser.add_argument("--experiments", type=int, default=1, help="how many, a seed each")
        for field in fields(Wish):
            option = f"--{field.name}"
            if isinstance(field.default, bool):
                parser.add_argument(option, action="store_true", help=_HELP[field.name])
                continue
            parser.add_argument(
                option,
                type=type(field.default),
                default=field.default,
                help=f"{_HELP[field.name]} ({field.default})",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = _wishes(options)
            make_database()
            project, _ = Project.objects.get_or_create(name=options["project"])
            for nth, wish in enumerate(made):
                until = timezone.now() - timedelta(minutes=len(made) - 1 - nth)
                experiment = generate(wish, project, until=until)
                self.stdout.write(experiment.pk)
        except ProblemsError as error:
            raise CommandError(
                "\n".join(
                    " ".join(word for word in (f"--{p.path} {p.message}", p.hint) if word)
                    for p in error.problems
                )
            ) from None


def _wishes(options: dict[str, Any]) -> list[Wish]:
    """What the options ask for. Raises ProblemsError before anything is written."""
    n = options["experiments"]
    if not 1 <= n <= MOST_EXPERIMENTS:
        words = f"must be a whole number from 1 to {MOST_EXPERIMENTS}, but got {n}."
        raise ProblemsError([Problem("experiments", words)])
    if not _is_slug(options["project"]):
        words = "must be 1 to 63 letters, digits, - and _"
        given = options["project"][:80]
        raise ProblemsError([Problem("project", f"{words}, but got {given!r}.")])
    wish = Wish(**{field.name: options[field.name] for field in fields(Wish)})
    wish.check()
    if n == 1:
        return [wish]
    wishes = [replace(wish, name=f"{wish.name}-{i}", seed=wish.seed + i) for i in range(n)]
    wishes[-1].check()  # it has the longest name and the highest seed
    return wishes


def _is_slug(name: str) -> bool:
    bare = name.replace("-", "").replace("_", "")
    return 0 < len(name) <= 63 and name.isascii() and (not bare or bare.isalnum())
