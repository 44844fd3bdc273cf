"""What the objects of all engines share: names, labels, pod templates, policies. Pure."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.manifest.placeholders import parameter_text, replaced
from experiments.manifest.training_spec import containers_of
from experiments.training.base import Launch, LaunchError, Task
from experiments.training.environment import (
    extended_no_proxy,
    server_environment,
    tracker_environment,
)

PREFIX = "autotune.tensorstack.dev"
EXPERIMENT_LABEL = f"{PREFIX}/experiment"
TRIAL_LABEL = f"{PREFIX}/trial"
SEQUENCE_LABEL = f"{PREFIX}/sequence"
JOB_LABEL = f"{PREFIX}/job"  # of every object and pod of one attempt
REPLICA_LABEL = f"{PREFIX}/replica-type"
NAME_ANNOTATION = f"{PREFIX}/experiment-name"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = f"{MANAGED_BY_LABEL}=autotune-web"  # selects whatever is ours

MAX_NAME = 63  # of a host name, which pods' names become
RESTARTS = 6  # of a trial, where its restartPolicy wants any; Kubernetes' own default
DEADLINE_GRACE_S = 30
RETRYABLE_CODES = (130, 137, 138, 143)  # what restartPolicy ExitCode restarts on
PORTS = {"tensorflow": 2222, "pytorch": 23456, "xgboost": 9999}

OUTPUT_DIR = "/tmp"  # the one directory that nearly every image lets anybody write to
GIVEN_PREFIX = "AUTOTUNE_GIVEN_"


@dataclass(frozen=True)
class Kind:
    """A kind of object that can stand for a trial."""

    name: str
    group_version: str
    plural: str


@dataclass(frozen=True)
class Options:
    """What an installation may choose."""

    clean_up: str = "Unfinished"  # pods at a trial's end: None, Unfinished, All
    keep_s: int = 24 * 3600  # finished objects, where the kind has ttlSecondsAfterFinished


def metadata(launch: Launch, name: str) -> dict[str, Any]:
    """Return the metadata of one of the trial's objects."""
    found: dict[str, Any] = {
        "name": name,
        "namespace": launch.namespace,
        "labels": {**launch.queue, **labels(launch)},
        "annotations": {NAME_ANNOTATION: launch.experiment_name},
    }
    if launch.owner:
        found["ownerReferences"] = [dict(launch.owner)]
    return found


def labels(launch: Launch) -> dict[str, str]:
    key, _, value = MANAGED_BY.partition("=")
    return {
        key: value,
        EXPERIMENT_LABEL: launch.experiment_id,
        TRIAL_LABEL: launch.trial_key,
        SEQUENCE_LABEL: str(launch.trial_number),
        JOB_LABEL: launch.name,
    }


def deadline(launch: Launch) -> dict[str, int]:
    """Return activeDeadlineSeconds, for the case that nobody is there to stop the trial.

    It is a little more than the time left: stopping is our part, and a trial that failed for its
    deadline first could be taken for the last one of an experiment that is DONE.
    """
    if launch.seconds_left is None:
        return {}
    return {"activeDeadlineSeconds": math.ceil(max(0.0, launch.seconds_left)) + DEADLINE_GRACE_S}


def restart_policy(task: Task) -> str:
    """Return the policy given, else Never: a configuration that fails would fail again."""
    return task.restart_policy or "Never"


def pod_template(
    launch: Launch, task: Task, extra: Sequence[Mapping[str, Any]] = (), **spec: Any
) -> dict[str, Any]:
    """Return the task's template with our labels, and our variables in every container.

    Args:
        extra: further variables of ours, in order; later ones may refer to earlier ones.
        spec: fields of the pod to set.
    """
    template: dict[str, Any] = copy.deepcopy(dict(task.template))
    meta = template.setdefault("metadata", None) or {}
    own = {**labels(launch), REPLICA_LABEL: task.type.lower()}
    template["metadata"] = {**meta, "labels": {**(meta.get("labels") or {}), **own}}
    pod = template["spec"]
    for container in [*containers_of(template), *(pod.get("initContainers") or [])]:
        _fill_in(launch, container)
    for container in containers_of(template):
        container["env"] = container_env(launch, container, extra)
    template["spec"].update(spec)
    return template


def _fill_in(launch: Launch, container: dict[str, Any]) -> None:
    """Put the trial's parameters into a container's words, so that Kubernetes leaves them alone."""

    def filled(text: str) -> str:
        def value_of(name: str) -> str | None:
            value = parameter_text(name, launch.parameters)
            return None if value is None else literal(value)

        return replaced(text, value_of)

    for field in ("command", "args"):
        if container.get(field):
            container[field] = [filled(str(word)) for word in container[field]]
    for entry in container.get("env") or []:
        if entry.get("value"):
            entry["value"] = filled(str(entry["value"]))


def container_env(
    launch: Launch, container: Mapping[str, Any], extra: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return a container's ``env``: ours first, then the manifest's, which may refer to ours.

    Same-named entries of the manifest give way; NO_PROXY and no_proxy are extended.
    """
    given = [dict(entry) for entry in container.get("env") or []]
    told = server_environment(launch, OUTPUT_DIR, container.get("workingDir") or OUTPUT_DIR)
    if not container.get("envFrom"):  # what is in there nobody knows yet, and it is the user's
        told |= tracker_environment(launch, {entry["name"] for entry in given})
    ours = [{"name": name, "value": literal(value)} for name, value in told.items()]
    ours += [dict(entry) for entry in extra]
    taken = {entry["name"] for entry in ours}
    kept: list[dict[str, Any]] = []
    lists: list[str] = []
    place = None  # of our lists: where the last given one stood, as later entries may refer to it
    for entry in given:
        if entry["name"] not in ("NO_PROXY", "no_proxy"):
            kept += [entry] if entry["name"] not in taken else []
            continue
        if "valueFrom" in entry:  # known to the kubelet only, who puts it in our list
            name = GIVEN_PREFIX + entry["name"]
            kept.append({**entry, "name": name})
            lists.append(f"$({name})")
        else:
            lists.append(str(entry.get("value") or ""))
        place = len(kept)
    no_proxy = extended_no_proxy(launch.server_url, *lists)
    place = len(kept) if place is None else place
    kept[place:place] = [{"name": n, "value": no_proxy} for n in ("NO_PROXY", "no_proxy")]
    return [*ours, *kept]


def literal(text: str) -> str:
    """Return text that stays as it is when Kubernetes replaces ``$(NAME)`` in it."""
    return text.replace("$", "$$")


def require_container(launch: Launch, name: str) -> None:
    """Refuse templates without the container that the kind's controller looks for.

    Raises:
        LaunchError: one line for each task.
    """
    problems = [
        f"spec.trainingConfig.tasks[{number}].template.spec.containers: one must be named "
        f"'{name}', as the controller looks for it, but got {names}"
        for number, task in enumerate(launch.tasks)
        if name not in (names := [str(c.get("name")) for c in containers_of(task.template)])
    ]
    if problems:
        raise LaunchError("\n".join(problems))


def require_types(launch: Launch, known: Mapping[str, Any], kind: str) -> None:
    """Refuse replica types that the kind does not know.

    Raises:
        LaunchError: one line for each task.
    """
    problems = [
        f"spec.trainingConfig.tasks[{number}].type: a {kind} has the replica types "
        f"{', '.join(known)}, but got {task.type!r}"
        for number, task in enumerate(launch.tasks)
        if task.type.lower() not in known
    ]
    if problems:
        raise LaunchError("\n".join(problems))


def require_short(name: str, path: str) -> None:
    """Refuse a name that is too long for a pod's host name.

    Raises:
        LaunchError: with the path of what makes it long.
    """
    if len(name) > MAX_NAME:
        raise LaunchError(
            f"{path}: must be shorter: the host name '{name}' made with it has {len(name)} "
            f"characters, and at most {MAX_NAME} are allowed"
        )
