"""What ``/proc`` tells of the processes of this machine: for the local backend and supervisors."""

from __future__ import annotations

import os

Stat = tuple[int, int, int]


def boot_id() -> str:
    """Name this boot of the machine: pids and start ticks mean nothing beyond it."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def read_stat(pid: int) -> Stat | None:
    """Return (parent, session, start ticks) of a process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return None
    fields = data[data.rindex(b")") + 2 :].split()  # the name before it may hold anything
    if fields[0] in (b"Z", b"X"):
        return None
    return int(fields[1]), int(fields[3]), int(fields[19])


def is_stopped(pid: int) -> bool:
    """Tell whether a process stands still until somebody lets it go on (SIGSTOP, a debugger)."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return False
    return data[data.rindex(b")") + 2 :].split()[0] in (b"T", b"t")


def process_table() -> dict[int, Stat]:
    """Return the living processes that can be seen, by pid."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := read_stat(int(entry))) is not None:
            table[int(entry)] = stat
    return table


def descendants(roots: set[int], table: dict[int, Stat]) -> set[int]:
    """Return the children of ``roots``, their children and so on, without the roots."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _session, _ticks) in table.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    pending = list(roots)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found - roots
