"""The API server and the parser refuse the same manifests, wherever a schema can say it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client import ApiException

from experiments.manifest.spec import parse_manifest
from experiments.problems import ProblemsError
from tests.kube.control_plane import ControlPlane
from tests.kube.installed import SPECIFICATION, install_crd
from tests.manifest.manifests import CONTAINER, TASK, at_random, small
from tests.manifest.test_spec_problems import BAD

# What stands inside a search space or classArgs is known to the parser alone: as JSON text no
# schema reads it, and a field that may be text or a mapping has no schema for the mapping.
INSIDE = ("spec.searchSpace.", "spec.tuner.classArgs.", "spec.assessor.classArgs.")
# Metadata is Kubernetes' own: there a label without a value is an empty one.
KUBERNETES_TAKES = [("metadata.labels", {"a": None})]


@pytest.fixture(scope="module")
def crd(control_plane: ControlPlane) -> ControlPlane:
    install_crd(control_plane)
    return control_plane


def refusal(plane: ControlPlane, manifest: Any) -> str:
    """Why the API server refuses a manifest as kubectl sends it (strictly), or ""."""
    objects = client.CustomObjectsApi(plane.client())
    try:
        objects.create_namespaced_custom_object(
            *("tensorstack.dev", "v1beta1", "default", "autotuneexperiments", manifest),
            dry_run="All",
            field_validation="Strict",
        )
    except ApiException as error:
        if error.status not in (400, 422):
            raise
        return str(error.body)
    return ""


def is_inside_json(manifest: Any) -> bool:
    """Whether every problem of this manifest lies where no schema looks."""
    with pytest.raises(ProblemsError) as caught:
        parse_manifest(manifest)

    def inside(path: str) -> bool:
        if path.startswith(INSIDE):
            return True
        section, _, name = path.rpartition(".")
        text = manifest["spec"].get("searchSpace") if name == "searchSpace" else ""
        return section == "spec" and isinstance(text, str) and text[:1] + text[-1:] == "{}"

    return all(inside(problem.path) for problem in caught.value.problems)


def test_what_the_parser_refuses_the_api_server_refuses(crd: ControlPlane):
    accepted, refused_inside = [], []
    for where, value, *_ in BAD:
        manifest = small({where: value})
        told = refusal(crd, manifest)
        inside = is_inside_json(manifest)
        if not told and not inside:
            accepted.append((where, value))
        if told and inside:
            refused_inside.append((where, value, told))
    assert accepted == KUBERNETES_TAKES
    # the table of what no schema can say stays honest
    assert refused_inside == []
    assert len(BAD) > 120


@pytest.mark.parametrize(
    ("framework", "types"),
    [
        ("tensorflow", [("wroker", 1)]),
        ("xgboost", [("master", 1), ("ps", 1)]),
        ("tensorflow", [("worker", 1), ("worker", 2)]),
        ("tensorflow", [("worker", 1), ("Worker", 2)]),
        ("tensorflow", [("chief", 2)]),
        ("xgboost", [("Master", 3)]),
    ],
)
def test_replica_types_are_those_of_the_framework(
    crd: ControlPlane, framework: str, types: list[tuple[str, int]]
):
    template = small()["spec"]["trainingConfig"]["tasks"][0]["template"]
    tasks = [{"type": kind, "replicas": n, "template": template} for kind, n in types]
    manifest = small({"spec.trainingConfig": {"type": framework, "tasks": tasks}})
    with pytest.raises(ProblemsError):
        parse_manifest(manifest)
    assert refusal(crd, manifest)


def test_container_names_may_be_given_once(crd: ControlPlane):
    one = {"name": "pytorch", "image": "x"}
    for changes in (
        {f"{TASK}.template.spec.containers": [one, one]},
        {f"{TASK}.template.spec.initContainers": [one]},
    ):
        manifest = small(changes)
        with pytest.raises(ProblemsError):
            parse_manifest(manifest)
        assert "Each container name may be given once" in refusal(crd, manifest)


def test_what_the_parser_takes_the_api_server_takes(crd: ControlPlane):
    for seed in range(150):
        manifest = at_random(seed)
        parse_manifest(manifest)
        manifest["metadata"]["namespace"] = "default"
        assert refusal(crd, manifest) == "", seed


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("spec.tuner.builtinTunerName", "tpe"),
        ("spec.tuner.builtinTunerName", "TPETuner"),
        ("spec.tuner.classArgs", " "),
        ("spec.tuner.classArgs", {}),
        ("spec.tuner.classArgs", None),
        ("spec.storage", 1024),
        ("spec.storage", 0.5),
        ("spec.maxTrialNum", 7.0),
        (f"{TASK}.type", "Worker"),
        (f"{TASK}.replicas", None),
        (f"{CONTAINER}.resources", {"limits": {"cpu": 0.5, "memory": "1Gi", "nvidia.com/gpu": 1}}),
        (f"{CONTAINER}.ports", [{"containerPort": 80}]),
        (f"{CONTAINER}.env", [{"name": "A", "value": None, "valueFrom": {"x": {"y": 1}}}]),
        ("spec.assessor", None),
        ("spec.aistore", None),
    ],
)
def test_the_parsers_leniency_is_the_api_servers(crd: ControlPlane, where: str, value: Any):
    manifest = small({where: value})
    parse_manifest(manifest)
    assert refusal(crd, manifest) == ""


def test_pods_come_back_as_they_were_given(crd: ControlPlane, namespace: str):
    manifest = small({f"{CONTAINER}.ports": [{"containerPort": 80, "protocol": "TCP"}]})
    pod = manifest["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]
    pod["affinity"] = {"nodeAffinity": {"anything": ["at", {"all": None}, 1.5]}}
    given = copy.deepcopy(manifest["spec"])
    objects = client.CustomObjectsApi(crd.client())
    found = objects.create_namespaced_custom_object(
        "tensorstack.dev", "v1beta1", namespace, "autotuneexperiments", manifest
    )
    assert found["spec"] == given


def test_the_specifications_manifest_is_applied_by_kubectl(crd: ControlPlane, namespace: str):
    crd.kubectl("-n", namespace, "apply", "-f", str(SPECIFICATION))
    header, row = crd.kubectl("-n", namespace, "get", "ate").splitlines()
    assert header.split() == ["NAME", "PHASE", "TRIALS", "BEST", "AGE"]
    assert row.split()[0] == "experiment-sample"
    assert "experiment-sample" in crd.kubectl("-n", namespace, "get", "all")
    assert "batch" not in crd.kubectl("explain", "ate.spec.tuner.builtinTunerName")
    words = crd.kubectl("explain", "ate.spec.maxExecSeconds")
    assert "TIMEOUT" in words
    assert (
        yaml.safe_load(SPECIFICATION.read_text())["spec"]["searchSpace"]
        in (
            yaml.safe_load(crd.kubectl("-n", namespace, "get", "ate", "-o", "yaml"))["items"][0][
                "spec"
            ]["searchSpace"]
        )
    )


def test_a_refusal_says_what_must_hold(crd: ControlPlane):
    for where, value, words in (
        ("spec.maxTrialNum", 0, "should be greater than or equal to 1"),
        ("spec.trialConcurency", 3, 'unknown field \\"spec.trialConcurency\\"'),
        ("metadata.name", "x" * 64, "must be at most 63 characters: it becomes a label"),
    ):
        assert words in refusal(crd, small({where: value}))
    for limit in ("maxTrialNum", "maxExecSeconds"):  # the parser takes either alone
        without = small()
        del without["spec"][limit]
        assert f"spec.{limit}: Required value" in refusal(crd, without)
    without = small()
    del without["spec"]["tuner"]
    assert "A tuner is required: it chooses the parameters." in refusal(crd, without)
