"""Imports modules once and is forked for each trial: a process of the user's own interpreter.

``preload`` starts it as a script, with the options, environment and limits of the trials; nothing
of ours can be imported here: standard library only, Python 3.8 or later.

Guarantees: a trial finds what a fresh start would find (its environment, directory, argv,
``sys.path``, ``__main__``, streams, random numbers, open files), or nothing is forked at all and a
reason is said. A trial is not our child but that of its supervisor, an interpreter of ours that a
fork of ours becomes: our death costs it nothing. We end with the one who started us.

The wire: on the SOCK_SEQPACKET socket whose number is our argument, one packet with the order comes
and one goes back, ``{"refused": REASON}``, "" when ready. Then a packet for each job, with three
descriptors: the lock of its directory, a stream for its supervisor, and a stream that brings what
is to be forked as JSON and takes our answer: "ok", or a word and a reason.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    sys.path.pop(0)  # the folder of this file, where nothing is to be imported from

import array
import collections.abc
import contextlib
import fcntl
import functools
import gc
import importlib
import importlib.machinery
import json
import os
import runpy
import socket
import tempfile
import threading
import time
import types
import warnings
from typing import Any, Callable, NoReturn  # noqa: UP035 (Python 3.8)

IDLE_S = 900.0  # then it takes memory for nothing
TOLD_WITHIN_S = 30.0
MOST_SAID = 64 * 1024  # bytes of what imports print
DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
PACKET_BYTES = 1 << 20
MARK = b"AUTOTUNE_JOB_DIR="  # with room behind it, see ``preload``

Fork = Callable[[], Any]


class Refused(Exception):
    """A trial that is forked would not be like one that is started; the message says why."""


# ---- import


class Watched(os._Environ):  # type: ignore[type-arg]
    """``os.environ`` that notes which variables of a single trial are asked for, and by whom.

    Who goes through all of them (``items()``, as tqdm does for those that begin with its name)
    asks for none.
    """

    hidden: frozenset[str] = frozenset()
    asked: dict[str, str] = {}

    def __getitem__(self, key: Any) -> Any:
        if key in self.hidden and sys._getframe(1).f_code is not _GO_THROUGH:
            self.asked.setdefault(key, _who_asks())
        return super().__getitem__(key)


_GO_THROUGH = collections.abc.ItemsView.__iter__.__code__


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

    def __init__(self, said: bytes, variables: dict[str, str | None]) -> None:
        self.said = said
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
    return Imported(said, set_by_them)


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


# ---- fork


def serve(control: socket.socket, files: Files, imported: Imported) -> Fork:
    """Fork for every packet, until our owner is gone. Returns in a trial only: what it runs."""
    control.settimeout(IDLE_S)
    while True:
        try:
            data, descriptors = _receive(control)
        except TimeoutError:
            os._exit(0)
        if not data:
            os._exit(0)
        lock, stream, line = descriptors
        answers = socket.socket(fileno=line)
        try:
            order = _told(answers)
            changed = files.changed()
            if changed:
                _answer(answers, "stale", f"{changed} has changed since")
                os._exit(0)
            child = os.fork()
        except (OSError, ValueError) as error:
            _answer(answers, "failed", str(error))
            child = -1
        if child == 0:
            control.close()
            return _leave(order, lock, stream, answers, imported)
        os.close(lock)
        os.close(stream)
        if child > 0:
            os.waitpid(child, 0)
        answers.close()


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    found = array.array("i")
    data, ancillary, _flags, _address = control.recvmsg(16, socket.CMSG_SPACE(3 * found.itemsize))
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    for descriptor in found:
        os.set_inheritable(descriptor, False)
    return data, list(found)


def _told(answers: socket.socket) -> dict[str, Any]:
    answers.settimeout(TOLD_WITHIN_S)
    text = b""
    while True:
        data = answers.recv(1 << 16)
        if not data:
            break
        text += data
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def _answer(answers: socket.socket, word: str, why: str = "") -> None:
    with contextlib.suppress(OSError):  # who asked has gone
        answers.sendall(f"{word} {why}".encode("utf-8", "replace"))


def _leave(
    order: dict[str, Any], lock: int, stream: int, answers: socket.socket, imported: Imported
) -> Fork:
    """In a fork: become nobody's child, fork the replicas, and become their supervisor.

    Returns in a replica only.
    """
    try:
        if os.fork():
            os._exit(0)
        os.setsid()
        # All pipes first: so each replica knows which to close.
        pipes = [(*os.pipe(), *os.pipe()) for _ in order["forks"]]
        adopted = []
        for fork, (out, out_end, go, go_end) in zip(order["forks"], pipes):  # noqa: B905
            pid = os.fork()
            if pid == 0:
                for descriptor in {lock, stream, *(each for four in pipes for each in four)}:
                    if descriptor not in (out_end, go):
                        os.close(descriptor)
                answers.close()
                break
            adopted.append([fork["index"], pid, out, go_end])
        else:
            _answer(answers, "ok")
            _become_supervisor(order["supervisor"], lock, stream, adopted)
    except BaseException as error:
        _answer(answers, "failed", repr(error))
        os._exit(1)
    return _as_started(fork, out_end, go, order["slot"], imported)


def _become_supervisor(how: dict[str, Any], lock: int, stream: int, adopted: Any) -> NoReturn:
    """An interpreter of ours in our place: the same process, so that the replicas are its own."""
    for descriptor in [lock, stream, *(each for _, _, *two in adopted for each in two)]:
        os.set_inheritable(descriptor, True)
    os.chdir("/")
    code = how["code"] + f"supervise({lock}, {stream}, {adopted!r})"
    os.execve(how["executable"], [*how["argv"], "-c", code], how["env"])


# ---- in a trial


def _as_started(fork: dict[str, Any], out: int, go: int, slot: str, imported: Imported) -> Fork:
    """Make this process what a fresh start would be, and return what is left to run."""
    os.setpgid(0, 0)
    if not os.read(go, 1):
        os._exit(0)  # the supervisor is dead before all began
    os.close(go)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    if slot:  # as the supervisor, which does: until all processes of the trial are gone
        held = os.open(slot, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_SH)
        os.set_inheritable(held, True)
    os.chdir(fork["cwd"])
    environment = dict(fork["env"])
    imported.put_in(environment)
    os.environ.clear()
    os.environ.update(environment)
    _show(fork["argv"], fork["env"])
    _refresh(fork["cwd"])
    if imported.said:
        os.write(2, imported.said)
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = fork["argv"]
    is_module = fork["kind"] == "module"
    sys.argv[:] = ["-m" if is_module else fork["name"], *fork["args"]]
    return _module(fork["name"]) if is_module else _script(fork["name"], fork["argv"][0])


def _module(name: str) -> Fork:
    sys.modules["__main__"] = _fresh_main()
    return functools.partial(runpy._run_module_as_main, name)  # type: ignore[attr-defined]


def _script(name: str, word: str) -> Fork:
    path = os.path.join(os.getcwd(), name) if sys.version_info >= (3, 9) else name
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        text = f"{word}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n"
        sys.stderr.write(text)
        return functools.partial(sys.exit, 2)
    main = _fresh_main()
    main.__dict__.update(
        __file__=path,
        __cached__=None,
        __loader__=importlib.machinery.SourceFileLoader("__main__", path),
    )
    sys.modules["__main__"] = main
    code = compile(source, path, "exec", dont_inherit=True)
    return functools.partial(exec, code, main.__dict__)


def _fresh_main() -> types.ModuleType:
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    return main


def _refresh(cwd: str) -> None:
    """Give this process its own of what a fresh start draws or looks up.

    ``random`` and ``tempfile`` see to it themselves in a fork. torch starts with the same seed in
    every fresh process, so here as well.
    """
    loaded = sys.modules.get
    if numpy := loaded("numpy.random"):
        numpy.seed()
    logging: Any = loaded("logging")
    if logging:
        now = time.time()
        logging._startTime = now if sys.version_info < (3, 13) else time.time_ns()
    process: Any = loaded("multiprocessing.process")
    if process:
        process.ORIGINAL_DIR = cwd
        process.current_process().authkey = os.urandom(32)
    importlib.invalidate_caches()


def _show(argv: list[str], environment: dict[str, str]) -> None:
    """Let ``ps`` and whoever looks for the job's mark see this trial rather than our own start."""
    try:
        with open("/proc/self/stat", "rb") as file:
            numbers = file.read().rpartition(b")")[2].split()
        arg_start, arg_end, env_start = (int(number) for number in numbers[45:48])
        with open("/proc/self/environ", "rb") as file:
            before, mark, after = file.read().partition(MARK)
        with open("/proc/self/cmdline", "rb") as file:
            kept = file.read().partition(b"\0")[0]  # the first word is ours as well
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            if mark:
                room = len(after.partition(b"\0")[0])
                value = os.fsencode(environment[MARK.decode()[:-1]])
                _put(memory, env_start + len(before) + len(mark), value, room)
            shown = b"\0".join(os.fsencode(word) for word in argv[1:])
            start = arg_start + len(kept) + 1
            _put(memory, start, shown[: max(0, arg_end - start - 1)], arg_end - start)
    except (OSError, ValueError, KeyError, IndexError):
        pass  # it is found by its session, and a strange name in ps does no harm


def _put(memory: Any, address: int, value: bytes, room: int) -> None:
    if len(value) <= room:
        memory.seek(address)
        memory.write(value.ljust(room, b"\0"))


# ---- all of it


def _without_us(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A traceback begins with the script, as if nothing had been below it."""

    def shown(kind: Any, error: BaseException, trace: Any) -> None:
        sys.excepthook = hook
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.last_traceback = trace
        hook(kind, error.with_traceback(trace), trace)

    return shown


def main() -> Fork:
    """Import, say how it went, and fork. Returns in a trial only."""
    control = socket.socket(fileno=int(sys.argv[1]))
    order = json.loads(control.recv(PACKET_BYTES))
    # Until the imports are through nothing comes: whatever is heard is that our owner is gone.
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(control, fcntl.F_GETFL)
    fcntl.fcntl(control, fcntl.F_SETFL, flags | os.O_ASYNC)
    if not sys.flags.isolated and not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, order["first"])
    sys.argv[:] = [order["shown"]]
    imported, refused = Imported(b"", {}), ""
    try:
        imported = import_all(order["modules"], order["hidden"])
        check_fork(control.fileno())
    except Refused as error:
        refused = str(error)
    files = Files(order["first"])
    gc.collect()
    gc.freeze()  # what is shared stays shared
    fcntl.fcntl(control, fcntl.F_SETFL, flags)
    control.sendall(json.dumps({"refused": refused[:1000]}).encode())
    if refused:
        os._exit(0)
    return serve(control, files, imported)


if __name__ == "__main__":
    try:
        main()()  # nothing of it is kept: what the script leaves goes when the interpreter ends
    except SystemExit:
        raise
    except BaseException:
        if callable(sys.excepthook):
            sys.excepthook = _without_us(sys.excepthook)
        raise
