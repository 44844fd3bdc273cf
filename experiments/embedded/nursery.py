"""Where the roles of one machine come from: a process that has imported everything, and forks.

Three interpreters that import Django each cost more than most of what a short run does. So one
process, forked from the command before that opens anything, imports what the roles need and forks
itself for each, at the start and after a crash alike: none inherits a thread, a connection or a
lock. Used by ``supervisor``.

The wire: JSON packets on a SOCK_SEQPACKET pair. ``prepare`` has no answer, so that the imports run
beside the owner's own work; ``start`` answers with a pid, ``ended`` with who has ended since. The
nursery dies with its owner, the roles with the nursery. Should it die alone, or not answer, its
roles are killed and the next one comes from an interpreter of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from setproctitle import setproctitle

ANSWER_TIMEOUT_S = 60.0  # the imports, on a machine that is busy
LAST_ANSWER_S = 2.0  # once we are to end
LOOK_S = 0.1  # whether that is so
PACKET_BYTES = 1 << 17
MAX_SOCKETS = 16  # that one role may get
IMPORTED = (
    "autotune_web.asgi",
    "autotune_web.urls",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "experiments.embedded.serving",
    "uvicorn.protocols.websockets.auto",
    "autotune_web.folder_broker",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "experiments.loop.tasks",
    "experiments.management.commands.ticker",
    "experiments.management.commands.web",
)
_IMPORT_ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1


class CannotFork(Exception):
    """No role could be started; the message says why."""


class Nursery:
    """The owner's end, for one thread.

    Make it first of all: what the process has open by then, and its threads, the roles would share.

    Attributes:
        stopping: not empty once the owner is to end: then no answer is waited for long.
    """

    def __init__(self) -> None:
        self.stopping: Sequence[int] = ()
        self._environment: dict[str, str] = {}
        self._running: set[int] = set()
        self._ended: dict[int, int] = {}
        self._control: socket.socket | None = None
        self._pid = 0
        self._begin(in_new_interpreter=False)

    def prepare(self, environment: dict[str, str]) -> None:
        """Import everything, with these variables added to the environment. Does not wait."""
        self._environment = environment
        if self._control is None:
            self._begin(in_new_interpreter=True)
        else:
            self._send({"prepare": environment})

    def start(self, name: str, words: list[str], log: Path, sockets: Sequence[int] = ()) -> int:
        """Start a role; returns its pid.

        Args:
            name: what ``ps`` is to show.
            words: as behind ``python -m``: a module and its arguments.
            log: file that its output is appended to.
            sockets: descriptors it gets as well; each number is told behind an ``--fd`` of its own.

        Raises:
            CannotFork: the imports fail, or the log cannot be opened.
        """
        if self._control is None:
            if self.stopping:
                raise CannotFork("The roles have ended, and are not started again for the end.")
            self._begin(in_new_interpreter=True)
        answer = self._ask({"start": name, "words": words, "log": str(log)}, sockets)
        if "pid" not in answer:
            raise CannotFork(answer.get("error", "The process that starts the roles has died."))
        pid = int(answer["pid"])
        self._ended.pop(pid, None)
        self._running.add(pid)
        return pid

    def poll(self, pid: int) -> int | None:
        """How a role ended: its exit code, or minus a signal. None while it runs."""
        if pid in self._running:
            for key, code in self._ask({"ended": True}).items():
                self._running.discard(int(key))
                self._ended[int(key)] = code
        return self._ended.get(pid)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a role. Nobody else has its pid: we are the ones who ask for its end."""
        if pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End it; roles that still run get SIGTERM."""
        if self._control is None:
            return
        self._control.close()
        self._control = None
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _begin(self, *, in_new_interpreter: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(LOOK_S)
        owner = os.getpid()
        if not in_new_interpreter:
            sys.stdout.flush()  # what is written here is not written there once more
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _leave(theirs, owner, in_new_interpreter=in_new_interpreter)
        theirs.close()
        self._control = ours
        if in_new_interpreter:
            self._send({"prepare": self._environment})

    def _ask(self, packet: dict[str, Any], sockets: Sequence[int] = ()) -> dict[str, Any]:
        """Answer to a packet; {} where the nursery has died, and with it all roles."""
        self._send(packet, sockets)
        if data := self._receive():
            return dict(json.loads(data))
        self._bury()
        return {}

    def _receive(self) -> bytes:
        """The answer to the last packet, b"" where none comes in time."""
        begun = time.monotonic()
        while self._control is not None:
            try:
                return self._control.recv(PACKET_BYTES)
            except TimeoutError:
                most = LAST_ANSWER_S if self.stopping else ANSWER_TIMEOUT_S
                if time.monotonic() - begun > most:
                    break
            except OSError:
                break
        return b""

    def _send(self, packet: dict[str, Any], sockets: Sequence[int] = ()) -> None:
        if self._control is None:
            return
        try:
            socket.send_fds(self._control, [json.dumps(packet).encode()], list(sockets))
        except OSError:
            self._bury()

    def _bury(self) -> None:
        """After its death: no role outlives it, for none of their ends would be seen."""
        self.close()
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._ended[pid] = -signal.SIGKILL
        self._running.clear()


# ---- the other end


def _leave(control: socket.socket, owner: int, *, in_new_interpreter: bool) -> None:
    """In the child: a session of its own, and the nursery; never returns."""
    try:
        os.setsid()  # Ctrl-C reaches the owner alone, which stops the roles in order
        die_with(owner, signal.SIGKILL)
        if in_new_interpreter:
            os.chdir(_IMPORT_ROOT)
            control.set_inheritable(True)
            code = f"from experiments.embedded.nursery import serve; serve({control.fileno()})"
            os.execv(sys.executable, [sys.executable, "-c", code])
        serve(control.detach())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # whatever comes, never go on as a second owner


def die_with(parent: int, number: int) -> None:
    """Get this signal when the parent dies; end at once where it has died already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def serve(descriptor: int) -> None:
    """Do what the packets ask until the owner is gone."""
    at_hangup = signal.getsignal(signal.SIGHUP)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the owner decides, and we end with it
    _redirect(os.devnull)
    setproctitle("autotune roles")
    trouble = ""
    with socket.socket(fileno=descriptor) as control:
        while True:
            data, sockets, *_ = socket.recv_fds(control, PACKET_BYTES, MAX_SOCKETS)
            if not data:
                break
            packet = json.loads(data)
            if "prepare" in packet:
                trouble = _prepare(packet["prepare"])
                continue
            if "ended" in packet:
                answer: dict[str, Any] = _reap()
            elif trouble:
                answer = {"error": trouble}
            else:
                packet["words"] += [word for each in sockets for word in ("--fd", str(each))]
                answer = _fork(packet, control, at_hangup)
            for each in sockets:
                os.close(each)  # the next role is not to have it
            control.send(json.dumps(answer).encode())
    os._exit(0)


def _prepare(environment: dict[str, str]) -> str:
    """Become what an interpreter started with these variables would be; returns what fails."""
    os.environ.update(environment)
    os.chdir(settings.BASE_DIR)
    try:
        # Settings were read before the owner knew where it serves. Nothing but Django's and our
        # models have been imported since, which look at none that depend on it.
        module = importlib.reload(importlib.import_module(settings.SETTINGS_MODULE))
        for name in filter(str.isupper, dir(module)):
            setattr(settings, name, getattr(module, name))
        django.setup()  # for its logging; the rest it does once
        for name in IMPORTED:
            importlib.import_module(name)
    except Exception:
        return traceback.format_exc(limit=-3)
    gc.collect()
    gc.freeze()  # else every role copies what it only looks through for garbage
    return ""


def _reap() -> dict[str, int]:
    """Exit codes of the roles that ended, by pid."""
    found: dict[str, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            found[str(pid)] = os.waitstatus_to_exitcode(status)
    return found


def _fork(packet: dict[str, Any], control: socket.socket, at_hangup: Any) -> dict[str, Any]:
    """Fork a role; returns the answer to its owner."""
    try:
        os.close(os.open(packet["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        nursery = os.getpid()
        pid = os.fork()
    except OSError as error:
        return {"error": f"{packet['start']} cannot be started: {error}"}
    if pid:
        return {"pid": pid}
    code = 1
    try:
        control.close()
        os.setsid()
        die_with(nursery, signal.SIGTERM)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, at_hangup)
        _redirect(packet["log"])
        setproctitle(f"autotune {packet['start']}: {' '.join(packet['words'])}")
        sys.argv = packet["words"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _redirect(path: str) -> None:
    """Have stdin read nothing, and stdout and stderr append to a file, line by line."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
        descriptor = os.open(os.devnull if number == 0 else path, flags, 0o600)
        os.dup2(descriptor, number)
        if number == 1:
            os.dup2(descriptor, 2)
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
