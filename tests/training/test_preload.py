"""Trials that are forked from a process that imported their modules: as if started afresh."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.manifest.local_spec import LocalSpec
from experiments.training.base import Handle, JobState, Launch, NotYet
from experiments.training.local import preload
from experiments.training.local.gpus import Gpus
from experiments.training.local.recipe import Call, Ordinary, call_of
from tests.training.conftest import Jobs, is_running, task, until
from tests.training.test_local_survival import answer, kill, launcher

pytestmark = pytest.mark.long  # each starts programs of its own

MODULES = ("json", "logging", "multiprocessing", "random", "tempfile", "heavy")
HEAVY = "import time\ntime.sleep(0.3)\nvalue = []\n"

LOOK = """
import gc, heavy, logging, os, resource, signal, sys, tempfile, threading, warnings
import multiprocessing.process
signals = range(1, signal.NSIG)
for what in [
    sys.argv, sys.orig_argv, sys.flags, sys.executable, sys.path, sys.path[0], __file__, os.getcwd(),
    sorted(globals()), __name__, __spec__, __package__, type(__loader__), __annotations__,
    sys.modules["__main__"].__dict__ is globals(), __builtins__,
    [signal.getsignal(n) for n in signals if n not in (32, 33)], signal.pthread_sigmask(0, []),
    os.umask(0o22), [resource.getrlimit(n) for n in range(16)], os.nice(0),
    os.getpgrp() == os.getpid(), os.getsid(0) == os.getppid(), os.sched_getaffinity(0),
    len(os.listdir("/proc/self/fd")), os.readlink("/proc/self/fd/0"), open("/proc/self/cmdline").read().rstrip(chr(0)),
    *sorted(os.environ.items()), *sorted(os.environb.items()),
    *sorted(os.popen("env -0").read().split(chr(0))),
    [n for n in open("/proc/self/environ").read().split(chr(0)) if n.startswith("AUTOTUNE")],
    *[(s.name, s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty(), s.seekable(), s.mode)
      for s in (sys.stdin, sys.stdout, sys.stderr)],
    [t.name for t in threading.enumerate()], threading.current_thread() is threading.main_thread(),
    threading.get_native_id() == os.getpid(), warnings.filters, logging.root.level, logging.root.handlers,
    gc.isenabled(), gc.get_threshold(), sys.exc_info(), sys.getrecursionlimit(), tempfile.gettempdir(),
    multiprocessing.process.ORIGINAL_DIR, sys.stdout is sys.__stdout__, heavy.value,
]:
    print(what)
print(logging.LogRecord("", 0, "", 0, "", (), None).relativeCreated < 5000)
"""

# name, script, what must be in its log; each is run both ways and compared
# ruff: noqa: E501
SCRIPTS: list[tuple[str, str, str]] = [
    ("look", LOOK, "('LOOK', 'x y')"),
    ("exit", "import heavy, sys; print('x', end=''); sys.exit(3)", "x"),
    ("exit text", "import heavy, sys; sys.exit('no luck')", "no luck"),
    ("exit none", "import heavy; raise SystemExit", ""),
    ("exit large", "import heavy; raise SystemExit(300)", ""),
    ("raise", "import heavy\ndef f(): 1 / 0\ntry: f()\nexcept Exception as e: raise OSError(7) from e",
     "line 2, in f"),
    ("hook", "import heavy, sys\nsys.excepthook = lambda k, v, t: print('hook', v, t.tb_frame.f_code.co_name)\n"
     "raise ValueError('v')", "hook v"),
    ("interrupt", "import heavy\nraise KeyboardInterrupt", "KeyboardInterrupt"),
    ("syntax", "import heavy\nif True print(1)\n", "SyntaxError"),
    ("_exit", "import heavy, os; print('lost', flush=False); os._exit(7)", ""),
    ("term", "import heavy, os, signal; os.kill(os.getpid(), signal.SIGTERM)", ""),
    ("kill", "import heavy, os, signal; os.kill(os.getpid(), signal.SIGKILL)", ""),
    ("abort", "import heavy, os; os.abort()", ""),
    ("atexit", "import heavy, atexit\natexit.register(print, 'bye')\nclass D:\n def __del__(self):"
     " print('del')\nd = D()\nprint('end')", "bye"),
    ("thread", "import heavy, threading, time\nthreading.Thread(target=lambda: (time.sleep(.1),"
     " print('late'))).start()", "late"),
    ("thread fails", "import heavy, threading\nthreading.Thread(target=lambda: 1/0, name='T').start()",
     "ZeroDivisionError"),
    ("spawn", "import heavy, multiprocessing as m, os\ndef f(x): return x * x, __name__\n"
     "if __name__ == '__main__':\n print(m.get_start_method())\n"
     " for kind in ('spawn', 'fork', 'forkserver'):\n"
     "  with m.get_context(kind).Pool(2) as pool: print(kind, pool.map(f, range(3)))", "(4, '__main__')"),
    ("subprocess", "import heavy, subprocess, sys\nprint(subprocess.run([sys.executable, '-c', "
     "'import sys, os; print(sys.argv, sys.path[:2], os.getcwd()); sys.exit(5)']).returncode)", "5"),
    ("pickle", "import heavy, pickle\nclass A:\n x = 1\nprint(pickle.loads(pickle.dumps(A())).x, "
     "pickle.dumps(A()), A.__module__, A)", "__main__"),
    ("warn", "import heavy, warnings, logging\nwarnings.warn('w1')\nwarnings.warn('w1')\n"
     "warnings.warn('d', DeprecationWarning)\nlogging.basicConfig(format='%(module)s %(lineno)s "
     "%(processName)s %(threadName)s %(message)s')\nlogging.warning('l')", "t_warn.py:2: UserWarning: w1"),
    ("fault", "import heavy, faulthandler, os, signal\nfaulthandler.enable()\n"
     "os.kill(os.getpid(), signal.SIGSEGV)", "Segmentation fault"),
    ("coding", "# coding: latin-1\nimport heavy\nprint(ascii('\xe9'), __doc__)\n", "\\xe9"),
    ("reports", "import heavy, autotune_trial, os\nprint(autotune_trial.trial_id(), "
     "autotune_trial.sequence_id() != '')", "k3y0a"),
    ("future", "'doc'\nfrom __future__ import annotations\nimport heavy\ndef f(x: nothing): pass\n"
     "print(f.__annotations__, __doc__)", "nothing"),
    ("no future", "import heavy\ndef f(x: int): pass\nprint(f.__annotations__)", "<class 'int'>"),
]  # fmt: skip


class Code:
    """A folder of scripts, and how they are run."""

    def __init__(self, jobs: Jobs, folder: Path) -> None:
        self.jobs = jobs
        self.folder = folder
        self.write("heavy.py", HEAVY)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="latin-1" if "latin-1" in text else "utf-8")
        return path

    def run(
        self,
        *command: str,
        modules: tuple[str, ...] = ("heavy",),
        experiment: str = "exp1",
        env: dict[str, str] | None = None,
        **container: Any,
    ) -> Handle:
        """Launch, and again until the imports are through."""
        variables = [{"name": name, "value": value} for name, value in (env or {}).items()]
        launch = self.jobs.describe(
            task(list(command), **({"workingDir": str(self.folder), "env": variables} | container)),
            experiment_id=experiment,
            local=LocalSpec(preload=modules),
        )
        return self.launched(launch)

    def launched(self, launch: Launch) -> Handle:
        limit = time.monotonic() + 20
        while True:
            try:
                return self.jobs.launch(launch)
            except NotYet as wait:
                words = str(wait)
            assert words.startswith("Waits for ")
            assert time.monotonic() < limit, words
            time.sleep(0.02)

    def seen(self, handle: Handle) -> tuple[JobState, int | None, str, str]:
        """All that is seen of an ended job, without what is its own."""
        end = self.jobs.end(handle)
        text = self.jobs.log(handle)
        text = re.sub(r"0x[0-9a-f]{6,}", "0x1", text).replace(handle["name"], "JOB")
        text = re.sub(r"(SEQ_ID(=|', b?'))\d+", r"\1N", text)
        text = re.sub(r"\b[23]\d{4}\b", "PORT", text)
        text = re.sub(r'  File "[^"]*fork_server.py", line \d+ in <module>\n', "", text)
        return end.state, end.exit_code, end.message.replace(handle["name"], "JOB"), text

    def note(self, handle: Handle) -> str:
        """Why a trial was started the ordinary way."""
        note = self.jobs.root / handle["name"] / "note"
        return note.read_text() if note.exists() else ""

    @property
    def server(self) -> int:
        (pid,) = self.jobs.backend._preloads.pids()
        return pid


@pytest.fixture
def code(jobs: Jobs, tmp_path: Path) -> Code:
    folder = tmp_path / "code"
    folder.mkdir()
    return Code(jobs, folder)


@pytest.fixture
def deaf() -> Iterator[None]:
    """A server that was told to ignore signals, as under nohup."""
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.long
@pytest.mark.usefixtures("deaf")
def test_a_forked_trial_is_like_one_that_was_started(code: Code) -> None:
    env = {"LOOK": "x y", "PYTHONHASHSEED": "1"}
    for name, script, words in SCRIPTS:
        file = code.write(f"t_{name.replace(' ', '_')}.py", script).name
        command = ["python3", file, "--name", name, ""]
        ordinary = code.run(*command, modules=(), env=env)
        forked = code.run(*command, modules=MODULES, env=env)
        assert code.note(forked) == ""
        *expected, log = code.seen(ordinary)
        *found, forked_log = code.seen(forked)
        assert (name, found) == (name, expected)
        assert forked_log.splitlines() == log.splitlines(), name
        assert words in log, name


def test_modules_and_options_are_run_as_python_does(code: Code) -> None:
    (code.folder / "pkg").mkdir()
    code.write("pkg/__init__.py", "")
    code.write("pkg/run.py", "import sys, heavy\nprint(sys.argv, sys.path[0], __file__, __package__, "
               "__spec__.name, sys.orig_argv, sys.flags, sys.warnoptions, __name__)\n1 / 0\n")  # fmt: skip
    command = ["python3", "-Bu", "-Wignore", "-X", "utf8", "-mpkg.run", "-m", "x"]
    ordinary = code.run(*command, modules=())
    forked = code.run(*command)
    assert code.note(forked) == ""
    assert code.seen(forked) == code.seen(ordinary)
    assert "ZeroDivisionError" in code.jobs.log(forked)


def test_random_numbers_differ_and_what_imports_print_and_set_is_there(code: Code) -> None:
    code.write(
        "chatty.py",
        "import os, sys\nprint('said', file=sys.stderr)\nos.environ['SET'] = '1'\n"
        "mine = {name: value for name, value in os.environ.items() if name.startswith('CHATTY_')}",
    )
    code.write("t.py", "import os, random, tempfile, uuid, multiprocessing.process as p\n"
               "print(os.environ['SET'], [random.random(), tempfile.mktemp(), uuid.uuid4(), "
               "bytes(p.current_process().authkey)])")  # fmt: skip
    modules = ("chatty", "random", "tempfile", "uuid", "multiprocessing.process")
    logs = [code.run("python3", "t.py", modules=modules) for _ in range(2)]
    one, other = (code.seen(handle)[-1] for handle in logs)
    assert (one[:8], other[:8]) == ("said\n1 [", "said\n1 [")
    values = [text.partition("[")[2].rstrip("]\n").split(", ") for text in (one, other)]
    assert not set(values[0]) & set(values[1])


def test_what_changes_on_disk_is_seen(code: Code) -> None:
    code.write("t.py", "import heavy; print('one', heavy.value)")
    assert code.seen(code.run("python3", "t.py"))[-1] == "one []\n"
    server = code.server
    code.write("t.py", "import heavy; print('two', heavy.value)")
    assert code.seen(code.run("python3", "t.py"))[-1] == "two []\n"
    assert code.server == server, "the script itself is read by each trial"
    code.write("heavy.py", "value = 'new'\n")
    assert code.seen(code.run("python3", "t.py"))[-1] == "two new\n"
    assert code.server != server
    until(lambda: not is_running(server), "the end of the old one")


REFUSED: list[tuple[str, str]] = [
    ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True, "
     "name='looker').start()", r"they started threads, which a fork does not have: looker"),
    ("import os\nos.environ.get('TUNER_TRIAL_SEQ_ID')",
     r"odd asks for TUNER_TRIAL_SEQ_ID as it is imported"),
    ("import os\nkept = dict(os.environ)", r"odd asks for the whole environment"),
    ("import os\nkept = os.environ.copy()", r"odd asks for the whole environment as"),
    ("import os\ndevices = os.getenv('CUDA_VISIBLE_DEVICES', '')", r"odd asks for CUDA_VISIBLE"),
    ("import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'", r"CUDA_VISIBLE_DEVICES is set by an"),
    ("import tempfile\nplace = tempfile.TemporaryDirectory()", r"odd makes temporary files"),
    ("import subprocess\nchild = subprocess.Popen(['sleep', '60'])", r"a process that they started"),
    ("import socket\ns = socket.socket()", r"they opened a connection"),
    ("import os\nos.chdir('/')", r"another directory is the current one"),
    ("import no_such_module", r"import odd: ModuleNotFoundError: No module named 'no_such_module'"),
    ("raise SystemExit('not here')", r"import odd: SystemExit: not here"),
    ("import os\nos._exit(3)", r"died 3 times: exit code 3"),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("module", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_where_a_fork_is_unsafe_the_trial_is_started_with_a_reason(
    code: Code, module: str, words: str
) -> None:
    code.write("odd.py", module)
    code.write("t.py", "print('ran')")
    handle = code.run("python3", "t.py", modules=("odd",))
    assert re.fullmatch(f"odd not preloaded: .*{words}.*", code.note(handle))
    assert code.seen(handle)[-1] == "ran\n"
    assert code.jobs.backend._preloads.pids() == []


def test_other_commands_and_other_environments_are_started_with_a_reason(code: Code) -> None:
    code.write("t.py", "import os; print('ran', os.environ.get('PYTHONHASHSEED'))")
    first = code.run("python3", "t.py", env={"PYTHONHASHSEED": "1"})
    assert code.note(first) == ""
    for command, env, words in [
        (["python3", "t.py"], {"PYTHONHASHSEED": "2"}, "another value of PYTHONHASHSEED"),
        (["python3", "-O", "t.py"], {"PYTHONHASHSEED": "1"}, "another command"),
        (["sh", "-c", "exec python3 t.py"], {}, "begins with sh, not with python"),
        (["python3", "-c", "print('ran')"], {}, "python is called with -c"),
        (["python3", "."], {}, ". is not the file of a script"),
    ]:
        handle = code.run(*command, env=env)
        note = code.note(handle)
        assert note.startswith("heavy not preloaded: ")
        assert words in note
        code.jobs.end(handle)
    code.jobs.backend.leave("exp1")
    odd = code.run("python3", str(code.folder / "t.py"), workingDir="", env={"PYTHONPATH": "src"})
    assert "each trial has a directory of its own" in code.note(odd)
    code.jobs.end(odd)


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("python t.py -u", Call((), "script", "t.py", ("-u",))),
        ("python3.11 -u -OO t.py", Call(("-u", "-OO"), "script", "t.py", ())),
        ("python -uBm a.b c", Call(("-uB",), "module", "a.b", ("c",))),
        ("python -ma", Call((), "module", "a", ())),
        ("python -W error -Xdev t.py", Call(("-Werror", "-Xdev"), "script", "t.py", ())),
        ("python -uW error t.py", Call(("-uWerror",), "script", "t.py", ())),
        ("python --check-hash-based-pycs always t.py",
         Call(("--check-hash-based-pycs", "always"), "script", "t.py", ())),
        ("python", "neither a script nor a module"),
        ("python -", "neither a script nor a module"),
        ("python -i t.py", "python is called with -i"),
        ("python -uc pass", "python is called with -uc"),
        ("python -m", "python is called with -m"),
        ("python --help", "python is called with --help"),
        ("torchrun t.py", "begins with torchrun"),
    ],
)  # fmt: skip
def test_commands_are_read_as_python_reads_them(command: str, call: Call | str) -> None:
    if isinstance(call, Call):
        assert call_of(command.split()) == call
        return
    with pytest.raises(Ordinary, match=re.escape(call)):
        call_of(command.split())


# ---- deaths

WAITS = "import heavy, os, sys, time\nprint('up', flush=True)\nwhile not os.path.exists('go'): " \
        "time.sleep(0.02)\nprint('went on')\nsys.exit(4)"  # fmt: skip


def test_a_server_that_was_killed_is_replaced_and_its_trials_go_on(code: Code) -> None:
    code.write("t.py", WAITS)
    handle = code.run("python3", "t.py")
    code.jobs.said(handle, "up")
    server = code.server
    os.kill(server, signal.SIGKILL)
    until(lambda: not is_running(server), "the server's death")
    second = code.run("python3", "t.py")
    assert code.note(second) == ""
    assert code.server != server
    (code.folder / "go").touch()
    for each in (handle, second):
        assert (code.jobs.end(each).exit_code, code.jobs.log(each)) == (4, "up\nwent on\n")
    server = code.server
    code.jobs.backend.leave("exp1")
    until(lambda: not is_running(server), "the end with the experiment")


def test_when_the_supervisor_is_killed_a_forked_trial_and_its_children_are_too(code: Code) -> None:
    code.write("t.py", "import heavy, os, time\nif not os.fork():\n os.setsid()\n time.sleep(600)\n"
               "print('up', flush=True)\ntime.sleep(600)")  # fmt: skip
    handle = code.run("python3", "t.py")
    code.jobs.said(handle, "up")
    until(lambda: len(code.jobs.marked()) == 2, "both marks")
    os.kill(handle["pid"], signal.SIGKILL)
    until(lambda: not is_running(handle["pid"]), "the supervisor's death")
    assert code.jobs.status(handle).state is JobState.LOST
    assert code.jobs.marked() == []


def test_a_stop_ends_a_forked_trial(code: Code) -> None:
    code.write("t.py", "import heavy, time, signal\nsignal.signal(signal.SIGTERM, lambda *_: print("
               "'term', flush=True))\nprint('up', flush=True)\ntime.sleep(600)")  # fmt: skip
    handle = code.run("python3", "t.py")
    code.jobs.said(handle, "up")
    code.jobs.backend.stop(handle)
    assert code.jobs.end(handle).state is JobState.STOPPED
    assert code.jobs.log(handle) == "up\nterm\n"


@pytest.mark.parametrize("sleeps", [0.0, 600.0], ids=["forked already", "while it imports"])
def test_the_server_ends_with_who_started_it(code: Code, sleeps: float, tmp_path: Path) -> None:
    code.write("heavy.py", f"import time\nprint('x')\nopen('{tmp_path}/pid', 'a').write(str("
               f"__import__('os').getpid()) + ' ')\ntime.sleep({sleeps})")  # fmt: skip
    code.write("t.py", WAITS)
    launch = code.jobs.describe(
        task(["python3", "t.py"], workingDir=str(code.folder)), local=LocalSpec(preload=("heavy",))
    )
    process = launcher(code.jobs, launch)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the import")
    server = int((tmp_path / "pid").read_text().split()[0])
    if not sleeps:
        code.jobs.handles.append(json.loads(answer(process)))
        code.jobs.said(code.jobs.handles[0], "up")
    kill(process)
    until(lambda: not is_running(server), "the server's end")
    if not sleeps:
        (code.folder / "go").touch()
        assert code.jobs.end(code.jobs.handles[0]).exit_code == 4


def test_imports_that_take_too_long_are_given_up(
    code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preload, "IMPORT_LIMIT_S", 0.6)
    code.write("heavy.py", "import time\ntime.sleep(600)")
    code.write("t.py", "print('ran')")
    handle = code.run("python3", "t.py")
    assert "importing them took more than 0.6 s" in code.note(handle)
    assert code.seen(handle)[-1] == "ran\n"
    until(lambda: not code.jobs.backend._preloads.pids(), "its end")


def test_replicas_that_are_alike_are_forked_together(code: Code) -> None:
    code.write("t.py", "import heavy, os; print(os.environ['RANK'], os.getppid())")
    launch = code.jobs.describe(
        task(["python3", "t.py"], replicas=2, workingDir=str(code.folder)),
        task(["sh", "-c", "echo $RANK"], type="ps", workingDir=str(code.folder)),
        framework="pytorch",
        local=LocalSpec(preload=("heavy",)),
    )
    handle = code.launched(launch)
    assert code.note(handle) == (
        "heavy not preloaded in ps-0: the command begins with sh, not with python."
    )
    code.jobs.end(handle)
    supervisor = handle["pid"]
    logs = [code.jobs.log(handle, f"{name}.log") for name in ("worker-0", "worker-1", "ps-0")]
    assert logs == [f"0 {supervisor}\n", f"1 {supervisor}\n", "2\n"]


def test_each_fork_sees_the_gpu_of_its_own_slot_until_all_of_it_is_gone(
    code: Code, tmp_path: Path
) -> None:
    jobs = code.jobs = Jobs(code.jobs.root, gpus=Gpus([3, 5]), slots=tmp_path / "slots")
    code.write("heavy.py", "import os\nkept = [*os.environ.items()]\n")  # asks for none
    code.write("t.py", "import heavy, os, time\nprint(os.environ['CUDA_VISIBLE_DEVICES'], "
               "os.popen('echo $CUDA_VISIBLE_DEVICES').read().strip(), flush=True)\n"
               "time.sleep(600)")  # fmt: skip
    one = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    first = code.run("python3", "t.py", **one)
    second = code.run("python3", "t.py", **one)
    assert (code.note(first), code.note(second)) == ("", "")
    assert [jobs.said(each, "\n") for each in (first, second)] == ["3 3\n", "5 5\n"]
    for each in (first, second):
        os.kill(each["pid"], signal.SIGKILL)
        until(lambda each=each: not is_running(each["pid"]), "the supervisor's death")
    third = jobs.describe(
        task(["python3", "t.py"], workingDir=str(code.folder), **one),
        local=LocalSpec(preload=("heavy",)),
    )
    with pytest.raises(NotYet):
        jobs.backend.launch(third)  # what the dead ones left behind still has both
    assert [jobs.end(each).state for each in (first, second)] == [JobState.LOST, JobState.LOST]
    handle = code.launched(third)
    assert jobs.said(handle, "\n") in ("3 3\n", "5 5\n")
    jobs.backend.stop(handle)
    jobs.end(handle)
    jobs.backend.leave("exp1")
