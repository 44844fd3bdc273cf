"""Supervise every process of one attempt of a local trial: a process of its own.

``spawner`` forks it, or ``fork_server`` becomes it, without a parent and in its own session, so
that it outlives whoever launched it. It reads its job, starts the replicas (or lets those go that
were forked for it), copies what they print into their log files, and when the deciding replica has
ended or SIGTERM came it ends all the others. As a child subreaper it inherits every orphaned
descendant: when it has no child left, nothing of the trial is left, daemons included. Its last act
is ``result.json``, written by rename, and an empty file in ``exits/`` for whoever watches.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Sequence
from typing import Any

from experiments.training.last_words import with_last_words
from experiments.training.local.log import Log
from experiments.training.local.processes import (
    boot_id,
    descendants,
    process_table,
    read_stat,
    slept_s,
)
from experiments.training.out_of_memory import is_of_gpu, kernel_kills

# Python ignores SIGPIPE and SIGXFSZ, we ignore SIGHUP and SIGINT; ignored signals pass through
# exec, so that without this list `yes | head` would never end inside a trial.
RESTORED_SIGNALS = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE,
    signal.SIGALRM, signal.SIGTERM, signal.SIGCHLD, signal.SIGXFSZ,
)  # fmt: skip
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # as exit codes, a shell's of its child too
OUR_SIGNALS = (-signal.SIGTERM, -signal.SIGKILL)  # as exit codes
PR_SET_CHILD_SUBREAPER = 36
KILL_EVERY_S = 0.02
KILL_FOR_S = 30.0
RESULT_RESERVE = 8192
RESULT_RETRY_S = 1.0
RESULT_RETRIES = 600


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data`` or raise OSError."""
    while data:
        data = data[os.write(fd, data) :]


def replace_file(path: str, text: str, reserve: int = 0) -> None:
    """Write a file so that a reader sees all of it or nothing.

    A temporary file kept by ``reserve_file`` is overwritten in place and padded to its size, as
    that needs no room on a full disk.
    """
    fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        data = text.encode().ljust(reserve)
        write_all(fd, data)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
    os.rename(path + ".tmp", path)


def reserve_file(path: str, size: int) -> None:
    """Take the room for ``replace_file(path)`` beforehand."""
    fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        write_all(fd, b" " * size)
    finally:
        os.close(fd)


def hold(path: str) -> int:
    """Hold the slot that this file stands for, until this process and its children are gone.

    -1 where it is lost: who had it for us died, and somebody else may have got it since.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_SH)
    except OSError:
        return -1
    if os.fstat(fd).st_nlink == 0:  # it was taken from us before we had the lock
        return -1
    os.set_inheritable(fd, True)  # what a killed supervisor leaves behind still has its GPU
    return fd


class Replica:
    """One process of the job."""

    def __init__(self, spec: dict[str, Any], log: Log, pid: int) -> None:
        self.name: str = spec["name"]
        self.log = log
        self.pid = pid
        self.code: int | None = None  # negative: the signal that killed it
        self.ended_at: float | None = None

    def describe(self) -> str:
        """Say how it ended, for the user."""
        if self.code is None:
            return "has not ended"
        if self.code < 0:
            name = _name_of_signal(-self.code)
            by = f"{-self.code} ({name})" if name else f"{-self.code}"
            if -self.code == signal.SIGKILL:
                return f"killed by signal {by}: out of memory?"
            return f"killed by signal {by}"
        text = f"exit code {self.code}"
        return with_last_words(text, self.log.last) if self.code else text


class Supervisor:
    """The life of one attempt, from its start to ``result.json``."""

    def __init__(
        self, job: dict[str, Any], lock: int, adopted: Sequence[Sequence[int]] = ()
    ) -> None:
        self.job = job
        self.adopted = {index: (pid, out, go) for index, pid, out, go in adopted}
        self.lock = lock
        self.directory: str = job["directory"]
        self.replicas: list[Replica] = []
        self.by_pid: dict[int, Replica] = {}
        self.stop_asked = False
        self.stopped = False  # stop came before the deciding replica ended
        self.killing = False  # we sent SIGKILL: a death by it does not mean "out of memory"
        self.has_children = True
        self.kernel_kills = kernel_kills()
        self.poller = select.poll()
        self.started_at = time.time()

    @property
    def deciding(self) -> Replica:
        return self.replicas[0]

    # start

    def start(self) -> str:
        """Start all replicas; return why that failed, or nothing."""
        signal.set_wakeup_fd(self._wakeup(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGCHLD, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        become_subreaper()
        slot = self.job.get("slot") or {}
        if slot and hold(slot["path"]) < 0:
            os._exit(1)  # nothing of this start is on record: another one finds it so
        reserve_file(self._path("result.json"), RESULT_RESERVE)
        stat = read_stat(os.getpid())
        me = {
            "pid": os.getpid(),
            "started": stat[2] if stat else 0,
            "boot": boot_id(),
            "since": self.started_at,
            "slept": slept_s(),
            "replicas": [spec["name"] for spec in self.job["replicas"]],
            "slot": slot,
        }
        # Before any replica: a launch that is repeated after a crash must find this one.
        replace_file(self._path("pid.json"), json.dumps(me))
        os.close(self.lock)
        for index, spec in enumerate(self.job["replicas"]):
            try:
                if index in self.adopted:
                    self._adopt(spec, *self.adopted[index])
                else:
                    self._spawn(spec)
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                if isinstance(error, OSError) and error.errno in (errno.ENOEXEC, errno.ENOENT):
                    why = f"{why} (a script needs a first line that names its interpreter)"
                return f"{spec['name']}: {spec['argv'][0]} cannot be started: {why}"
        return ""

    def _spawn(self, spec: dict[str, Any]) -> None:
        read_end, write_end = os.pipe()
        try:
            os.chdir(spec["cwd"])
            pid = os.posix_spawn(
                spec["executable"],
                spec["argv"],
                spec["env"],
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, write_end, 1),
                    (os.POSIX_SPAWN_DUP2, write_end, 2),
                ],
                setpgroup=0,
                setsigmask=[],
                setsigdef=RESTORED_SIGNALS,
            )
        finally:
            os.close(write_end)
            os.chdir("/")
        self._keep(spec, pid, read_end)

    def _adopt(self, spec: dict[str, Any], pid: int, out: int, go: int) -> None:
        """Let a child begin that was forked before this process was a supervisor."""
        self._keep(spec, pid, out)
        with contextlib.suppress(BrokenPipeError):  # killed meanwhile
            os.write(go, b"1")
        os.close(go)

    def _keep(self, spec: dict[str, Any], pid: int, read_end: int) -> None:
        os.set_blocking(read_end, False)
        log = Log(self._path(f"{spec['name']}.log"), read_end, self.job["log_limit"])
        replica = Replica(spec, log, pid)
        self.replicas.append(replica)
        self.by_pid[pid] = replica
        self.poller.register(read_end, select.POLLIN)
        # When memory runs out the trial should go, not the server beside it.
        with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
            file.write("500")

    # run

    def run(self) -> None:
        """Wait until the deciding replica has ended or a stop is asked, then end the rest."""
        self._reap()  # an adopted one may have ended before anybody listened
        while self.deciding.code is None and not self.stop_asked:
            self._turn(None)
        if self.deciding.code is None:
            self.stopped = True
        else:
            settled = time.monotonic() + self.job["settle"]
            while any(r.code is None for r in self.replicas) and not self.stop_asked:
                if not self._turn(settled):
                    break
        self.end_all()

    def end_all(self) -> None:
        """End every process of the trial: SIGTERM, and after the grace SIGKILL."""
        self._reap()
        if self.has_children:
            self._signal_all(signal.SIGTERM)
            limit = time.monotonic() + self.job["grace"]
            while self.has_children and self._turn(limit):
                pass
        limit = time.monotonic() + KILL_FOR_S
        while self.has_children and time.monotonic() < limit:
            self.killing = True
            self._signal_all(signal.SIGKILL)
            self._turn(time.monotonic() + KILL_EVERY_S)

    def _turn(self, limit: float | None) -> bool:
        """Handle what comes until something came; False when ``limit`` has passed."""
        wait = None if limit is None else max(0.0, (limit - time.monotonic()) * 1000)
        for fd, _events in self.poller.poll(wait):
            if fd == self.wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(fd, 4096)
                self._reap()
                continue
            for replica in self.replicas:
                if replica.log.pipe == fd and not replica.log.pump():
                    self.poller.unregister(fd)
                    os.close(fd)
                    replica.log.pipe = -1
        return limit is None or time.monotonic() < limit

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.has_children = False
                return
            if pid == 0:
                return
            if (replica := self.by_pid.get(pid)) is not None:
                replica.code = os.waitstatus_to_exitcode(status)
                replica.ended_at = time.time()
                if replica is not self.deciding and replica.code:
                    self._note(replica)

    def _note(self, replica: Replica) -> None:
        """Tell at once that a replica failed, as the deciding one may now wait for it for ever."""
        if self.stop_asked or self.deciding.code is not None:
            return
        with contextlib.suppress(OSError):
            replace_file(
                self._path("note"),
                f"{replica.name} failed ({replica.describe()}); {self.deciding.name} goes on",
            )

    def _signal_all(self, number: int) -> None:
        signalled: set[int] = set()
        for _ in range(2):  # again, for children that were forked during the first look
            for pid in descendants({os.getpid()}, process_table()) - signalled:
                signalled.add(pid)
                with contextlib.suppress(OSError):
                    os.kill(pid, number)

    # end

    def finish(self, failure: str = "") -> None:
        """Write the result, when nothing of the trial is left."""
        for replica in self.replicas:
            replica.log.drain()
            replica.log.close()
        result = self._result(failure)
        text = json.dumps(result)
        for _ in range(RESULT_RETRIES):
            try:
                replace_file(self._path("result.json"), text, RESULT_RESERVE)
                break
            except FileNotFoundError:  # the job was forgotten meanwhile
                return
            except OSError:
                time.sleep(RESULT_RETRY_S)
        with contextlib.suppress(OSError):  # only a hint
            os.close(os.open(self.job["exit_marker"], os.O_WRONLY | os.O_CREAT, 0o600))

    def _result(self, failure: str) -> dict[str, Any]:
        remarks = []
        code = by_signal = None
        if failure or not self.replicas:
            state = "failed"
            remarks.append(failure or "nothing was started")
        else:
            first = self.deciding
            if first.code is not None:
                by_signal = -first.code if first.code < 0 else None
                code = 128 + by_signal if by_signal else first.code
            if self.stopped:
                state = "stopped"
            elif first.code == 0:
                state = "succeeded"
            else:
                state = "failed"
                remarks.append(first.describe())
            for other in self.replicas[1:]:
                # Those ended by our own signals did not fail.
                if other.code and other.code not in OUR_SIGNALS and not self.stopped:
                    remarks.append(f"{other.name}: {other.describe()}")
        if self.has_children:
            remarks.append("some processes could not be killed")
        remarks += [text for r in self.replicas if (text := r.log.complaint())]
        return {
            "state": state,
            "exit_code": code,
            "signal": by_signal,
            "message": "; ".join(remarks)[:2000],
            "out_of_memory": self._out_of_memory() if state == "failed" else "",
            "started_at": self.started_at,
            "finished_at": time.time(),
            "replicas": [
                {"name": r.name, "code": r.code, "finished_at": r.ended_at} for r in self.replicas
            ],
        }

    def _out_of_memory(self) -> str:
        """Whose memory ran out, if that is why it failed: a "gpu"'s, or this "machine"'s."""
        failed = [each for each in self.replicas if each.code]
        if any(is_of_gpu(each.log.last) for each in failed):
            return "gpu"
        killed = any(each.code in KILLED for each in failed) and not self.killing
        return "machine" if killed and kernel_kills() > self.kernel_kills else ""

    # small parts

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def _wakeup(self) -> int:
        self.wake, write_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(write_end, False)
        self.poller.register(self.wake, select.POLLIN)
        return write_end

    def _on_signal(self, number: int, frame: object) -> None:
        if number == signal.SIGTERM:
            self.stop_asked = True


def _name_of_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return ""


def become_subreaper() -> None:
    """Have orphaned descendants handed to us rather than to init."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(errno.ENOSYS, "PR_SET_CHILD_SUBREAPER is refused")


def supervise(lock: int, stream: int, adopted: Sequence[Sequence[int]] = ()) -> None:
    """Supervise the job that comes as JSON on ``stream``, and end this process.

    ``adopted``: the replicas that are children of this process already, and wait. Of each its
    place among the job's replicas, its pid, the pipe of what it prints, and that which lets it go.

    The answer on ``stream`` is one line: "ok" or "failed: WHY", or a traceback. ``lock`` is closed
    once this process is on record as the job's.
    """
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor, source in ((0, null), (1, stream), (2, stream)):
        os.dup2(source, descriptor)
    with open(stream, "rb") as file:
        text = file.read()
    try:
        job = json.loads(text)
    except ValueError:
        os._exit(1)  # who launched us died before it had told us all
    supervisor = Supervisor(job, lock, adopted)
    failure = supervisor.start()
    with contextlib.suppress(OSError):  # who launched us may have died; we go on
        os.write(1, f"failed: {failure}\n".encode() if failure else b"ok\n")
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    try:
        if failure:
            supervisor.end_all()
        else:
            supervisor.run()
    except BaseException as error:
        failure = f"the trial's supervisor failed: {error!r}"
        supervisor.end_all()
    supervisor.finish(failure)
    os._exit(0)
