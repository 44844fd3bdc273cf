"""Logs of pods, fetched and kept: pods go, what they printed stays.

Used by the Kubernetes backend. Kept like the local backend's, one file per replica in the job's
directory, so that pages and exports read either alike::

    ROOT/at-ID-NUMBER-ATTEMPT/   worker-0.log
                                 .kept/POD-UID   an empty file: this pod's log is whole
                                 .kept/POD-UID.taken   a process fetches it; touched as bytes come
                                 stopped         we asked the job to end
                                 ended           the job ended, and all its logs are here
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from experiments.training.base import LogFile
from experiments.training.kubernetes.api import ApiError, KubeApi, Unreachable
from experiments.training.kubernetes.status import main_container_of, main_status, replica_name

LIMIT_BYTES = 256 * 1024 * 1024
TIMEOUT_S = 20.0  # without a byte
TAKEN_S = 30.0  # then a process that fetched it, and no byte came, is taken for gone
ATTEMPTS = 3
THREADS = 8
STOPPED, ENDED = "stopped", "ended"

Pod = Mapping[str, Any]


class LogKeeper:
    """Fetches logs in the background, each pod's once when it has ended."""

    def __init__(self, root: Path, connect: Callable[[], KubeApi]) -> None:
        """Args:
        root: the directory of all jobs.
        connect: gives the connection, or raises Unreachable.
        """
        self.root = Path(root).absolute()
        self._connect = connect
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pod-logs")
        self._coming: dict[str, dict[str, Future[None]]] = {}  # by job and pod uid
        self._lock = threading.Lock()

    def keep(self, job: str, pod: Pod) -> None:
        """See that the log of this ended pod is kept; returns at once."""
        uid = pod["metadata"]["uid"]
        with self._lock:
            coming = self._coming.setdefault(job, {})
            if uid not in coming and not self._is_kept(job, uid):
                coming[uid] = self._pool.submit(self._keep, job, pod)

    def save(self, job: str, pod: Pod) -> None:
        """Copy what a pod printed so far, since it will not be there for long."""
        self._pool.submit(self._try_copy, job, pod)

    def is_kept(self, job: str, pods: Iterable[Pod]) -> bool:
        """Whether nothing more will come of these pods' logs."""
        with self._lock:
            coming = self._coming.get(job, {})
            for uid in (pod["metadata"]["uid"] for pod in pods):
                future = coming.get(uid)
                if not self._is_kept(job, uid) and (future is None or not future.done()):
                    return False
        return True

    def fetch_now(self, job: str, pods: Iterable[Pod], timeout_s: float) -> None:
        """Copy what these pods printed so far, as far as that works in the time given."""
        wait([self._pool.submit(self._try_copy, job, pod) for pod in pods], timeout=timeout_s)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    # what is kept

    def mark(self, job: str, what: str) -> None:
        """Put on record that the job was ``STOPPED`` by us, or has ``ENDED`` with its logs here."""
        folder = self._folder(job)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / what).touch(mode=0o600)
        if what == ENDED:
            with self._lock:
                self._coming.pop(job, None)

    def is_marked(self, job: str, what: str) -> bool:
        return (self._folder(job) / what).exists()

    def files(self, job: str) -> list[LogFile]:
        found = []
        with contextlib.suppress(OSError), os.scandir(self._folder(job)) as entries:
            found = [
                LogFile(entry.name, entry.stat().st_size)
                for entry in entries
                if entry.name.endswith(".log") and entry.is_file()
            ]
        return found

    def read(self, job: str, log: str, offset: int, limit: int) -> bytes:
        if "/" in log or not log.endswith(".log"):
            return b""
        try:
            with open(self._folder(job) / log, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size + offset) if offset < 0 else offset)
                return file.read(max(0, limit))
        except FileNotFoundError:
            return b""

    def forget(self, job: str) -> None:
        shutil.rmtree(self._folder(job), ignore_errors=True)

    # parts

    def _folder(self, job: str) -> Path:
        return self.root / job

    def _is_kept(self, job: str, uid: str) -> bool:
        return (self._folder(job) / ".kept" / uid).exists()

    def _keep(self, job: str, pod: Pod) -> None:
        """Fetch it, unless another process does: every worker sees the pod end, one asks for it."""
        uid = pod["metadata"]["uid"]
        try:
            mine = self._take(job, uid)
        except FileNotFoundError:
            return  # the job is forgotten
        except OSError:
            mine = True  # as good as nobody else
        if not mine:
            return
        try:
            if not self._is_kept(job, uid):
                self._fetch(job, pod)
        finally:
            self._taken(job, uid).unlink(missing_ok=True)

    def _taken(self, job: str, uid: str) -> Path:
        return self._folder(job) / ".kept" / f"{uid}.taken"

    def _take(self, job: str, uid: str) -> bool:
        """Whether it is ours to fetch; waits while another process is at it. Raises OSError."""
        taken = self._taken(job, uid)
        taken.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while not self._is_kept(job, uid):
            with contextlib.suppress(FileExistsError):
                os.close(os.open(taken, os.O_CREAT | os.O_EXCL, 0o600))
                return True
            with contextlib.suppress(FileNotFoundError):
                if time.time() - taken.stat().st_mtime > TAKEN_S:
                    taken.unlink()  # whoever it was is gone
                    continue
            time.sleep(0.1)
        return False

    def _fetch(self, job: str, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        for attempt in range(ATTEMPTS):
            try:
                self._copy(job, pod)
            except ApiError as error:
                if not error.is_temporary:  # it went, or it never started
                    break
            except (Unreachable, OSError):
                pass
            else:
                break
            time.sleep(0.3 * (attempt + 1))
        else:
            return  # is_kept() says that nothing more comes; the next process may try again
        with contextlib.suppress(OSError):
            folder = self._folder(job) / ".kept"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / uid).touch(mode=0o600)

    def _try_copy(self, job: str, pod: Pod) -> None:
        with contextlib.suppress(ApiError, Unreachable, OSError):
            self._copy(job, pod)

    def _copy(self, job: str, pod: Pod) -> None:
        """Replace the replica's file by what its pod printed, earlier containers' included.

        Raises:
            ApiError, Unreachable, OSError
        """
        container, restarts = _speaker(pod)
        if not container:
            return
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
        folder, taken = self._folder(job), self._taken(job, meta["uid"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, draft = tempfile.mkstemp(dir=folder, prefix=".draft-")
        try:
            with open(fd, "wb") as file:
                if restarts:
                    with contextlib.suppress(ApiError):
                        self._pour(path, file, taken, container=container, previous="true")
                        file.write(b"\n[the container was started again]\n")
                self._pour(path, file, taken, container=container)
            os.rename(draft, folder / f"{replica_name(pod)}.log")
        except BaseException:
            os.unlink(draft)
            raise

    def _pour(self, path: str, file: Any, taken: Path, **query: str) -> None:
        stream = self._connect().stream(path, TIMEOUT_S, limitBytes=LIMIT_BYTES, **query)
        for chunk in stream.chunks():
            file.write(chunk)
            with contextlib.suppress(OSError):  # nobody has taken what is only looked at
                os.utime(taken)


def _speaker(pod: Pod) -> tuple[str, int]:
    """Return whose log tells most, and how often it was restarted; "" where nothing ever ran."""
    status = main_status(pod)
    state = status.get("state") or {}
    if "running" in state or "terminated" in state or status.get("restartCount"):
        return main_container_of(pod), int(status.get("restartCount") or 0)
    for first in (pod.get("status") or {}).get("initContainerStatuses") or []:
        if ((first.get("state") or {}).get("terminated") or {}).get("exitCode"):
            return str(first["name"]), 0
    return "", 0
