"""Whose programs a local trial runs: the user's own, looked up where AutoTune was started.

``trial_path`` says where; ``imports_of`` and ``ask`` tell before a trial starts which interpreter
``python3`` is and what its script would miss there. Nothing of the user's is run for that: the
script is read, and the interpreter is asked whether it could find the modules. Called by the local
backend. Standard library only.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from experiments.training.local.command_line import text_of

ASK_WITHIN_S = 5.0
KEEP_S = 30.0  # somebody may install what is missing meanwhile
MOST_KEPT = 256

_WITH_VALUE = frozenset({"-W", "-X", "--check-hash-based-pycs"})

# Runs in the interpreter that is asked; find_spec of a top-level name runs no code of the module.
_QUESTION = """
import sys
sys.path.pop(0)  # where it is asked, and nothing is to be imported from
import json
from importlib.util import find_spec
asked = json.load(sys.stdin)
sys.path[:0] = asked["path"]
def is_there(name):
    try:
        return name in sys.builtin_module_names or find_spec(name) is not None
    except Exception:
        return True
missing = [name for name in asked["modules"] if not is_there(name)]
version = ".".join(map(str, sys.version_info[:3]))
answer = {"version": version, "executable": sys.executable, "prefix": sys.prefix}
json.dump({**answer, "missing": missing}, sys.stdout)
"""


# ---- where programs are looked up


def trial_path(
    environment: Mapping[str, str],
    *,
    given: Sequence[str] = (),
    python: str = "",
    folder: Path,
    prefix: str = sys.prefix,
) -> str:
    """What is put before PATH for trials; "" where PATH says it all.

    The environment that is active where AutoTune was started comes first. Mostly its programs are
    on PATH already, the one activated last before others; where they are not (VIRTUAL_ENV set by
    an editor, say) they are put there. ``uvx`` puts an environment of AutoTune's own before all
    others, which has nothing that a trial needs: then the shell's come first.

    Args:
        environment: that AutoTune was started with.
        given: directories that somebody named (AUTOTUNE_TRIAL_PATH).
        python: an interpreter that somebody named (--python); ``python`` and ``python3`` mean it.
        folder: where two small scripts are written that say so, if its own directory does not.
        prefix: the environment that AutoTune runs in.
    """
    if given or python:
        own = [*_ways_to(Path(python), folder)] if python else []
        return ":".join([*own, *given])
    on_path = environment.get("PATH", "").split(":")
    active = [
        os.path.join(environment[name], "bin")
        for name in ("VIRTUAL_ENV", "CONDA_PREFIX")
        if environment.get(name)
    ]
    ours = os.path.join(prefix, "bin")
    if "UV" in environment and on_path[0] == ours and ours not in active:
        rest = [place for place in on_path if place != ours]
        return ":".join([*(place for place in active if place not in rest), *rest])
    if any(folder in on_path for folder in active):
        return ""
    return next((folder for folder in active if os.path.isdir(folder)), "")


def named(name: str, environment: Mapping[str, str]) -> str:
    """The interpreter that ``spec.local.python`` means; "" where there is none.

    Its path, or its environment's; a program on PATH; or the name of a conda environment, which are
    looked up where conda itself would.
    """
    if "/" in name or name.startswith("~"):
        path = os.path.expanduser(name)
        return _interpreter_in(path) if os.path.isabs(path) else ""
    if found := shutil.which(name, path=environment.get("PATH")):
        return found
    return next((found for each in _conda(name, environment) if (found := _interpreter_in(each))),
                "")  # fmt: skip


def _interpreter_in(path: str) -> str:
    """A file itself, or the interpreter of a directory; "" where nothing there can be run."""
    words = ("bin/python3", "bin/python") if os.path.isdir(path) else ("",)
    candidates = [os.path.join(path, word) if word else path for word in words]
    return next((c for c in candidates if os.path.isfile(c) and os.access(c, os.X_OK)), "")


def _conda(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Where a conda environment of that name may be: in conda's own list, then in its folders."""
    home = Path(environment.get("HOME") or Path.home())
    with contextlib.suppress(OSError):
        for line in (home / ".conda" / "environments.txt").read_text().splitlines():
            if os.path.basename(line.strip()) == name:
                yield line.strip()
    for folder in environment.get("CONDA_ENVS_PATH", "").split(":"):
        if folder:
            yield os.path.join(folder, name)
    roots = [environment.get("MAMBA_ROOT_PREFIX", ""), environment.get("CONDA_PREFIX", "")]
    if conda := environment.get("CONDA_EXE"):
        roots.append(os.path.dirname(os.path.dirname(conda)))
    roots += [str(home / each) for each in ("miniforge3", "miniconda3", "anaconda3", "micromamba")]
    for root in filter(None, roots):
        yield root if name == "base" else os.path.join(root, "envs", name)


def _ways_to(python: Path, folder: Path) -> list[str]:
    """The directories that make ``python`` and ``python3`` this interpreter."""
    beside = [python.parent / name for name in ("python", "python3")]
    if all(_is_same(python, other) for other in beside):
        return [str(python.parent)]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("python", "python3"):
        # A link would take it out of its environment: that is told by where it is started from.
        draft = folder / f".{name}.{os.getpid()}"
        draft.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} "$@"\n')
        draft.chmod(0o700)
        draft.rename(folder / name)
    return [str(folder), str(python.parent)]


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


# ---- what a script needs


@dataclass(frozen=True)
class Needs:
    """Modules that a command imports at once, and where it looks before the interpreter's own."""

    modules: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    cwd: str = "/"  # where it is started: pyenv and its like choose an interpreter by that


def imports_of(argv: Sequence[str], cwd: str, python_path: str = "") -> Needs:
    """What ``python3 script.py``, ``-m module`` or ``-c code`` imports whatever happens.

    Only imports that stand at the top level count: those under ``try`` or ``if`` have another way,
    those in functions may never be reached.
    """
    modules, folder = _started_by(argv, cwd)
    # Relative ones are the trial's, which is started in ``cwd``.
    own = (os.path.join(cwd, part) for part in python_path.split(":") if part)
    return Needs(modules, (folder, *own), cwd)


def _started_by(argv: Sequence[str], cwd: str) -> tuple[tuple[str, ...], str]:
    """The modules that a command line imports, and the directory that Python looks in first."""
    words = iter(argv[1:])
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word == "-m":
            return _top([next(words, "")]), cwd
        elif word == "-c":
            return _imported(next(words, "")), cwd
        elif not word.startswith("-"):
            script = os.path.join(cwd, word)
            return _imported(text_of(script)), os.path.dirname(script)
    return (), cwd


def _imported(code: str | bytes) -> tuple[str, ...]:
    try:
        statements = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    names: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            names.append(statement.module or "")
    return _top(names)


def _top(names: Sequence[str]) -> tuple[str, ...]:
    """The packages that these are in, each once."""
    found = (name.partition(".")[0] for name in names)
    return tuple(dict.fromkeys(name for name in found if name.isidentifier()))


# ---- what an interpreter has


@dataclass(frozen=True)
class Answer:
    """What an interpreter said of itself; empty where it said nothing in time."""

    version: str = ""
    executable: str = ""  # itself, where what was asked is a script that starts it
    prefix: str = ""
    missing: tuple[str, ...] = ()


_kept: dict[tuple[object, ...], tuple[float, Answer]] = {}
_lock = Lock()


def ask(executable: str, needs: Needs, environment: Mapping[str, str]) -> Answer:
    """Ask an interpreter for its version and which of the modules it could not import.

    Takes ASK_WITHIN_S at most; the answer is kept for KEEP_S.

    Args:
        environment: the server's own, never a manifest's: variables can make an interpreter run
            code (PYTHONPATH, LD_PRELOAD).
    """
    key = (executable, needs)
    now = time.monotonic()
    with _lock:
        known = _kept.get(key)
        if known is not None and now - known[0] < KEEP_S:
            return known[1]
    answer = _ask(executable, needs, environment)
    with _lock:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = (now, answer)
    return answer


def _ask(executable: str, needs: Needs, environment: Mapping[str, str]) -> Answer:
    try:
        ran = subprocess.run(
            [executable, "-c", _QUESTION],
            input=json.dumps({"modules": needs.modules, "path": needs.path}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            cwd=needs.cwd if os.path.isdir(needs.cwd) else "/",
            timeout=ASK_WITHIN_S,
            check=True,
            start_new_session=True,
        )
        said = json.loads(ran.stdout)
        return Answer(
            str(said["version"]),
            str(said["executable"] or executable),
            str(said["prefix"]),
            tuple(said["missing"]),
        )
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError):
        return Answer()
