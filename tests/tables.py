"""An empty database with all tables made, copied where a test or a product of a test needs one.

The migrations take longer than all else at the start of a process of tests or of a product. What
they make is kept below ``.pytest_cache`` as long as no migration changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".pytest_cache" / "tables"
FILE = "autotune.sqlite3"


def lay(path: Path) -> None:
    """Copy it to ``path``, making it before where nobody has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_made(), path)
    path.chmod(0o600)  # as it is where the product makes it


@cache
def _made() -> Path:
    KEPT.mkdir(parents=True, exist_ok=True)
    made = KEPT / f"{_mark()}.sqlite3"
    with (KEPT / "lock").open("w") as lock:  # all workers come at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for older in KEPT.glob("*.sqlite3"):
                older.unlink()
            with tempfile.TemporaryDirectory() as data:
                _migrate(data)
                shutil.copyfile(Path(data, FILE), KEPT / "new")
            (KEPT / "new").rename(made)
    return made


def _mark() -> str:
    """Differs where the migrations do, ours or Django's, and where what signs them does."""
    found = hashlib.sha256(django.__version__.encode())
    code = ROOT / "experiments"
    for path in [*sorted((code / "migrations").glob("*.py")), code / "models" / "release.py"]:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _migrate(data: str) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("AUTOTUNE_")}
    env.pop("DATABASE_URL", None)
    subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--no-input"],
        env={**env, "AUTOTUNE_DATA": data},
        check=True,
        capture_output=True,
    )
