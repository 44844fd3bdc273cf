"""Run one experiment to its end without a browser: ``./autotune run FILE.yaml``.

stdout carries the result (with ``--json`` the JSON export alone), stderr the progress. Exit code:
0 DONE, 3 with results but not all of them (TIMEOUT, or failures alike suspended it), 4 ERROR or
trials failed and none succeeded, 2 bad manifest, 130 interrupted; of several experiments in the
file the highest.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from experiments.access import accounts
from experiments.aistore import outbox
from experiments.embedded.nursery import Nursery
from experiments.embedded.supervisor import (
    AlreadyRunning,
    CannotStart,
    Supervisor,
    free_port,
    stop_signals,
)
from experiments.management.commands.validate import read_file
from experiments.models import Experiment, Project
from experiments.models.uploads import destination
from experiments.selectors import present
from experiments.selectors.export import export_json
from experiments.services import actions
from experiments.services.intake import FileIntake, keep_secrets
from experiments.states import FINISHED, PHASE_ENDED, WENT_WRONG, Phase, TrialState

# What the line of progress shows; the rest of a row is large.
_FOLLOWED = ["phase", "deleting", "suspended", "breaker", "max_trials", "best_trial"]
EXIT = {Phase.DONE: 0, Phase.TIMEOUT: 3, Phase.ERROR: 4}
INTERRUPTED = 130
STARTING_S = 60.0  # what another process gets to say where it serves
BAR_WIDTH = 30  # characters


class Command(BaseCommand):
    help = "Run one experiment to its end without a browser."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--data", help="data directory (also AUTOTUNE_DATA)")
        parser.add_argument("--python", help="the interpreter, or its environment, of trials")
        parser.add_argument("--json", action="store_true", help="print the JSON export")

    def handle(self, *args: Any, **options: Any) -> None:
        self._nursery = Nursery()
        logging.getLogger().setLevel(logging.ERROR)
        found = read_file(self, options["file"])
        self._nursery.stopping = stopping = stop_signals()
        self._supervisor = self._supervise()
        try:
            experiments = self._create(found)
            for experiment in experiments:
                self._follow(experiment, stopping)
        except Experiment.DoesNotExist:
            self.stderr.write("\nThe experiment was deleted.")
            sys.exit(EXIT[Phase.ERROR])
        finally:
            if self._supervisor is not None:
                self._supervisor.stop()
        if going_on := [e.pk for e in experiments if not e.is_ended and not _has_tripped(e)]:
            which = f"Experiment{'s' * (len(going_on) > 1)} {', '.join(going_on)}"
            goes = "go" if len(going_on) > 1 else "goes"
            self.stderr.write(f"\nInterrupted. {which} {goes} on {self._how()}.")
            sys.exit(INTERRUPTED)
        self._report(experiments, as_json=options["json"])
        sys.exit(max(_exit_code(each) for each in experiments))

    def _create(self, found: FileIntake) -> list[Experiment]:
        """All experiments of the file, with the secrets beside them."""
        made = []
        with transaction.atomic():
            keep_secrets(found.secrets, Project.default())
            for given, intake in found.experiments:
                assert intake.parsed is not None
                made.append(
                    actions.create_experiment(
                        intake.parsed,
                        owner=accounts.find(accounts.ADMINISTRATOR),
                        origin=Experiment.Origin.CLI,
                        source=given.text,
                    )
                )
        for secret in found.secrets:
            self.stderr.write(f"The secret '{secret.name}' is set.")
        return made

    def _how(self) -> str:
        """How an interrupted experiment goes on."""
        if self._supervisor is None:
            return "on the server"
        return f"with {settings.COMMAND} up{settings.DATA_OPTION}"

    def _supervise(self) -> Supervisor | None:
        """Our own processes, or None where somebody else serves this data directory."""
        deadline = time.monotonic() + STARTING_S
        while True:
            try:
                return self._serve()
            except AlreadyRunning as error:
                if "url" in error.owner:
                    self.stderr.write(
                        f"Handing it to the server at {error.owner['url']}, whose environment its "
                        "trials run in."
                    )
                    return None
                if time.monotonic() > deadline:
                    raise CommandError(str(error)) from None
            time.sleep(0.2)  # it is starting, or ending

    def _serve(self) -> Supervisor:
        """Start our own processes. Raises AlreadyRunning where somebody else serves."""
        kept = Path(settings.DATA_DIR) / "run-port"
        try:
            preferred = int(kept.read_text())
        except (OSError, ValueError):
            preferred = None
        try:
            port = free_port("127.0.0.1", preferred)
            supervisor = Supervisor("127.0.0.1", port, self._nursery)
            supervisor.prepare()
        except CannotStart as error:
            raise CommandError(str(error)) from None
        kept.write_text(str(supervisor.port))
        try:
            supervisor.start()
            supervisor.wait_until_served()
        except CannotStart as error:
            supervisor.stop()
            raise CommandError(str(error)) from None
        return supervisor

    def _follow(self, experiment: Experiment, stopping: list[int]) -> None:
        """Show progress until the experiment has ended, nothing of it runs and all is uploaded."""
        shown = ""
        while not stopping:
            experiment.refresh_from_db(fields=_FOLLOWED)
            if experiment.deleting:
                raise Experiment.DoesNotExist
            line = _progress_line(experiment)
            if line != shown:
                self._show(line)
                shown = line
            if experiment.phase in PHASE_ENDED and not _still_busy(experiment):
                break
            if _has_tripped(experiment):
                break
            if self._supervisor is not None:
                self._supervisor.watch()
            else:
                self._take_over()
            time.sleep(0.2)
        experiment.refresh_from_db()
        if sys.stderr.isatty():
            sys.stderr.write("\n")

    def _take_over(self) -> None:
        """Serve ourselves once the server that we handed the experiment to has ended."""
        with suppress(AlreadyRunning):
            self._supervisor = self._serve()

    def _show(self, line: str) -> None:
        with suppress(OSError):  # nobody looks any more; that is no reason to stop
            sys.stderr.write(f"\r\x1b[K{line}" if sys.stderr.isatty() else line + "\n")
            sys.stderr.flush()

    def _report(self, experiments: list[Experiment], *, as_json: bool) -> None:
        """The result; of a file with several experiments all of them, with ``--json`` as a list."""
        if as_json:
            exports = [export_json(experiment) for experiment in experiments]
            data = exports if len(exports) > 1 else exports[0]
            self.stdout.write(json.dumps(data, indent=2, allow_nan=False))
            return
        for experiment in experiments:
            self._say_how_it_ended(experiment)

    def _say_how_it_ended(self, experiment: Experiment) -> None:
        best = experiment.best_trial
        tripped = experiment.breaker if _has_tripped(experiment) else None
        state = "SUSPENDED" if tripped else experiment.phase
        self.stdout.write(f"{state}: {experiment.name} ({experiment.pk})")
        if tripped:
            self.stdout.write(f"{tripped['reason']}\n\n{tripped['log']}".strip())
            self.stdout.write(
                f"\nIt can go on {self._how()} and a press on 'Continue anyway'; "
                "with 'breaker: {alike: 0}' in its spec it never stops for failures."
            )
        if experiment.message:
            self.stdout.write(experiment.message)
        if upload := present.aistore_by_id([experiment])[experiment.pk]:
            words = f"AIStore: {upload['uploaded']} of {upload['runs']} trials are uploaded."
            self.stdout.write(f"{words} {upload['error']}".rstrip())
        if best is None:
            self.stdout.write("There are no best parameters.")
            return
        self.stdout.write(f"Best value {best.value:.6g} (trial {best.number}), with")
        self.stdout.write(json.dumps(best.parameters, indent=2))


def _has_tripped(experiment: Experiment) -> bool:
    """Whether failures alike suspended it: nobody is here who could say to go on."""
    return bool(experiment.suspended and experiment.breaker and not experiment.is_ended)


def _exit_code(experiment: Experiment) -> int:
    states = set(experiment.trials.values_list("state", flat=True).distinct().order_by())
    if TrialState.SUCCEEDED not in states and states & WENT_WRONG:
        return EXIT[Phase.ERROR]
    return EXIT[Phase.TIMEOUT if _has_tripped(experiment) else Phase(experiment.phase)]


def _still_busy(experiment: Experiment) -> bool:
    if experiment.trials.exclude(state__in=FINISHED).exists():
        return True
    # What has failed is not waited for: it is tried again while a server runs.
    return destination(experiment) is not None and outbox.goes_on(experiment.pk)


def _progress_line(experiment: Experiment) -> str:
    counted = present.count_trials([experiment])[experiment.pk]
    counts, n_finished = counted.by_state, counted.finished
    n_all = counted.out_of(experiment.max_trials)
    filled = BAR_WIDTH * n_finished // n_all
    words = [
        f"{experiment.phase:8}[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]",
        f"{n_finished}/{n_all} trials",
        f"{counts[TrialState.RUNNING]} running",
    ]
    if counts[TrialState.FAILED]:
        words.append(f"{counts[TrialState.FAILED]} failed")
    if counts[TrialState.EARLY_STOPPED]:
        words.append(f"{counts[TrialState.EARLY_STOPPED]} stopped early")
    if experiment.best_trial is not None:
        words.append(f"best {experiment.best_trial.value:.6g}")
    if experiment.suspended and not experiment.is_ended:
        words.append("suspended")
    return "  ".join(words)
