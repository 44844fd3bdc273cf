"""The embedded product: web, worker and ticker as processes of one command, no service to install.

Called by the ``up`` and ``run`` commands. Guarantees: one supervisor per data directory (a lock
file); the roles die with it, however it dies; a role that dies alone is started again; an orderly
end takes under three seconds and puts running local trials back in the queue.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command

from experiments import owner_key
from experiments.embedded import addresses, role_logs, serving
from experiments.embedded.nursery import CannotFork, Nursery
from experiments.embedded.shutdown import requeue_local_trials
from experiments.models import Experiment, Upload, leases, release
from experiments.trials import elsewhere

logger = logging.getLogger(__name__)

ROTATE_EVERY_S = 10.0


class AlreadyRunning(Exception):
    """Another supervisor has this data directory."""

    def __init__(self, owner: dict[str, Any]) -> None:
        self.owner = owner
        super().__init__(
            f"{settings.DATA_DIR} is in use by process {owner.get('pid', '?')}"
            f" ({owner.get('url', 'starting')})."
        )


class CannotStart(Exception):
    """The product cannot be served; the message says why."""


class DataLock:
    """Exclusive hold of the data directory; the kernel frees it when the holder dies."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._path.touch()
        self._file = self._path.open("r+b", buffering=0)

    def take(self) -> None:
        """Raise AlreadyRunning where somebody has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(self.owner()) from None
        self.describe({"pid": os.getpid()})

    def owner(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def describe(self, words: dict[str, Any]) -> None:
        """Say who holds it. Whoever reads meanwhile finds the old words or the new ones, whole."""
        text = json.dumps(words).encode()
        descriptor = self._file.fileno()
        os.pwrite(descriptor, text.ljust(os.fstat(descriptor).st_size), 0)
        os.ftruncate(descriptor, len(text))

    def release(self) -> None:
        self.describe({})
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


def stop_signals() -> list[int]:
    """A list that will hold the signals which ask us to stop; under nohup SIGHUP does not."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        signal.signal(number, lambda which, _frame: received.append(which))
    return received


def free_port(host: str, preferred: int | None = None) -> int:
    """``preferred`` if it can be served, else any free port.

    A run that was killed left trials behind which report to the old port: keeping it lets them.
    """
    for port in (preferred or 0, 0):
        try:
            sockets = serving.listen(host, port)
        except (OSError, OverflowError) as error:
            refusal = str(error)
            continue
        found = int(sockets[0].getsockname()[1])
        for listener in sockets:
            listener.close()
        return found
    raise CannotStart(f"No free port on {host}: {refusal}.")


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that take connections from now on, whether a web process runs or not.

    Raises:
        CannotStart: with the reason, where ``port`` cannot be served on ``host``.
    """
    if not 1 <= port <= 65535:
        raise CannotStart(f"The port must be from 1 to 65535, but got {port}.")
    try:
        return serving.listen(host, port)
    except socket.gaierror as error:
        raise CannotStart(
            f"--host {host} must be an address of this machine: {error.strerror}."
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "is taken by another program"
        else:
            reason = f"cannot be served: {error.strerror}"
        raise CannotStart(f"Port {port} on {host} {reason}; choose one with --port.") from None


class Child:
    """One role as a process, started again (with back-off) when it dies."""

    def __init__(
        self, name: str, words: list[str], nursery: Nursery, sockets: Sequence[socket.socket] = ()
    ) -> None:
        self.name = name
        self.pid = 0
        self._words = words
        self._sockets = sockets
        self._nursery = nursery
        self._started = 0.0
        self._wait_s = 0.5

    def start(self) -> None:
        """Raises CannotFork."""
        log = settings.DATA_DIR / "logs" / f"{self.name}.log"
        self._started = time.monotonic()
        descriptors = [each.fileno() for each in self._sockets]
        self.pid = self._nursery.start(self.name, self._words, log, descriptors)

    def watch(self) -> bool:
        """Start it again if it died; crash loops slow down to one start in ten seconds."""
        code = self._nursery.poll(self.pid)
        if code is None:
            return False
        if code == -signal.SIGTERM:
            self._wait_s = 0.0  # somebody wants it anew: its connections wait
        elif time.monotonic() - self._started > 30:
            self._wait_s = 0.5
        if time.monotonic() - self._started < self._wait_s:
            return False
        logger.warning("%s ended with code %s; starting it again", self.name, code)
        self._wait_s = max(0.5, min(10.0, self._wait_s * 2))
        try:
            self.start()
        except CannotFork as error:
            logger.warning("%s", error)
            return False
        return True

    def terminate(self) -> None:
        self._nursery.signal(self.pid, signal.SIGTERM)

    def kill_after(self, deadline: float) -> None:
        # One that never started has no pid, and no end that could be waited for.
        while self.pid and self._nursery.poll(self.pid) is None:
            if time.monotonic() > deadline:
                self._nursery.signal(self.pid, signal.SIGKILL)
            time.sleep(0.005)


class Supervisor:
    """Runs the three roles until told to stop.

    Use as: ``prepare()``, ``start()``, then ``watch()`` every now and then, and ``stop()``.

    Args:
        nursery: made before the command opened anything.
        purpose: what the lock says: "up"; "run" or "tune" where it ends with what runs.
    """

    def __init__(self, host: str, port: int, nursery: Nursery, *, purpose: str = "up") -> None:
        self._for = purpose
        self.host = host
        self.port = port
        here = f"http://{addresses.here(host)}:{port}"
        given = os.environ.get("AUTOTUNE_PUBLIC_URL", "").rstrip("/")
        self.here = here  # where programs of this machine reach it
        self.url = given or f"http://{addresses.shown(host)}:{port}"
        self.trial_url = os.environ.get("AUTOTUNE_TRIAL_URL", "").rstrip("/") or here
        self._probe_url = f"{here}/healthz"
        self._rotated = 0.0
        self._lock = DataLock(settings.DATA_DIR)
        self._nursery = nursery
        self._children: list[Child] = []
        self._sockets: list[socket.socket] = []

    def prepare(self) -> None:
        """Take the data directory and bring its database up to date.

        Raises:
            AlreadyRunning: somebody else serves it.
            CannotStart: the port cannot be served, or the database is of a later version.
        """
        self._lock.take()
        self._sockets = listen(self.host, self.port)
        self._nursery.prepare(self._environment())
        role_logs.make_private(settings.DATA_DIR / "logs")
        if words := release.too_new():
            raise CannotStart(words)
        call_command("migrate", verbosity=0, interactive=False)
        leases.forget_all(Experiment, Upload)
        elsewhere.restart_silence()  # before a worker counts the time in which nobody served
        for stale in (settings.DATA_DIR / "queue").glob("*.msg"):
            stale.unlink(missing_ok=True)  # hints for a worker that is gone

    def start(self) -> None:
        """Start the roles. Raises CannotStart."""
        owner_key.make(settings.DATA_DIR)
        self._children = [
            Child(name, words, self._nursery, self._sockets if name == "web" else ())
            for name, words in self._roles().items()
        ]
        try:
            for child in self._children:
                child.start()
        except CannotFork as error:
            raise CannotStart(str(error)) from None
        self._describe()

    def _environment(self) -> dict[str, str]:
        """What the roles' environment holds beside our own."""
        hosts = {*settings.ALLOWED_HOSTS, *addresses.names_of(self.host)}
        return {
            "AUTOTUNE_DATA": str(settings.DATA_DIR),
            "AUTOTUNE_PUBLIC_URL": self.url,
            "AUTOTUNE_TRIAL_URL": self.trial_url,
            "ALLOWED_HOSTS": ",".join(sorted(hosts)),
        }

    def _describe(self) -> None:
        """Write beside the lock who serves and where, for ``run``, the shell and people."""
        self._lock.describe(
            {
                "pid": os.getpid(),
                "url": self.url,
                "here": self.here,
                "for": self._for,
                "port": self.port,
                "children": {child.name: child.pid for child in self._children},
            }
        )

    def _roles(self) -> dict[str, list[str]]:
        """What each role runs, as behind ``python -m``."""
        worker = """celery -A autotune_web --quiet worker --pool threads --concurrency 4
            --prefetch-multiplier 1 --without-gossip --without-mingle --without-heartbeat
            --loglevel WARNING -Q autotune"""
        return {
            "web": ["django", "web"],
            "worker": worker.split(),
            "ticker": ["django", "ticker"],
        }

    def wait_until_served(self, timeout_s: float = 60.0) -> None:
        """Return once the web process answers, or we are to end.

        Raises CannotStart with its last words.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._nursery.stopping:
                return
            try:
                with urllib.request.urlopen(self._probe_url, timeout=2):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                pass
            self.watch()
            time.sleep(0.05)
        log = settings.DATA_DIR / "logs" / "web.log"
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise CannotStart(f"The web process did not answer in {timeout_s:.0f} s. {tail}")

    def watch(self) -> None:
        """Start again whatever died; call it every now and then."""
        if any([child.watch() for child in self._children]):
            self._describe()
        if time.monotonic() - self._rotated > ROTATE_EVERY_S:
            self._rotated = time.monotonic()
            role_logs.rotate(settings.DATA_DIR / "logs")

    def stop(self) -> int:
        """End everything in under three seconds; returns how many trials went back to the queue."""
        loop = [child for child in self._children if child.name != "web"]
        web = [child for child in self._children if child.name == "web"]
        for child in loop:
            child.terminate()
        deadline = time.monotonic() + 0.6
        for child in loop:
            child.kill_after(deadline)  # safe at any moment: the rows are the state
        try:
            n_requeued = requeue_local_trials()  # web still takes their last reports
        finally:
            for child in web:
                child.terminate()
            deadline = time.monotonic() + 1.0
            for child in web:
                child.kill_after(deadline)
            self._nursery.close()
            for listener in self._sockets:
                listener.close()
            owner_key.forget(settings.DATA_DIR)
            self._lock.release()
        return n_requeued
