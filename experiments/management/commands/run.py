"""Run one experiment to its end without a browser: ``./autotune run FILE.yaml``.

stdout carries the result (with ``--json`` the JSON export alone), stderr the progress. Exit code:
0 DONE, 3 with results but not all of them (TIMEOUT, or failures alike suspended it), 4 ERROR or
trials failed and none succeeded, 2 bad manifest, 130 interrupted; of several experiments in the
file the highest. At a terminal Ctrl-C asks what it should mean. With ``--detach`` a server takes
it, and stdout carries its id and page.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

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
from experiments.management.commands.validate import problem_line, read_file
from experiments.mirrors import passing
from experiments.models import Experiment, Project
from experiments.models.uploads import destination
from experiments.problems import ProblemsError
from experiments.selectors import present
from experiments.selectors.export import export_json
from experiments.selectors.pace import pace_json
from experiments.services import actions
from experiments.services.intake import FileIntake, keep_secrets
from experiments.services.learning import learning, with_python
from experiments.shell import handing, screen, server
from experiments.shell.asking import Choice, Question
from experiments.shell.bar import Progress, ProgressLine
from experiments.shell.looking import share_done
from experiments.shell.trouble import BAD_INPUT, Trouble
from experiments.states import FINISHED, PHASE_ENDED, WENT_WRONG, Phase, TrialState

# What the line of progress shows; the rest of a row is large.
_FOLLOWED = [
    "phase", "deleting", "suspended", "breaker", "max_trials", "best_trial", "finish_requested",
    "active_seconds", "clock_at", "clock_sleep", "max_exec_seconds", "concurrency", "exhausted",
]  # fmt: skip
EXIT = {Phase.DONE: 0, Phase.TIMEOUT: 3, Phase.ERROR: 4}
INTERRUPTED = 130
STARTING_S = 60.0  # what another process gets to say where it serves
PACE_EVERY_S = 2.0  # how often the bar's time left is reckoned anew


class Command(BaseCommand):
    help = "Run one experiment to its end without a browser."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them
    _learns: tuple[Sequence[str], str | None] = ((), None)  # of --warm-start

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--data", help="data directory (also AUTOTUNE_DATA)")
        parser.add_argument("--python", help="the interpreter, or its environment, of trials")
        parser.add_argument("--json", action="store_true", help="print the JSON export")
        parser.add_argument(
            "--detach", action="store_true", help="leave it to the server that runs; do not wait"
        )
        parser.add_argument(
            "--warm-start",
            action="append",
            metavar="ID",
            default=[],
            help="learn from this earlier experiment's trials (id or name; several times)",
        )
        parser.add_argument(
            "--warm-start-trials", metavar="WHICH", help="all, or the best of each: 'top 20'"
        )
        parser.add_argument("--url", help="with --detach: another server (AUTOTUNE_URL)")
        parser.add_argument("--token", help="for --url (AUTOTUNE_TOKEN)")

    def handle(self, *args: Any, **options: Any) -> None:
        self._learns = options["warm_start"], options["warm_start_trials"]
        if options["warm_start_trials"] and not options["warm_start"]:
            self.stderr.write("--warm-start-trials needs --warm-start: trials of which experiment?")
            sys.exit(BAD_INPUT)
        if options["detach"]:
            logging.getLogger().setLevel(logging.ERROR)
            try:
                heads = self._hand_over(options)
            except Trouble as trouble:
                self.stderr.write(screen.clean_text("\n".join(trouble.lines)))
                sys.exit(trouble.code)
            self._tell(heads, as_json=options["json"])
            return
        if options["url"] or options["token"]:
            self.stderr.write("--url and --token are --detach's: another server runs it then.")
            sys.exit(BAD_INPUT)
        self._nursery = Nursery()
        self._line = ProgressLine(sys.stderr)
        self._question: Question | None = None
        logging.getLogger().setLevel(logging.ERROR)
        found = read_file(self, options["file"])
        self._nursery.stopping = stopping = stop_signals()
        self._supervisor = self._supervise()
        try:
            experiments = self._create(found, elsewhere=self._supervisor is None)
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

    def _hand_over(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Leave it to a server; id, name and page of each experiment. Raises Trouble."""
        if named := server.named(options["url"], options["token"]):
            if options["warm_start"]:
                words = "--warm-start is for this machine's experiments: write spec.warmStart."
                raise Trouble(BAD_INPUT, words)
            return handing.over(server.Client(lambda: named), Path(options["file"]))
        there = server.of_directory(settings.DATA_DIR)
        if there is None or there.is_passing:
            why = "Only a run that ends by itself serves" if there else "No server runs on"
            raise Trouble(
                BAD_INPUT,
                f"{why} {settings.DATA_DIR}: start {settings.COMMAND} up{settings.DATA_OPTION},"
                " which takes it, or leave --detach out.",
            )
        made = self._create(read_file(self, options["file"]), elsewhere=True)
        page = f"{there.url}/experiments"
        return [{"id": each.pk, "name": each.name, "url": f"{page}/{each.pk}/"} for each in made]

    def _tell(self, heads: list[dict[str, Any]], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(screen.as_json(heads if len(heads) > 1 else heads[0]))
            return
        for head in heads:
            self.stdout.write(screen.clean(f"{head['id']}  {head['url']}"))

    def _create(self, found: FileIntake, *, elsewhere: bool) -> list[Experiment]:
        """All experiments of the file, with the secrets beside them.

        Where they run ``elsewhere``, in a server of its own settings, they name our interpreter.
        """
        try:
            told = with_python(found, settings.TRIAL_PYTHON if elsewhere else "")
            return self._created(learning(told, *self._learns))
        except ProblemsError as error:
            for problem in error.problems:
                self.stderr.write(problem_line("error", "--warm-start", problem))
            sys.exit(BAD_INPUT)

    def _created(self, found: FileIntake) -> list[Experiment]:
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
            supervisor = Supervisor("127.0.0.1", port, self._nursery, purpose="run")
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
        self._pace_at, self._left = 0.0, None
        while not stopping or self._goes_on(experiment, stopping):
            experiment.refresh_from_db(fields=_FOLLOWED)
            if experiment.deleting:
                raise Experiment.DoesNotExist
            if self._question is None:
                self._line.show(self._progress(experiment))
            elif (choice := self._question.answer()) is not None:
                self._do(choice, experiment, stopping)
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
        self._question = None
        self._line.leave()

    def _goes_on(self, experiment: Experiment, stopping: list[int]) -> bool:
        """Whether we go on though a signal came: the first Ctrl-C at a terminal only asks."""
        asks = stopping == [signal.SIGINT] and Question.is_possible(self._line)
        # Not while it is asked, nor after it was answered with the end.
        if not asks or self._question is not None or experiment.finish_requested:
            stopping.append(signal.SIGTERM)  # nor of the next experiment of the file
            return False
        stopping.clear()
        self._question = Question(self._line)
        return True

    def _do(self, choice: Choice, experiment: Experiment, stopping: list[int]) -> None:
        self._question = None
        if choice is Choice.LEAVE:
            stopping.append(signal.SIGTERM)
        elif choice is Choice.FINISH:
            with suppress(actions.Refused):  # it has ended meanwhile
                actions.finish(experiment)

    def _take_over(self) -> None:
        """Serve ourselves once the server that we handed the experiment to has ended."""
        with suppress(AlreadyRunning):
            self._supervisor = self._serve()

    def _progress(self, experiment: Experiment) -> Progress:
        if experiment.is_ended:
            self._left = None
        elif self._line.is_drawn and time.monotonic() - self._pace_at > PACE_EVERY_S:
            self._left = pace_json(experiment)["left"]
            self._pace_at = time.monotonic()
        counted = present.count_trials([experiment])[experiment.pk]
        counts = counted.by_state
        best = experiment.best_trial
        limits = {name: getattr(experiment, name) for name in ("max_trials", "max_exec_seconds")}
        active = experiment.active_seconds_at(timezone.now())
        return Progress(
            phase=experiment.phase,
            n_finished=counted.finished,
            n_all=counted.out_of(experiment.max_trials),
            share=share_done({"n_finished": counted.finished, "active_seconds": active, **limits}),
            n_running=counts[TrialState.RUNNING],
            n_failed=counts[TrialState.FAILED],
            n_stopped_early=counts[TrialState.EARLY_STOPPED],
            best=None if best is None else best.value,
            is_suspended=experiment.suspended and not experiment.is_ended,
            is_finishing=experiment.finish_requested and not experiment.is_ended,
            left=self._left,
        )

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
        self.stdout.write(f"{state}: {screen.clean(experiment.name)} ({experiment.pk})")
        if tripped:
            words = f"{tripped['reason']}\n\n{tripped['log']}".strip()
            self.stdout.write(screen.plain_log(words))
            self.stdout.write(
                f"\nIt can go on {self._how()} and a press on 'Continue anyway'; "
                "with 'breaker: {alike: 0}' in its spec it never stops for failures."
            )
        if experiment.message:
            self.stdout.write(screen.plain_log(experiment.message))
        if upload := present.aistore_by_id([experiment])[experiment.pk]:
            words = f"AIStore: {upload['uploaded']} of {upload['runs']} trials are uploaded."
            self.stdout.write(screen.plain_log(f"{words} {upload['error']}".rstrip()))
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
    is_uploading = destination(experiment) is not None and outbox.goes_on(experiment.pk)
    return is_uploading or passing.goes_on(experiment.pk)
