"""Starts supervisors of local trials by forking a small process that is ready for it.

An interpreter takes as long to start as most of what we do for a trial, so one that holds nothing
but ``wrapper`` is started once, at the first launch of a process of ours, and forks itself
for every job. It ends when its other end is closed, however its owner died; supervisors leave it
at once (own session, no parent) and outlive both.

The wire: on a SOCK_SEQPACKET pair one packet a job, with two descriptors: the lock of the job's
directory, and a stream that carries the job there and ``wrapper.supervise``'s one line back.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.training.base import BackendUnavailable
from experiments.training.local.wrapper import supervise

ANSWER_TIMEOUT_S = 30.0

_IMPORT_ROOT = Path(__file__).resolve().parents[3]
_PACKET = b"job"
_OPTIONS = ("-I", "-S", "-X", "utf8")
_OWN_IMPORTS = f"import sys; sys.path.append({str(_IMPORT_ROOT)!r}); "


@lru_cache(maxsize=8)
def spawner(python: str) -> Spawner:
    """The one of this process that runs on the interpreter ``python``."""
    return Spawner(python)


class Spawner:
    """Our end. Threads may share it, and so may processes that were forked with it."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._control: socket.socket | None = None
        self._starting = threading.Lock()

    def spawn(self, job: dict[str, Any], lock: int) -> str:
        """Fork a supervisor for ``job`` and return its answer, one line.

        It is "" where the spawner ended under our hands: the job was started, or was not.

        Args:
            job: see ``wrapper.Supervisor``.
            lock: descriptor of the lock file; the supervisor holds it until its pid is on record.

        Raises:
            BackendUnavailable: no process could be started, or none answered in time.
        """
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(ANSWER_TIMEOUT_S)
            with theirs:
                self._send([lock, theirs.fileno()])
            return tell(ours, job)

    def close(self) -> None:
        """End the process; a further job starts another. Supervisors go on."""
        with self._starting:
            if self._control is not None:
                self._control.close()
                self._control = None

    def _send(self, descriptors: list[int]) -> None:
        with self._starting:
            for _ in range(2):
                if self._control is None:
                    self._control = self._start()
                try:
                    socket.send_fds(self._control, [_PACKET], descriptors)
                    return
                except (ConnectionError, TimeoutError):  # it died since: once more, with another
                    self._control.close()
                    self._control = None
        raise BackendUnavailable("the process that starts trials ends at once; see the log")

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(ANSWER_TIMEOUT_S)
        code = _OWN_IMPORTS + "from experiments.training.local.spawner import serve; "
        code += f"serve({theirs.fileno()})"
        with theirs:
            try:
                process = subprocess.Popen(
                    [self._python, *_OPTIONS, "-c", code],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env=_environment(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C is for the server
                )
            except OSError as error:
                ours.close()
                raise BackendUnavailable(f"{self._python} cannot be started: {error}") from error
        # Nobody else ever asks how it ended.
        threading.Thread(target=process.wait, name="spawner's end", daemon=True).start()
        return ours


def tell(stream: socket.socket, job: Mapping[str, Any]) -> str:
    """Tell a supervisor its job and return its answer, one line; "" where it ended meanwhile.

    Raises:
        BackendUnavailable: it did not answer in time.
    """
    try:
        stream.sendall(json.dumps(job).encode())
        stream.shutdown(socket.SHUT_WR)
        answer = b""
        while data := stream.recv(4096):
            answer += data
    except TimeoutError:
        raise BackendUnavailable(
            f"the trial's supervisor did not answer within {ANSWER_TIMEOUT_S:g} s"
        ) from None
    except ConnectionError:
        return ""
    return answer.decode("utf-8", "replace").strip()


def how_to_supervise(python: str) -> dict[str, Any]:
    """What a process of any interpreter needs to become a supervisor: see ``fork_server``."""
    code = _OWN_IMPORTS + "from experiments.training.local.wrapper import supervise; "
    return {
        "executable": python,
        "argv": [python, *_OPTIONS],
        "code": code,
        "env": _environment(),
    }


def _environment() -> dict[str, str]:
    """Return what an interpreter needs to start; nothing of ours, for it cannot leak."""
    names = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
    return {name: os.environ[name] for name in names if name in os.environ}


def serve(descriptor: int) -> None:
    """The other end: fork for every packet until the owner is gone."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as control:
        while True:
            data, descriptors, _, _ = socket.recv_fds(control, len(_PACKET), 2)
            if not data:
                return
            lock, stream = descriptors
            child = os.fork()
            if child == 0:
                control.close()
                _leave(lock, stream)
            os.close(lock)
            os.close(stream)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _leave(lock: int, stream: int) -> None:
    """In the child: become nobody's child in a session of its own, and the supervisor."""
    try:
        if os.fork() == 0:
            os.setsid()
            supervise(lock, stream)
    except BaseException:
        traceback.print_exc()  # for whoever launched it, or the log
    finally:
        os._exit(0)  # whatever comes, never go on as a second server
