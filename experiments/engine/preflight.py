"""What can be foretold about an experiment before it starts: refusals, warnings, needs, samples.

Called when a manifest is validated or created, and once more before it starts. ``spec`` says
whether a manifest is well formed; this says what will become of it on the engine at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from experiments.algorithms.problems import Problem
from experiments.engine.quantity import parse_quantity
from experiments.engine.reading import at
from experiments.engine.spec import ExperimentSpec
from experiments.engine.training_spec import TaskSpec, containers_of, main_container_index

N_SAMPLES = 10
SAMPLE_SEED = 20_231_204  # fixed: the same manifest shows the same samples
LOCAL = "local"

_TASKS = "spec.trainingConfig.tasks"
_GPU_SUFFIX = "gpu"  # nvidia.com/gpu, amd.com/gpu, …


@dataclass(frozen=True)
class Peak:
    """What runs at once at most, by the containers' requests (or limits, where none)."""

    pods: int = 0
    cpu: float = 0.0  # cores
    memory: int = 0  # bytes
    gpu: int = 0

    def as_dict(self) -> dict[str, int | float]:
        return {"pods": self.pods, "cpu": self.cpu, "memory": self.memory, "gpu": self.gpu}


@dataclass(frozen=True)
class Preflight:
    problems: tuple[Problem, ...]  # it cannot run on this engine
    warnings: tuple[Problem, ...]
    n_distinct: int | None  # distinct configurations; None: without end
    peak: Peak
    samples: tuple[dict[str, Any], ...]  # what configurations look like

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON as the REST API sends it beside errors and warnings."""
        return {
            "n_distinct": self.n_distinct,
            "peak": self.peak.as_dict(),
            "samples": list(self.samples),
        }


def preflight(spec: ExperimentSpec, *, engine: str = LOCAL) -> Preflight:
    """Look ahead. ``engine`` is AUTOTUNE_TRAINING_ENGINE's value."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for index, task in enumerate(spec.training.tasks):
        path = at(_TASKS, index)
        _check_command(task, spec.training.framework, path, engine, problems, warnings)
        if engine == LOCAL:
            warnings.extend(_ignored_locally(task, spec.training.framework, path))
    if engine == LOCAL and spec.training.scheduler:
        message = "Local trials have no scheduler: queue and priority are ignored."
        warnings.append(Problem("spec.trainingConfig.scheduler", message))
    n_distinct = spec.space.n_distinct()
    warnings.extend(_too_few(spec, n_distinct))
    warnings.extend(_eager_assessor(spec))
    rng = np.random.default_rng(SAMPLE_SEED)
    samples = tuple(spec.space.sample(rng) for _ in range(N_SAMPLES))
    return Preflight(tuple(problems), tuple(warnings), n_distinct, _peak(spec), samples)


def _check_command(
    task: TaskSpec,
    framework: str,
    path: str,
    engine: str,
    problems: list[Problem],
    warnings: list[Problem],
) -> None:
    index = main_container_index(task.template, framework)
    container = containers_of(task.template)[index]
    where = at(at(f"{path}.template.spec.containers", index), "command")
    if container.get("command"):
        return
    if engine != LOCAL:
        if not container.get("args"):
            message = "There is neither command nor args: the image's own entry point runs."
            warnings.append(Problem(where, message))
    elif container.get("args"):
        warnings.append(
            Problem(where, "There is no command: locally the args run as the command itself.")
        )
    else:
        problems.append(
            Problem(
                where,
                "A local trial needs a command: there is no image whose entry point could run.",
                "E.g. command: [python3, train.py].",
            )
        )


def _ignored_locally(task: TaskSpec, framework: str, path: str) -> list[Problem]:
    """Warn of what only a cluster gives: images, volumes, resources, sidecars."""
    pod: Mapping[str, Any] = task.template["spec"]
    pod_path = f"{path}.template.spec"
    found: list[Problem] = []
    rows = containers_of(task.template)
    index = main_container_index(task.template, framework)
    main, main_path = rows[index], at(f"{pod_path}.containers", index)
    if main.get("image"):
        message = "Local trials run on this machine as it is: the image is ignored."
        found.append(Problem(f"{main_path}.image", message))
    if pod.get("volumes") or main.get("volumeMounts"):
        key = f"{pod_path}.volumes" if pod.get("volumes") else f"{main_path}.volumeMounts"
        message = "Local trials see this machine's files: volumes are ignored."
        hint = "Check that workingDir and the paths in the command exist here."
        found.append(Problem(key, message, hint))
    if len(rows) > 1:
        message = f"Locally only the container '{main.get('name') or index}' of each replica runs."
        found.append(Problem(f"{pod_path}.containers", message))
    if pod.get("initContainers"):
        message = "Local trials have no init containers: these are not run."
        found.append(Problem(f"{pod_path}.initContainers", message))
    if main.get("resources"):
        message = "Local trials are not limited: resources are ignored."
        found.append(Problem(f"{main_path}.resources", message))
    for number, entry in enumerate(main.get("env") or []):
        if entry.get("valueFrom") is not None:
            message = f"'{entry.get('name')}' has no value locally: valueFrom needs a cluster."
            found.append(Problem(at(f"{main_path}.env", number), message))
    if main.get("envFrom"):
        message = "Local trials read no ConfigMaps or Secrets: envFrom is ignored."
        found.append(Problem(f"{main_path}.envFrom", message))
    return found


def _too_few(spec: ExperimentSpec, n_distinct: int | None) -> list[Problem]:
    if n_distinct is None or n_distinct >= spec.max_trials:
        return []
    chooser = spec.tuner or spec.advisor
    ends = chooser is not None and chooser.name in ("GridSearch", "Batch")
    effect = "the experiment is done after them" if ends else "some will be tried again"
    return [
        Problem(
            "spec.maxTrialNum",
            f"The search space has {n_distinct} distinct configurations, fewer than "
            f"maxTrialNum={spec.max_trials}: {effect}.",
            f"Widen the search space or set maxTrialNum to {n_distinct}.",
        )
    ]


def _eager_assessor(spec: ExperimentSpec) -> list[Problem]:
    assessor = spec.assessor
    if assessor is None or assessor.name != "Medianstop" or assessor.args.start_step > 0:
        return []
    return [
        Problem(
            "spec.assessor.classArgs.start_step",
            "With start_step 0 trials are judged from their first report on, which may stop some "
            "that merely start slowly.",
            "Let a few reports pass: start_step 3 to 5.",
        )
    ]


def _peak(spec: ExperimentSpec) -> Peak:
    at_once = min(spec.concurrency, spec.max_trials)
    pods = sum(task.replicas for task in spec.training.tasks)
    totals = {"cpu": Decimal(0), "memory": Decimal(0), "gpu": Decimal(0)}
    for task in spec.training.tasks:
        for container in containers_of(task.template):
            for name, amount in _wanted(container).items():
                totals[name] += amount * task.replicas
    return Peak(
        pods=at_once * pods,
        cpu=float(at_once * totals["cpu"]),
        memory=int(at_once * totals["memory"]),
        gpu=int(at_once * totals["gpu"]),
    )


def _wanted(container: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return a container's cpu, memory and GPUs: requests, else limits, as Kubernetes counts."""
    resources = container.get("resources") or {}
    amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    found = {"cpu": Decimal(0), "memory": Decimal(0), "gpu": Decimal(0)}
    for name, raw in amounts.items():
        kind = _GPU_SUFFIX if name.rpartition("/")[2].lower() == _GPU_SUFFIX else name
        if kind in found:
            found[kind] += parse_quantity(raw) or Decimal(0)
    return found
