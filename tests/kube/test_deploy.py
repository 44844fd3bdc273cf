"""deploy/: every overlay builds, the API server takes every manifest, rights are the least."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.embedded.serving import DRAIN_S
from experiments.monitoring.door import OFFSETS
from tests.kube.control_plane import ControlPlane
from tests.kube.installed import DEPLOY, install_crd

OVERLAYS = ("base", "embedded", "production", "served-namespace", "trials")
OPTIONS = ("aistore", "any-user", "from-nodes", "monitoring", "runtimes")
WORKLOADS = ("Deployment", "Job")


def built(plane: ControlPlane, overlay: str) -> str:
    return plane.kubectl("kustomize", str(DEPLOY / overlay))


def objects(plane: ControlPlane, overlay: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(built(plane, overlay)))


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """A cluster with the CRD and the namespaces, which a dry run cannot make for what follows."""
    install_crd(control_plane)
    for name in ("autotune", "autotune-trials", "team-a"):
        control_plane.make_namespace(name)
        control_plane.kubectl(
            "label", "namespace", name, "pod-security.kubernetes.io/warn=restricted"
        )
    return control_plane


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_every_manifest(cluster: ControlPlane, overlay: str):
    # base names no namespace: it is applied to that of the user
    dry_run(cluster, built(cluster, overlay), *(["-n", "autotune"] if overlay == "base" else []))


def dry_run(plane: ControlPlane, manifests: str, *where: str) -> None:
    """What the API server says of these manifests, each of them taken and none warned of."""
    done = subprocess.run(
        [
            *(plane.programs / "kubectl", "--kubeconfig", plane.kubeconfig),
            *("apply", "--dry-run=server", *where, "-f", "-"),
        ],
        input=manifests,
        capture_output=True,
        text=True,
        timeout=120,
        env={"HOME": str(plane.directory), "PATH": os.environ.get("PATH", "")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("server dry run") == len(list(yaml.safe_load_all(manifests)))
    # e.g. a pod that the restricted Pod Security Standard would turn away
    assert "would violate" not in done.stderr, done.stderr


def test_every_folder_is_tried(cluster: ControlPlane):
    folders = {path.parent.name for path in DEPLOY.glob("*/kustomization.yaml")}
    assert folders == {*OVERLAYS, *OPTIONS, "rights"}


def with_option(
    plane: ControlPlane, overlay: str, key: str, option: str, scratch: Path
) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects of an overlay with one of our options below ``key``, as a user's copy has it."""
    copy = scratch / "deploy"
    shutil.copytree(DEPLOY, copy, symlinks=True)
    path = copy / overlay / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization.setdefault(key, []).append(f"../{option}")
    path.write_text(yaml.safe_dump(kustomization))
    text = plane.kubectl("kustomize", str(copy / overlay))
    found = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(text)}
    dry_run(plane, text)
    return found


def test_the_aistore_component_adds_one_right(cluster: ControlPlane, tmp_path: Path):
    found = with_option(cluster, "production", "components", "aistore", tmp_path)
    assert found["Role", "autotune-aistore"]["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_right_is_a_wildcard_and_none_is_cluster_wide(cluster: ControlPlane, overlay: str):
    for found in objects(cluster, overlay):
        assert found["kind"] != "ClusterRoleBinding"
        if found["kind"] == "ClusterRole":  # of people, and bound to nobody
            assert found["metadata"]["name"].startswith("autotuneexperiments-")
        for rule in found.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], found


def test_one_option_gives_one_right_in_all_of_the_cluster(cluster: ControlPlane):
    dry_run(cluster, built(cluster, "runtimes"))
    role, binding = objects(cluster, "runtimes")
    assert role["rules"] == [
        {
            "apiGroups": ["trainer.kubeflow.org"],
            "resources": ["clustertrainingruntimes"],
            "verbs": ["get"],
        }
    ]
    assert {each["namespace"] for each in binding["subjects"]} == {"autotune"}


@pytest.mark.parametrize("overlay", ["embedded", "production"])
def test_every_container_is_locked_down_and_probed(cluster: ControlPlane, overlay: str):
    workloads = [o for o in objects(cluster, overlay) if o["kind"] in WORKLOADS]
    assert len(workloads) == (1 if overlay == "embedded" else 5)
    for workload in workloads:
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            policy = {"/etc/autotune"} if workload["kind"] == "Deployment" else set()
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounted == {"/data", "/tmp"} | policy
            if workload["kind"] == "Deployment":
                assert "livenessProbe" in container
                assert "startupProbe" in container


def test_the_image_runs_as_the_user_that_the_pods_name(cluster: ControlPlane):
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    (workload,) = [o for o in objects(cluster, "embedded") if o["kind"] == "Deployment"]
    user = workload["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in dockerfile


def test_what_one_object_says_no_other_takes_back(cluster: ControlPlane):
    """A second apply changes nothing that runs: who scales is the scaler, and no Job is edited."""
    found = {(o["kind"], o["metadata"]["name"]): o for o in objects(cluster, "production")}
    scaled = [
        o["spec"]["scaleTargetRef"]["name"]
        for (kind, _), o in found.items()
        if kind == "HorizontalPodAutoscaler"
    ]
    assert scaled
    for name in scaled:
        assert "replicas" not in found["Deployment", name]["spec"]
    job = found["Job", "autotune-migrations"]
    maps = [name for kind, name in found if kind == "ConfigMap"]
    assert maps
    assert not [name for name in maps if name in str(job)], "its name changes with its contents"
    assert job["spec"]["ttlSecondsAfterFinished"]


def test_a_web_pod_ends_only_where_another_takes_over(cluster: ControlPlane):
    found = {(o["kind"], o["metadata"]["name"]): o for o in objects(cluster, "production")}
    assert found["HorizontalPodAutoscaler", "autotune-web"]["spec"]["minReplicas"] >= 2
    assert found["PodDisruptionBudget", "autotune-web"]["spec"]["minAvailable"] >= 1
    web = found["Deployment", "autotune-web"]["spec"]
    assert web["minReadySeconds"] > 0
    assert web["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = web["template"]["spec"]
    (container,) = pod["containers"]
    probe = container["readinessProbe"]
    noticed = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    leave = int(container["args"][container["args"].index("--leave") + 1])
    assert leave > noticed, "it is not ready for longer than it takes to notice"
    (_, pause) = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(pause) + leave + DRAIN_S


def test_images_have_the_version_of_this_release(cluster: ControlPlane):
    release = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    for overlay in ("embedded", "production"):
        for workload in objects(cluster, overlay):
            if workload["kind"] in WORKLOADS:
                for container in workload["spec"]["template"]["spec"]["containers"]:
                    assert container["image"] == f"autotune-web:{release}"


@pytest.mark.parametrize("overlay", ["embedded", "production"])
def test_any_user_names_none(cluster: ControlPlane, overlay: str, tmp_path: Path):
    found = with_option(cluster, overlay, "transformers", "any-user", tmp_path)
    for (kind, _), workload in found.items():
        if kind in WORKLOADS:
            assert workload["spec"]["template"]["spec"]["securityContext"] == {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            }


def test_from_nodes_lets_in_a_network_and_web_alone(cluster: ControlPlane, tmp_path: Path):
    found = with_option(cluster, "embedded", "components", "from-nodes", tmp_path)
    policy = found["NetworkPolicy", "autotune-web-outside"]["spec"]
    assert policy["podSelector"] == found["NetworkPolicy", "autotune-web"]["spec"]["podSelector"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "192.168.0.0/16"}}]


@pytest.mark.parametrize("overlay", ["embedded", "production"])
def test_monitoring_turns_the_ports_on_and_lets_only_prometheus_in(
    cluster: ControlPlane, overlay: str, tmp_path: Path
):
    found = with_option(cluster, overlay, "components", "monitoring", tmp_path)
    maps = [o for (kind, name), o in found.items() if name.startswith("autotune-") and "data" in o]
    (own,) = [o for o in maps if "AUTOTUNE_METRICS" in o["data"]]
    first = int(own["data"]["AUTOTUNE_METRICS"].rpartition(":")[2])
    ports = {
        port["name"]: port["containerPort"]
        for (kind, _), o in found.items()
        if kind == "Deployment"
        for container in o["spec"]["template"]["spec"]["containers"]
        for port in container["ports"]
    }
    service = found["Service", "autotune-metrics"]["spec"]
    served = {port["name"]: ports[port["targetPort"]] for port in service["ports"]}
    assert served == {role: first + offset for role, offset in OFFSETS.items()}
    watched = found["ServiceMonitor", "autotune"]["spec"]
    assert {endpoint["port"] for endpoint in watched["endpoints"]} == served.keys()
    labels = found["Service", "autotune-metrics"]["metadata"]["labels"]
    assert watched["selector"]["matchLabels"].items() <= labels.items()
    (rule,) = found["NetworkPolicy", "autotune-metrics"]["spec"]["ingress"]
    (allowed,) = rule["ports"]
    assert (allowed["port"], allowed["endPort"]) == (min(served.values()), max(served.values()))
    assert found["ConfigMap", "autotune-dashboard"]["metadata"]["namespace"] == "autotune"


@pytest.mark.parametrize(
    "sample", sorted((DEPLOY / "samples").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_api_server_takes_every_sample(cluster: ControlPlane, sample: Path):
    dry_run(cluster, sample.read_text())


@pytest.mark.parametrize("folder", ["trials", "served-namespace"])
def test_every_account_that_plays_a_role_is_bound_wherever_trials_run(
    cluster: ControlPlane, folder: str, tmp_path: Path
):
    """With uploads, in further namespaces too, and for the one account of the embedded overlay."""
    found = with_option(cluster, folder, "components", "aistore", tmp_path)
    bound = {name: o for (kind, name), o in found.items() if kind == "RoleBinding"}
    assert bound.keys() == {f"autotune-{role}" for role in ("web", "worker", "operator", "aistore")}
    where = {"trials": "autotune-trials", "served-namespace": "team-a"}[folder]
    for name, binding in bound.items():
        role = "worker" if name == "autotune-aistore" else name.removeprefix("autotune-")
        assert binding["metadata"]["namespace"] == where
        assert {(s["name"], s["namespace"]) for s in binding["subjects"]} == {
            (f"autotune-{role}", "autotune"),
            ("autotune-embedded", "autotune"),
        }
