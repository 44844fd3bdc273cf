"""Supervise every process of one attempt of a local trial: a small program of its own.

Started by ``experiments.training.local``, which also uses the ``/proc`` readers below. It reads its
job from stdin, leaves its parent (own session, so that it outlives whoever launched it), starts the
replicas, copies what they print into their log files, and when the deciding replica has ended or
SIGTERM came it ends all the others. As a child subreaper it inherits every orphaned descendant:
when it has no child left, nothing of the trial is left, daemons included. Its last act is
``result.json``, written by rename, and an empty file in ``exits/`` for whoever watches.

Every trial pays for this start, so only cheap modules are imported: ``json``, ``signal``,
``ctypes`` and ``subprocess`` together cost more than the interpreter itself.
"""

from __future__ import annotations

# ruff: noqa: SIM105 (contextlib is not cheap either)
import _ctypes
import errno
import marshal
import os
import select
import sys
import time

from experiments.training.local_log import Log
from experiments.training.processes import boot_id, descendants, process_table, read_stat

try:
    from _json import encode_basestring_ascii as _quote
except ImportError:  # an interpreter without the C accelerator
    from json.encoder import encode_basestring_ascii as _quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any
else:
    import _signal

SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGCHLD = 1, 2, 9, 15, 17
# Python ignores SIGPIPE and SIGXFSZ, we ignore SIGHUP and SIGINT; ignored signals pass through
# exec, so that without this list `yes | head` would never end inside a trial.
RESTORED_SIGNALS = (1, 2, 3, 10, 12, 13, 14, 15, 17, 25)
SIGNAL_NAMES = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS",
    8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip
PR_SET_CHILD_SUBREAPER = 36
KILL_EVERY_S = 0.02
KILL_FOR_S = 30.0
RESULT_RESERVE = 8192
RESULT_RETRY_S = 1.0
RESULT_RETRIES = 600


def to_json(value: Any) -> str:
    """Encode plain values; ``json`` itself costs 10 ms to import."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quote(k)}: {to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    return repr(value)


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
            name = SIGNAL_NAMES.get(-self.code, "")
            text = f"killed by signal {-self.code}" + (f" ({name})" if name else "")
            return text + (": out of memory?" if self.code == -SIGKILL else "")
        text = f"exit code {self.code}"
        if self.code and (line := self.log.last_line()):
            text += f": {line}"
        return text


class Supervisor:
    """The life of one attempt, from its start to ``result.json``."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.directory: str = job["directory"]
        self.replicas: list[Replica] = []
        self.by_pid: dict[int, Replica] = {}
        self.stop_asked = False
        self.stopped = False  # stop came before the deciding replica ended
        self.killing = False  # we sent SIGKILL: a death by it does not mean "out of memory"
        self.has_children = True
        self.poller = select.poll()
        self.started_at = time.time()

    @property
    def deciding(self) -> Replica:
        return self.replicas[0]

    # start

    def start(self) -> str:
        """Start all replicas; return why that failed, or nothing."""
        _signal.set_wakeup_fd(self._wakeup(), warn_on_full_buffer=False)
        _signal.signal(SIGTERM, self._on_signal)
        _signal.signal(SIGCHLD, self._on_signal)
        _signal.signal(SIGHUP, _signal.SIG_IGN)
        _signal.signal(SIGINT, _signal.SIG_IGN)
        become_subreaper()
        reserve_file(self._path("result.json"), RESULT_RESERVE)
        stat = read_stat(os.getpid())
        me = {
            "pid": os.getpid(),
            "started": stat[2] if stat else 0,
            "boot": boot_id(),
            "since": self.started_at,
            "replicas": [spec["name"] for spec in self.job["replicas"]],
        }
        # Before any replica: a launch that is repeated after a crash must find this one.
        replace_file(self._path("pid.json"), to_json(me))
        os.close(self.job["lock_fd"])
        for spec in self.job["replicas"]:
            try:
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
        os.set_blocking(read_end, False)
        log = Log(self._path(f"{spec['name']}.log"), read_end, self.job["log_limit"])
        replica = Replica(spec, log, pid)
        self.replicas.append(replica)
        self.by_pid[pid] = replica
        self.poller.register(read_end, select.POLLIN)
        try:  # when memory runs out the trial should go, not the server beside it
            with open(f"/proc/{pid}/oom_score_adj", "w") as file:
                file.write("500")
        except OSError:
            pass

    # run

    def run(self) -> None:
        """Wait until the deciding replica has ended or a stop is asked, then end the rest."""
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
            self._signal_all(SIGTERM)
            limit = time.monotonic() + self.job["grace"]
            while self.has_children and self._turn(limit):
                pass
        limit = time.monotonic() + KILL_FOR_S
        while self.has_children and time.monotonic() < limit:
            self.killing = True
            self._signal_all(SIGKILL)
            self._turn(time.monotonic() + KILL_EVERY_S)

    def _turn(self, limit: float | None) -> bool:
        """Handle what comes until something came; False when ``limit`` has passed."""
        wait = None if limit is None else max(0.0, (limit - time.monotonic()) * 1000)
        for fd, _events in self.poller.poll(wait):
            if fd == self.wake:
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    pass
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
        try:
            replace_file(
                self._path("note"),
                f"{replica.name} failed ({replica.describe()}); {self.deciding.name} goes on",
            )
        except OSError:
            pass

    def _signal_all(self, number: int) -> None:
        signalled: set[int] = set()
        for _ in range(2):  # again, for children that were forked during the first look
            for pid in descendants({os.getpid()}, process_table()) - signalled:
                signalled.add(pid)
                try:
                    os.kill(pid, number)
                except OSError:
                    pass

    # end

    def finish(self, failure: str = "") -> None:
        """Write the result, when nothing of the trial is left."""
        for replica in self.replicas:
            replica.log.drain()
            replica.log.close()
        result = self._result(failure)
        text = to_json(result)
        for _ in range(RESULT_RETRIES):
            try:
                replace_file(self._path("result.json"), text, RESULT_RESERVE)
                break
            except FileNotFoundError:  # the job was forgotten meanwhile
                return
            except OSError:
                time.sleep(RESULT_RETRY_S)
        try:
            os.close(os.open(self.job["exit_marker"], os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError:
            pass  # only a hint

    def _result(self, failure: str) -> dict[str, Any]:
        remarks = []
        code = signal = None
        if failure or not self.replicas:
            state = "failed"
            remarks.append(failure or "nothing was started")
        else:
            first = self.deciding
            if first.code is not None:
                signal = -first.code if first.code < 0 else None
                code = 128 + signal if signal else first.code
            if self.stopped:
                state = "stopped"
            elif first.code == 0:
                state = "succeeded"
            else:
                state = "failed"
                remarks.append(first.describe())
            for other in self.replicas[1:]:
                # Those ended by our own SIGTERM or SIGKILL did not fail.
                if other.code and other.code not in (-SIGTERM, -SIGKILL) and not self.stopped:
                    remarks.append(f"{other.name}: {other.describe()}")
        if self.has_children:
            remarks.append("some processes could not be killed")
        remarks += [text for r in self.replicas if (text := r.log.complaint())]
        return {
            "state": state,
            "exit_code": code,
            "signal": signal,
            "message": "; ".join(remarks)[:2000],
            "started_at": self.started_at,
            "finished_at": time.time(),
            "replicas": [
                {"name": r.name, "code": r.code, "finished_at": r.ended_at} for r in self.replicas
            ],
        }

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
        if number == SIGTERM:
            self.stop_asked = True


def become_subreaper() -> None:
    """Have orphaned descendants handed to us rather than to init."""
    # The lower half of ctypes: the package itself takes 6 ms to import.
    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    if _ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) != 0:
        raise OSError(errno.ENOSYS, "PR_SET_CHILD_SUBREAPER is refused")


def main() -> None:
    """Read the job from stdin; answer one line on stdout: "ok" or "failed: WHY"."""
    job = marshal.loads(sys.stdin.buffer.read())
    if os.fork():
        os._exit(0)  # whoever launched us has no child to wait for or to end with itself
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.set_inheritable(job["lock_fd"], False)
    supervisor = Supervisor(job)
    failure = supervisor.start()
    try:
        os.write(1, f"failed: {failure}\n".encode() if failure else b"ok\n")
    except OSError:
        pass  # our launcher died; we go on
    os.dup2(null, 1)
    os.dup2(null, 2)
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


if __name__ == "__main__":
    main()
