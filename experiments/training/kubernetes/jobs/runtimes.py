"""A runtime of Kubeflow's Trainer that a manifest names, as the beginning of trials' pods. Pure.

The template of the runtime's nodes and the manifest's become one, by the rules of Kubernetes'
strategic merge: lists of named things by their names, everything else the manifest's where it says
it. ``backend`` reads the runtime and asks ``begun`` before the policy of the namespace is asked, so
that it holds for what the runtime says, too; ``trainer`` makes each trial's runtime of the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments.manifest.training_spec import main_container_index
from experiments.training.base import Launch, LaunchError
from experiments.training.kubernetes.jobs.common import Kind

GROUP = "trainer.kubeflow.org"
RUNTIME = Kind("TrainingRuntime", f"{GROUP}/v1alpha1", "trainingruntimes")
CLUSTER_RUNTIME = Kind("ClusterTrainingRuntime", RUNTIME.group_version, "clustertrainingruntimes")
STEP_LABEL = f"{GROUP}/trainjob-ancestor-step"
NODE = "node"  # what Trainer calls its Job, and the container that trains
PATH = "spec.trainingConfig.runtimeRef"
# What names an entry of a list; other lists are the manifest's, or the runtime's, whole.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
_NEVER = ("manualSelector", "selector", "suspend")  # of a Job: whose pods, and when, is not theirs
_WHOLE = ("env", "volumes")  # an entry has one source: two would be one too many


def begun(launch: Launch, spec: Mapping[str, Any]) -> Launch:
    """Return a launch whose templates begin with those of this runtime.

    Raises:
        LaunchError: it is no runtime that trials can have.
    """
    template = node_job(spec)["template"]["spec"]["template"]
    tasks = []
    for task in launch.tasks:
        mine = copy.deepcopy(dict(task.template))
        containers = mine["spec"]["containers"]
        main = containers.pop(main_container_index(task.template, launch.framework))
        mine["spec"]["containers"] = [{**main, "name": NODE}, *containers]
        tasks.append(replace(task, template=_merged(template, mine)))
    return replace(launch, tasks=tuple(tasks), runtime_spec=spec)


def node_job(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one replicatedJob of a runtime that trials can have.

    Raises:
        LaunchError: it has others, or none; its processes are started by MPI.
    """
    jobs = (((spec.get("template") or {}).get("spec") or {}).get("replicatedJobs")) or []
    names = [str(job.get("name")) for job in jobs]
    if names != [NODE]:
        raise LaunchError(
            f"{PATH}: the runtime must have one replicatedJob, called '{NODE}', but has {names}; "
            "one that fetches models or data would do so for each trial"
        )
    if "mpi" in (spec.get("mlPolicy") or {}):
        raise LaunchError(
            f"{PATH}: the runtime starts its processes by MPI, which gives them nothing of the "
            "trial's environment"
        )
    found: Mapping[str, Any] = jobs[0]
    pod = ((((found.get("template") or {}).get("spec") or {}).get("template")) or {}).get("spec")
    if not isinstance(pod, Mapping):
        raise LaunchError(f"{PATH}: the runtime's '{NODE}' has no template of a pod")
    return found


def spec_of_trial(spec: Mapping[str, Any], node: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the spec of one trial's own runtime: the given one's, with this as its node's Job."""
    found = copy.deepcopy(dict(spec))
    old = node_job(found)
    theirs = {k: v for k, v in old["template"]["spec"].items() if k not in _NEVER}
    job = {**theirs, **node["template"]["spec"]}
    meta = _merged(old["template"].get("metadata") or {}, node["template"]["metadata"])
    found["template"]["spec"]["replicatedJobs"] = [
        {**old, "replicas": 1, "template": {**old["template"], "metadata": meta, "spec": job}}
    ]
    found["mlPolicy"] = {**(found.get("mlPolicy") or {}), "numNodes": count}
    return found


def _merged(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, mine where both say something."""
    found = copy.deepcopy(dict(theirs))
    if mine.get("command"):  # whose args the runtime's cannot be
        found.pop("args", None)
    for key, value in mine.items():
        if value is None:
            continue
        before = found.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            found[key] = _merged(before, value)
        elif key in _KEYS and isinstance(before, list) and isinstance(value, list):
            found[key] = _by_name(key, before, value)
        else:
            found[key] = copy.deepcopy(value)
    return found


def _by_name(
    key: str, theirs: Sequence[Mapping[str, Any]], mine: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """Theirs in their order, with what of mine has the same name in it, and then the rest of mine.

    Of containers the one that trains comes first.
    """
    named = _KEYS[key]
    own = {str(each.get(named)): each for each in mine}
    found: list[Any] = []
    for each in theirs:
        over = own.pop(str(each.get(named)), None)
        if over is None:
            found.append(each)
        else:
            found.append(over if key in _WHOLE else _merged(each, over))
    found += own.values()
    if key == "containers":
        found.sort(key=lambda each: each.get("name") != NODE)
    return copy.deepcopy(found)
