"""What lies in the directory of a local job, read by whoever adopts it. Used by the backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.training.base import Handle
from experiments.training.local.processes import read_stat


def find_job(directory: Path) -> Handle | None:
    """Return the handle of the job in this directory, if it was ever started."""
    if not (directory / "pid.json").exists():
        return None
    # Unreadable means that the machine went down as it was written: such a job is lost.
    record = read_json(directory / "pid.json") or {}
    handle = {
        "name": directory.name,
        "pid": record.get("pid", 0),
        "started": record.get("started", 0),
        "boot": record.get("boot", ""),
        "since": record.get("since", 0.0),
        "replicas": record.get("replicas", []),
        "slot": record.get("slot") or {},
    }
    if "slept" in record:  # else started by a release that did not write it down
        handle["slept"] = record["slept"]
    return handle


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def is_alive(handle: Handle, boot: str) -> bool:
    """Tell whether the job's supervisor runs: the same pid, start and boot; zombies do not."""
    if handle.get("boot") != boot or not handle["pid"]:
        return False
    stat = read_stat(handle["pid"])
    return stat is not None and stat[2] == handle["started"]
