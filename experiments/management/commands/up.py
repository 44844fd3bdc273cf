"""Serve everything on this machine: ``./autotune up``."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.access import accounts
from experiments.embedded import addresses
from experiments.embedded.nursery import Nursery
from experiments.embedded.supervisor import (
    AlreadyRunning,
    CannotStart,
    Supervisor,
    free_port,
    stop_signals,
)
from experiments.embedded.use import Use
from experiments.manifest.spec import parse_text
from experiments.models import Experiment
from experiments.services import actions, samples


class Command(BaseCommand):
    help = "Set up, migrate and serve everything; Ctrl-C stops it."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8080)
        parser.add_argument("--data", help="data directory (also AUTOTUNE_DATA)")
        parser.add_argument("--python", help="the interpreter, or its environment, of trials")
        parser.add_argument("--no-sample", action="store_true", help="start without the sample")
        parser.add_argument(
            "--while-used",
            action="store_true",
            help="serve programs of autotune_client, on a free port, and end with the last of them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        nursery = Nursery()
        logging.getLogger().setLevel(logging.WARNING)
        nursery.stopping = stopping = stop_signals()
        use = Use(settings.DATA_DIR) if options["while_used"] else None
        port = options["port"] if use is None else free_port(options["host"])
        purpose = "up" if use is None else "tune"
        supervisor = Supervisor(options["host"], port, nursery, purpose=purpose)
        try:
            supervisor.prepare()
        except AlreadyRunning as error:
            hint = "Stop it first, or use another --data."
            if error.owner.get("for") == "tune":
                hint = f"It serves programs of autotune_client, and ends with them. {hint}"
            raise CommandError(f"{error} {hint}") from None
        except CannotStart as error:
            raise CommandError(str(error)) from None
        try:
            self._add_sample(options["no_sample"] or use is not None)
            supervisor.start()
            supervisor.wait_until_served()
            if not stopping and use is None:
                self._greet(supervisor)
            while not (stopping or (use and use.is_over())):
                supervisor.watch()
                time.sleep(0.2)
        except CannotStart as error:
            raise CommandError(str(error)) from None
        finally:
            self._say("" if use else "\nStopping …\n")
            n_requeued = supervisor.stop()
            if n_requeued:
                self._say(f"{n_requeued} running trials will start anew next time.\n")
        sys.exit(0)

    def _add_sample(self, unwanted: bool) -> None:
        """On the first start, an experiment that trains a real model."""
        if unwanted or Experiment.objects.exists():
            return
        text = samples.load("digits-mlp")
        actions.create_experiment(
            parse_text(text),
            owner=accounts.find(accounts.ADMINISTRATOR),
            origin=Experiment.Origin.SAMPLE,
            source=text,
        )

    def _greet(self, supervisor: Supervisor) -> None:
        user = accounts.find(accounts.ADMINISTRATOR)
        link = accounts.sign_in_url(user, supervisor.url)
        self._say(
            "\n  AutoTune Web is running.\n\n"
            f"  Sign in (once):  {link}\n"
            f"  Address:         {supervisor.url}/\n"
            f"  Data:            {settings.DATA_DIR}\n\n"
            f"{self._warning(supervisor)}"
            f"  Another link: {settings.COMMAND} manage sign_in_link{settings.DATA_OPTION}\n"
            "  Stop: Ctrl-C\n\n"
        )

    def _warning(self, supervisor: Supervisor) -> str:
        """What it means that others reach this server without encryption; "" where none do."""
        if addresses.is_loopback(supervisor.host) or supervisor.url.startswith("https://"):
            return ""
        commands = "runs commands on this machine as you" if settings.LOCAL_TRIALS else "is in"
        return (
            "  Warning: this is plain HTTP, and other machines reach it. Whoever listens on the\n"
            f"  way can sign in, and whoever signs in {commands}.\n"
            "  Keep it to a network that you trust, put a proxy with TLS in front\n"
            "  (AUTOTUNE_PUBLIC_URL=https://…), or stay on 127.0.0.1 and come by ssh -L.\n\n"
        )

    def _say(self, words: str) -> None:
        """Write to a terminal that may have been closed: that must not keep us from stopping."""
        try:
            sys.stdout.write(words)
            sys.stdout.flush()
        except OSError:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for Python's own last flush, too)
