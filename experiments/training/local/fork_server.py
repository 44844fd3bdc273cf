"""Imports modules once and is forked for each trial: a process of the user's own interpreter.

``preload`` starts it as a script, with the options, environment and limits of the trials; the
imports are done by ``importing`` beside it. Nothing of ours can be imported here: standard library
only, Python 3.8 or later.

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
import contextlib
import fcntl
import functools
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import runpy
import signal
import socket
import time
import types
from typing import TYPE_CHECKING, Any, Callable, NoReturn  # noqa: UP035 (Python 3.8)

if TYPE_CHECKING:
    from experiments.training.local.importing import Files, Imported

IDLE_S = 900.0  # then it takes memory for nothing
TOLD_WITHIN_S = 30.0
PACKET_BYTES = 1 << 20
MARK = b"AUTOTUNE_JOB_DIR="  # with room behind it, see ``preload``

Fork = Callable[[], Any]


# What a process may have been told to ignore by whoever started us, and a trial is not.
HEARD = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGTERM, signal.SIGCHLD,
)  # fmt: skip


def _beside(name: str) -> types.ModuleType:
    """A file of this folder as a module that nobody else can import."""
    path = os.path.join(os.path.dirname(__file__), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"autotune_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _hear_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in HEARD:
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)


# ---- fork


def serve(control: socket.socket, files: Files, imported: Imported) -> Fork:
    """Fork for every packet, until our owner is gone. Returns in a trial only: what it runs."""
    control.settimeout(IDLE_S)
    while True:
        try:
            data, descriptors = _receive(control)
        except OSError:  # nobody asked for long
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
    for name in imported.hidden:
        os.unsetenv(name)
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
    _hear_signals()
    control = socket.socket(fileno=int(sys.argv[1]))
    order = json.loads(control.recv(PACKET_BYTES))
    # Until the imports are through nothing comes: whatever is heard is that our owner is gone.
    flags = fcntl.fcntl(control, fcntl.F_GETFL)
    with contextlib.suppress(OSError):  # not every kernel can; then we end after the imports
        fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(control, fcntl.F_SETFL, flags | os.O_ASYNC)
    if not sys.flags.isolated and not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, order["first"])
    sys.argv[:] = [order["shown"]]
    importing = _beside("importing")
    imported, refused = None, ""
    try:
        imported = importing.import_all(order["modules"], order["hidden"])
        importing.check_fork(control.fileno())
    except importing.Refused as error:
        refused = str(error)
    files = importing.Files(order["first"])
    gc.collect()
    gc.freeze()  # what is shared stays shared
    fcntl.fcntl(control, fcntl.F_SETFL, flags)
    control.sendall(json.dumps({"refused": refused[:1000]}).encode())
    if refused:
        os._exit(0)
    assert imported is not None
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
