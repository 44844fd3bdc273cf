"""Imports modules for ``fork_server``, and tells what keeps such a process from being forked.

Loaded by its path there, in the user's own interpreter: standard library only, Python 3.8 or
later, nothing of ours.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.machinery
import os
import sys
import tempfile
import threading
import time
import warnings
from typing import Any, Callable  # noqa: UP035 (Python 3.8)

MOST_SAID = 64 * 1024  # bytes of what imports print
DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")


class Refused(Exception):
    """A trial that is forked would not be like one that is started; the message says why."""


class Watched(os._Environ):  # type: ignore[type-arg]
    """``os.environ`` that notes which variables of a single trial are asked for, and by whom.

    They are not in it. So who keeps a copy would lack them later, whereas going through all
    (``items()``, as tqdm does for those that begin with its name) does no harm.
    """

    hidden: frozenset[str] = frozenset()
    asked: dict[str, str] = {}

    def __getitem__(self, key: Any) -> Any:
        if key in self.hidden:
            self.asked.setdefault(key, _who_asks())
        return super().__getitem__(key)

    def keys(self) -> Any:
        """What makes a ``dict`` of it comes here."""
        self.asked.setdefault("the whole environment", _who_asks())
        return super().keys()


def _who_asks() -> str:
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in ("os", "_collections_abc", "collections.abc"):
            return str(name)
        frame = frame.f_back
    return "something"


class Imported:
    """What the imports left beside modules: what they printed, and variables that they set."""

    def __init__(self, said: bytes, variables: dict[str, str | None], hidden: list[str]) -> None:
        self.said = said
        self.hidden = hidden
        self.variables = variables  # None: taken away

    def put_in(self, environment: dict[str, str]) -> None:
        for name, value in self.variables.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value


def import_all(modules: list[str], hidden: list[str]) -> Imported:
    """Import the modules.

    Raises:
        Refused: with what they did that a fork could not do again for each trial.
    """
    cwd = os.getcwd()
    made: list[str] = []
    for name in hidden:  # not unset: CUDA, should an import start it, is to keep to its devices
        os.environ._data.pop(os.environ.encodekey(name), None)  # type: ignore[attr-defined]
    before = dict(os.environ)
    Watched.hidden = frozenset(hidden)
    os.environ.__class__ = Watched
    originals = [(name, getattr(tempfile, name)) for name in ("mkdtemp", "_mkstemp_inner")]
    for name, function in originals:
        setattr(tempfile, name, _noting(function, made))
    drained = _Drained()
    current = ""
    try:
        for current in modules:
            importlib.import_module(current)
    except BaseException as error:
        text = str(error).partition("\n")[0]
        raise Refused(f"import {current}: {type(error).__name__}: {text}") from None
    finally:
        said = drained.end()
        for name, function in originals:
            setattr(tempfile, name, function)
        os.environ.__class__ = os._Environ
    if Watched.asked:
        name, who = next(iter(Watched.asked.items()))
        raise Refused(f"{who} asks for {name} as it is imported, and each trial has its own")
    if made:
        raise Refused(f"{made[0]} makes temporary files as it is imported")
    if os.getcwd() != cwd:
        raise Refused("another directory is the current one after they were imported")
    after = dict(os.environ)
    set_by_them = {
        name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)
    }
    for name in Watched.hidden.intersection(set_by_them):
        raise Refused(f"{name} is set by an import, and each trial has its own")
    return Imported(said, set_by_them, hidden)


def _noting(function: Callable[..., Any], made: list[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        frame: Any = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__") == "tempfile":
            frame = frame.f_back
        made.append(str(frame.f_globals.get("__name__", "something")))
        return function(*args, **kwargs)

    return noting


class _Drained:
    """Takes what is written to stdout and stderr, as a pipe like those of a trial."""

    def __init__(self) -> None:
        self._said = b""
        self._pipe, write_end = os.pipe()
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        os.close(write_end)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        while True:
            data = os.read(self._pipe, 65536)
            if not data:
                return
            self._said = (self._said + data)[:MOST_SAID]

    def end(self) -> bytes:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(0, 1)
        os.dup2(0, 2)
        self._thread.join(2)
        if self._thread.is_alive():
            raise Refused("a process that they started goes on")
        os.close(self._pipe)
        return self._said


def check_fork(own_socket: int) -> None:
    """Raises Refused where the imports left something that a fork cannot take along."""
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # that of the list itself
        if target.startswith(DEVICES):
            raise Refused(f"they opened {target}: CUDA, once initialised, cannot be forked")
        if target.startswith("socket:") and int(number) != own_socket:
            raise Refused("they opened a connection")
    try:
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            raise Refused("a process that they started goes on")
    except ChildProcessError:
        pass
    # Threads that end before a fork, as those of OpenBLAS do, do no harm: so look after one.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        os._exit(_is_bad_fork())
    if os.waitpid(pid, 0)[1]:
        raise Refused("CUDA was used by an import, and cannot be used in a fork any more")
    names = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    limit = time.monotonic() + 0.2
    while not names and (more := len(os.listdir("/proc/self/task")) - 1):
        if time.monotonic() > limit:
            names = [f"{more} named {_names_of_threads()}"]
        time.sleep(0.005)
    if names:
        raise Refused(f"they started threads, which a fork does not have: {', '.join(names)}")


def _names_of_threads() -> str:
    names = set()
    for number in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{number}/comm") as file:
            names.add(file.read().strip())
    return ", ".join(sorted(names))


def _is_bad_fork() -> int:
    try:
        cuda = sys.modules.get("torch.cuda")
        return 1 if cuda is not None and cuda._is_in_bad_fork() else 0
    except Exception:
        return 0


class Files:
    """What the loaded modules were made of, to see when that changes."""

    def __init__(self, first: str) -> None:
        self.first = first
        self.known = {}
        self.top: dict[str, str] = {}  # package or module -> the folder that it lies in
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if not isinstance(path, str) or not os.path.isabs(path) or name == "__main__":
                continue
            self.known[path] = _stamp(path)
            if "." not in name:
                folder = os.path.dirname(path)
                is_package = os.path.basename(path).startswith("__init__.")
                self.top[name] = os.path.dirname(folder) if is_package else folder

    def changed(self) -> str:
        """A file that is not what it was, or one that would be imported now instead."""
        for path, stamp in self.known.items():
            if _stamp(path) != stamp:
                return path
        try:
            names = os.listdir(self.first or ".")
        except OSError:
            return ""
        for name in names:
            known = self.top.get(name.partition(".")[0])
            if known is None or known == self.first or not _is_importable(self.first, name):
                continue
            return os.path.join(self.first, name)
        return ""


def _stamp(path: str) -> Any:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _is_importable(folder: str, name: str) -> bool:
    if "." not in name:
        return os.path.isfile(os.path.join(folder, name, "__init__.py"))
    return name.endswith(tuple(importlib.machinery.all_suffixes()))
