"""One process at a time at a piece of work: the lease on a row, of the loop and of the uploader.

A holder is named by its process (boot of the machine, pid namespace, pid, start) and a token of its
own. Taken, renewed and given back by conditional UPDATE, without a lock server, by the database's
clock, so that those of the machines may differ. A thread renews what this process holds while its
steps last, however long; it stops with the process, or when one step takes LONGEST_STEP_S.

Guarantees: on the holder's machine its death is seen at once, and its work taken over by whoever
asks next; elsewhere, or where it was stopped, after TERM_S. Who goes on after that, or was cut off,
changes nothing any more: inside ``Lease.fence`` every transaction that numbers its rows
(``raise_seq``) checks the token on the row that it locks anyway, and raises LostLease.

The release before this one knows ``lease_until`` alone, and may run beside us: ``lease_mark``
repeats it, so that where it took or renewed a lease the holder on the row counts for nothing.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from django.db import Error, connection, models
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from experiments.training.local.processes import boot_id, is_stopped, read_stat

logger = logging.getLogger(__name__)

TERM_S = 7.0  # without a sign of life, then others may take it
BEAT_S = 2.0  # between two signs of life
FRESH_S = 1.0  # after one, nobody needs to ask whether the lease is still ours
# Beyond the term, for a holder whose process is at work on this machine: on SQLite a beat may wait
# for another's transaction (its time limit is 20 s), or the machine is busy.
PATIENCE_S = 30.0
LONGEST_STEP_S = 15 * 60.0  # then it hangs


class LostLease(Exception):
    """Somebody else is at it by now: stop, and write nothing."""


# ---------------------------------------------------------------- who holds it


class _Process(NamedTuple):
    """Which process, of all machines. ``boot`` is "" where there is no /proc to tell."""

    boot: str
    namespace: str
    pid: int
    start: int  # ticks since boot

    def __str__(self) -> str:
        return "/".join(str(part) for part in self)


@lru_cache(maxsize=2)
def _process(pid: int) -> _Process:
    """This process; asked with its pid, so that a forked child does not take itself for it."""
    try:
        stat = read_stat(pid)
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
        return _Process(boot_id(), namespace, pid, stat[2] if stat else 0)
    except OSError:
        return _Process("", "", pid, 0)


def _read_holder(text: str | None) -> tuple[_Process, str] | None:
    """Process and token; None where nobody of this release is named."""
    parts = (text or "").split("/")
    if len(parts) != 5:
        return None
    boot, namespace, pid, start, token = parts
    return _Process(boot, namespace, int(pid), int(start)), token


def _is_seen_from_here(process: _Process) -> bool:
    here = _process(os.getpid())
    return bool(here.boot) and process[:2] == here[:2]


def _lives(process: _Process, token: str) -> bool:
    """Whether the holder is still at it; only to be asked of a process of this machine."""
    if process == _process(os.getpid()):
        return token in _keeper.held
    hidden = False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        hidden = True  # another user's: /proc may not show it
    stat = read_stat(process.pid)  # None: gone, a zombie, or hidden
    return hidden if stat is None else stat[2] == process.start


class _Held(NamedTuple):
    """How a lease stands on its row: the columns that every model with a lease has."""

    lease_until: datetime | None  # null: nobody is at it
    lease_holder: str | None
    lease_mark: datetime | None  # lease_until, where the holder wrote it


def may_be_taken(found: _Held, now: datetime) -> bool:
    """Whether nobody is at it any more."""
    if found.lease_until is None:
        return True
    holder = _read_holder(found.lease_holder) if found.lease_mark == found.lease_until else None
    patience = 0.0
    if holder is not None and _is_seen_from_here(holder[0]):
        if not _lives(*holder):
            return True
        patience = 0.0 if is_stopped(holder[0].pid) else PATIENCE_S
    return now > found.lease_until + timedelta(seconds=patience)


def free_ones(rows: QuerySet[Any], key: str, now: datetime) -> list[Any]:
    """``key`` of those of these rows whose lease may be taken, in their order."""
    found = rows.values_list(key, *_Held._fields)
    return [value for value, *held in found if may_be_taken(_Held(*held), now)]


def forget_all(*of: type[models.Model]) -> None:
    """Free every lease of these models: for the supervisor of a data directory, before it starts.

    Only of a database in that directory: another may serve other machines, and dead holders of this
    one are seen as such anyway.
    """
    if connection.vendor == "sqlite":
        for model in of:
            model._default_manager.exclude(lease_until=None).update(**_FREE)


# ---------------------------------------------------------------- holding it


_FREE = dict.fromkeys(_Held._fields)


def _term() -> dict[str, Any]:
    until = Now() + timedelta(seconds=TERM_S)
    return {"lease_until": until, "lease_mark": until}


class Lease:
    """Held from a successful ``take`` until ``drop``, or until ``renew`` says that it is lost."""

    def __init__(self, row: QuerySet[Any]) -> None:
        """``row`` selects one row of its own table, without a join: the UPDATEs must lock it."""
        self._row = row
        self._token = ""
        self._holder = ""
        self._is_lost = True
        self._step_at = 0.0  # monotonic, when the present step began
        self._renewed_at = 0.0

    def take(self, **columns: Any) -> bool:
        """Get the lease and set ``columns`` with it; False where somebody has it."""
        self._token = secrets.token_hex(8)
        self._holder = f"{_process(os.getpid())}/{self._token}"
        self._step_at = self._renewed_at = time.monotonic()
        self._is_lost = False
        _keeper.add(self)  # before the row says so: others of this process look there
        try:
            if self._take(columns):
                return True
        except Error:
            self._abandon()  # who knows what became of the UPDATE
            raise
        _keeper.remove(self)
        return False

    def _take(self, columns: dict[str, Any]) -> bool:
        mine = {"lease_holder": self._holder, **_term(), **columns}
        if self._row.filter(lease_until=None).update(**mine):
            return True
        found = self._row.annotate(now=Now()).values_list(*_Held._fields, "now").first()
        if found is None:
            return False
        *held, now = found
        if not may_be_taken(_Held(*held), now):
            return False
        as_found = dict(zip(_Held._fields, held, strict=True))
        return bool(self._row.filter(**as_found).update(**mine))

    def mine(self) -> QuerySet[Any]:
        """The row, as long as this holds its lease."""
        return self._row.filter(lease_holder=self._holder, lease_mark=F("lease_until"))

    def renew(self) -> bool:
        """Begin another step; False if somebody else has the lease by now: stop writing at once."""
        self._step_at = time.monotonic()
        if self._is_lost or self._step_at - self._renewed_at < FRESH_S:
            return not self._is_lost
        return self._beat()

    def give_back(self, **only: Any) -> bool:
        """Let go if the row's columns are as ``only`` says; False where they are not, or lost."""
        if not self.mine().filter(**only).update(**_FREE):
            return False
        _keeper.remove(self)
        return True

    def drop(self) -> None:
        """Let go whatever the row says; where it cannot be written now, the keeper does."""
        try:
            self.give_back()
            _keeper.remove(self)
        except Error:
            self._abandon()

    @contextmanager
    def fence(self, experiment_id: str) -> Iterator[None]:
        """Inside, numbered changes of the experiment raise LostLease once the lease is lost."""
        token = _fence.set((experiment_id, self._holder))
        try:
            yield
        finally:
            _fence.reset(token)

    def _beat(self) -> bool:
        asked_at = time.monotonic()
        self._is_lost = not self.mine().update(**_term())
        self._renewed_at = asked_at
        return not self._is_lost

    def _abandon(self) -> None:
        _keeper.remove(self)
        _keeper.abandoned.append(self)

    @property
    def _is_due(self) -> bool:
        now = time.monotonic()
        hangs = now - self._step_at > LONGEST_STEP_S
        return not self._is_lost and not hangs and now - self._renewed_at >= BEAT_S


_fence: ContextVar[tuple[str, str] | None] = ContextVar("autotune_fence", default=None)


def fence_of(experiment_id: str) -> str | None:
    """The holder that must still be on this experiment's row, where one was promised."""
    fence = _fence.get()
    return fence[1] if fence is not None and fence[0] == experiment_id else None


class _Keeper:
    """The thread that renews what this process holds, and frees what could not be dropped."""

    def __init__(self) -> None:
        self.held: WeakValueDictionary[str, Lease] = WeakValueDictionary()  # by token
        self.abandoned: list[Lease] = []
        self._lock = threading.Lock()
        self._has_work = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        with self._lock:
            self.held[lease._token] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        self._has_work.set()

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self.held.pop(lease._token, None)

    def _run(self) -> None:
        while True:
            self._has_work.wait()
            self._has_work.clear()
            while self.held or self.abandoned:
                time.sleep(BEAT_S / 2)
                self._look()
                connection.close()

    def _look(self) -> None:
        with self._lock:
            due = [lease for lease in self.held.values() if lease._is_due]
        try:
            for lease in due:
                lease._beat()
            while self.abandoned:
                self.abandoned[0].mine().update(**_FREE)
                del self.abandoned[0]
        except Exception as error:  # the database is away: for one it is for all
            logger.warning("Leases cannot be renewed now: %s", error)


_keeper = _Keeper()


def _anew() -> None:
    """In a forked child, which holds nothing of its parent's."""
    global _keeper
    _keeper = _Keeper()


os.register_at_fork(after_in_child=_anew)
