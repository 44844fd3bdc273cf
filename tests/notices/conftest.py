"""A receiver of webhooks, and what tests of notices share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from experiments.models import Channel, Experiment, Notice
from experiments.notices.delivery import deliver, due_channels
from experiments.services import channels
from experiments.states import Phase


class Receiver:
    """A web server that keeps what it is told, and answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((dict(self.headers), body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def experiment(alice: Any, make_experiment: Any) -> Experiment:
    found: Experiment = make_experiment(name="digits <b>", phase=Phase.RUNNING, owner=alice)
    return found


def hook(user: Any, receiver: Receiver, *told_of: str, **more: Any) -> tuple[Channel, str]:
    wanted = told_of or ("end", "error", "breaker", "best")
    return channels.create(user, "webhook", receiver.url, wanted, more.get("experiment"))


def run_due() -> None:
    for channel in due_channels():
        deliver(channel)


def now_due() -> None:
    Notice.objects.update(due_at=timezone.now())
    Channel.objects.update(next_try_at=timezone.now())
