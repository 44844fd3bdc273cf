"""Trials as processes of this machine (Linux): the backend behind ``./autotune up``.

Called by ``loop.reconcile``. One directory per attempt, named like the job, holds all that
is known of it, so that any process with the same root can adopt it::

    ROOT/at-ID-NUMBER-ATTEMPT/   lock         held while somebody launches
                                 pid.json     the supervisor: pid, start ticks, boot
                                 note         a remark about the running job
                                 result.json  how it ended
                                 worker-0.log stdout and stderr of a replica
                                 work/        working directory where the manifest names none
                                 nni/         NNI_OUTPUT_DIR, NNI_SYS_DIR
    ROOT/exits/                  an empty file per job that ended since ``take_exits``

Guarantees: a job is started once however often and from wherever it is launched; it outlives the
process that launched it; after its end none of its processes is left, daemons included, even when
its supervisor (``wrapper.py``) was killed.

Image, volumes, resources, security context, init containers, sidecars and restart policies have no
meaning here and are ignored; the forecast tells the user.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.training.base import (
    Backend,
    BackendUnavailable,
    Handle,
    JobState,
    JobStatus,
    Launch,
    LaunchError,
    LogFile,
    Program,
)
from experiments.training.environment import inheritable
from experiments.training.local.collector import UNMEASURED
from experiments.training.local.command_line import is_python, python_of
from experiments.training.local.interpreter import ask, imports_of
from experiments.training.local.job import (
    JOB_MARK,
    OUTPUT,
    WORK,
    Surroundings,
    collecting,
    executable_of,
    replica_commands,
)
from experiments.training.local.processes import boot_id, descendants, process_table, read_stat
from experiments.training.local.spawner import spawner
from experiments.training.local.wrapper import replace_file

logger = logging.getLogger(__name__)

LOG_LIMIT_BYTES = 256 * 1024 * 1024
GRACE_S = 5.0  # from SIGTERM to SIGKILL
SETTLE_S = 1.0  # what the other replicas get to end by themselves after the deciding one
LOCK_TIMEOUT_S = 10.0

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,100}[a-z0-9])?")
_LOG = re.compile(r"[a-z0-9][-a-z0-9]*\.log")


class LocalBackend(Backend):
    """Runs each container's command as a process of this machine, without a shell."""

    name = "local"
    runs_here = True
    shares_files = True
    tells_exits = True

    def __init__(
        self,
        root: Path,
        client_dir: Path,
        python: str = sys.executable,
        *,
        search_path: str = "",
        own_code: Path | None = None,
        grace_s: float = GRACE_S,
        log_limit_bytes: int = LOG_LIMIT_BYTES,
        inherited: Mapping[str, str] | None = None,
    ) -> None:
        """Args:
        root: where jobs live; made when needed, readable by the owner only.
        client_dir: the directory of ``autotune_trial.py``, put on the trials' PYTHONPATH.
        python: runs the supervisor.
        search_path: put first on the trials' PATH, see ``interpreter.trial_path``.
        own_code: where the examples lie that may run with ``python``'s environment.
        inherited: what trials see of the server's environment; by default ``os.environ``
            without the server's own settings.
        """
        self.root = Path(root).absolute()
        self.exits = self.root / "exits"
        self.client_dir = Path(client_dir).absolute()
        self.python = python
        self.search_path = search_path
        self.own_code = "" if own_code is None else os.path.realpath(own_code)
        self.grace_s = grace_s
        self.log_limit_bytes = log_limit_bytes
        self.inherited = inherited

    # launch

    def launch(self, launch: Launch) -> Handle:
        """See ``Backend.launch``."""
        if not sys.platform.startswith("linux"):
            raise LaunchError("trials can run as local processes on Linux only")
        if not _NAME.fullmatch(launch.name):
            raise LaunchError(f"the job's name must be a DNS label, but got {launch.name!r}")
        directory = self.root / launch.name
        if (handle := _find(directory)) is not None:
            return handle
        job = {
            "directory": str(directory),
            "replicas": self._commands(launch, directory),
            "grace": float(self.grace_s),
            "settle": min(SETTLE_S, float(self.grace_s)),
            "log_limit": self.log_limit_bytes,
            "exit_marker": str(self.exits / launch.name),
        }
        try:
            self.exits.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (directory, directory / WORK, directory / OUTPUT):
                folder.mkdir(mode=0o700, exist_ok=True)
            with _locked(directory / "lock") as lock:
                if (handle := _find(directory)) is not None:
                    return handle
                self._start(job, lock)
                if (handle := _find(directory)) is not None:
                    return handle
        except OSError as error:
            raise BackendUnavailable(f"the trial's directory {directory}: {error}") from error
        raise BackendUnavailable(f"the supervisor of {launch.name} ended without a trace")

    def find(self, launch: Launch) -> Handle | None:
        """See ``Backend.find``."""
        return _find(self.root / launch.name) if _NAME.fullmatch(launch.name) else None

    def forecast(self, launch: Launch) -> Sequence[tuple[str, str]]:
        """See ``Backend.forecast``."""
        try:
            self._commands(launch, self.root / launch.name)
        except LaunchError as error:
            pairs = (line.partition(": ") for line in str(error).splitlines())
            return [(path, message) for path, _, message in pairs]
        except BackendUnavailable:
            pass  # no free ports at this moment: says nothing of the manifest
        return ()

    def programs(self, launch: Launch) -> Sequence[Program]:
        """See ``Backend.programs``.

        Only interpreters on the path that the server was started with are asked, never a file that
        a manifest names: who may check a manifest need not be who may run one.
        """
        try:
            specs = self._commands(launch, self.root / launch.name)
        except (LaunchError, BackendUnavailable):
            return ()
        found: dict[str, Program] = {}
        for spec in specs:
            if spec["where"] not in found and (program := self._program(spec)) is not None:
                found[spec["where"]] = program
        return tuple(found.values())

    def _program(self, spec: Mapping[str, Any]) -> Program | None:
        """The program behind a command, a Python that it comes to before any other.

        None for one that stands there by its path: nobody wonders which that is.
        """
        word, executable, environment = spec["argv"][0], spec["executable"], spec["env"]

        def look_up(name: str, cwd: str) -> str:
            return executable_of(name, environment["PATH"], cwd)

        call = python_of(spec["argv"], spec["cwd"], look_up, environment["PYTHONPATH"])
        if call is None or os.path.dirname(call.executable) not in self._own_path():
            known = Program(spec["where"], word, executable, is_ours=spec["is_ours"])
            return known if executable and "/" not in word else None
        needs = imports_of(call.words, call.cwd, call.python_path)
        said = ask(call.executable, needs, inheritable(self._inherited()))
        if is_python(call.word):
            word, executable = call.word, said.executable or call.executable
        return Program(
            spec["where"], word, executable, said.version, said.prefix, said.missing,
            is_ours=spec["is_ours"],
        )  # fmt: skip

    def _own_path(self) -> list[str]:
        """Where programs are looked up unless a manifest says otherwise."""
        own = os.path.dirname(os.path.abspath(self.python))
        return [*self.search_path.split(":"), *self._inherited().get("PATH", "").split(":"), own]

    def _inherited(self) -> Mapping[str, str]:
        return os.environ if self.inherited is None else self.inherited

    def _commands(self, launch: Launch, directory: Path) -> list[dict[str, Any]]:
        surroundings = Surroundings(
            search_path=self.search_path,
            client_dir=str(self.client_dir),
            inherited=self._inherited(),
            own_code=self.own_code,
            own_bin=os.path.dirname(os.path.abspath(self.python)),
        )
        return replica_commands(launch, directory, surroundings)

    def _start(self, job: dict[str, Any], lock: int) -> None:
        """Start the supervisor and wait until it has started the replicas.

        It keeps the lock open until its pid is on record. Should we die meanwhile, a second launch
        waits for that, so it adopts the job rather than starting another.
        """
        answer = spawner(self.python).spawn(collecting(job, self.python, self.client_dir), lock)
        if answer.startswith("failed: "):
            raise LaunchError(answer.removeprefix("failed: "))
        if answer != "ok":
            logger.warning("The supervisor of %s could not start: %s", job["directory"], answer)
            why = answer.rpartition("\n")[2] or "it said nothing"
            raise BackendUnavailable(f"the trial's supervisor could not start: {why}")

    # poll and stop

    def poll(self, handles: Sequence[Handle]) -> list[JobStatus]:
        """See ``Backend.poll``; costs a stat and a failed open for each running job."""
        boot = boot_id() if handles else ""
        return [self._status(handle, boot) for handle in handles]

    def _status(self, handle: Handle, boot: str) -> JobStatus:
        if "pid" not in handle:
            return JobStatus(JobState.LOST, message="the trial was not launched on this machine")
        directory = self.root / handle["name"]
        # Liveness first: the result is written before the supervisor goes, so that a dead one
        # without a result has none to come.
        alive = _is_alive(handle, boot)
        result = _read_json(directory / "result.json")
        if result is not None:
            return JobStatus(
                JobState(result["state"]),
                exit_code=result["exit_code"],
                message=result["message"] or _read_text(directory / UNMEASURED),
                started_at=result["started_at"],
                finished_at=result["finished_at"],
            )
        if alive:
            note = _read_text(directory / "note")
            return JobStatus(JobState.RUNNING, message=note, started_at=handle["since"])
        return self._lost(handle, directory, boot)

    def _lost(self, handle: Handle, directory: Path, boot: str) -> JobStatus:
        """End what a killed supervisor left behind, and put on record that the job is lost."""
        if not directory.is_dir():
            return JobStatus(JobState.LOST, message="nothing is known of this job here")
        if handle["boot"] != boot:
            message = "the machine was restarted while the trial ran"
        else:
            count = _kill_leftovers(handle, directory)
            message = "the trial's supervisor process vanished (killed?)"
            message += f"; {count} processes it left were killed" if count else ""
        finished_at = time.time()
        logger.warning("Job %s is lost: %s", handle["name"], message)
        result = {
            "state": JobState.LOST.value,
            "exit_code": None,
            "signal": None,
            "message": message,
            "started_at": handle["since"],
            "finished_at": finished_at,
            "replicas": [],
        }
        with contextlib.suppress(OSError):  # the next poll tries again
            replace_file(str(directory / "result.json"), json.dumps(result))
        return JobStatus(
            JobState.LOST,
            message=message,
            started_at=handle["since"],
            finished_at=finished_at,
        )

    def stop(self, handle: Handle) -> None:
        """See ``Backend.stop``."""
        if not handle.get("pid"):
            return
        # Opened before the check: a pidfd names one process for good, a stranger gets no signal.
        try:
            pidfd = os.pidfd_open(handle["pid"])
        except ProcessLookupError:
            return
        except OSError:
            pidfd = -1  # not every kernel has them
        try:
            if not _is_alive(handle, boot_id()):
                return
            if pidfd >= 0:
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            else:
                os.kill(handle["pid"], signal.SIGTERM)
        except ProcessLookupError:
            pass  # gone
        finally:
            if pidfd >= 0:
                os.close(pidfd)

    # what is kept

    def logs(self, handle: Handle) -> list[LogFile]:
        """See ``Backend.logs``."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.root / handle["name"]) as entries:
            found = [
                LogFile(entry.name, entry.stat().st_size)
                for entry in entries
                if _LOG.fullmatch(entry.name)
            ]
        order = {f"{name}.log": rank for rank, name in enumerate(handle.get("replicas", []))}
        return sorted(found, key=lambda log: (order.get(log.name, len(order)), log.name))

    def read_log(self, handle: Handle, log: str, offset: int, limit: int) -> bytes:
        """See ``Backend.read_log``; empty where there is no such log or nothing more yet."""
        if not _LOG.fullmatch(log):
            return b""
        try:
            with open(self.root / handle["name"] / log, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size + offset) if offset < 0 else offset)
                return file.read(max(0, limit))
        except FileNotFoundError:
            return b""

    def forget(self, handle: Handle) -> None:
        """See ``Backend.forget``; a job that still runs is stopped, and kept until it ended."""
        directory = self.root / handle["name"]
        if _is_alive(handle, boot_id()) and not (directory / "result.json").exists():
            self.stop(handle)
            raise BackendUnavailable(f"{handle['name']} has not ended yet")
        shutil.rmtree(directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(self.exits / handle["name"])

    def take_exits(self) -> list[str]:
        """See ``Backend.take_exits``; each name is given to one caller."""
        taken = []
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.exits):
                try:
                    os.unlink(self.exits / name)
                except OSError:
                    continue  # another watcher took it
                taken.append(name)
        return taken


# -- parts --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold the lock of a job's directory; yields its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        limit = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise BackendUnavailable(f"somebody else holds {path}") from None
                time.sleep(0.01)
        yield fd
    finally:
        os.close(fd)  # not LOCK_UN: the supervisor may hold it still


def _find(directory: Path) -> Handle | None:
    """Return the handle of the job in this directory, if it was ever started."""
    if not (directory / "pid.json").exists():
        return None
    # Unreadable means that the machine went down as it was written: such a job is lost.
    record = _read_json(directory / "pid.json") or {}
    return {
        "name": directory.name,
        "pid": record.get("pid", 0),
        "started": record.get("started", 0),
        "boot": record.get("boot", ""),
        "since": record.get("since", 0.0),
        "replicas": record.get("replicas", []),
    }


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _read_text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _is_alive(handle: Handle, boot: str) -> bool:
    """Tell whether the job's supervisor runs: the same pid, start and boot; zombies do not."""
    if handle.get("boot") != boot or not handle["pid"]:
        return False
    stat = read_stat(handle["pid"])
    return stat is not None and stat[2] == handle["started"]


def _kill_leftovers(handle: Handle, directory: Path) -> int:
    """Kill what a dead supervisor's job left; return how many processes that were.

    They are known by the mark in their environment, by the supervisor's session, or as
    descendants of such a process.
    """
    mark = f"{JOB_MARK}={directory}".encode()
    killed: set[int] = set()
    for _ in range(50):
        table = process_table()
        # A living process of that pid is a stranger, and so may be the session of that number.
        session = handle["pid"] if handle["pid"] and handle["pid"] not in table else -1
        roots = {
            pid
            for pid, stat in table.items()
            if pid != os.getpid() and (stat[1] == session or _has_mark(pid, mark))
        }
        if not roots:
            break
        for pid in roots | descendants(roots, table):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.01)
    return len(killed)


def _has_mark(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False  # gone, or somebody else's
