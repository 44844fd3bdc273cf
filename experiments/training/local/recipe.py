"""Whether a trial can be a fork of a process that imported what it imports, and of which one.

``call_of`` reads the command as Python itself would, ``recipe_of`` says what two trials must have
in common. Called by ``preload``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.training.local.command_line import is_python
from experiments.training.local.processes import JOB_MARK

# Which processors a trial may use is up to whoever starts it; its imports must not ask.
DEVICE_NAMES = frozenset({"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"})
# What differs between trials of one experiment, of all that a trial is given.
OWN_NAMES = DEVICE_NAMES | {
    "AUTO_TUNE_SERVER_ADDR", "TUNER_TRIAL_JOB_ID", "TUNER_TRIAL_SEQ_ID", "NNI_TRIAL_JOB_ID",
    "NNI_TRIAL_SEQ_ID", "NNI_TRIAL_COMMAND_CHANNEL", "NNI_OUTPUT_DIR", "NNI_SYS_DIR",
    "NNI_CODE_DIR", "MASTER_ADDR", "MASTER_PORT", "RANK", "TF_CONFIG", JOB_MARK,
    "MLFLOW_TRACKING_URI", "KUBEFLOW_TRAINER_SERVER_URL",
}  # fmt: skip

# Of these, what differs between the replicas of one trial only.
_OF_RANK = frozenset({"RANK", "MASTER_ADDR"})

_FLAGS = frozenset("bBdEIOPqRsSuv")
_WITH_VALUE = frozenset("WX")


class Ordinary(Exception):
    """This trial is to be started the ordinary way; the message says why, for the user."""


@dataclass(frozen=True)
class Call:
    """``python OPTIONS script.py ARGS`` or ``python OPTIONS -m module ARGS``."""

    options: tuple[str, ...]
    kind: str  # script | module
    name: str
    args: tuple[str, ...]


def call_of(argv: Sequence[str]) -> Call:
    """Read a command as Python itself does. Raises Ordinary."""
    if not is_python(argv[0]):
        raise Ordinary(f"the command begins with {argv[0]}, not with python")
    words = list(argv[1:])
    options: list[str] = []
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--check-hash-based-pycs" and words:
            options += [word, words.pop(0)]
            continue
        module = _read_letters(word, words, options)
        if module:
            return Call(tuple(options), "module", module, tuple(words))
    if not words or words[0] == "-":
        raise Ordinary("the command runs neither a script nor a module")
    return Call(tuple(options), "script", words[0], tuple(words[1:]))


def _read_letters(word: str, words: list[str], options: list[str]) -> str:
    """Take one word of options, and its value; returns the module that it names, if it does."""
    kept = ""
    for position, letter in enumerate(word[1:], 1):
        rest = word[position + 1 :]
        if letter in _FLAGS:
            kept += letter
        elif letter in _WITH_VALUE and (rest or words):
            options.append(f"-{kept}{letter}{rest or words.pop(0)}")
            return ""
        elif letter == "m" and (rest or words):
            options += [f"-{kept}"] if kept else []
            return rest or words.pop(0)
        else:
            raise Ordinary(f"python is called with {word}")
    options.append(f"-{kept}")
    return ""


@dataclass(frozen=True)
class Recipe:
    """All that must be alike for two trials to be forks of the same process."""

    word: str
    executable: str
    options: tuple[str, ...]
    modules: tuple[str, ...]
    cwd: str  # "" where each trial has a directory of its own
    first: str  # where modules are looked for before all else
    shown: str = field(compare=False)  # as sys.argv[0] while modules are imported
    environment: frozenset[tuple[str, str]]
    hidden: frozenset[str]  # variables that are not in it: each trial has its own

    def difference(self, other: Recipe) -> str:
        """Why a trial of the ``other`` recipe is no fork of a process of this one."""
        mine, others = dict(self.environment), dict(other.environment)
        names = sorted(
            name for name in mine.keys() | others.keys() if mine.get(name) != others.get(name)
        )
        if names:
            return f"another trial imported them with another value of {', '.join(names[:5])}"
        return "another trial imported them in another directory or with another command"


def recipe_of(spec: Mapping[str, Any], call: Call, modules: Sequence[str], work: str) -> Recipe:
    """Raises Ordinary.

    Args:
        spec: as ``replica_commands`` makes it.
        work: the job's own directory, where the manifest names none.
    """
    if spec.get("collect") is not None:
        raise Ordinary("what it prints is collected, by a process between it and us")
    environment: Mapping[str, str] = spec["env"]
    cwd = "" if spec["cwd"] == work else str(spec["cwd"])
    if not cwd:
        parts = environment.get("PYTHONPATH", "").split(":")
        if call.kind == "module" or not all(os.path.isabs(part) for part in parts):
            raise Ordinary("each trial has a directory of its own, where modules are looked for")
    if call.kind == "module":
        first = os.path.realpath(spec["cwd"])
    else:
        path = os.path.join(spec["cwd"], call.name)
        if not _is_source(path):
            raise Ordinary(f"{call.name} is not the file of a script")
        first = os.path.dirname(os.path.realpath(path))
    hidden = OWN_NAMES - (_OF_RANK if environment.get("WORLD_SIZE") == "1" else frozenset())
    return Recipe(
        word=spec["argv"][0],
        executable=spec["executable"],
        options=call.options,
        modules=tuple(modules),
        cwd=cwd,
        first=first,
        shown="-m" if call.kind == "module" else call.name,
        environment=frozenset(
            (name, value) for name, value in environment.items() if name not in hidden
        ),
        hidden=hidden,
    )


def _is_source(path: str) -> bool:
    """Whether this is a script, rather than a folder, an archive or byte code."""
    if path.endswith((".pyc", ".pyo")) or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(2) != b"PK"
    except OSError:
        return False
