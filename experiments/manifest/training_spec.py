"""The manifest's ``trainingConfig``: what runs for each trial.

Called by ``spec``. Our own fields are checked strictly; a PodTemplateSpec is Kubernetes' and passes
through unchanged, only the parts every backend needs (containers, command, env, resources) are
checked. What only one engine minds is ``forecast``'s business.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.manifest import reading
from experiments.manifest.fields import (
    CONTAINER,
    ENV,
    FRAMEWORKS,
    POD,
    REPLICA_TYPES,
    RESOURCES,
    RESTART_POLICIES,
    RUNTIME_KINDS,
    RUNTIME_REF,
    SCHEDULER,
    SINGLE_TYPES,
    T9K_SCHEDULER,
    TASK,
    TEMPLATE,
    TRAINING,
)
from experiments.manifest.names import LABEL, label_problem
from experiments.manifest.quantity import HINT as QUANTITY_HINT
from experiments.manifest.quantity import parse_quantity
from experiments.manifest.reading import Notes, at
from experiments.problems import nearest

# Whose container the TrainingJob runs the training in; other names are for sidecars.
MAIN_CONTAINER = {"tensorflow": "tensorflow", "pytorch": "pytorch", "xgboost": "xgboost"}

_CONTAINER_KEYS = (
    *CONTAINER.keys, "envFrom", "volumeMounts", "volumeDevices", "ports", "imagePullPolicy",
    "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "resizePolicy",
    "restartPolicy", "securityContext", "stdin", "stdinOnce", "terminationMessagePath",
    "terminationMessagePolicy", "tty",
)  # fmt: skip
_POD_KEYS = (
    *POD.keys, "volumes", "securityContext", "nodeSelector", "affinity",
    "tolerations", "serviceAccountName", "serviceAccount", "imagePullSecrets", "restartPolicy",
    "activeDeadlineSeconds", "automountServiceAccountToken", "dnsConfig", "dnsPolicy",
    "enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC", "hostNetwork", "hostPID",
    "hostUsers", "hostname", "nodeName", "os", "overhead", "preemptionPolicy", "priority",
    "priorityClassName", "readinessGates", "resourceClaims", "resources", "runtimeClassName",
    "schedulerName", "schedulingGates", "setHostnameAsFQDN", "shareProcessNamespace", "subdomain",
    "terminationGracePeriodSeconds", "topologySpreadConstraints",
)  # fmt: skip


@dataclass(frozen=True)
class TaskSpec:
    """One entry of ``trainingConfig.tasks``."""

    type: str
    replicas: int
    template: Mapping[str, Any]
    restart_policy: str = ""

    def as_manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": self.type, "replicas": self.replicas}
        if self.restart_policy:
            found["restartPolicy"] = self.restart_policy
        return {**found, "template": dict(self.template)}


@dataclass(frozen=True)
class TrainingSpec:
    """What every trial runs."""

    framework: str
    tasks: tuple[TaskSpec, ...]
    scheduler: Mapping[str, Any] = field(default_factory=dict)  # as in the manifest
    runtime: Mapping[str, str] = field(default_factory=dict)  # runtimeRef: name and kind

    def as_manifest(self) -> dict[str, Any]:
        tasks = [task.as_manifest() for task in self.tasks]
        found: dict[str, Any] = {"type": self.framework, "tasks": tasks}
        if self.scheduler:
            found["scheduler"] = dict(self.scheduler)
        if self.runtime:
            found["runtimeRef"] = dict(self.runtime)
        return found


def main_container_index(template: Mapping[str, Any], framework: str) -> int:
    """Return which container trains: the one named for the framework, else the first."""
    name = MAIN_CONTAINER.get(framework)
    for index, container in enumerate(containers_of(template)):
        if container.get("name") == name:
            return index
    return 0


def containers_of(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a parsed template."""
    found: list[dict[str, Any]] = template["spec"]["containers"]
    return found


def parse_training(notes: Notes, raw: Any, path: str) -> TrainingSpec:
    """Read ``trainingConfig``, noting every problem."""
    hint = "Say what each trial runs: type (tensorflow, pytorch or xgboost) and tasks."
    config = reading.mapping(notes, raw, path, required=True, hint=hint)
    if not config:
        return TrainingSpec("", ())
    reading.check_keys(
        notes, config, path, TRAINING.keys,
        {
            "replicaSpecs": "In an AutoTuneExperiment the list is called 'tasks'.",
            "framework": "The framework's field is called 'type'.",
        },
    )  # fmt: skip
    framework = reading.one_of(
        notes, config.get("type"), at(path, "type"), FRAMEWORKS, required=True
    )
    tasks_path = at(path, "tasks")
    most = TRAINING.rows("tasks").most
    rows = reading.listing(notes, config.get("tasks"), tasks_path, required=True, most=most)
    tasks = tuple(
        _task(notes, row, at(tasks_path, index), framework) for index, row in enumerate(rows)
    )
    _check_task_types(notes, tasks, tasks_path, framework)
    scheduler = _scheduler(notes, config.get("scheduler"), at(path, "scheduler"))
    runtime = _runtime(notes, config.get("runtimeRef"), at(path, "runtimeRef"))
    return TrainingSpec(framework, tasks, scheduler, runtime)


def _runtime(notes: Notes, raw: Any, path: str) -> dict[str, str]:
    if raw is None:
        return {}
    hint = "E.g. runtimeRef: {name: torch-distributed}."
    reference = reading.mapping(notes, raw, path, required=True, hint=hint)
    reading.check_keys(notes, reference, path, RUNTIME_REF.keys)
    name_path = at(path, "name")
    name = reading.text(notes, reference.get("name"), name_path, **RUNTIME_REF.text("name").check)
    if name and not LABEL.match(name):
        notes.error(name_path, label_problem(name))
    kind = reading.one_of(notes, reference.get("kind"), at(path, "kind"), RUNTIME_KINDS)
    return {"name": name, "kind": kind or RUNTIME_KINDS[0]}


def _task(notes: Notes, raw: Any, path: str, framework: str) -> TaskSpec:
    task = reading.mapping(notes, raw, path, required=True)
    if not task:
        return TaskSpec("", 1, {})
    reading.check_keys(notes, task, path, TASK.keys)
    type_path = at(path, "type")
    kind = reading.text(notes, task.get("type"), type_path, **TASK.text("type").check)
    if kind and kind != kind.lower():
        notes.warn(type_path, f"Replica types are written in small letters: '{kind.lower()}'.")
        kind = kind.lower()
    known = REPLICA_TYPES.get(framework)
    if kind and known and kind not in known:
        article = f"{framework} has no replica type '{kind[:60]}'."
        notes.error(type_path, article, reading.suggestion(kind, known))
    elif kind and not LABEL.match(kind):
        notes.error(type_path, label_problem(kind), "It becomes part of pods' names.")
    replicas = reading.whole_number(
        notes, task.get("replicas"), at(path, "replicas"), **TASK.whole("replicas").check
    )
    restart = reading.one_of(
        notes, task.get("restartPolicy"), at(path, "restartPolicy"), RESTART_POLICIES
    )
    template = _template(notes, task.get("template"), at(path, "template"), framework)
    return TaskSpec(kind, replicas or 1, template, restart)


def _check_task_types(notes: Notes, tasks: tuple[TaskSpec, ...], path: str, framework: str) -> None:
    types = [task.type for task in tasks]
    for index, kind in enumerate(types):
        if kind and kind in types[:index]:
            notes.error(
                at(at(path, index), "type"),
                f"The replica type '{kind}' is given twice.",
                "Raise 'replicas' of the first, or give the second another type.",
            )
    single = SINGLE_TYPES.get(framework, "")
    for index, task in enumerate(tasks):
        if task.type == single and task.replicas > 1:
            where = at(at(path, index), "replicas")
            notes.error(where, f"There can be one {single} only, but got {task.replicas}.")
    if framework == "xgboost" and types and "master" not in types:
        notes.warn(
            path,
            "An XGBoostTrainingJob needs a task of type 'master'; on a cluster this will not run.",
            "Rename the first task's type to 'master'.",
        )


def _template(notes: Notes, raw: Any, path: str, framework: str) -> dict[str, Any]:
    hint = "A PodTemplateSpec: spec.containers with name, image and command."
    template = reading.mapping(notes, raw, path, required=True, hint=hint)
    if not template:
        return {}
    spec_path = at(path, "spec")
    if "containers" in template and "spec" not in template:
        notes.error(spec_path, "is required.", "Put 'containers' below 'template.spec'.")
        return {}
    _warn_unknown(notes, template, path, TEMPLATE.keys)
    reading.mapping(notes, template.get("metadata"), at(path, "metadata"))
    pod = reading.mapping(notes, template.get("spec"), spec_path, required=True, hint=hint)
    if not pod:
        return {}
    _warn_unknown(notes, pod, spec_path, _POD_KEYS)
    containers_path = at(spec_path, "containers")
    most = POD.rows("containers").most
    rows = reading.listing(
        notes, pod.get("containers"), containers_path, required=True, hint=hint, most=most
    )
    names: set[str] = set()
    for index, row in enumerate(rows):
        _container(notes, row, at(containers_path, index), names)
    init_path = at(spec_path, "initContainers")
    first = reading.listing(notes, pod.get("initContainers"), init_path, most=most)
    for index, row in enumerate(first):
        _container(notes, row, at(init_path, index), names)
    expected = MAIN_CONTAINER.get(framework, "")
    if rows and framework in REPLICA_TYPES and expected not in names:
        notes.warn(
            containers_path,
            f"On a cluster the main container must be named '{expected}'.",
            f"Name it '{expected}'; here the first one is taken.",
        )
    return template


def _warn_unknown(notes: Notes, raw: Mapping[str, Any], path: str, known: tuple[str, ...]) -> None:
    for key in raw:
        if key not in known:
            found = nearest(key, known)
            hint = f"Did you mean '{found}'?" if found else ""
            notes.warn(at(path, key), f"Kubernetes knows no field '{key}' here.", hint)


def _container(notes: Notes, raw: Any, path: str, names: set[str]) -> None:
    container = reading.mapping(notes, raw, path, required=True)
    if not container:
        return
    _warn_unknown(notes, container, path, _CONTAINER_KEYS)
    name_path = at(path, "name")
    name = reading.text(notes, container.get("name"), name_path)
    if name and not LABEL.match(name):
        notes.error(name_path, label_problem(name))
    elif name in names and name:
        notes.error(name_path, f"The container name '{name}' is given twice.")
    names.add(name)
    for key in ("image", "workingDir"):
        reading.text(notes, container.get(key), at(path, key))
    for key in ("command", "args"):
        _words(notes, container.get(key), at(path, key))
    _env(notes, container.get("env"), at(path, "env"))
    _resources(notes, container.get("resources"), at(path, "resources"))


def _words(notes: Notes, raw: Any, path: str) -> None:
    if isinstance(raw, str):
        try:
            words = shlex.split(raw)
        except ValueError:
            words = raw.split()
        notes.error(
            path,
            f"must be a list of texts, but got {reading.kind_of(raw)}.",
            f"Write one entry per word: {words}. No shell splits it.",
        )
        return
    for index, word in enumerate(reading.listing(notes, raw, path)):
        if not isinstance(word, str):
            reading.text(notes, "" if word is None else word, at(path, index))
            if word is None:
                hint = 'Write "" for an empty one; a bare ~ is nothing in YAML.'
                notes.error(at(path, index), "must be text, but got nothing.", hint)


def _env(notes: Notes, raw: Any, path: str) -> None:
    if isinstance(raw, Mapping):
        notes.error(
            path, "must be a list, but got a mapping.", "Write '- name: KEY' and 'value: …' rows."
        )
        return
    for index, row in enumerate(reading.listing(notes, raw, path)):
        inner = at(path, index)
        entry = reading.mapping(notes, row, inner, required=True)
        if not entry:
            continue
        reading.check_keys(notes, entry, inner, ENV.keys)
        name = reading.text(notes, entry.get("name"), at(inner, "name"), **ENV.text("name").check)
        if "=" in name:
            notes.error(at(inner, "name"), "must not contain '='.")
        reading.text(notes, entry.get("value"), at(inner, "value"), **ENV.text("value").check)
        reading.mapping(notes, entry.get("valueFrom"), at(inner, "valueFrom"))
        if entry.get("value") is not None and entry.get("valueFrom") is not None:
            notes.error(inner, "must have 'value' or 'valueFrom', not both.")


def _resources(notes: Notes, raw: Any, path: str) -> None:
    resources = reading.mapping(notes, raw, path)
    for section in RESOURCES.keys:
        amounts = reading.mapping(notes, resources.get(section), at(path, section))
        for name, amount in amounts.items():
            parsed = parse_quantity(amount)
            where = at(at(path, section), name)
            if parsed is None:
                message = f"must be a Kubernetes quantity, but got {reading.kind_of(amount)}."
                notes.error(where, message, QUANTITY_HINT)
            elif parsed < 0:
                notes.error(where, f"must not be negative, but got {amount}.")


def _scheduler(notes: Notes, raw: Any, path: str) -> dict[str, Any]:
    scheduler = reading.mapping(notes, raw, path)
    reading.check_keys(
        notes, scheduler, path, SCHEDULER.keys,
        {
            "queue": "It belongs below 'scheduler.t9kScheduler'.",
            "priority": "It belongs below 'scheduler.t9kScheduler'.",
        },
    )  # fmt: skip
    inner = at(path, "t9kScheduler")
    raw_t9k = scheduler.get("t9kScheduler")
    if raw_t9k is None:
        return {}
    t9k = reading.mapping(notes, raw_t9k, inner)
    reading.check_keys(notes, t9k, inner, T9K_SCHEDULER.keys)
    found: dict[str, Any] = {}
    queue = reading.text(notes, t9k.get("queue"), at(inner, "queue"), required=True)
    if queue:
        found["queue"] = queue
    priority = reading.whole_number(
        notes, t9k.get("priority"), at(inner, "priority"), **T9K_SCHEDULER.whole("priority").check
    )
    if priority is not None:
        found["priority"] = priority
    return {"t9kScheduler": found}
