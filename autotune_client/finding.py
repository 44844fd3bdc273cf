"""Which server: the one that was named, else that of the data directory, else one of our own.

A server that nobody started is started when it is needed (``up --while-used``), on a free port, for
as long as programs use it: each holds a shared lock on a file of the data directory, which the
kernel takes back however the program ends. Several programs share one such server, and
``autotune up`` opens the same directory later. Standard library only, as all of this package.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any

from autotune_client.errors import NoServer

START_S = 120.0  # that a server gets to start, on a busy machine
COME_BACK_S = 60.0  # that one which somebody else runs gets before we start our own
LOG = "logs/embedded.log"

_HERE = Path(__file__).resolve().parent.parent  # of a clone of the repository, or site-packages


class Place(ABC):
    """Where to send requests, and how to show that we may."""

    is_own = False  # of a data directory that we may read

    @abstractmethod
    def address(self) -> str:
        """The server's address, without a slash at its end. Raises NoServer."""

    @abstractmethod
    def bearer(self) -> str:
        """What stands behind ``Authorization: Bearer``."""

    @abstractmethod
    def gone(self) -> None:
        """It did not answer: it may have moved, or ended."""

    @abstractmethod
    def release(self) -> None:
        """It is not needed any more."""


class Named(Place):
    """A server that somebody named, with a token."""

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"server must be http(s)://HOST[:PORT], but is {url!r}.")
        if not token or not token.isascii() or " " in token:
            raise ValueError(
                "A server that is named needs a token (token=, or AUTOTUNE_TOKEN): its pages make "
                "one, under API tokens."
            )
        self._url, self._token = url.rstrip("/"), token

    def address(self) -> str:
        return self._url

    def bearer(self) -> str:
        return self._token

    def gone(self) -> None:
        """It stays where it was named."""

    def release(self) -> None:
        """It is nothing of ours."""


class Directory(Place):
    """The server of a data directory: whoever runs it, or one that we start."""

    is_own = True

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._use: IO[bytes] | None = None
        self._address = ""
        self._pid = os.getpid()
        self._started: subprocess.Popen[bytes] | None = None
        self._others_until = 0.0  # monotonic: till then somebody else's server may come back
        self._lock = threading.Lock()

    def address(self) -> str:
        with self._lock:
            if self._address and self._pid == os.getpid():
                return self._address
            if self._pid != os.getpid():  # forked: what was started is our parent's to wait for
                self._pid, self._started = os.getpid(), None
            self._hold()
            self._address = self._find()
            return self._address

    def bearer(self) -> str:
        """A token of the directory's owner, signed with the key that its server keeps there."""
        until = str(int(time.time()) + 60)
        try:
            key = (self.directory / "owner_key").read_bytes()
        except OSError:  # it is starting, or not ours to read: its answer will say so
            key = b""
        sign = hmac.new(key, b"autotune.owner:" + until.encode(), hashlib.sha256).hexdigest()
        return f"own_{until}.{sign}"

    def gone(self) -> None:
        with self._lock:
            self._address = ""

    def release(self) -> None:
        with self._lock:
            self._address = ""
            if self._use is not None:
                self._use.close()
                self._use = None

    def _hold(self) -> None:
        """Keep a server that is ours alive; waits for one that is just ending."""
        if self._use is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.directory / "used"
        path.touch(mode=0o600)
        file = path.open("rb")
        fcntl.flock(file, fcntl.LOCK_SH)
        self._use = file

    def _find(self) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            owner = self._owner()
            if owner.get("for") == "up":
                self._others_until = time.monotonic() + COME_BACK_S
            if "url" in owner:
                return str(owner.get("here") or owner["url"]).rstrip("/")
            if not owner and time.monotonic() > self._others_until:
                self._start()
            elif self._others_until > deadline:
                deadline = self._others_until + START_S
            time.sleep(0.05)
        raise NoServer(
            f"No server of {self.directory} answered in {START_S:.0f} s. {self._last_words()}"
        )

    def _owner(self) -> dict[str, Any]:
        """What the holder of the directory's lock says of itself; empty where none is alive."""
        try:
            found = json.loads((self.directory / "lock").read_text())
            os.kill(found["pid"], 0)
        except PermissionError:
            return dict(found)
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return dict(found)

    def _start(self) -> None:
        """Start a server unless one that we started is on its way."""
        if self._started is not None and self._started.poll() is None:
            return
        log = self.directory / LOG
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = {**os.environ, "AUTOTUNE_DATA": str(self.directory)}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        with log.open("ab") as out:
            self._started = subprocess.Popen(
                [*_command(), "up", "--while-used", "--data", str(self.directory)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
                start_new_session=True,  # Ctrl-C is for the program, which says when it is done
            )  # fmt: skip
        threading.Thread(target=self._started.wait, daemon=True).start()  # no zombie of it

    def _last_words(self) -> str:
        try:
            return (self.directory / LOG).read_text(errors="replace")[-1000:].strip()
        except OSError:
            return ""


def _command() -> list[str]:
    """How the product is started here. Raises NoServer where only this package is."""
    if importlib.util.find_spec("autotune_bundle") is not None:  # pip install autotune-web
        return [sys.executable, "-m", "autotune_bundle"]
    if (_HERE / "manage.py").is_file() and (_HERE / "autotune").is_file():  # a clone
        if importlib.util.find_spec("django") is not None:
            return [sys.executable, str(_HERE / "manage.py")]
        return [str(_HERE / "autotune")]
    if found := shutil.which("autotune"):
        return [found]
    raise NoServer(
        "No server is named, and none can be started: autotune-web is not installed here. Name one "
        "(server= and token=, or AUTOTUNE_URL and AUTOTUNE_TOKEN), or: pip install autotune-web."
    )


def data_directory() -> Path:
    """The data directory that ``autotune up`` serves where nobody names another."""
    if given := os.environ.get("AUTOTUNE_DATA", "").strip():
        return Path(given).expanduser().resolve()
    if (_HERE / "manage.py").is_file():
        return _HERE / ".autotune"
    home = Path(os.environ.get("XDG_DATA_HOME", "").strip())
    return (home if home.is_absolute() else Path("~/.local/share").expanduser()) / "autotune"


_directories: dict[Path, Directory] = {}  # one hold on a server for each, as long as we live


def place(server: str | None, token: str | None, data: os.PathLike[str] | None) -> Place:
    """The server that arguments name, else the environment, else that of the data directory."""
    if server and data:
        raise ValueError("Give server= or data=, not both.")
    url = server or ("" if data else os.environ.get("AUTOTUNE_URL", "").strip())
    if url:
        return Named(url, token or os.environ.get("AUTOTUNE_TOKEN", "").strip())
    if token:
        raise ValueError("token= needs server=: which server is it for?")
    directory = Path(data).expanduser().resolve() if data else data_directory()
    return _directories.setdefault(directory, Directory(directory))
