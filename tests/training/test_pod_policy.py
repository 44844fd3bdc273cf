"""What trials may ask of a cluster: every door of a pod template, in every spelling it has."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

import pytest

from experiments.training.base import Launch, Task
from experiments.training.kubernetes.policy import (
    OPEN,
    STRICT,
    UNBOUND,
    PodPolicies,
    PolicyError,
    read_policies,
)


def template(pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    one = {"name": "pytorch", "image": "registry.local/trial:1", **container}
    return {"spec": {"containers": [one], **(pod or {})}}


def launch(*templates: dict[str, Any], namespace: str = "team-a") -> Launch:
    return Launch(
        experiment_id="abc",
        experiment_name="sample",
        trial_key="k1111",
        trial_number=1,
        attempt=1,
        framework="pytorch",
        tasks=tuple(Task("worker", 1, each) for each in templates),
        parameters={},
        server_url="http://autotune.autotune.svc:8080",
        token="t",
        namespace=namespace,
    )


def container_context(**fields: Any) -> dict[str, Any]:
    return template(securityContext=fields)


def volume(**source: Any) -> dict[str, Any]:
    return template({"volumes": [{"name": "v", **source}]})


ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "the server's Secret as environment": (
        template(envFrom=[{"secretRef": {"name": "autotune"}}]),
        "spec.containers[0].envFrom[0].secretRef.name",
    ),
    "one key of it": (
        template(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "autotune"}}}]),
        "spec.containers[0].env[0].valueFrom.secretKeyRef.name",
    ),
    "in a container that runs first": (
        template({"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "x"}}]}]}),
        "spec.initContainers[0].envFrom[0].secretRef.name",
    ),
    "as files": (volume(secret={"secretName": "autotune"}), "spec.volumes[0].secret.secretName"),
    "as files with no name": (volume(secret={}), "spec.volumes[0].secret.name"),
    "projected": (
        volume(projected={"sources": [{"secret": {"name": "autotune"}}]}),
        "spec.volumes[0].projected.sources[0].secret.name",
    ),
    "projected under a name that only looks allowed": (
        volume(projected={"sources": [{"secret": {"secretName": "trial-x", "name": "autotune"}}]}),
        "spec.volumes[0].projected.sources[0].secret.name",
    ),
    "by a driver": (
        volume(csi={"driver": "d", "nodePublishSecretRef": {"name": "autotune"}}),
        "spec.volumes[0].csi.nodePublishSecretRef.name",
    ),
    "to pull images with": (
        template({"imagePullSecrets": [{"name": "autotune"}]}),
        "spec.imagePullSecrets[0].name",
    ),
    "a ConfigMap": (
        template(envFrom=[{"configMapRef": {"name": "autotune"}}]),
        "spec.containers[0].envFrom[0].configMapRef.name",
    ),
    "the server's account": (
        template({"serviceAccountName": "autotune-worker"}),
        "spec.serviceAccountName",
    ),
    "by its old name": (template({"serviceAccount": "autotune-worker"}), "spec.serviceAccount"),
    "a token": (
        template({"automountServiceAccountToken": True}),
        "spec.automountServiceAccountToken",
    ),
    "a projected token": (
        volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}),
        "spec.volumes[0].projected.sources[0].serviceAccountToken",
    ),
    "the node's network": (template({"hostNetwork": True}), "spec.hostNetwork"),
    "its processes": (template({"hostPID": True}), "spec.hostPID"),
    "its files": (volume(hostPath={"path": "/"}), "spec.volumes[0].hostPath"),
    "a port of it": (
        template(ports=[{"containerPort": 80, "hostPort": 80}]),
        "spec.containers[0].ports[0].hostPort",
    ),
    "a node by name": (template({"nodeName": "master-1"}), "spec.nodeName"),
    "requests by the node": (
        template(livenessProbe={"httpGet": {"host": "169.254.169.254", "port": 80}}),
        "spec.containers[0].livenessProbe.httpGet.host",
    ),
    "before others": (
        template({"priorityClassName": "system-node-critical"}),
        "spec.priorityClassName",
    ),
    "a privileged container": (
        container_context(privileged=True),
        "spec.containers[0].securityContext.privileged",
    ),
    "root": (container_context(runAsUser=0), "spec.containers[0].securityContext.runAsUser"),
    "root for all": (
        template({"securityContext": {"runAsUser": 0}}),
        "spec.securityContext.runAsUser",
    ),
    "anybody": (
        container_context(runAsNonRoot=False),
        "spec.containers[0].securityContext.runAsNonRoot",
    ),
    "more rights later": (
        container_context(allowPrivilegeEscalation=True),
        "spec.containers[0].securityContext.allowPrivilegeEscalation",
    ),
    "a capability": (
        container_context(capabilities={"add": ["SYS_ADMIN"]}),
        "spec.containers[0].securityContext.capabilities.add[0]",
    ),
    "every system call": (
        template({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        "spec.securityContext.seccompProfile.type",
    ),
    "a kernel parameter": (
        template({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
        "spec.securityContext.sysctls[0].name",
    ),
    "traffic of the web pods": (
        {**template(), "metadata": {"labels": {"app.kubernetes.io/part-of": "autotune"}}},
        "metadata.labels.app.kubernetes.io/part-of",
    ),
    "another trial's name": (
        {**template(), "metadata": {"labels": {"autotune.tensorstack.dev/job": "at-x-1-1"}}},
        "metadata.labels.autotune.tensorstack.dev/job",
    ),
    "a token of the namespace's own account": (
        volume(projected={"sources": [{"podCertificate": {"signerName": "x/y"}}]}),
        "spec.volumes[0].projected.sources[0].podCertificate",
    ),
    "a Secret, mounted by the mesh": (
        {**template(), "metadata": {"annotations": {"sidecar.istio.io/userVolume": "[]"}}},
        "metadata.annotations.sidecar.istio.io/userVolume",
    ),
    "a role in the cloud": (
        {**template(), "metadata": {"annotations": {"iam.amazonaws.com/role": "admin"}}},
        "metadata.annotations.iam.amazonaws.com/role",
    ),
    "another network": (
        {**template(), "metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "host"}}},
        "metadata.annotations.k8s.v1.cni.cncf.io/networks",
    ),
    "every device": (
        {**template(), "metadata": {"annotations": {"cdi.k8s.io/all": "nvidia.com/gpu=all"}}},
        "metadata.annotations.cdi.k8s.io/all",
    ),
    "another JobSet's traffic": (
        {**template(), "metadata": {"labels": {"jobset.sigs.k8s.io/jobset-name": "at-x-1-1"}}},
        "metadata.labels.jobset.sigs.k8s.io/jobset-name",
    ),
    "another PyTorchJob's traffic": (
        {**template(), "metadata": {"labels": {"training.kubeflow.org/job-name": "at-x-1-1"}}},
        "metadata.labels.training.kubeflow.org/job-name",
    ),
    "past its queue": (
        {**template(), "metadata": {"labels": {"kueue.x-k8s.io/priority-class": "high"}}},
        "metadata.labels.kueue.x-k8s.io/priority-class",
    ),
    "no room for the server's pods": (
        template(
            {
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"namespaceSelector": {}, "topologyKey": "kubernetes.io/os"}
                        ]
                    }
                }
            }
        ),
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
        ".namespaceSelector",
    ),
    "somebody's volume": (
        volume(ephemeral={"volumeClaimTemplate": {"spec": {"volumeName": "pv-of-others"}}}),
        "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.volumeName",
    ),
    "somebody's volume by its labels": (
        volume(ephemeral={"volumeClaimTemplate": {"spec": {"selector": {"matchLabels": {}}}}}),
        "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.selector",
    ),
    "a pod that takes years to go": (
        template({"terminationGracePeriodSeconds": 10**9}),
        "spec.terminationGracePeriodSeconds",
    ),
    "a pod that never goes": (
        {**template(), "metadata": {"finalizers": ["x/y"]}},
        "metadata.finalizers",
    ),
}


@pytest.mark.parametrize("what", ATTACKS)
def test_what_is_not_a_trials_is_refused_with_its_path(what: str):
    attack, path = ATTACKS[what]
    refused = dict(PodPolicies().refusals(launch(template(), attack)))
    assert f"spec.trainingConfig.tasks[1].template.{path}" in refused
    # what is ours, and the system's rank, no policy gives away
    always = path.startswith("metadata.labels") or path.endswith(("finalizers", "ClassName"))
    assert bool(UNBOUND.refusals(launch(attack))) is always


def test_a_usual_trial_is_taken_and_locked_down():
    usual = template(
        {
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "datasets"}},
                {"name": "script", "configMap": {"name": "trial-script"}},
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
            ],
            "imagePullSecrets": [{"name": "trial-registry"}],
            "nodeSelector": {"secret": "no reference", "gpu": "a100"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
        env=[{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "trial-keys", "key": "k"}}}],
        resources={"limits": {"nvidia.com/gpu": 1}},
    )
    before = copy.deepcopy(usual)
    policies = PodPolicies()
    assert policies.refusals(launch(usual)) == []
    (task,) = policies.completed(launch(usual)).tasks
    assert usual == before, "the manifest stays as it is"
    pod = task.template["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    # the user of another image has no home there
    assert {"name": "HOME", "value": "/tmp"} in container["env"]
    # what was completed is taken again
    assert STRICT.refusals(task.template) == []


def test_a_user_that_the_manifest_names_is_kept():
    given = template({"securityContext": {"runAsUser": 1000}})
    pod = STRICT.completed(given)["spec"]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert "env" not in pod["containers"][0]


def test_an_open_policy_adds_nothing():
    given = template({"hostNetwork": True, "serviceAccountName": "x"})
    assert OPEN.completed(given) == given


def test_an_administrator_allows_by_namespace_and_name():
    policies = read_policies(
        """
        default:
          images: ["registry.local/*"]
          most: {memory: 8Gi, nvidia.com/gpu: 2}
          requests: {cpu: 1, memory: 1Gi}
        namespaces:
          team-a: {secrets: [registry, "ml-*"], serviceAccounts: [trainer], level: baseline}
        """
    )
    asks = template(
        {"serviceAccountName": "trainer", "imagePullSecrets": [{"name": "registry"}]},
        envFrom=[{"secretRef": {"name": "ml-keys"}}],
        securityContext={"runAsUser": 0},
    )
    assert policies.refusals(launch(asks)) == []
    assert len(policies.refusals(launch(asks, namespace="team-b"))) == 4
    greedy = template(resources={"limits": {"memory": "9Gi", "nvidia.com/gpu": 2}})
    assert policies.refusals(launch(greedy)) == [
        (
            "spec.trainingConfig.tasks[0].template.spec.containers[0].resources.limits.memory",
            "must be at most 8Gi, but got 9Gi.",
        )
    ]
    foreign = template(image="docker.io/miner")
    assert "image 'docker.io/miner'" in policies.refusals(launch(foreign))[0][1]
    # amounts are given only where none was: a limit alone is a request as well
    pod = policies.of("team-b").completed(template(resources={"limits": {"memory": "2Gi"}}))["spec"]
    assert pod["containers"][0]["resources"] == {
        "limits": {"memory": "2Gi"},
        "requests": {"cpu": 1},
    }
    # who names no account has none, whatever others may name
    assert policies.of("team-a").completed(template())["spec"]["automountServiceAccountToken"] is (
        False
    )
    token = {"automountServiceAccountToken": True}
    assert len(policies.refusals(launch(template(token)))) == 1
    assert policies.refusals(launch(template({**token, "serviceAccountName": "trainer"}))) == []
    # a root image keeps its user at the level that allows it
    assert "runAsUser" not in policies.of("team-a").completed(asks)["spec"].get(
        "securityContext", {}
    )


def test_an_administrator_bounds_classes_and_allows_injections():
    policies = read_policies(
        """
        default: {priorityClasses: [low], runtimeClasses: [nvidia]}
        namespaces: {team-a: {injections: ["vault.hashicorp.com/*"]}}
        """
    )
    asks = template({"runtimeClassName": "runc", "priorityClassName": "low"})
    asks["metadata"] = {
        "annotations": {
            "vault.hashicorp.com/role": "a",
            "sidecar.istio.io/inject": "false",
            "prometheus.io/scrape": "true",
        }
    }
    queued = replace(launch(asks), queue={"kueue.x-k8s.io/priority-class": "high"})
    assert [path.rpartition("template.")[2] for path, _ in policies.refusals(queued)] == [
        "metadata.labels.kueue.x-k8s.io/priority-class", "spec.runtimeClassName",
    ]  # fmt: skip
    (_, vault) = policies.refusals(replace(queued, namespace="team-b", queue={}))
    assert vault[0].endswith("metadata.annotations.vault.hashicorp.com/role")


def test_no_trial_runs_beside_the_control_plane():
    policies = read_policies("", own_namespace="autotune")
    ((path, words),) = policies.refusals(launch(template(), namespace="autotune"))
    assert path == "metadata.namespace"
    assert "AutoTune's own namespace" in words
    assert policies.refusals(launch(template())) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default: [", "is no YAML"),
        ("- x", "must be a mapping, but got list"),
        ("defaults: {}", "no 'defaults'"),
        ("default: {secret: [a]}", "default.secret: is no field; there are level"),
        ("default: {secrets: a}", "default.secrets: must be a list of names, but got 'a'"),
        ("default: {level: strict}", "must be one of restricted, baseline, privileged"),
        ("default: {runAsUser: root}", "default.runAsUser: must be a whole number or null"),
        ("default: {most: {memory: lots}}", "default.most.memory: must be an amount"),
        ("namespaces: [a]", "namespaces: must be a mapping"),
        ("namespaces: {a: 1}", "namespaces.a: must be a mapping, but got 1"),
    ],
)
def test_a_policy_that_cannot_be_read_names_the_field(text: str, words: str):
    with pytest.raises(PolicyError, match=re.escape(words)):
        read_policies(text)
