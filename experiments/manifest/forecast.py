"""What can be foretold about an experiment before it starts: refusals, warnings, needs, samples.

Called when a manifest is validated or created, and once more before it starts. ``spec`` says
whether a manifest is well formed; this says what will become of it on the engine at hand.
"""

from __future__ import annotations

import math
import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from experiments.algorithms.base import LOAD_KEY
from experiments.manifest.local_spec import LocalSpec
from experiments.manifest.quantity import GPU_RESOURCE, parse_quantity
from experiments.manifest.reading import LineOf, Notes, at
from experiments.manifest.spec import ExperimentSpec
from experiments.manifest.training_spec import TaskSpec, containers_of, main_container_index
from experiments.manifest.words import warn_of_shell_habits
from experiments.problems import Problem

N_SAMPLES = 10
SAMPLE_SEED = 20_231_204  # fixed: the same manifest shows the same samples

_TASKS = "spec.trainingConfig.tasks"
_TRY_EACH_ONCE = ("GridSearch", "Batch")
_LOSS = re.compile(
    r"(?:\A|[\W_])(?:loss|error|err|mse|rmse|mae|nll|perplexity|ppl)(?:\Z|[\W_])", re.IGNORECASE
)
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
class Forecast:
    problems: tuple[Problem, ...]  # it cannot run on this engine
    warnings: tuple[Problem, ...]
    n_distinct: int | None  # distinct configurations; None: without end
    peak: Peak
    samples: tuple[dict[str, Any], ...]  # what configurations look like
    programs: tuple[dict[str, Any], ...] = ()  # which of this machine's the commands would run

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON as the REST API sends it beside errors and warnings."""
        return {
            "n_distinct": self.n_distinct,
            "peak": self.peak.as_dict(),
            "samples": list(self.samples),
            "programs": list(self.programs),
        }


def forecast_of(
    spec: ExperimentSpec, *, runs_here: bool = True, line_of: LineOf | None = None
) -> Forecast:
    """Look ahead. ``runs_here`` is the backend's: as processes of this host, or on a cluster."""
    notes = Notes(line_of)
    for index, task in enumerate(spec.training.tasks):
        pod_path = f"{at(_TASKS, index)}.template.spec"
        main = main_container_index(task.template, spec.training.framework)
        container = containers_of(task.template)[main]
        path = at(f"{pod_path}.containers", main)
        warn_of_shell_habits(notes, container, path, is_here=runs_here)
        if runs_here:
            _check_local(notes, task, main, pod_path)
        else:
            _check_cluster(notes, task, main, pod_path, is_whole=not spec.training.runtime)
    if runs_here and spec.training.scheduler:
        message = "Local trials have no queues: of the scheduler only the priority counts."
        notes.warn("spec.trainingConfig.scheduler", message)
    if runs_here and spec.training.runtime:
        message = "is for trials on a cluster: on one machine it is ignored."
        notes.warn("spec.trainingConfig.runtimeRef", message)
    if not runs_here and spec.local != LocalSpec() and spec.elsewhere is None:
        message = "is for trials on one machine: on a cluster it is ignored."
        notes.warn("spec.local", message)
    _check_gpus(notes, spec, runs_here)
    n_distinct = spec.space.n_distinct()
    _check_direction(notes, spec)
    if spec.elsewhere is None or not spec.elsewhere.grows:
        _check_enough(notes, spec, n_distinct)
    _check_assessor(notes, spec)
    _check_checkpoints(notes, spec, runs_here and spec.elsewhere is None)
    _check_metrics(notes, spec, runs_here)
    rng = np.random.default_rng(SAMPLE_SEED)
    samples = tuple(spec.space.sample(rng) for _ in range(N_SAMPLES))
    problems, warnings = tuple(notes.problems), tuple(notes.warnings)
    return Forecast(problems, warnings, n_distinct, _peak(spec), samples)


def _check_cluster(
    notes: Notes, task: TaskSpec, main: int, pod_path: str, *, is_whole: bool
) -> None:
    """``is_whole``: no runtime of the cluster has the rest of the template."""
    container = containers_of(task.template)[main]
    if is_whole and not container.get("command") and not container.get("args"):
        message = "There is neither command nor args: the image's own entry point runs."
        notes.warn(f"{at(f'{pod_path}.containers', main)}.command", message)
    if is_whole and not container.get("image"):
        path = f"{at(f'{pod_path}.containers', main)}.image"
        notes.error(path, "is required: on a cluster a container runs an image.")
    defined: set[str] = set()
    for number, entry in enumerate(container.get("env") or []):
        name, value = str(entry.get("name")), str(entry.get("value") or "").replace("$$", "")
        if f"$({name})" in value and name not in defined:
            path = f"{at(f'{pod_path}.containers', main)}.env"
            message = f"Kubernetes does not know the image's {name}: '$({name})' stays as it is."
            notes.warn(f"{at(path, number)}.value", message, "Write the image's own value out.")
        defined.add(name)


def _check_local(notes: Notes, task: TaskSpec, main: int, pod_path: str) -> None:
    """Refuse what a process of this machine cannot do without, warn of what it does without."""
    container = containers_of(task.template)[main]
    path = at(f"{pod_path}.containers", main)
    if not container.get("command"):
        notes.error(
            f"{path}.command",
            "is required for local trials: no image is run whose entry point could be used.",
            "E.g. command: [python3, train.py].",
        )
    directory = container.get("workingDir") or ""
    if directory and not directory.startswith("/"):
        message = f"must be an absolute path for local trials, but got '{directory}'."
        home = os.path.expanduser(directory)
        hint = "" if home == directory else f"'~' is not expanded. Write '{home}'."
        notes.error(f"{path}.workingDir", message, hint)
    for number, entry in enumerate(container.get("env") or []):
        if entry.get("valueFrom") is not None:
            where = f"{at(f'{path}.env', number)}.valueFrom"
            message = "cannot be looked up for local trials: there is no cluster."
            notes.error(where, message, "Give a 'value' instead.")
    if container.get("envFrom"):
        message = "cannot be looked up for local trials: there is no cluster."
        notes.error(f"{path}.envFrom", message, "List the variables in 'env' instead.")
    _warn_ignored_locally(notes, task, main, pod_path)


def _warn_ignored_locally(notes: Notes, task: TaskSpec, main: int, pod_path: str) -> None:
    pod: Mapping[str, Any] = task.template["spec"]
    rows = containers_of(task.template)
    container, path = rows[main], at(f"{pod_path}.containers", main)
    if container.get("image"):
        message = "Local trials run on this machine as it is: the image is ignored."
        notes.warn(f"{path}.image", message)
    if pod.get("volumes") or container.get("volumeMounts"):
        where = f"{pod_path}.volumes" if pod.get("volumes") else f"{path}.volumeMounts"
        message = "Local trials see this machine's files: volumes are ignored."
        hint = "Check that workingDir and the paths in the command exist here."
        notes.warn(where, message, hint)
    limits = (container.get("resources") or {}).get("limits") or {}
    if set(limits) - {GPU_RESOURCE}:
        message = "Local trials are not held to limits; what they ask for is kept free for them."
        notes.warn(f"{path}.resources.limits", message)
    if len(rows) > 1:
        name = container.get("name") or str(main)
        message = f"Of each replica only the container '{name}' runs locally."
        notes.warn(f"{pod_path}.containers", message)
    if pod.get("initContainers"):
        notes.warn(f"{pod_path}.initContainers", "Local trials run no init containers.")


def _check_gpus(notes: Notes, spec: ExperimentSpec, runs_here: bool) -> None:
    """GPUs are given whole; who asks for none shares all, whatever spec.local says."""
    for number, task in enumerate(spec.training.tasks):
        rows = f"{at(_TASKS, number)}.template.spec.containers"
        for index, container in enumerate(containers_of(task.template)):
            _check_whole(notes, container, f"{at(rows, index)}.resources")
    local = spec.local
    if not runs_here or not (local.trials_per_gpu or local.measures_memory):
        return
    if not gpus_of_a_trial(spec):
        notes.warn(
            "spec.local",
            "No container asks for a GPU: all trials see all GPUs, however many there are.",
            f"Ask for them: resources: {{limits: {{{GPU_RESOURCE}: 1}}}}.",
        )


def _check_whole(notes: Notes, container: Mapping[str, Any], path: str) -> None:
    resources = container.get("resources") or {}
    for section in ("limits", "requests"):
        amount = parse_quantity((resources.get(section) or {}).get(GPU_RESOURCE, 0))
        if amount is not None and amount != amount.to_integral_value():
            notes.error(
                at(f"{path}.{section}", GPU_RESOURCE),
                f"must be a whole number, as GPUs are given whole, but got {amount.normalize():f}.",
                "Trials share a GPU of one machine with spec.local: {trialsPerGpu: 2}.",
            )


def _check_direction(notes: Notes, spec: ExperimentSpec) -> None:
    """Say which way is better where nobody said it: NNI's default is another for some tuners."""
    chooser = spec.tuner or spec.advisor
    if chooser is None or chooser.raw.get("optimize_mode") is not None:
        return
    notes.warn(
        f"spec.{chooser.kind}.classArgs.optimize_mode",
        "is not given: the LARGEST result is the best one (maximize).",
        'Write "optimize_mode": "minimize" for a loss or an error, "maximize" for an accuracy.',
    )


def _check_enough(notes: Notes, spec: ExperimentSpec, n_distinct: int | None) -> None:
    if n_distinct is None or n_distinct >= (spec.max_trials or math.inf):
        return
    chooser = spec.tuner or spec.advisor
    if spec.adds:
        return  # it runs configurations again on purpose, with more budget or from a checkpoint
    ends = chooser is not None and chooser.name in _TRY_EACH_ONCE
    if spec.max_trials is None:
        if not ends:
            notes.warn(
                "spec.maxTrialNum",
                f"The search space has {n_distinct} distinct configurations, and without "
                "maxTrialNum they are tried again until the time is up.",
                f"Widen the search space or set maxTrialNum to {n_distinct}.",
            )
        return
    effect = "the experiment is done after them" if ends else "some will be tried again"
    notes.warn(
        "spec.maxTrialNum",
        f"The search space has {n_distinct} distinct configurations, fewer than "
        f"maxTrialNum={spec.max_trials}: {effect}.",
        f"Widen the search space or set maxTrialNum to {n_distinct}.",
    )


def _check_assessor(notes: Notes, spec: ExperimentSpec) -> None:
    assessor = spec.assessor
    if assessor is None:
        return
    path = "spec.assessor.classArgs"
    if assessor.name == "Medianstop" and assessor.args.start_step == 0:
        notes.warn(
            f"{path}.start_step",
            "With start_step 0 trials are judged from their first report on, which may stop some "
            "that merely start slowly.",
            "Let a few reports pass: start_step 3 to 5.",
        )
    if assessor.name == "Curvefitting" and assessor.args.start_step >= assessor.args.epoch_num:
        notes.warn(
            f"{path}.start_step",
            f"No trial will ever be judged: it starts at {assessor.args.start_step} reports, but "
            f"the forecast is of report {assessor.args.epoch_num} (epoch_num).",
            "Set epoch_num to the number of reports of a whole trial.",
        )
    if LOAD_KEY in spec.adds:
        notes.warn(
            "spec.assessor",
            "A trial that is stopped early may have saved no checkpoint: it counts among the worst "
            "of its generation.",
            "Leave the assessor out: population based training drops bad trials itself.",
        )


def _check_checkpoints(notes: Notes, spec: ExperimentSpec, runs_here: bool) -> None:
    if LOAD_KEY not in spec.adds or spec.tuner is None:
        return
    path = "spec.tuner.classArgs.all_checkpoint_dir"
    given = spec.tuner.args.all_checkpoint_dir
    if given is not None and not given.startswith(("/", "~/")):
        notes.error(path, f"must be an absolute path, but got '{given}'.")
    elif not runs_here and (given is None or not given.startswith("/")):
        notes.error(
            path,
            "is required on a cluster: an absolute path on a volume that every trial mounts.",
            "E.g. /mnt/checkpoints, with a volume of access mode ReadWriteMany.",
        )


def _check_metrics(notes: Notes, spec: ExperimentSpec, runs_here: bool) -> None:
    if spec.metrics is None:
        return
    named = spec.metrics.file or spec.metrics.tensorboard
    if not runs_here and not (named or spec.metrics.stdout):
        notes.warn(
            "spec.metrics",
            "What a trial prints is collected by the local engine only: on a cluster the metric "
            "counts where the script logs it, to MLflow or by transformers' KubeflowCallback.",
            "See docs/trials.md.",
        )
        return
    if not runs_here:
        notes.error(
            "spec.metrics",
            "is collected by the local engine only: on a cluster no trial would have a result.",
            "Let the script report: autotune_trial, the T9k SDK or NNI; see docs/trials.md.",
        )
        return
    if spec.maximizes and _LOSS.search(spec.metrics.objective):
        notes.warn(
            "spec.metrics.objective",
            f"The LARGEST {spec.metrics.objective} is the best one (maximize), though it looks "
            "like a loss or an error.",
            'Write "optimize_mode": "minimize" in classArgs.',
        )
    first = containers_of(spec.training.tasks[0].template)[0]
    shared = named.startswith("/") or bool(first.get("workingDir"))
    if named and "$(" not in named and shared and spec.concurrency > 1:
        is_file = bool(spec.metrics.file)
        notes.warn(
            "spec.metrics.file" if is_file else "spec.metrics.tensorboard",
            "Trials that run at once would all write to this file."
            if is_file
            else "Trials that run at once would all write to this directory.",
            "Let its name hold $(TUNER_TRIAL_JOB_ID), and tell the script so.",
        )


def gpus_of_a_trial(spec: ExperimentSpec) -> int:
    """How many GPUs each trial asks for, over all its replicas."""
    return int(_of_a_trial(spec)["gpu"])


def _of_a_trial(spec: ExperimentSpec) -> dict[str, Decimal]:
    totals = {"cpu": Decimal(0), "memory": Decimal(0), "gpu": Decimal(0)}
    for task in spec.training.tasks:
        for container in containers_of(task.template):
            for name, amount in _wanted(container).items():
                totals[name] += amount * task.replicas
    return totals


def _peak(spec: ExperimentSpec) -> Peak:
    at_once = min(spec.concurrency, spec.max_trials or spec.concurrency)
    pods = sum(task.replicas for task in spec.training.tasks)
    totals = _of_a_trial(spec)
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
