"""What a pod gets without a reference that names it, and whom it can be taken for. Pure.

Asked by ``policy`` of every template: annotations and labels by which others in a cluster
(a mesh, a vault, a network, a runtime) give pods what they did not ask of Kubernetes, labels
by which controllers and their Services know their own pods, terms that reach into other namespaces,
and volumes and times of one's own choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

Refusal = tuple[str, str]

# Annotations and labels at which others add containers, volumes, roles, networks or devices.
INJECTORS = (
    "*.nri.io/*", "azure.workload.identity/*", "cdi.k8s.io/*", "cni.projectcalico.org/*",
    "config.linkerd.io/*", "consul.hashicorp.com/*", "dapr.io/*", "iam.amazonaws.com/*",
    "inject.istio.io/*", "instrumentation.opentelemetry.io/*", "io.katacontainers.*",
    "io.kubernetes.cri-o.*", "k8s.ovn.org/*", "k8s.v1.cni.cncf.io/*", "ovn.kubernetes.io/*",
    "proxy.istio.io/*", "sidecar.istio.io/*", "traffic.sidecar.istio.io/*", "v1.multus-cni.io/*",
    "vault.hashicorp.com/*",
)  # fmt: skip
HARMLESS = ("sidecar.istio.io/inject",)  # whether there is one, as the mesh's owner has it
# Labels by which controllers, and the Services that they make, know the pods of a job.
CONTROLLERS = (
    "apps.kubernetes.io/*", "batch.kubernetes.io/*", "batch.tensorstack.dev/*", "controller-uid",
    "job-name", "jobset.sigs.k8s.io/*", "leaderworkerset.sigs.k8s.io/*", "pod-template-hash",
    "ray.io/*", "statefulset.kubernetes.io/*", "trainer.kubeflow.org/*", "training.kubeflow.org/*",
)  # fmt: skip
QUEUES = ("kueue.x-k8s.io/managed", "kueue.x-k8s.io/pod-*", "kueue.x-k8s.io/priority-class",
          "kueue.x-k8s.io/queue-name")  # fmt: skip
MOST_GRACE_S = 3600


def refusals(template: Mapping[str, Any], injections: Sequence[str], level: str) -> list[Refusal]:
    """Return what of a template may not be, by its path below it.

    Args:
        injections: the names of INJECTORS that may be used here.
        level: of Pod Security; ``privileged`` lets a pod have what is the cluster's.
    """
    meta, pod = mapping(template.get("metadata")), mapping(template.get("spec"))
    found = list(_names(meta, injections))
    if level != "privileged":
        found += [*_elsewhere(pod), *_volumes_by_name(pod), *_endless(pod)]
    return found


def _names(meta: Mapping[str, Any], injections: Sequence[str]) -> Iterator[Refusal]:
    for kind in ("labels", "annotations"):
        for key in map(str, mapping(meta.get(kind))):
            path = f"metadata.{kind}.{key}"
            if fits(key, INJECTORS) and not fits(key, (*HARMLESS, *injections)):
                yield path, "has others add to the pod, which is not for trials to choose here."
            elif kind == "labels" and fits(key, CONTROLLERS):
                yield path, "is kept for the controllers of jobs, which know their pods by it."
            elif kind == "labels" and fits(key, QUEUES):
                yield path, "is for the experiment's own labels: its jobs wait, not their pods."


def _elsewhere(pod: Mapping[str, Any]) -> Iterator[Refusal]:
    """Terms by which others' pods find no node, or the trial learns where they are."""
    affinity = mapping(pod.get("affinity"))
    for kind in ("podAffinity", "podAntiAffinity"):
        for path, key, value in walk(affinity.get(kind), f"spec.affinity.{kind}"):
            if key in ("namespaces", "namespaceSelector") and value is not None:
                yield path, "must not be: the pods of other namespaces are not a trial's business."


def _volumes_by_name(pod: Mapping[str, Any]) -> Iterator[Refusal]:
    """A claim that is made for the pod takes any volume of the cluster that it names."""
    for index, volume in enumerate(sequence(pod.get("volumes"))):
        path = f"spec.volumes[{index}].ephemeral"
        for where, key, value in walk(mapping(volume).get("ephemeral"), path):
            if key in ("volumeName", "selector") and value:
                yield where, "must not be: which volume a new claim gets is the cluster's choice."


def _endless(pod: Mapping[str, Any]) -> Iterator[Refusal]:
    """What is to end can take its time, but not for ever: nothing counts it any more."""
    for path, key, value in walk(pod, "spec"):
        if key != "terminationGracePeriodSeconds" or value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value > MOST_GRACE_S:
            yield path, f"must be a whole number of at most {MOST_GRACE_S}, but got {value!r}."


# -- parts --------------------------------------------------------------------------------------


def walk(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, key, value) of everything below a value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{path}.{key}", str(key), inner
            yield from walk(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, f"{path}[{index}]")


def fits(name: Any, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(str(name), pattern) for pattern in patterns)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
