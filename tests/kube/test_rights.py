"""The backend under RBAC: with the rights that docs/kubernetes.md lists, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.training.base import BackendUnavailable, JobState
from experiments.training.kubernetes.api import KubeApi
from experiments.training.kubernetes.backend import KubernetesBackend
from experiments.training.kubernetes.jobs import ENGINES
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import drive
from tests.kube.test_outages import launch, wait_state

pytestmark = pytest.mark.usefixtures("kubelet")


def rules(engine: str) -> list[dict[str, Any]]:
    kinds = ENGINES[engine].kinds
    group = kinds[0].group_version.partition("/")[0]
    own = ["create", "get", "list", "watch", "patch", "delete"]
    found = [
        {"apiGroups": [group], "resources": [kind.plural for kind in kinds], "verbs": own},
        {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    if engine == "trainer":
        runtimes = {"apiGroups": [group], "resources": ["trainingruntimes"]}
        found.append({**runtimes, "verbs": ["get", "create", "patch"]})
    if engine == "jobset":  # whose deadlines are those of their Jobs
        found[0]["verbs"] = [verb for verb in own if verb != "patch"]
        verbs = ["list", "watch", "patch", "get"]
        found.append({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": verbs})
    if engine == "batch":
        found.append({"apiGroups": [""], "resources": ["services"], "verbs": ["create", "get"]})
    return found


def acting_with(
    plane: ControlPlane, namespace: str, rights: list[dict[str, Any]], engine: str, root: Path
) -> KubernetesBackend:
    """A backend that acts as a ServiceAccount with these rights in its namespace only."""
    meta = {"name": "autotune", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "autotune"}
    subject = {"kind": "ServiceAccount", "name": "autotune", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io/v1"
    for thing in (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": rbac, "kind": "Role", "metadata": meta, "rules": rights},
        {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [subject],
        },
    ):
        plane.kubectl("apply", "-f", "-", text=json.dumps(thing))
    settings = plane.client(plane.service_account_kubeconfig(namespace, "autotune")).configuration
    return KubernetesBackend(engine, root, connect=lambda: KubeApi.with_configuration(settings))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_documented_rights_are_enough(
    engine: str,
    namespace: str,
    control_plane: ControlPlane,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    found = acting_with(control_plane, namespace, rules(engine), engine, tmp_path)
    try:
        two = launch(namespace, 1, "echo hello")
        handle = found.launch(two)
        assert found.launch(two) == handle
        wait_state(found, handle, JobState.SUCCEEDED)
        assert b"hello" in found.read_log(handle, found.logs(handle)[0].name, 0, 100)
        running = found.launch(launch(namespace, 2, seconds_left=5.0))
        wait_state(found, running, JobState.RUNNING)
        found.allow(running, 3600)
        assert "stays as it is" not in caplog.text
        found.stop(running)
        wait_state(found, running, JobState.STOPPED)
        for each in (handle, running):
            found.forget(each)
    finally:
        found.close()


def test_without_the_right_to_see_warnings_it_works_too(
    namespace: str, control_plane: ControlPlane, tmp_path: Path
):
    rights = rules("batch")
    rights[1]["resources"] = ["pods"]
    found = acting_with(control_plane, namespace, rights, "batch", tmp_path)
    try:
        wait_state(found, found.launch(launch(namespace, 1, "true")), JobState.SUCCEEDED)
    finally:
        found.close()


def test_without_the_right_to_patch_a_job_keeps_its_deadline_and_goes_on(
    namespace: str, control_plane: ControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    rights = rules("batch")
    rights[0]["verbs"] = [verb for verb in rights[0]["verbs"] if verb != "patch"]
    found = acting_with(control_plane, namespace, rights, "batch", tmp_path)
    try:
        handle = found.launch(launch(namespace, 1, seconds_left=5.0))
        wait_state(found, handle, JobState.RUNNING)
        for _ in range(3):
            found.allow(handle, 3600)
        assert caplog.text.count("stays as it is") == 1, "said once"
        assert found.poll([handle])[0].state is JobState.RUNNING
        found.stop(handle)
    finally:
        found.close()


def test_a_missing_right_is_named_and_fails_no_trial(
    namespace: str, control_plane: ControlPlane, tmp_path: Path
):
    found = acting_with(control_plane, namespace, rules("batch")[1:], "batch", tmp_path)
    try:
        with pytest.raises(BackendUnavailable, match=r"cannot create resource .jobs."):
            drive([], lambda: found.launch(launch(namespace, 1)))
    finally:
        found.close()
