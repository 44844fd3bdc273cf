"""Where the product lies and where it keeps its data; without Django, which is slow to start.

Read by the settings and by the shell, which must mean the same directory.
"""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
# By pip it lies inside a package (see packaging/), otherwise in a clone of the repository.
INSTALLED = (BASE_DIR.parent / "__init__.py").is_file()
COMMAND = "autotune" if INSTALLED else "./autotune"  # what messages tell people to type


def user_data(name: str) -> Path:
    """Where a program of this name keeps what is its user's (XDG Base Directory, 0.8)."""
    given = Path(os.environ.get("XDG_DATA_HOME", "").strip())
    # The specification has a relative path ignored; "" is one.
    home = given if given.is_absolute() else Path("~/.local/share").expanduser()
    return home / name


def usual_data() -> Path:
    """The data directory where nobody names another."""
    return user_data("autotune") if INSTALLED else BASE_DIR / ".autotune"


def data_directory() -> Path:
    """The data directory of this environment; it need not be there."""
    given = os.environ.get("AUTOTUNE_DATA", "").strip()
    return Path(given or usual_data()).expanduser().resolve()
