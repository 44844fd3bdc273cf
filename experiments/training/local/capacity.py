"""How many cores and how much memory this process may use: the machine's, or its container's."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


@lru_cache(maxsize=1)
def cores() -> float:
    """Cores that we may run on, within the quota of a container."""
    there = float(len(os.sched_getaffinity(0)))
    words = _read(_CGROUP / "cpu.max").split()
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
        return min(there, int(words[0]) / int(words[1]))
    return there


@lru_cache(maxsize=1)
def memory_bytes() -> int:
    """Bytes of memory, within the limit of a container."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(_CGROUP / "memory.max").strip()
    return min(there, int(limit)) if limit.isdigit() else there


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
