"""deploy/helm: the chart says what the overlays say, and Helm installs, upgrades and removes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.groups import need
from tests.kube.control_plane import ControlPlane
from tests.kube.installed import DEPLOY

CHART = DEPLOY / "helm" / "autotune"
NAMESPACE = "autotune"
HASHED = re.compile(r"^(autotune|autotune-pod-policy)-[a-z0-9]{10}$")
Objects = dict[tuple[str, str, str], dict[str, Any]]


class Helm:
    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [self.plane.programs / "helm", *words],
            capture_output=True,
            text=True,
            timeout=120,
            env={
                "HOME": str(self.plane.directory),
                "PATH": os.environ.get("PATH", ""),
                "KUBECONFIG": str(self.plane.kubeconfig),
            },
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + (done.stderr if code else "")

    def objects(self, *words: str) -> Objects:
        return by_name(
            self("template", "autotune", str(CHART), "-n", NAMESPACE, "--include-crds", *words)
        )


@pytest.fixture(scope="module")
def helm(control_plane: ControlPlane) -> Helm:
    there = (control_plane.programs / "helm").exists()
    need("cluster", there, "helm (tests/kube/controlplane/build.sh)")
    return Helm(control_plane)


def by_name(text: str) -> Objects:
    found: Objects = {}
    for one in yaml.safe_load_all(text):
        if one:
            metadata = one["metadata"]
            key = (one["kind"], metadata.get("namespace", ""), metadata["name"])
            assert key not in found, key
            found[key] = one
    return found


def plain(objects: Objects) -> Objects:
    """What is left where each tool's own ways are taken off: names with hashes, its annotations."""
    found: Objects = {}
    for (kind, namespace, name), one in objects.items():
        if (kind, name) == ("Namespace", NAMESPACE):
            continue  # helm install -n autotune --create-namespace
        text = re.sub(r"\b(autotune-migrations)-[0-9a-f]{8}\b", r"\1", json.dumps(one))
        one = _without_hashes(json.loads(text))
        annotations = one["metadata"].pop("annotations", {})
        assert annotations.keys() <= {"helm.sh/resource-policy"}
        if kind == "Deployment":
            template = one["spec"]["template"]["metadata"].pop("annotations", {})
            assert template.keys() <= {"autotune.tensorstack.dev/settings"}
        if kind.startswith("ValidatingAdmission"):  # of the cluster; kustomize does not know them
            namespace = ""
            one["metadata"].pop("namespace", None)
        if kind == "CustomResourceDefinition":
            one["metadata"].pop("labels")
        if kind == "ConfigMap" and "pod-policy.yaml" in one["data"]:
            one["data"] = yaml.safe_load(one["data"]["pod-policy.yaml"])
        found[kind, namespace, one["metadata"]["name"]] = one
    return found


def _without_hashes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_hashes(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_hashes(inner) for inner in value]
    match = HASHED.match(value) if isinstance(value, str) else None
    return match[1] if match else value


@pytest.mark.parametrize("mode", ["embedded", "production"])
def test_the_chart_says_what_the_overlay_says(
    helm: Helm, control_plane: ControlPlane, mode: str
) -> None:
    wanted = plain(by_name(control_plane.kubectl("kustomize", str(DEPLOY / mode))))
    found = plain(helm.objects("--set", f"mode={mode}"))
    assert found.keys() == wanted.keys()
    for key, one in wanted.items():
        assert found[key] == one, key


def test_the_chart_is_of_this_release() -> None:
    release = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (release, release)


@pytest.mark.parametrize("mode", ["embedded", "production"])
def test_the_chart_is_clean(helm: Helm, mode: str) -> None:
    said = helm("lint", "--strict", str(CHART), "--set", f"mode={mode}")
    assert "[ERROR]" not in said
    assert "[WARNING]" not in said


def test_monitoring_is_that_of_the_component(helm: Helm) -> None:
    found = helm.objects("--set", "monitoring.enabled=true", "--set", "monitoring.namespace=prom")
    config = found["ConfigMap", NAMESPACE, "autotune"]["data"]
    assert config["AUTOTUNE_METRICS"] == "0.0.0.0:9464"
    for file in ("service", "service-monitor"):
        wanted = yaml.safe_load((DEPLOY / "monitoring" / f"{file}.yaml").read_text())
        assert found[wanted["kind"], NAMESPACE, wanted["metadata"]["name"]] == wanted
    network = found["NetworkPolicy", NAMESPACE, "autotune-metrics"]["spec"]["ingress"][0]["from"]
    labels = {"kubernetes.io/metadata.name": "prom"}
    assert network == [{"namespaceSelector": {"matchLabels": labels}}]
    dashboard = found["ConfigMap", NAMESPACE, "autotune-dashboard"]["data"]["autotune.json"]
    assert json.loads(dashboard) == json.loads((DEPLOY / "monitoring/dashboard.json").read_text())


VALUES = {
    "image": {"repository": "r.example/autotune", "digest": "sha256:" + "0" * 64},
    "pullSecrets": ["pull"],
    "publicUrl": "https://tune.example",
    "secret": "mine",
    "settings": {"AISTORE_HOST": "https://ai.example", "AUTOTUNE_DEBUG": 0},
    "trials": {"namespace": "work", "also": ["team-a"]},
    "podPolicy": {"default": {"images": ["r.example/*"]}},
    "volume": {"size": "1Gi", "storageClass": "shared"},
    "aistore": True,
    "anyUser": True,
    "allowFrom": ["10.0.0.0/8"],
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls"},
    "web": {"minReplicas": 3, "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
    "ticker": {"resources": {"limits": {"memory": "1Gi"}}},
    "nodeSelector": {"pool": "small"},
    "tolerations": [{"key": "own", "operator": "Exists"}],
}


def test_every_value_does_something(helm: Helm, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VALUES))
    found = helm.objects("-f", str(tmp_path / "values.yaml"))
    config = found["ConfigMap", NAMESPACE, "autotune"]["data"]
    assert config["ALLOWED_HOSTS"] == "tune.example,autotune.autotune.svc"
    assert config["AUTOTUNE_PUBLIC_URL"] == "https://tune.example"
    assert config["AUTOTUNE_NAMESPACE"] == "work"
    assert config["AUTOTUNE_NAMESPACES"] == "work,team-a"
    assert (config["AISTORE_HOST"], config["AUTOTUNE_DEBUG"]) == ("https://ai.example", "0")
    policy = found["ConfigMap", NAMESPACE, "autotune-pod-policy"]["data"]["pod-policy.yaml"]
    assert yaml.safe_load(policy)["default"] == {"images": ["r.example/*"]}
    for namespace in ("work", "team-a"):
        for role in ("operator", "worker", "web", "aistore"):
            bound = found["RoleBinding", namespace, f"autotune-{role}"]
            assert {s["namespace"] for s in bound["subjects"]} == {NAMESPACE}
            names = {s["name"] for s in bound["subjects"]}
            assert "autotune-embedded" in names, "the account that plays every role"
    assert ("Namespace", "", "work") in found
    volume = found["PersistentVolumeClaim", NAMESPACE, "autotune-data"]["spec"]
    assert volume["resources"]["requests"]["storage"] == "1Gi"
    assert volume["storageClassName"] == "shared"
    assert found["Ingress", NAMESPACE, "autotune"]["spec"]["rules"][0]["host"] == "tune.example"
    outside = found["NetworkPolicy", NAMESPACE, "autotune-web-outside"]["spec"]["ingress"]
    assert outside[0]["from"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    scaler = found["HorizontalPodAutoscaler", NAMESPACE, "autotune-web"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 8)
    workloads = [o for (kind, *_), o in found.items() if kind in ("Deployment", "Job")]
    assert len(workloads) == 5
    for one in workloads:
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"].keys() == {"runAsNonRoot", "seccompProfile"}
        assert pod["imagePullSecrets"] == [{"name": "pull"}]
        assert pod["nodeSelector"] == {"pool": "small"}
        assert pod["tolerations"] == VALUES["tolerations"]
        (container,) = pod["containers"]
        assert container["image"] == "r.example/autotune@sha256:" + "0" * 64
        assert {"secretRef": {"name": "mine"}} in container["envFrom"]
    resources = {
        o["metadata"]["name"]: o["spec"]["template"]["spec"]["containers"][0]["resources"]
        for o in workloads
    }
    assert resources["autotune-web"] == {"requests": {"cpu": "1", "memory": "1Gi"}}
    assert resources["autotune-ticker"] == {"limits": {"memory": "1Gi"}}
    assert resources["autotune-worker"]["limits"]["memory"] == "2Gi"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("trials.namespace=autotune", "must not name the release's own namespace"),
        ("trials.also={a,autotune}", "must not name the release's own namespace"),
        ("mode=both", "mode"),
        ("image.tag=latest", "tag"),
        ("wbe.minReplicas=3", "wbe"),
        ("publicUrl=tune.example", "publicUrl"),
    ],
)
def test_a_wrong_value_is_named(helm: Helm, given: str, words: str) -> None:
    command = ("template", "autotune", str(CHART), "-n", NAMESPACE, "--set", given)
    assert words in helm(*command, code=1)


def test_a_setting_restarts_the_pods_and_no_job_is_edited(helm: Helm) -> None:
    def told(*words: str) -> tuple[str, str]:
        found = helm.objects(*words)
        (job,) = [name for kind, _, name in found if kind == "Job"]
        web = found["Deployment", NAMESPACE, "autotune-web"]["spec"]["template"]["metadata"]
        return job, web["annotations"]["autotune.tensorstack.dev/settings"]

    before, set_, moved = told(), told("--set", "settings.X=1"), told("--set", "image.tag=0.2.0")
    assert set_[0] == before[0], "the Job knows no setting"
    assert set_[1] != before[1]
    assert moved[0] != before[0], "a new version has a Job of its own"
    assert told("--set", "podPolicy.default.level=baseline")[1] != before[1]


def test_helm_installs_upgrades_and_leaves_what_is_the_users(
    helm: Helm, control_plane: ControlPlane
) -> None:
    own, trials = "helm-own", "helm-trials"
    command = ("autotune", str(CHART), "-n", own, "--set", f"trials.namespace={trials}")
    # Tests beside this one have theirs of the whole cluster there.
    command += ("--set", "peoplesRoles=false", "--set", "admissionPolicy=false")
    helm("install", *command, "--create-namespace")
    there = json.loads(control_plane.kubectl("-n", own, "get", "deploy,job,hpa", "-o", "json"))
    names = {o["metadata"]["name"] for o in there["items"]}
    assert {"autotune-web", "autotune-worker", "autotune-ticker", "autotune-operator"} <= names
    helm("upgrade", *command, "--set", "image.tag=0.2.0", "--set", "web.maxReplicas=4")
    jobs = json.loads(control_plane.kubectl("-n", own, "get", "job", "-o", "json"))["items"]
    alive = [job for job in jobs if not job["metadata"].get("deletionTimestamp")]
    images = [j["spec"]["template"]["spec"]["containers"][0]["image"] for j in alive]
    assert images == ["autotune-web:0.2.0"]
    said = helm("uninstall", "autotune", "-n", own)
    assert "PersistentVolumeClaim" in said
    assert "Namespace" in said
    left = control_plane.kubectl("get", "namespace", trials, "-o", "name")
    left += control_plane.kubectl("-n", own, "get", "pvc", "-o", "name")
    left += control_plane.kubectl("get", "crd", "autotuneexperiments.tensorstack.dev", "-o", "name")
    assert len(left.split()) == 3, "experiments, logs and the database stay"
    assert control_plane.kubectl("-n", own, "get", "deploy", "-o", "name") == ""
