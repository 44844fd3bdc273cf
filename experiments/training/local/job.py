"""From a Launch to the commands of a local trial: checked, expanded, with their environment.

Called by the local backend before anything is written or started.
"""

from __future__ import annotations

import os
import random
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.training.base import BackendUnavailable, Launch, LaunchError
from experiments.training.environment import (
    Replica,
    environment_for,
    expand,
    inheritable,
    main_container,
    rank_environment,
    replicas_by_rank,
    server_environment,
    tracker_environment,
)
from experiments.training.local import interpreter
from experiments.training.local.collector import command_of
from experiments.training.local.processes import JOB_MARK

# Directories of a job: working directory where the manifest names none, and NNI_OUTPUT_DIR.
WORK, OUTPUT = "work", "nni"
# The file that W&B's client takes a sweep's parameters from, and how a manifest refers to it.
SWEEP, SWEEP_NAME = "sweep.json", "AUTOTUNE_SWEEP_PARAMETERS"
# Below which W&B's client keeps a trial's runs, which are read where a manifest refers to it.
RUNS_NAME = "AUTOTUNE_WANDB_DIR"

# Below the range from which the kernel takes ports for outgoing connections.
PORTS = range(20000, 32000)

_NO_PYTHON = "(start AutoTune where your environment is active, or name one: --python)"

_TYPE = re.compile(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?")


@dataclass(frozen=True)
class Surroundings:
    """What a machine gives to all its trials.

    ``search_path``, ``client_dir`` and ``inherited`` are as for ``environment_for``. Programs for
    code in ``own_code``, our examples, are looked up in ``own_bin`` where those of ``search_path``
    lack what it imports.
    """

    search_path: str
    client_dir: str
    inherited: Mapping[str, str]
    own_code: str = ""
    own_bin: str = ""


def replica_commands(
    launch: Launch,
    directory: Path,
    surroundings: Surroundings,
    devices: Callable[[int], Mapping[str, str]] = lambda rank: {},
) -> list[dict[str, Any]]:
    """Return name, argv, executable, cwd and env of each replica, by rank.

    Beside them: ``where`` the command stands in the manifest, and ``is_ours``, whether our own
    programs run it.

    Args:
        directory: of the job.
        devices: variables that say which GPUs the replica of a rank sees.

    Raises:
        LaunchError: with all problems, one a line.
    """
    replicas = replicas_by_rank(launch)
    if not replicas:
        raise LaunchError("spec.trainingConfig.tasks: at least one replica is needed")
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(len(replicas))]
    specs: list[dict[str, Any]] = []
    problems: dict[str, None] = {}  # in order, each once: replicas share their template
    names: set[str] = set()
    for replica in replicas:
        if not _TYPE.fullmatch(replica.type) or replica.name in names:
            problems[
                f"spec.trainingConfig.tasks[{replica.task_number}].type: must be a DNS label "
                f"that no other task has, but got {replica.task.type!r}"
            ] = None
            continue
        names.add(replica.name)
        spec, found = _replica_command(
            launch, replica, addresses, directory, surroundings, devices(replica.rank)
        )
        problems.update(dict.fromkeys(found))
        specs.append(spec)
    if problems:
        raise LaunchError("\n".join(problems))
    return specs


def _replica_command(
    launch: Launch,
    replica: Replica,
    addresses: Sequence[str],
    directory: Path,
    surroundings: Surroundings,
    devices: Mapping[str, str],
) -> tuple[dict[str, Any], list[str]]:
    """Return the process of one replica, and what is wrong with it."""
    where = f"spec.trainingConfig.tasks[{replica.task_number}].template.spec.containers"
    try:
        position, container = main_container(launch.framework, replica.task.template)
    except LookupError as error:
        return {}, [f"{where}: {error}"]
    where += f"[{position}]"
    problems: list[str] = []

    cwd = container.get("workingDir") or ""
    if not cwd:
        cwd = str(directory / WORK)
    elif not os.path.isabs(cwd):
        problems.append(f"{where}.workingDir: must be an absolute path, but got {cwd!r}")
    elif not os.path.isdir(cwd):
        problems.append(f"{where}.workingDir: directory {cwd} does not exist")

    ours = server_environment(launch, str(directory / OUTPUT), cwd)
    ours |= rank_environment(launch, addresses, replica.rank)
    ours |= devices
    ours[JOB_MARK] = str(directory)
    given = container.get("env") or []
    if any(f"$({SWEEP_NAME})" in str(entry.get("value")) for entry in given):
        ours[SWEEP_NAME] = str(directory / SWEEP)
    has_runs = any(f"$({RUNS_NAME})" in str(entry.get("value")) for entry in given)
    if has_runs:
        ours[RUNS_NAME] = os.path.join(cwd, "wandb", launch.trial_key)
    named = {str(entry.get("name")) for entry in given} | set(surroundings.inherited)
    ours |= tracker_environment(launch, named)
    for number, entry in enumerate(given):
        if "valueFrom" in entry and entry.get("name") not in ours:
            problems.append(
                f"{where}.env[{number}].valueFrom: is not available to local trials, "
                "give a value instead"
            )
    if container.get("envFrom"):
        problems.append(f"{where}.envFrom: is not available to local trials, use env instead")
    environment, known = environment_for(
        launch,
        given,
        ours=ours,
        inherited=surroundings.inherited,
        search_path=surroundings.search_path,
        client_dir=surroundings.client_dir,
    )
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    argv = [expand(str(word), known, launch.parameters) for word in words]
    executable, is_ours = "", False
    if not container.get("command"):
        problems.append(
            f"{where}.command: must be given for local trials, as no image is run whose "
            "entry point could be used"
        )
    else:
        executable = executable_of(argv[0], environment["PATH"], cwd)
        if _is_for_ours(argv, cwd, executable, environment, surroundings):
            is_ours = True
            environment["PATH"] = f"{surroundings.own_bin}:{environment['PATH']}"
            executable = executable_of(argv[0], environment["PATH"], cwd)
        if not executable:
            lacks = f"{where}.command[0]: command not found: {argv[0]}"
            is_python = argv[0] in ("python", "python3")
            problems.append(f"{lacks} {_NO_PYTHON}" if is_python else lacks)
    if any("\0" in text for text in [*argv, *environment, *environment.values()]):
        problems.append(f"{where}: commands and variables must not hold NUL characters")
    collect = None
    if launch.metrics is not None and replica.rank == 0:
        file = expand(launch.metrics.file, known, launch.parameters)
        folder = expand(launch.metrics.tensorboard, known, launch.parameters)
        collect = {
            "objective": launch.metrics.objective,
            "pattern": launch.metrics.pattern,
            "file": os.path.join(cwd, file) if file else "",
            "tensorboard": os.path.join(cwd, folder) if folder else "",
            "wandb": ours[RUNS_NAME] if has_runs else "",
            # where none is named the script may log to a tracker instead
            "is_named": bool(file or folder or launch.metrics.stdout),
        }
    spec = {
        "name": replica.name,
        "argv": argv,
        "executable": executable,
        "cwd": cwd,
        "env": environment,
        "where": f"{where}.command[0]",
        "is_ours": is_ours,
        "collect": collect,
    }
    return spec, problems


def sweep_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters as W&B's agent writes them for its client; dots are levels."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        place, *below = name.split(".")
        if not below:
            found[place] = {"value": value}
            continue
        inner = found.setdefault(place, {"value": {}})["value"]
        for part in below[:-1]:
            inner = inner.setdefault(part, {})
        inner[below[-1]] = value
    return {"wandb_version": 1, **found}


def collecting(job: Mapping[str, Any], python: str, client_dir: Path) -> dict[str, Any]:
    """A job with ``collector`` before the command of the replica whose metrics are collected.

    Args:
        python: runs the collector.
        client_dir: the directory of ``autotune_trial.py``.
    """
    replicas = []
    for spec in job["replicas"]:
        if spec["collect"] is not None:
            settings = {
                **spec["collect"],
                "executable": spec["executable"],
                "client_dir": str(client_dir),
                "directory": job["directory"],
            }
            words = command_of(python, settings, spec["argv"])
            spec = {**spec, "executable": python, "argv": words}
        replicas.append(spec)
    return {**job, "replicas": replicas}


def _is_for_ours(
    argv: Sequence[str],
    cwd: str,
    executable: str,
    environment: Mapping[str, str],
    surroundings: Surroundings,
) -> bool:
    """Whether this is an example of ours that only our own interpreter can run."""
    if not surroundings.own_code or os.path.realpath(cwd) != surroundings.own_code:
        return False
    if argv[0] not in ("python", "python3"):
        return False
    ours = executable_of(argv[0], surroundings.own_bin, cwd)
    if not ours or ours == executable:
        return False
    # A manifest may set PATH. What only it names is never run to be asked: it may be anybody's.
    own = f"{surroundings.search_path}:{surroundings.inherited.get('PATH', '')}".split(":")
    if executable and os.path.dirname(executable) not in own:
        return False
    needs = interpreter.imports_of(argv, cwd, environment["PYTHONPATH"])
    server = inheritable(surroundings.inherited)
    if executable and not interpreter.ask(executable, needs, server).missing:
        return False
    return not interpreter.ask(ours, needs, server).missing


def executable_of(word: str, search_path: str, cwd: str) -> str:
    """Return the file that ``word`` names for a process in ``cwd``, or nothing."""
    if "/" in word:
        candidates = [word]
    else:
        candidates = [f"{folder or '.'}/{word}" for folder in search_path.split(":")]
    for candidate in candidates:
        path = os.path.join(cwd, candidate)
        if word and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def _free_ports(count: int) -> list[int]:
    """Return ports nobody listens on now. Two launches at once hardly meet: the range is wide."""
    chooser = random.SystemRandom()  # forked workers share the state of the global one
    ports: list[int] = []
    for _ in range(50 * count):
        port = chooser.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
        if len(ports) == count:
            return ports
    raise BackendUnavailable(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")
