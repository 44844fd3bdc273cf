"""Which Python a command line comes to, and with what: through env, torchrun, a shell, and so on.

``python_of`` reads what will be run and runs nothing. Where it cannot be sure (a shell that
chooses, an environment that is activated on the way, a package that is installed first) it says
nothing: a wrong warning is worse than none. Called by the local backend before a trial starts.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

LONGEST_SCRIPT = 1024 * 1024  # bytes; longer ones are not read
LONGEST_SHELL = 64 * 1024  # characters of a shell script that are read
DEEPEST = 4  # env, which runs sh, which runs a script, …

_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
# Run the command behind their own options; the letters are of those that take a value.
_RUNNERS = {
    "env": "", "nice": "n", "nohup": "", "setsid": "", "stdbuf": "ioe", "timeout": "ks",
    "ionice": "cn", "exec": "a", "command": "", "time": "fo",
}  # fmt: skip
# Programs in Python that run a script with the interpreter they are installed for.
_LAUNCHERS = frozenset({"torchrun", "accelerate", "deepspeed"})
# Run the command that stands somewhere behind their own options.
_MANY = frozenset({"mpirun", "mpiexec", "orterun", "srun", "horovodrun", "numactl", "xvfb-run"})
# What a script may do before without changing which Python runs, or what that one has.
_HARMLESS = frozenset(
    {
        "set", "echo", "printf", "mkdir", "umask", "ulimit", "true", ":", "date", "ls", "pwd",
        "nvidia-smi", "sleep", "hostname", "rm", "test", "[",
    }
)  # fmt: skip
_DECIDING = frozenset({"PATH", "PYTHONHOME", "BASH_ENV", "ENV"})  # for which program runs
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_ITS_FOLDER = re.compile(
    r"""\$\(dirname(?: --)? "?\$\{?(?:0|BASH_SOURCE(?:\[0\])?)\}?"?\)|\$\{0%/\*\}"""
)
_SHEBANG = re.compile(rb"#![ \t]*(\S+)[ \t]*([^\r\n]*)")
# pip's way round the kernel's limit of a shebang's length, and round spaces in it.
_LONG_SHEBANG = re.compile(rb"#!/bin/sh\r?\n'''exec' (\"[^\"\n]+\"|\S+) ")

LookUp = Callable[[str, str], str]  # word, working directory -> the file that it names, or ""


@dataclass(frozen=True)
class Call:
    """A Python as it is run: ``words`` begin with it, and go on with its options and script."""

    word: str  # that people wrote for it: python3, torchrun
    executable: str  # the interpreter
    words: tuple[str, ...]
    cwd: str
    python_path: str  # PYTHONPATH


def is_python(word: str) -> bool:
    return _PYTHON.fullmatch(os.path.basename(word)) is not None


def text_of(path: str) -> bytes:
    """What a file holds, "" where it is none to read: a pipe or a device could keep us for good."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        text = os.read(descriptor, LONGEST_SCRIPT + 1)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return text if len(text) <= LONGEST_SCRIPT else b""


def python_of(argv: Sequence[str], cwd: str, look_up: LookUp, python_path: str = "") -> Call | None:
    """The Python that a command line comes to, None where there is none that is sure."""
    state = _State(cwd, python_path, look_up)
    return _follow(list(argv), state, DEEPEST)


@dataclass(frozen=True)
class _State:
    """Where a command is run."""

    cwd: str
    python_path: str
    look_up: LookUp
    script: str = ""  # the shell's, whose words these are

    def assigned(self, name: str, value: str) -> _State | None:
        """After NAME=value; None where nobody can tell what runs then."""
        if name in _DECIDING:
            return None
        if name != "PYTHONPATH":
            return self
        parts: list[str] = []
        for part in value.split(":"):
            parts += [self.python_path] if "$" in part else [part]
        return replace(self, python_path=":".join(part for part in parts if part))


def _follow(words: list[str], state: _State, depth: int) -> Call | None:
    if not words or not depth:
        return None
    word, name = words[0], os.path.basename(words[0])
    if is_python(word):
        executable = state.look_up(word, state.cwd)
        found = Call(word, executable, tuple(words), state.cwd, state.python_path)
        return found if executable else None
    if name in _RUNNERS:
        return _behind_options(words, state, depth)
    if name in _SHELLS:
        return _of_shell(words, state, depth)
    if name in _LAUNCHERS:
        return _of_launcher(words, state)
    if name in _MANY:
        rest = next((words[n:] for n, each in enumerate(words) if is_python(each)), [])
        return _follow(rest, state, depth - 1)
    return _of_file(words, state, depth)


def _behind_options(words: list[str], state: _State, depth: int) -> Call | None:
    """``env NAME=value command …``, ``nice -n 5 command …``, ``timeout 60 command …``."""
    name = os.path.basename(words[0])
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if name == "env":
            return None  # without the environment, in another directory, a line in one word, …
        if len(option) == 2 and option[1] in _RUNNERS[name] and rest:
            rest.pop(0)
    if name == "timeout":
        rest = rest[1:]
    if name == "env":
        return _after_assignments(rest, state, depth)
    return _follow(rest, state, depth - 1)


def _after_assignments(words: list[str], state: _State, depth: int) -> Call | None:
    for number, word in enumerate(words):
        match = _ASSIGNMENT.fullmatch(word)
        if match is None:
            return _follow(words[number:], state, depth - 1)
        changed = state.assigned(match[1], match[2])
        if changed is None:
            return None
        state = changed
    return None


# ---- programs in Python


def _of_launcher(words: list[str], state: _State) -> Call | None:
    """``torchrun --nproc-per-node 2 train.py``: that script, by the launcher's own interpreter."""
    executable = _interpreter_of(state.look_up(words[0], state.cwd))
    if not executable:
        return None
    rest = words[2:] if words[1:2] == ["launch"] else words[1:]
    called: list[str] = []
    for number, word in enumerate(rest):
        if word == "-m":
            called = rest[number : number + 2]
            break
        if word.endswith(".py") and os.path.isfile(os.path.join(state.cwd, word)):
            called = rest[number:]
            break
    return Call(words[0], executable, (executable, *called), state.cwd, state.python_path)


def _interpreter_of(program: str) -> str:
    """The Python that a program's first line names by its path, "" where it names none."""
    text = text_of(program)[:4096] if program else b""
    match = _LONG_SHEBANG.match(text) or _SHEBANG.match(text)
    found = os.fsdecode(match[1]).strip('"') if match else ""
    return found if is_python(found) and os.path.isabs(found) else ""


def _of_file(words: list[str], state: _State, depth: int) -> Call | None:
    """``./train.py`` or ``./run.sh``: what its first line says."""
    path = state.look_up(words[0], state.cwd)
    match = _SHEBANG.match(text_of(path)) if "/" in words[0] and path else None
    if match is None:
        return None
    option = [os.fsdecode(match[2]).strip()] if match[2].strip() else []
    return _follow([os.fsdecode(match[1]), *option, path, *words[1:]], state, depth - 1)


# ---- shells


def _of_shell(words: list[str], state: _State, depth: int) -> Call | None:
    """``sh -c "cd src && python train.py"``, ``bash run.sh``: the first Python of the script."""
    rest = words[1:]
    while rest and rest[0].startswith(("-", "+")) and rest[0] != "--":
        option = rest.pop(0)
        if option.startswith("--") or "l" in option or "i" in option:
            return None  # what such a shell reads first may change everything
        if option[0] == "-" and "c" in option:
            return _of_text(rest[0], state, depth) if rest else None
        if option[1:] in ("o", "eo", "euo", "O") and rest:
            rest.pop(0)
    rest = rest[1:] if rest[:1] == ["--"] else rest
    if not rest:
        return None
    script = os.path.join(state.cwd, rest[0])
    text = text_of(script).decode("utf-8", "replace")
    return _of_text(text, replace(state, script=script), depth)


def _of_text(text: str, state: _State, depth: int) -> Call | None:
    for words in _commands(text):
        changed = _before(words, state)
        if changed is None:
            return _after_assignments(words, state, depth)
        state = changed
    return None


def _before(words: list[str], state: _State) -> _State | None:
    """What a harmless command changes; None for any other."""
    name, given = words[0], words[1:]
    if name in _HARMLESS:
        return state
    if name == "cd" and len(given) == 1:
        folder = given[0]
        if state.script:
            folder = _ITS_FOLDER.sub(lambda _: os.path.dirname(state.script), folder)
        return None if "$" in folder else replace(state, cwd=os.path.join(state.cwd, folder))
    assigned = given if name == "export" else words
    for word in assigned:
        match = _ASSIGNMENT.fullmatch(word)
        if match is None:
            return state if name == "export" and word.isidentifier() else None
        changed = state.assigned(match[1], match[2])
        if changed is None:
            return None
        state = changed
    return state


def _commands(text: str) -> Iterator[list[str]]:
    """The simple commands that a shell runs one after the other, up to where that is not so."""
    for line in text[:LONGEST_SHELL].replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        try:
            for token in lexer:
                if token in ("&&", ";"):
                    if words:
                        yield words
                    words = []
                elif set(token) <= set("();<>|&"):
                    if words and "(" not in token:
                        yield words
                    return  # a pipe, a file, a subshell, …
                else:
                    words.append(token)
        except ValueError:
            return  # a quotation that goes on in the next line
        if words:
            yield words
