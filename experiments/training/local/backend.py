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
                                 sweep.json   its parameters for W&B's client, where asked for
    ROOT/exits/                  an empty file per job that ended since ``take_exits``

Guarantees: a job is started once however often and from wherever it is launched; it outlives the
process that launched it; after its end none of its processes is left, daemons included, even when
its supervisor (``wrapper.py``) was killed.

GPUs, cores and memory that trials ask for are shared out by ``machine``. Image, volumes, security
context, init containers, sidecars and restart policies have no meaning here and are ignored; the
forecast tells the user.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
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
    Capacity,
    Handle,
    JobState,
    JobStatus,
    Launch,
    LaunchError,
    LogFile,
    NotYet,
    Program,
)
from experiments.training.environment import inheritable
from experiments.training.local.collector import UNMEASURED
from experiments.training.local.command_line import is_python, python_of
from experiments.training.local.gpus import Gpus
from experiments.training.local.interpreter import ask, imports_of, named, trial_path
from experiments.training.local.job import (
    OUTPUT,
    SWEEP,
    SWEEP_NAME,
    WORK,
    Surroundings,
    collecting,
    executable_of,
    replica_commands,
    sweep_parameters,
)
from experiments.training.local.machine import Sharing
from experiments.training.local.placing import Claim, may_share
from experiments.training.local.preload import Gone, Preloads, Start
from experiments.training.local.processes import boot_id, kill_job
from experiments.training.local.records import find_job, is_alive, read_json, read_text
from experiments.training.local.slots import Granted, Slots, default_directory
from experiments.training.local.spawner import how_to_supervise, spawner
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
        slots: Path | None = None,
        gpus: Gpus | None = None,
    ) -> None:
        """Args:
        root: where jobs live; made when needed, readable by the owner only.
        client_dir: the directory of ``autotune_trial.py``, put on the trials' PYTHONPATH.
        python: runs the supervisor.
        search_path: put first on the trials' PATH, see ``interpreter.trial_path``.
        own_code: where the examples lie that may run with ``python``'s environment.
        inherited: what trials see of the server's environment; by default ``os.environ``
            without the server's own settings.
        slots: see ``slots``; by default the directory that all servers of this user share.
        gpus: of this machine; by default those that NVML finds.
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
        self.sharing = Sharing(self.root, Slots(slots or default_directory()), gpus or Gpus())
        self._preloads = Preloads(self.exits, how_to_supervise(python))

    # launch

    def launch(self, launch: Launch) -> Handle:
        """See ``Backend.launch``."""
        if not sys.platform.startswith("linux"):
            raise LaunchError("trials can run as local processes on Linux only")
        if not _NAME.fullmatch(launch.name):
            raise LaunchError(f"the job's name must be a DNS label, but got {launch.name!r}")
        directory = self.root / launch.name
        if (handle := find_job(directory)) is not None:
            return handle
        specs = self._commands(launch, directory)  # who can never start is not to wait first
        try:
            self.exits.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (directory, directory / WORK, directory / OUTPUT):
                folder.mkdir(mode=0o700, exist_ok=True)
            if any(SWEEP_NAME in spec["env"] for spec in specs):
                text = json.dumps(sweep_parameters(launch.parameters))
                (directory / SWEEP).write_text(text, "utf-8")
            work = str(directory / WORK)
            self._preloads.start(launch, specs, work)  # nor a GPU for what is being imported
            with _locked(directory / "lock") as lock:
                if (handle := find_job(directory)) is not None:
                    return handle
                granted = self.sharing.take(launch, directory)
                try:
                    job = self._job(launch, directory, granted)
                    self._start(job, lock, self._preloads.start(launch, job["replicas"], work))
                finally:
                    granted.let_go()
                if (handle := find_job(directory)) is not None:
                    return handle
        except OSError as error:
            raise BackendUnavailable(f"the trial's directory {directory}: {error}") from error
        raise BackendUnavailable(f"the supervisor of {launch.name} ended without a trace")

    def _job(self, launch: Launch, directory: Path, granted: Granted) -> dict[str, Any]:
        claim = granted.claim
        return {
            "directory": str(directory),
            "replicas": self._commands(launch, directory, claim),
            "grace": float(self.grace_s),
            "settle": min(SETTLE_S, float(self.grace_s)),
            "log_limit": self.log_limit_bytes,
            "exit_marker": str(self.exits / launch.name),
            "slot": {
                "path": str(granted.path),
                "devices": claim.devices,
                "shares": may_share(claim.request),
            },
        }

    def room(self, launch: Launch, most: int) -> int:
        """See ``Backend.room``."""
        return self.sharing.room(launch, most)

    def capacity(self, launch: Launch) -> Capacity:
        """See ``Backend.capacity``."""
        return self.sharing.capacity(launch)

    def devices(self) -> dict[str, Any]:
        """See ``Backend.devices``."""
        return self.sharing.describe()

    def measure(self) -> None:
        """See ``Backend.measure``; what cannot be looked at now is looked at the next time."""
        with contextlib.suppress(BackendUnavailable, OSError):
            self.sharing.measure()

    def find(self, launch: Launch) -> Handle | None:
        """See ``Backend.find``."""
        return find_job(self.root / launch.name) if _NAME.fullmatch(launch.name) else None

    def documents(self, launch: Launch) -> list[dict[str, Any]]:
        """See ``Backend.documents``: each process, with what is its own of the environment."""
        inherited = self._inherited()
        return [
            {
                "replica": command["name"],
                "command": [command["executable"], *command["argv"][1:]],
                "workingDir": command["cwd"],
                "env": {k: v for k, v in command["env"].items() if inherited.get(k) != v},
            }
            for command in self._commands(launch, self.root / launch.name)
        ]

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

    def _commands(
        self, launch: Launch, directory: Path, claim: Claim | None = None
    ) -> list[dict[str, Any]]:
        given = launch.local.python
        surroundings = Surroundings(
            search_path=self._path_to(given) if given else self.search_path,
            client_dir=str(self.client_dir),
            inherited=self._inherited(),
            own_code="" if given else self.own_code,
            own_bin=os.path.dirname(os.path.abspath(self.python)),
        )
        return replica_commands(
            launch,
            directory,
            surroundings,
            lambda rank: self.sharing.environment(launch, claim, rank),
        )

    def _path_to(self, python: str) -> str:
        """The search path on which ``python3`` is the interpreter that a manifest names."""
        found = named(python, self._inherited())
        if not found:
            raise LaunchError(
                "spec.local.python: there is neither an interpreter nor a conda environment "
                f"'{python}' here"
            )
        folder = self.root / "python" / hashlib.sha256(found.encode()).hexdigest()[:12]
        return trial_path(self._inherited(), python=found, folder=folder)

    def _start(self, job: dict[str, Any], lock: int, start: Start) -> None:
        """Start the supervisor and wait until it has started the replicas.

        It keeps the lock open until its pid is on record. Should we die meanwhile, a second launch
        waits for that, so it adopts the job rather than starting another.
        """
        job = collecting(job, self.python, self.client_dir)
        if start.server is not None:
            try:
                answer = start.server.fork(start.order, job, lock)
            except Gone as reason:
                raise NotYet(f"Waits for imports: {reason}.") from reason
        else:
            answer = spawner(self.python).spawn(job, lock)
        if answer.startswith("failed: "):
            raise LaunchError(answer.removeprefix("failed: "))
        if answer != "ok":
            logger.warning("The supervisor of %s could not start: %s", job["directory"], answer)
            why = answer.rpartition("\n")[2] or "it said nothing"
            raise BackendUnavailable(f"the trial's supervisor could not start: {why}")
        if start.remark:
            with contextlib.suppress(OSError):
                replace_file(f"{job['directory']}/note", start.remark)

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
        alive = is_alive(handle, boot)
        result = read_json(directory / "result.json")
        if result is not None:
            return JobStatus(
                JobState(result["state"]),
                exit_code=result["exit_code"],
                message=result["message"] or read_text(directory / UNMEASURED),
                started_at=result["started_at"],
                finished_at=result["finished_at"],
                out_of_memory=result.get("out_of_memory", ""),
            )
        if alive:
            note = self._gone(handle) or read_text(directory / "note")
            return JobStatus(JobState.RUNNING, message=note, started_at=handle["since"])
        return self._lost(handle, directory, boot)

    def _gone(self, handle: Handle) -> str:
        """Words for a running trial whose GPU is not there any more."""
        lost = self.sharing.gone((handle.get("slot") or {}).get("devices") or ())
        return f"Its GPU is gone from this machine: {', '.join(lost)}." if lost else ""

    def _lost(self, handle: Handle, directory: Path, boot: str) -> JobStatus:
        """End what a killed supervisor left behind, and put on record that the job is lost."""
        if not directory.is_dir():
            return JobStatus(JobState.LOST, message="nothing is known of this job here")
        if handle["boot"] != boot:
            message = "the machine was restarted while the trial ran"
        else:
            count = kill_job(str(directory), handle["pid"])
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
            if not is_alive(handle, boot_id()):
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

    def leave(self, experiment_id: str) -> None:
        """See ``Backend.leave``."""
        self._preloads.leave(experiment_id)

    def forget(self, handle: Handle) -> None:
        """See ``Backend.forget``; a job that still runs is stopped, and kept until it ended."""
        directory = self.root / handle["name"]
        if "pid" not in handle:
            handle = find_job(directory) or {**handle, "pid": 0}
        if is_alive(handle, boot_id()) and not (directory / "result.json").exists():
            self.stop(handle)
            raise BackendUnavailable(f"{handle['name']} has not ended yet")
        shutil.rmtree(directory, ignore_errors=True)
        self.sharing.forget(handle["name"])
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
