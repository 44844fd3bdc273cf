"""Which trials of this machine hold which GPUs, cores and memory: locks that live as trials do.

Called by ``machine``. A claim is a file on which somebody holds a shared lock (flock): who launches
the trial until its supervisor has one too, and then the supervisor and its replicas (see
``wrapper.hold``). So the kernel gives the slot back when the last of them is gone, whatever killed
it and however, and never before. No row could say that: a row outlives a killed trial, and a trial
outlives its server.

One directory serves all servers of a user on a machine, whatever data directories they have::

    DIRECTORY/mutex          held while somebody places a trial
    DIRECTORY/claims/*.json  what is held; a file without its lock is a dead trial's
    DIRECTORY/waiting/*.json who waits for what since when, touched each time that it asks again

Not below XDG_RUNTIME_DIR, which goes when its user logs out while trials go on. Other people's
servers have directories of their own: their trials are strangers on a GPU, as NVML shows them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from experiments.training.base import BackendUnavailable, NotYet
from experiments.training.local.placing import Claim, Machine, Request, place

WAITS_FOR_S = 12.0  # after it asked last: a server asks again every two seconds
FORGOTTEN_AFTER_S = 3600.0
MUTEX_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Granted:
    """A slot, held by us until ``let_go``; by then the trial's supervisor is to hold it."""

    claim: Claim
    path: Path
    _descriptor: int

    def let_go(self) -> None:
        os.close(self._descriptor)


def default_directory() -> Path:
    """One for each user, where nothing removes it while trials run."""
    return Path(f"/tmp/autotune-slots-{os.getuid()}")


class Slots:
    """The slots of this machine, through one directory. Threads and processes may share it."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self._claims = self.directory / "claims"
        self._waiting = self.directory / "waiting"

    def take(self, request: Request, machine: Machine) -> Granted:
        """Claim what a trial asks for.

        Raises:
            NotYet: there is no room now. It stands in the queue, and keeps its place as long as
                it asks again.
            BackendUnavailable: the directory cannot be used.
        """
        with self._locked():
            waiting = self._queue(time.time())
            own = waiting.pop(request.job, None)
            request = replace(request, since=own.since if own else time.time())
            claims = self._living()
            if any(claim.request.job == request.job for claim in claims):
                raise NotYet("Waits until what was started for it before has ended.")
            placed = place(request, machine, claims, list(waiting.values()))
            ticket = self._waiting / _file_name(request.job)
            if placed.why:
                _write(ticket, asdict(request))
                raise NotYet(placed.why)
            granted = self._claim(Claim(request, placed.devices))
            ticket.unlink(missing_ok=True)
            return granted

    def claims(self) -> list[Claim]:
        """What is held now. Raises BackendUnavailable."""
        with self._locked():
            return self._living()

    def queue(self) -> list[Request]:
        """Who waits now, in the order in which they are served."""
        found = self._queue(time.time()).values()
        return sorted(found, key=lambda each: (-each.priority, each.since, each.job))

    # parts

    def _claim(self, claim: Claim) -> Granted:
        path = self._claims / _file_name(claim.request.job)
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            text = {"request": asdict(claim.request), "devices": claim.devices}
            os.write(descriptor, json.dumps(text).encode())
            os.rename(draft, path)
        except BaseException:
            os.close(descriptor)
            raise
        return Granted(claim, path, descriptor)

    def _living(self) -> list[Claim]:
        """All claims that somebody holds; the files of others are removed."""
        found = []
        for path in _files(self._claims, ".json"):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                if not _is_held(descriptor):
                    # Whoever opened it before and locks it after sees that it has no name.
                    path.unlink(missing_ok=True)
                elif (claim := _claim_of(descriptor)) is not None:
                    found.append(claim)
                    _keep_from_cleaners(descriptor)
            finally:
                os.close(descriptor)
        return found

    def _queue(self, now: float) -> dict[str, Request]:
        found = {}
        for path in _files(self._waiting, ".json"):
            try:
                age = now - path.stat().st_mtime
                if age > FORGOTTEN_AFTER_S:
                    path.unlink(missing_ok=True)
                request = _request(json.loads(path.read_bytes()))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue
            if abs(age) <= WAITS_FOR_S:  # beyond it in the future too: the clock was put back
                found[request.job] = request
        return found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the mutex: who places sees all claims, and nobody claims meanwhile."""
        try:
            self._make()
            descriptor = os.open(
                self.directory / "mutex", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )  # fmt: skip
        except OSError as error:
            raise BackendUnavailable(f"the directory of slots {self.directory}: {error}") from error
        try:
            limit = time.monotonic() + MUTEX_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        words = f"somebody else holds {self.directory / 'mutex'}"
                        raise BackendUnavailable(words) from None
                    time.sleep(0.005)
            try:
                yield
            except OSError as error:
                words = f"the directory of slots {self.directory}: {error}"
                raise BackendUnavailable(words) from error
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        with contextlib.suppress(FileExistsError):  # whatever it is, it is told below
            self.directory.mkdir(mode=0o700, parents=True)
        found = os.lstat(self.directory)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(  # anybody may make that name in /tmp first
                f"{self.directory} is not a directory of this user's own; "
                "AUTOTUNE_SLOTS names another one"
            )
        for folder in (self._claims, self._waiting):
            folder.mkdir(mode=0o700, exist_ok=True)


def _file_name(job: str) -> str:
    """Of a job, which is a directory: its name, and what tells it from others of that name."""
    mark = hashlib.sha256(job.encode()).hexdigest()[:12]
    return f"{job.rpartition('/')[2][-150:]}-{mark}.json"


def _files(directory: Path, suffix: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(path for path in directory.iterdir() if path.suffix == suffix)
    return []


def _is_held(descriptor: int) -> bool:
    """Whether somebody holds the claim. Under the mutex only: two who ask would see each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _keep_from_cleaners(descriptor: int) -> None:
    """What lies in /tmp untouched for ten days may be removed, by systemd-tmpfiles for one."""
    if time.time() - os.fstat(descriptor).st_mtime > 24 * 3600:
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _claim_of(descriptor: int) -> Claim | None:
    """Read a claim. One that cannot be read is nobody's of this version: it holds nothing."""
    try:
        data = json.loads(os.read(descriptor, 1 << 20))
        devices = tuple(tuple(map(str, keys)) for keys in data["devices"])
        return Claim(_request(data["request"]), devices)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _request(data: Mapping[str, Any]) -> Request:
    known = {key: data[key] for key in Request.__dataclass_fields__ if key in data}
    known |= {key: tuple(known[key]) for key in ("gpus", "indices") if key in known}
    found = Request(**known)
    # More may be known by now than when it was written.
    return replace(found, peak=peak_of(found.job, found.experiment)) if found.measures else found


def peak_of(job: str, experiment: str) -> int | None:
    """Bytes of GPU memory that trials of it that succeeded took at most; None: none has."""
    try:
        return int(peak_path(job, experiment).read_text())
    except (OSError, ValueError):
        return None


def peak_path(job: str, experiment: str) -> Path:
    """Where that is kept: beside the directories of its server's jobs."""
    return Path(job).parent / "peaks" / experiment


def _write(path: Path, data: Mapping[str, Any]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(data))
    draft.rename(path)
