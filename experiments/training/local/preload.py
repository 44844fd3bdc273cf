"""Trials that need not import what others imported before: one process per experiment is forked.

``spec.local.preload`` names the modules. For the first trial a process of the user's own
interpreter is started (``fork_server``), with the command's options and the trial's environment;
it imports them once, and every trial whose command is alike is a fork of it. Called by the local
backend. Where a fork would not be like a fresh start the trial is started the ordinary way, with a
reason for the user.

It ends with its experiment (``leave``), with this process, and when nobody needed it for long. One
that died is replaced.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.training.base import Launch, NotYet
from experiments.training.last_words import with_last_words
from experiments.training.local.processes import JOB_MARK
from experiments.training.local.recipe import (
    DEVICE_NAMES,
    Call,
    Ordinary,
    Recipe,
    call_of,
    recipe_of,
)
from experiments.training.local.spawner import ANSWER_TIMEOUT_S, tell

logger = logging.getLogger(__name__)

IMPORT_LIMIT_S = 180.0
LOOK_AGAIN_S = 600.0  # what was refused may have been mended
MOST_DEATHS = 3  # in that time
A_MOMENT_S = 0.5  # worth waiting for rather than coming again

SERVER = Path(__file__).with_name("fork_server.py")
ROOM = " " * 4096  # for the path of any job, see ``fork_server``


class Gone(Exception):
    """The process that was to be forked has ended, or ends: another one is needed."""


# ---- the process that is forked


class ForkServer:
    """Our end of one of them. Threads may share it."""

    def __init__(self, recipe: Recipe, spec: Mapping[str, Any], hint: Path) -> None:
        """Start it.

        Args:
            spec: of the trial for which it is started.
            hint: a file that is made when the imports are through.

        Raises:
            Ordinary: it cannot be started.
        """
        self.recipe = recipe
        self.settled = threading.Event()  # ready, refused or ended
        self.refused = ""  # why it will never fork
        self.settled_at = 0.0
        self.ended = False
        self.last_words = ""
        self.died = False  # ended, and was not to
        self._is_over = False
        self._hint = hint
        self._forking = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(IMPORT_LIMIT_S)
        self._early, early_end = os.pipe()
        environment = {
            name: value
            for name, value in spec["env"].items()
            if name not in recipe.hidden or name in DEVICE_NAMES
        }
        words = [recipe.word, *recipe.options, str(SERVER), str(theirs.fileno()), ROOM]
        try:
            with theirs:
                self._process = subprocess.Popen(
                    words,
                    executable=recipe.executable,
                    stdin=subprocess.DEVNULL,
                    stdout=early_end,
                    stderr=early_end,
                    cwd=spec["cwd"],
                    env={**environment, JOB_MARK: ROOM},
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C is for the server
                )
        except OSError as error:
            self._control.close()
            os.close(self._early)
            raise Ordinary(f"{recipe.word} cannot be started: {error.strerror}") from error
        finally:
            os.close(early_end)
        order = {
            "modules": recipe.modules,
            "first": recipe.first,
            "shown": recipe.shown,
            "hidden": sorted(recipe.hidden),
        }
        with contextlib.suppress(OSError):  # then it ended, which is seen at once
            self._control.sendall(json.dumps(order).encode())
        threading.Thread(target=self._watch, name="fork server", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_stale(self) -> bool:
        """Whether another one is needed: it ended, or what it refused may have been mended."""
        if self.refused:
            return time.monotonic() - self.settled_at > LOOK_AGAIN_S
        return self.ended

    def fork(self, order: Mapping[str, Any], job: Mapping[str, Any], lock: int) -> str:
        """Fork the replicas of a job and their supervisor; returns its answer, as ``tell``.

        Raises:
            Gone: nothing was forked; the message says why.
            BackendUnavailable: it did not answer.
        """
        ours, theirs = socket.socketpair()
        line, their_line = socket.socketpair()
        with ours, line:
            ours.settimeout(ANSWER_TIMEOUT_S)
            line.settimeout(ANSWER_TIMEOUT_S)
            with theirs, their_line, self._forking:
                try:
                    if self.ended:
                        raise ConnectionError
                    socket.send_fds(
                        self._control, [b"job"], [lock, theirs.fileno(), their_line.fileno()]
                    )
                except OSError as error:
                    raise Gone("the process that imported them has ended") from error
            try:
                slot = (job.get("slot") or {}).get("path", "")
                line.sendall(json.dumps({**order, "slot": slot}).encode())
                line.shutdown(socket.SHUT_WR)
                answer = b""
                while data := line.recv(4096):
                    answer += data
            except TimeoutError:
                self.end()
                raise Gone("the process that imported them did not answer") from None
            except OSError as error:
                raise Gone("the process that imported them has ended") from error
            word, _, why = answer.decode("utf-8", "replace").partition(" ")
            if word != "ok":
                raise Gone(why or "the process that imported them has ended")
            return tell(ours, job)

    def end(self) -> None:
        """Trials that were forked go on."""
        self._is_over = True
        self._process.kill()

    def _watch(self) -> None:
        """Wait for its word, and for its end."""
        answer = b""
        try:
            answer = self._control.recv(65536)
            self.refused = str(json.loads(answer)["refused"]) if answer else ""
        except TimeoutError:
            self.refused = f"importing them took more than {IMPORT_LIMIT_S:g} s"
            self.end()
        except (OSError, ValueError, KeyError):
            pass  # it died, or is no server of ours
        if not answer and not self.refused:
            self.last_words = self._end_of_it()
            self.ended = self.died = True
        self._control.settimeout(ANSWER_TIMEOUT_S)
        self.settled_at = time.monotonic()
        self.settled.set()
        with contextlib.suppress(OSError):
            self._hint.touch(mode=0o600)
        code = self._process.wait()
        self.died = code != 0 and not self._is_over
        self.ended = True
        with self._forking:
            self._control.close()
        os.close(self._early)

    def _end_of_it(self) -> str:
        """How it ended before it had imported all."""
        self._process.kill()
        self._process.wait()
        os.set_blocking(self._early, False)
        try:
            text = os.read(self._early, 65536)
        except BlockingIOError:
            text = b""
        code = self._process.returncode
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return with_last_words(how, text)


# ---- those of this process


@dataclass(frozen=True)
class Start:
    """How a job is to be started: replicas forked from ``server``, or with a remark why not."""

    server: ForkServer | None = None
    order: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""


class Preloads:
    """The processes that are forked, one for each experiment that wants it."""

    def __init__(self, exits: Path, how: Mapping[str, Any]) -> None:
        """Args:
        exits: the backend's, where hints go.
        how: to start a supervisor, see ``spawner.supervisor``.
        """
        self._exits = exits
        self._how = how
        self._lock = threading.Lock()
        self._servers: dict[str, ForkServer] = {}
        self._deaths: dict[str, list[float]] = {}

    def start(self, launch: Launch, specs: Sequence[Mapping[str, Any]], work: str) -> Start:
        """Say how to start the replicas of a job; costs nothing where nothing is preloaded.

        Args:
            work: the job's own directory, where the manifest names none.

        Raises:
            NotYet: the modules are being imported.
        """
        modules = launch.local.preload
        if not modules:
            return Start()
        try:
            call = call_of(specs[0]["argv"])
            recipe = recipe_of(specs[0], call, modules, work)
            server = self._server(launch.experiment_id, recipe, specs[0])
            self._wait(server, modules)
        except Ordinary as reason:
            return Start(remark=f"{', '.join(modules)} not preloaded: {reason}.")
        forks, others = [], []
        for index, spec in enumerate(specs):
            try:
                call = call_of(spec["argv"])
                if why := _differs(server.recipe, recipe_of(spec, call, modules, work)):
                    raise Ordinary(why)
                forks.append(_fork_of(index, spec, call))
            except Ordinary as reason:
                others.append(f"{spec['name']}: {reason}")
        remark = f"{', '.join(modules)} not preloaded in {'; '.join(others)}." if others else ""
        return Start(server, {"forks": forks, "supervisor": self._how}, remark)

    def _server(self, experiment: str, recipe: Recipe, spec: Mapping[str, Any]) -> ForkServer:
        with self._lock:
            server = self._servers.get(experiment)
            if server is not None and server.is_stale():
                self._forget(experiment, server)
                server = None
            if server is None:
                hint = self._exits / f"at-{experiment}-preload"
                server = self._servers[experiment] = ForkServer(recipe, spec, hint)
        if why := _differs(server.recipe, recipe):
            raise Ordinary(why)
        return server

    def _forget(self, experiment: str, server: ForkServer) -> None:
        """Raises Ordinary where it, and those before it, did not live for long."""
        deaths = self._deaths.setdefault(experiment, [])
        now = time.monotonic()
        if server.died:
            deaths[:] = [*(each for each in deaths if now - each < LOOK_AGAIN_S), now]
            server.died = False  # is counted
        if len(deaths) >= MOST_DEATHS and now - deaths[-1] < LOOK_AGAIN_S:
            words = f": {server.last_words}" if server.last_words else ""
            raise Ordinary(f"the process that imports them died {len(deaths)} times{words}")
        del self._servers[experiment]

    def _wait(self, server: ForkServer, modules: Sequence[str]) -> None:
        server.settled.wait(A_MOMENT_S)
        if not server.settled.is_set():
            raise NotYet(f"Waits for {', '.join(modules)}: imported once for all trials.")
        if server.refused:
            raise Ordinary(server.refused)
        if server.ended:
            raise NotYet(f"Waits for {', '.join(modules)}: to be imported again.")

    def leave(self, experiment: str) -> None:
        """No more trials of this experiment will come."""
        with self._lock:
            server = self._servers.pop(experiment, None)
            self._deaths.pop(experiment, None)
        if server is not None:
            server.end()

    def pids(self) -> list[int]:
        """Those that live, for tests and for people."""
        with self._lock:
            return [server.pid for server in self._servers.values() if not server.ended]


def _differs(mine: Recipe, other: Recipe) -> str:
    return "" if mine == other else mine.difference(other)


def _fork_of(index: int, spec: Mapping[str, Any], call: Call) -> dict[str, Any]:
    return {
        "index": index,
        "argv": spec["argv"],
        "cwd": spec["cwd"],
        "env": spec["env"],
        "kind": call.kind,
        "name": call.name,
        "args": call.args,
    }
