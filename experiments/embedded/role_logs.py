"""Logs of the roles below the data directory: for their owner only, and never without bound.

Called by the supervisor. Roles append to them, so a file can be cut back under their hands: what it
held is copied first, and at most the lines of that very moment are lost.
"""

from __future__ import annotations

import logging
import os
import shutil
from itertools import pairwise
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024
KEPT = 3  # older ones: NAME.log.1 is the newest of them


def make_private(directory: Path) -> None:
    """Make the directory; where an older version left it open to others, close it."""
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    for path in directory.iterdir():
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)


def rotate(directory: Path) -> None:
    """Put aside what has grown too large. What fails (a full disk) is tried again next time."""
    for path in directory.glob("*.log"):
        try:
            if path.stat().st_size > MAX_BYTES:
                _put_aside(path)
        except OSError as error:
            logger.warning("%s cannot be rotated: %s", path.name, error)


def _put_aside(path: Path) -> None:
    older = [path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1)]
    draft = path.with_name(f"{path.name}.new")
    with path.open("rb") as source:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as copy:
            shutil.copyfileobj(source, copy)
    for newer, old in reversed(list(pairwise(older))):
        if newer.exists():
            newer.replace(old)
    draft.replace(older[0])
    os.truncate(path, 0)
