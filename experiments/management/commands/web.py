"""The web role: pages, REST, websocket and trial API."""

from __future__ import annotations

import gc
import socket
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.embedded import health, serving
from experiments.monitoring import door

# Rows read for an answer live as long as it takes: looking for cycles each 700 objects among the
# hundred thousands of a large experiment takes longer than reading them.
OBJECTS_BETWEEN = 50_000
# Who reads rows gives the interpreter away with each, and gets it back from somebody who reckons
# only after this long: fifty rows of a table took a quarter of a second beside a large chart.
SECONDS_A_TURN = 0.001


class Command(BaseCommand):
    help = "Serve pages, REST and the trial API; SIGTERM ends it once what has begun is answered."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8080)
        parser.add_argument(
            "--fd", type=int, action="append", help="a listening socket, instead of host and port"
        )

        parser.add_argument(
            "--leave",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="behind a balancer: how long to be not ready, and serve, before the end",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if words := health.refusal():
            raise CommandError(words)
        sockets = [socket.socket(fileno=number) for number in options["fd"] or ()]
        try:
            sockets = sockets or serving.inherited()
            sockets = sockets or serving.listen(options["host"], options["port"])
        except OSError as error:
            where = f"{options['host']}, port {options['port']}"
            raise CommandError(f"{where} cannot be served: {error.strerror}.") from None
        door.serve("web")
        _collect_seldom()
        sys.setswitchinterval(SECONDS_A_TURN)
        serving.serve(sockets, options["leave"], health.leave)


def _collect_seldom() -> None:
    gc.collect()
    gc.freeze()  # what was imported stays
    gc.set_threshold(OBJECTS_BETWEEN)
