"""What pods of trials may ask of a cluster, and what is added to them, by the administrator's word.

Whoever may create an experiment writes pod templates, and the objects made of them are ours: what
our account may do, everybody could. So a template is held against a policy, that of its namespace,
before anything is sent. Asked by ``backend`` at the door (``refusals``) and again at every launch;
it completes the templates then (``completed``). Pure.

Guarantees: nothing of a Secret, ConfigMap, claim, account or node reaches a trial that the policy
does not name; references are found wherever in a template they stand; a refusal names the field.
The levels are those of the Pod Security Standards (kubernetes.io/docs/concepts/security).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

import yaml

from experiments.manifest.quantity import parse_quantity
from experiments.training.base import Launch
from experiments.training.kubernetes import powers
from experiments.training.kubernetes.jobs.common import OUTPUT_DIR, PREFIX
from experiments.training.kubernetes.powers import Refusal, fits, mapping, sequence, walk
from experiments.training.kubernetes.queues import PRIORITY_LABEL

LEVELS = ("restricted", "baseline", "privileged")
# Services of the control plane select their pods by it, among others.
RESERVED_LABELS = {"app.kubernetes.io/part-of": "autotune"}
SHARED = "trial-*"  # Secrets and ConfigMaps whose name says that trials may read them
USER = 10001  # of trials whose manifest names none, as images often mean root
VOLUMES = (
    "configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
    "secret",
)  # fmt: skip
# Of the baseline level.
BASELINE_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
)  # fmt: skip
SELINUX_TYPES = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"  # annotations, before 1.30
HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


class PolicyError(Exception):
    """The administrator's policy cannot be read; the message names the field."""


@dataclass(frozen=True)
class PodPolicy:
    """What trials of one namespace may have. Texts are names in which ``*`` stands for anything."""

    level: str = "restricted"
    serviceAccounts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = (SHARED,)
    configMaps: tuple[str, ...] = (SHARED,)
    claims: tuple[str, ...] = ("*",)
    volumes: tuple[str, ...] = VOLUMES
    images: tuple[str, ...] = ("*",)
    nodeSelectors: tuple[str, ...] = ("*",)
    tolerations: tuple[str, ...] = ("*",)
    priorityClasses: tuple[str, ...] = ("*",)
    runtimeClasses: tuple[str, ...] = ("*",)
    injections: tuple[str, ...] = ()  # see powers.INJECTORS
    capabilities: tuple[str, ...] = ()
    runAsUser: int | None = USER
    requests: Mapping[str, Any] = field(default_factory=dict)  # where a container says nothing
    limits: Mapping[str, Any] = field(default_factory=dict)
    most: Mapping[str, Any] = field(default_factory=dict)  # that a container may request or use

    # what is refused

    def refusals(self, template: Mapping[str, Any]) -> list[Refusal]:
        """Return what of a pod template may not be, by its path below the template."""
        pod = mapping(template.get("spec"))
        return [
            *self._labels(mapping(template.get("metadata"))),
            *self._identity(pod),
            *self._references(pod),
            *self._volumes(pod),
            *self._nodes(pod),
            *self._host(pod),
            *self._security(pod),
            *self._images_and_amounts(pod),
            *powers.refusals(template, self.injections, self.level),
        ]

    def queue_refusals(self, labels: Mapping[str, str]) -> list[Refusal]:
        """Return what of the experiment's own labels its jobs may not have."""
        priority = labels.get(PRIORITY_LABEL, "")
        if not priority or fits(priority, self.priorityClasses):
            return []
        words = _not_among("priority class", priority, self.priorityClasses)
        return [(f"metadata.labels.{PRIORITY_LABEL}", words)]

    def _labels(self, meta: Mapping[str, Any]) -> Iterator[Refusal]:
        for name in meta:
            if name not in ("labels", "annotations", "name", "creationTimestamp"):
                yield f"metadata.{name}", "is not for a trial's pods: labels and annotations are."
        for kind in ("labels", "annotations"):
            for key, value in mapping(meta.get(kind)).items():
                reserved = kind == "labels" and RESERVED_LABELS.get(key) == value
                if str(key).startswith(f"{PREFIX}/") or reserved:
                    yield f"metadata.{kind}.{key}", "is kept for AutoTune's own objects."
                elif str(key).startswith(APPARMOR) and value == "unconfined":
                    yield f"metadata.{kind}.{key}", "must not be unconfined."

    def _identity(self, pod: Mapping[str, Any]) -> Iterator[Refusal]:
        for key in ("serviceAccountName", "serviceAccount"):
            name = pod.get(key)
            if name and not fits(name, self.serviceAccounts):
                yield f"spec.{key}", _not_among("service account", name, self.serviceAccounts)
        if self._has_account(pod):
            return
        if pod.get("automountServiceAccountToken"):
            words = "must be false: the trial names no account that trials may use here."
            yield "spec.automountServiceAccountToken", words
        for path, key, value in _walk_sources(pod):
            if key in ("serviceAccountToken", "podCertificate") and value is not None:
                yield path, "must not be: the trial names no account that trials may use here."

    def _has_account(self, pod: Mapping[str, Any]) -> bool:
        """Whether it may have a token: the account of who names none is the namespace's default."""
        name = pod.get("serviceAccountName") or pod.get("serviceAccount") or "default"
        return fits(name, self.serviceAccounts)

    def _references(self, pod: Mapping[str, Any]) -> Iterator[Refusal]:
        for path, kind, name in _references(pod):
            allowed = self.secrets if kind == "Secret" else self.configMaps
            if not fits(name, allowed):
                yield path, _not_among(kind, name, allowed)

    def _volumes(self, pod: Mapping[str, Any]) -> Iterator[Refusal]:
        for index, volume in enumerate(sequence(pod.get("volumes"))):
            path = f"spec.volumes[{index}]"
            for kind, source in mapping(volume).items():
                if kind == "name" or source is None:
                    continue
                if not fits(kind, self.volumes):
                    yield f"{path}.{kind}", _not_among("kind of volume", kind, self.volumes)
                for where, key, value in walk(source, f"{path}.{kind}"):
                    name = value
                    if key in ("dataSource", "dataSourceRef"):  # a claim made from another
                        where, name = f"{where}.name", mapping(value).get("name")
                    elif key != "claimName":
                        continue
                    if not fits(name, self.claims):
                        yield where, _not_among("claim", name, self.claims)

    def _nodes(self, pod: Mapping[str, Any]) -> Iterator[Refusal]:
        if pod.get("nodeName") and self.level != "privileged":
            yield "spec.nodeName", "must not be: the scheduler chooses the node of a trial."
        for key in mapping(pod.get("nodeSelector")):
            if not fits(key, self.nodeSelectors):
                yield f"spec.nodeSelector.{key}", _not_among("label", key, self.nodeSelectors)
        affinity = mapping(mapping(pod.get("affinity")).get("nodeAffinity"))
        for path, key, value in walk(affinity, "spec.affinity.nodeAffinity"):
            if key == "key" and not fits(value, self.nodeSelectors):
                yield path, _not_among("label", value, self.nodeSelectors)
        for index, toleration in enumerate(sequence(pod.get("tolerations"))):
            key = mapping(toleration).get("key") or ""
            if not fits(key, self.tolerations):
                yield f"spec.tolerations[{index}].key", _not_among("taint", key, self.tolerations)
        priority = str(pod.get("priorityClassName") or "")
        if priority and (
            priority.startswith("system-") or not fits(priority, self.priorityClasses)
        ):
            words = _not_among("priority class", priority, self.priorityClasses)
            yield "spec.priorityClassName", words
        kind = pod.get("runtimeClassName")
        if kind and not fits(kind, self.runtimeClasses):
            words = _not_among("runtime class", kind, self.runtimeClasses)
            yield "spec.runtimeClassName", words

    def _host(self, pod: Mapping[str, Any]) -> Iterator[Refusal]:
        if self.level == "privileged":
            return
        for key in HOST_FIELDS:
            if pod.get(key):
                yield f"spec.{key}", "must be false: a trial has nothing of its node's."
        for path, container in _containers(pod):
            for index, port in enumerate(sequence(container.get("ports"))):
                if mapping(port).get("hostPort"):
                    yield f"{path}.ports[{index}].hostPort", "must not be: it is the node's."
            for where, key, value in walk(container, path):
                if key in ("httpGet", "tcpSocket") and mapping(value).get("host"):
                    yield f"{where}.host", "must not be: the node would ask another host."
        for index, row in enumerate(sequence(mapping(pod.get("securityContext")).get("sysctls"))):
            name = mapping(row).get("name")
            if name not in SAFE_SYSCTLS:
                path = f"spec.securityContext.sysctls[{index}].name"
                yield path, _not_among("sysctl", name, SAFE_SYSCTLS)

    def _security(self, pod: Mapping[str, Any]) -> Iterator[Refusal]:
        if self.level == "privileged":
            return
        contexts = [("spec.securityContext", mapping(pod.get("securityContext")))]
        for path, container in _containers(pod):
            contexts.append((f"{path}.securityContext", mapping(container.get("securityContext"))))
        allowed = (*self.capabilities, "NET_BIND_SERVICE")
        if self.level == "baseline":
            allowed = (*self.capabilities, *BASELINE_CAPABILITIES)
        for path, context in contexts:
            if context.get("privileged"):
                yield f"{path}.privileged", "must be false."
            if mapping(context.get("windowsOptions")).get("hostProcess"):
                yield f"{path}.windowsOptions.hostProcess", "must be false."
            for key, value in mapping(context.get("seLinuxOptions")).items():
                if value and (key != "type" or value not in SELINUX_TYPES):
                    yield f"{path}.seLinuxOptions.{key}", "is not for trials to choose."
            if context.get("procMount") not in (None, "Default"):
                yield f"{path}.procMount", "must be Default."
            for kind in ("seccompProfile", "appArmorProfile"):
                if mapping(context.get(kind)).get("type") == "Unconfined":
                    yield f"{path}.{kind}.type", "must not be Unconfined."
            added = sequence(mapping(context.get("capabilities")).get("add"))
            for index, name in enumerate(added):
                if not fits(name, allowed):
                    where = f"{path}.capabilities.add[{index}]"
                    yield where, _not_among("capability", name, allowed)
            if self.level == "restricted":
                yield from self._restricted(path, context)

    def _restricted(self, path: str, context: Mapping[str, Any]) -> Iterator[Refusal]:
        if context.get("runAsNonRoot") is False:
            yield f"{path}.runAsNonRoot", "must be true."
        user = context.get("runAsUser")
        if user is not None and str(user) == "0":
            yield f"{path}.runAsUser", "must not be 0, which is root."
        if context.get("allowPrivilegeEscalation"):
            yield f"{path}.allowPrivilegeEscalation", "must be false."

    def _images_and_amounts(self, pod: Mapping[str, Any]) -> Iterator[Refusal]:
        for path, container in _containers(pod):
            image = str(container.get("image") or "")
            if image and not fits(image, self.images):
                yield f"{path}.image", _not_among("image", image, self.images)
            resources = mapping(container.get("resources"))
            for section in ("requests", "limits"):
                for name, amount in mapping(resources.get(section)).items():
                    most = self.most.get(name)
                    if most is not None and _amount(amount) > _amount(most):
                        words = f"must be at most {most}, but got {amount}."
                        yield f"{path}.resources.{section}.{name}", words

    # what is added

    def completed(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """Return a template that this policy took, with what it left open in the safest way."""
        found: dict[str, Any] = copy.deepcopy(dict(template))
        pod = found["spec"]
        if not self._has_account(pod):
            pod["automountServiceAccountToken"] = False
        if self.level == "restricted":
            self._lock(pod)
        for _path, container in _containers(pod):
            self._bound(container)
        return found

    def _lock(self, pod: dict[str, Any]) -> None:
        shared = pod["securityContext"] = dict(pod.get("securityContext") or {})
        shared.setdefault("runAsNonRoot", True)
        shared.setdefault("seccompProfile", {"type": "RuntimeDefault"})
        if self.runAsUser is not None and "runAsUser" not in shared:
            shared["runAsUser"] = self.runAsUser
            shared.setdefault("fsGroup", self.runAsUser)
            for _path, container in _containers(pod):
                env = container.setdefault("env", None) or []
                if not any(entry.get("name") == "HOME" for entry in env):
                    env = [{"name": "HOME", "value": OUTPUT_DIR}, *env]
                container["env"] = env
        for _path, container in _containers(pod):
            own = container["securityContext"] = dict(container.get("securityContext") or {})
            own.setdefault("allowPrivilegeEscalation", False)
            capabilities = dict(own.get("capabilities") or {})
            own["capabilities"] = {**capabilities, "drop": ["ALL"]}

    def _bound(self, container: dict[str, Any]) -> None:
        if not self.requests and not self.limits:
            return
        given = dict(container.get("resources") or {})
        asked, limit = mapping(given.get("requests")), mapping(given.get("limits"))
        # A limit alone is a request as well, to Kubernetes.
        requests = {k: v for k, v in self.requests.items() if k not in asked and k not in limit}
        limits = {k: v for k, v in self.limits.items() if k not in limit and k not in asked}
        for section, extra in (("requests", requests), ("limits", limits)):
            if extra:
                given[section] = {**mapping(given.get(section)), **extra}
        container["resources"] = given


STRICT = PodPolicy()
OPEN = PodPolicy(
    level="privileged", serviceAccounts=("*",), secrets=("*",), configMaps=("*",),
    volumes=("*",), capabilities=("*",), injections=("*",), runAsUser=None,
)  # fmt: skip


@dataclass(frozen=True)
class PodPolicies:
    """The policy of every namespace, and the one namespace that trials never run in."""

    default: PodPolicy = STRICT
    namespaces: Mapping[str, PodPolicy] = field(default_factory=dict)
    own_namespace: str = ""  # the control plane's; "": it runs outside the cluster

    def of(self, namespace: str) -> PodPolicy:
        return self.namespaces.get(namespace, self.default)

    def refusals(self, launch: Launch) -> list[Refusal]:
        """Return what keeps a launch out of its namespace, with paths of the manifest."""
        if launch.namespace == self.own_namespace != "":
            words = "is AutoTune's own namespace, in which no trial runs: choose another."
            return [("metadata.namespace", f"{launch.namespace!r} {words}")]
        policy = self.of(launch.namespace)
        return [
            *policy.queue_refusals(launch.queue),
            *(
                (f"spec.trainingConfig.tasks[{number}].template.{path}", words)
                for number, task in enumerate(launch.tasks)
                for path, words in policy.refusals(task.template)
            ),
        ]

    def completed(self, launch: Launch) -> Launch:
        """Return a launch that was not refused, its templates completed."""
        policy = self.of(launch.namespace)
        tasks = (replace(task, template=policy.completed(task.template)) for task in launch.tasks)
        return replace(launch, tasks=tuple(tasks))


UNBOUND = PodPolicies(default=OPEN)  # nothing is refused, nothing added


def read_policies(text: str, own_namespace: str = "") -> PodPolicies:
    """Read an administrator's file: ``default`` and ``namespaces``, each with fields of a policy.

    What a namespace does not say is as in ``default``, and what that does not say, strict.

    Raises:
        PolicyError: with the field, what must hold and what came.
    """
    try:
        raw = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError as error:
        raise PolicyError(f"is no YAML: {error}") from None
    if not isinstance(raw, Mapping):
        raise PolicyError(f"must be a mapping, but got {type(raw).__name__}")
    if unknown := sorted(set(map(str, raw)) - {"default", "namespaces"}):
        raise PolicyError(f"knows 'default' and 'namespaces', but no {unknown[0]!r}")
    default = _policy(raw.get("default"), "default", STRICT)
    rows = raw.get("namespaces") or {}
    if not isinstance(rows, Mapping):
        raise PolicyError("namespaces: must be a mapping of names to policies")
    namespaces = {
        str(name): _policy(row, f"namespaces.{name}", default) for name, row in rows.items()
    }
    return PodPolicies(default, namespaces, own_namespace)


def _policy(raw: Any, path: str, base: PodPolicy) -> PodPolicy:
    if raw is None:
        return base
    if not isinstance(raw, Mapping):
        raise PolicyError(f"{path}: must be a mapping, but got {raw!r}")
    known = {each.name: each for each in fields(PodPolicy)}
    values = {each: getattr(base, each) for each in known}
    for name, value in raw.items():
        where = f"{path}.{name}"
        if name not in known:
            raise PolicyError(f"{where}: is no field; there are {', '.join(known)}")
        values[name] = _value(str(name), value, where)
    return PodPolicy(**values)


def _value(name: str, value: Any, where: str) -> Any:
    if name == "level":
        if value not in LEVELS:
            raise PolicyError(f"{where}: must be one of {', '.join(LEVELS)}, but got {value!r}")
        return value
    if name == "runAsUser":
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise PolicyError(f"{where}: must be a whole number or null, but got {value!r}")
        return value
    if name in ("requests", "limits", "most"):
        if not isinstance(value, Mapping):
            raise PolicyError(f"{where}: must be a mapping of amounts, but got {value!r}")
        for key, amount in value.items():
            if parse_quantity(amount) is None:
                raise PolicyError(f"{where}.{key}: must be an amount like 500m or 4Gi: {amount!r}")
        return dict(value)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise PolicyError(f"{where}: must be a list of names, but got {value!r}")
    return tuple(value)


# -- parts --------------------------------------------------------------------------------------


def _references(pod: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, kind, name) of every Secret and ConfigMap that a pod refers to.

    A source that names two (one in a field that its kind does not have) is held to both.
    """
    for index, row in enumerate(sequence(pod.get("imagePullSecrets"))):
        yield f"spec.imagePullSecrets[{index}].name", "Secret", mapping(row).get("name")
    for path, key, value in _walk_sources(pod):
        name = key.lower()
        if name == "secretname":
            yield path, "Secret", value
        elif name.endswith(("secretref", "secretkeyref")):
            yield f"{path}.name", "Secret", mapping(value).get("name")
        elif name == "secret" and value is not None:
            source = mapping(value)
            if "name" in source or "secretName" not in source:
                yield f"{path}.name", "Secret", source.get("name")
        elif name in ("configmapref", "configmapkeyref", "configmap") and value is not None:
            yield f"{path}.name", "ConfigMap", mapping(value).get("name")


def _walk_sources(pod: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, key, value) of what stands in volumes and containers: all that can refer."""
    yield from walk(pod.get("volumes"), "spec.volumes")
    for path, container in _containers(pod):
        yield from walk(container, path)


def _containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(sequence(pod.get(kind))):
            if isinstance(container, dict):
                yield f"spec.{kind}[{index}]", container


def _not_among(kind: str, name: Any, allowed: Sequence[str]) -> str:
    named = ", ".join(allowed) or "none"
    return f"the {kind} {str(name)[:80]!r} is not among those that trials may use here: {named}."


def _amount(value: Any) -> Decimal:
    """Of an amount that nobody can read: more than anything."""
    found = parse_quantity(value)
    return Decimal("Infinity") if found is None else Decimal(str(found))
