"""What keeps every trial of an experiment from running: told by the object, in one word and whole.

Each obstacle is a real one: of the API server's admission (Pod Security, quota, accounts), of the
played kubelet and scheduler in their words, or of Kueue's.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stack import wait_for
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import TRIAL
from tests.kube.installed import Installed, installation, specification
from tests.kube.kueue import Kueue

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("kubelet")]

# The administrator lets trials have more than the namespace, which enforces `restricted`, does.
POLICY = {"default": {"capabilities": ["SYS_PTRACE"], "serviceAccounts": ["trainer"]}}
ANNOTATION = "autotune.tensorstack.dev/service-accounts=trainer"


@pytest.fixture(scope="module")
def here(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    namespace = control_plane.make_namespace(f"t-{secrets.token_hex(4)}")
    control_plane.kubectl("annotate", "namespace", namespace, ANNOTATION)
    directory = tmp_path_factory.mktemp("installed")
    policy = directory / "policy.json"
    policy.write_text(json.dumps(POLICY))
    env = {"AUTOTUNE_POD_POLICY": str(policy)}
    with installation(control_plane, namespace, directory, **env) as here:
        yield here


def apply(here: Installed, name: str, pod: dict[str, Any], container: dict[str, Any]) -> str:
    manifest = specification(TRIAL, maxTrialNum=1, trialConcurrency=1)
    manifest["metadata"] = {"name": name, "labels": pod.pop("labels", {})}
    spec = manifest["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]
    spec.update(pod)
    spec["containers"][0].update(container)
    return here.objects.apply(manifest)


def blocked(here: Installed, name: str) -> tuple[str, str, str]:
    """What the condition says, its words; and the note says as much."""
    status = here.objects.status(name)
    for row in status.get("conditions", []):
        if row["type"] == "Blocked":
            assert row["message"] in status["serverNote"]
            return row["status"], row["reason"], row["message"]
    return "", "", ""


SECRET = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "trial-key", "key": "key"}}}
CODE = {"name": "code", "configMap": {"name": "trial-code"}}
PTRACE = {"capabilities": {"add": ["SYS_PTRACE"]}}
# name: what of the pod and of its container, the reason, and the cluster's words
OBSTACLES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "image": ({}, {"image": "missing/image:1"}, "ImagePull", "ImagePullBackOff: Back-off"),
    "node": ({"nodeSelector": {"disk": "none"}}, {}, "Unschedulable", "0/1 nodes are available"),
    "scheduler": ({"schedulerName": "volcano"}, {}, "Unschedulable", "volcano has found no node"),
    "security": (
        {},
        {"securityContext": PTRACE},
        "PodSecurity",
        'violates PodSecurity "restricted:latest": unrestricted capabilities',
    ),
    "account": ({"serviceAccountName": "trainer"}, {}, "Forbidden", '"trainer" not found'),
    "secret": (
        {},
        {"env": [SECRET]},
        "Configuration",
        'CreateContainerConfigError: secret "trial-key" not found',
    ),
    "volume": (
        {"volumes": [CODE]},
        {"volumeMounts": [{"name": "code", "mountPath": "/code"}]},
        "Configuration",
        'FailedMount: MountVolume.SetUp failed for volume "code" : configmap "trial-code" not',
    ),
    "queue": (
        {"labels": {"kueue.x-k8s.io/queue-name": "team-a"}},
        {},
        "Queued",
        "It waits in the queue 'team-a' (Kueue). Pending: couldn't assign flavors",
    ),
}


def test_what_keeps_every_trial_from_running_is_told_and_its_end(here: Installed, kueue: Kueue):
    for name, (pod, container, _reason, _words) in OBSTACLES.items():
        apply(here, name, dict(pod), container)
    for name, (*_, reason, words) in OBSTACLES.items():

        def told(name: str = name, reason: str = reason, words: str = words) -> bool:
            status, found, message = blocked(here, name)
            return (status, found) == ("True", reason) and words in message

        wait_for(f"{name}: {reason}, {words}", told, 90)
    # what was missing comes
    here.objects.kubectl("create", "secret", "generic", "trial-key", "--from-literal=key=1")
    here.objects.kubectl("create", "configmap", "trial-code", "--from-literal=a.py=1")
    here.objects.kubectl("create", "serviceaccount", "trainer")
    kueue.room[here.objects.namespace] = 1
    for name in ("secret", "volume", "queue", "account"):
        here.objects.wait_for_phase(name, "DONE")
        assert blocked(here, name) == ("False", "NotBlocked", "")
    here.objects.kubectl("delete", "ate", "--all", "--timeout=60s")


def test_a_quota_is_told_and_its_end(here: Installed):
    here.objects.kubectl("create", "quota", "none", "--hard=pods=0")
    name = apply(here, "quota", {}, {})
    try:
        wait_for("the quota", lambda: blocked(here, name)[:2] == ("True", "Quota"), 60)
        assert "exceeded quota" in here.objects.status(name)["serverNote"]
    finally:
        here.objects.kubectl("delete", "quota", "none")
    here.objects.wait_for_phase(name, "DONE")
    assert blocked(here, name) == ("False", "NotBlocked", "")
    # as docs/kubernetes.md waits before an upgrade
    idle = ("--for=jsonpath={.status.trials.running}=0", "--timeout=20s")
    here.objects.kubectl("wait", "ate", "--all", *idle)
    assert here.objects.status(name)["serverNote"] == ""
