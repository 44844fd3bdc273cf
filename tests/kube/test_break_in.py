"""A user without rights in the cluster, and one with `edit` in a namespace of trials, at each door.

The first writes manifests (REST as the page's form, YAML and file uploads do; a clone; an edit of
what runs; kubectl), the second makes pods and TrainJobs past us. What each asks for is something
that a trial is not to have; nothing of it may come to a job.
"""

from __future__ import annotations

import copy
import json
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from experiments.training.kubernetes.jobs import build
from experiments.training.kubernetes.policy import STRICT
from tests.e2e.stack import wait_for
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import tasks
from tests.kube.installed import Installed, installation
from tests.kube.test_access import bind
from tests.kube.test_engines import launch_of_tasks
from tests.kube.test_operator import quick

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("kubelet")]

ANTI = [{"namespaceSelector": {}, "topologyKey": "kubernetes.io/os"}]
CLAIM = {"accessModes": ["ReadWriteOnce"], "volumeName": "pv-of-others"}
SERVER = {"secretRef": {"name": "autotune"}}
FIRST = {"name": "first", "image": "registry.local/x:1", "envFrom": [SERVER]}
TOKEN = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
NAMED = {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}}
WEEK = 7 * 24 * 3600
# by what they are after: metadata and spec of the pod, and where it is seen
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the server's Secret before the trial": (
        {}, {"initContainers": [FIRST]}, "spec.initContainers[0].envFrom[0].secretRef.name",
    ),
    "a Secret through the mesh": (
        {"annotations": {"sidecar.istio.io/userVolume": '[{"name":"s"}]'}}, {},
        "metadata.annotations.sidecar.istio.io/userVolume",
    ),
    "a role of the cloud's": (
        {"annotations": {"iam.amazonaws.com/role": "admin"}}, {},
        "metadata.annotations.iam.amazonaws.com/role",
    ),
    "the traffic of another's JobSet": (
        {"labels": {"jobset.sigs.k8s.io/jobset-name": "at-abc-1-1"}}, {},
        "metadata.labels.jobset.sigs.k8s.io/jobset-name",
    ),
    "a token": ({}, {"volumes": [TOKEN]}, "spec.volumes[0].projected.sources[0]"),
    "a volume of others": (
        {}, {"volumes": [NAMED]}, "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.volumeName",
    ),
    "every node for itself": (
        {}, {"affinity": {"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": ANTI}}},
        "spec.affinity.podAntiAffinity",
    ),
    "no end": ({}, {"terminationGracePeriodSeconds": WEEK}, "spec.terminationGracePeriodSeconds"),
    "an owner": ({"ownerReferences": [{"kind": "Node"}]}, {}, "metadata.ownerReferences"),
    "the highest rank": (
        {}, {"priorityClassName": "system-node-critical"}, "spec.priorityClassName",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def here(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    namespace = control_plane.make_namespace(f"t-{secrets.token_hex(4)}")
    directory = tmp_path_factory.mktemp("installed")
    with installation(control_plane, namespace, directory, engine="auto") as here:
        yield here


def with_form(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    meta, pod, _ = FORMS[name]
    attack = copy.deepcopy(manifest)
    template = attack["spec"]["trainingConfig"]["tasks"][0]["template"]
    template["metadata"] = meta
    template["spec"] |= pod
    return attack


def sent(here: Installed, body: bytes, kind: str) -> tuple[int, Any]:
    """POST a manifest in a shape that is not JSON."""
    request = urllib.request.Request(
        f"{here.stack.url}/api/v1/experiments/", data=body, method="POST",
        headers={"Authorization": f"Bearer {here.stack._bearer()}", "Content-Type": kind},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def doors(here: Installed, attack: dict[str, Any]) -> Iterator[tuple[str, int, Any]]:
    yield "REST and form", *here.stack.api("POST", "experiments/", attack)
    text = yaml.safe_dump(attack)
    yield "YAML", *sent(here, text.encode(), "application/yaml")
    lines = ["--b", 'Content-Disposition: form-data; name="file"; filename="a.yaml"', "", text]
    body = "\r\n".join([*lines, "--b--", ""]).encode()
    yield "file", *sent(here, body, "multipart/form-data; boundary=b")


def kinds(here: Installed) -> str:
    return here.objects.kubectl("get", "jobs,trainjobs,trainingruntimes,pods", "-o", "name")


def test_no_form_gets_through_a_door_for_manifests(here: Installed) -> None:
    good = quick(arguments=[600], maxTrialNum=1, trialConcurrency=1)
    good["metadata"] = {"name": "good"}
    here.objects.apply(good)
    here.objects.wait_for_phase("good", "RUNNING")
    wait_for("its pod", lambda: "pod/" in kinds(here), 60)
    (row,) = here.experiments()
    cloned = here.stack.api("GET", f"experiments/{row['id']}/manifest/")[1]
    cloned = yaml.safe_load(cloned) if isinstance(cloned, bytes) else cloned
    assert cloned["spec"]["trainingConfig"]["tasks"], cloned
    before = kinds(here)
    for number, (what, (_, _, path)) in enumerate(FORMS.items()):
        for origin in (good, cloned):  # written anew, and cloned
            attack = with_form(origin, what)
            attack["metadata"] = {"name": f"attack-{number}"}
            for door, status, answer in doors(here, attack):
                assert status == 400, (what, door, answer)
                paths = [problem["path"] for problem in answer["errors"]]
                wanted = f"spec.trainingConfig.tasks[0].template.{path}"
                assert any(each.startswith(wanted) for each in paths), (what, door, paths)
        here.objects.apply(with_form(attack | {"metadata": {"name": f"attack-{number}"}}, what))
        # and what runs is edited into it
        edited = with_form(good, what)["spec"]["trainingConfig"]
        path_ = f"experiments/{row['id']}/"
        assert here.stack.api("PATCH", path_, {"trainingConfig": edited})[0] == 400
        here.objects.patch("good", {"spec": {"trainingConfig": edited}})
    for number, (what, (_, _, path)) in enumerate(FORMS.items()):
        note = here.objects.wait_for_phase(f"attack-{number}", "ERROR")["serverNote"]
        assert path in note, (what, note)
    wait_for("the refusal", lambda: "EditRefused" in here.objects.reasons("good"), 60)
    assert [each["name"] for each in here.experiments()] == ["good"]
    assert kinds(here) == before, "nothing was made, and what ran goes on as it was"
    queued = {**good, "metadata": {"name": "q", "labels": {"kueue.x-k8s.io/queue-name": "a b"}}}
    assert here.stack.api("POST", "experiments/", queued)[0] == 400, "no label of a queue"
    here.objects.kubectl("delete", "ate", "--all", "--timeout=60s")


def test_who_may_edit_a_namespace_gets_nothing_past_us(
    here: Installed, control_plane: ControlPlane
) -> None:
    bind(control_plane, "edit", here.objects.namespace, "--user=mallory")

    def as_mallory(*words: str, thing: Any = None) -> str:
        """What kubectl says that it may not."""
        done = subprocess.run(
            [
                *(control_plane.programs / "kubectl", "--kubeconfig", control_plane.kubeconfig),
                *("--as=mallory", "-n", here.objects.namespace, *words),
            ],
            input=json.dumps(thing),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stderr if done.returncode else ""

    image = {"name": "c", "image": "registry.local/x:1", "command": ["sleep", "600"]}
    usual = STRICT.completed({"spec": {"containers": [image]}})["spec"]
    usual["terminationGracePeriodSeconds"] = 0
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "usual"}, "spec": usual}
    assert as_mallory("create", "-f", "-", thing=pod) == ""
    # a container that is added to what runs
    (locked,) = usual["containers"]
    debug = {**locked, "name": "debug", "envFrom": [SERVER]}
    path = f"/api/v1/namespaces/{here.objects.namespace}/pods/usual"
    whole = json.loads(here.objects.kubectl("get", "--raw", path))
    whole["spec"]["ephemeralContainers"] = [debug]
    raw = ("replace", "--raw", f"{path}/ephemeralcontainers", "-f", "-")
    # 'edit' does not hold this right: whoever was given it all the same
    here.objects.kubectl(
        *("create", "role", "debugger", "--verb=get,update,patch"),
        "--resource=pods/ephemeralcontainers",
    )
    here.objects.kubectl(
        *("create", "rolebinding", "debugger", "--role=debugger", "--user=mallory")
    )
    assert "Trials read no Secret but" in as_mallory(*raw, thing=whole)
    # a Secret that a driver is handed
    driven = {"driver": "d", "nodePublishSecretRef": {"name": "autotune"}}
    pod["metadata"]["name"] = "driven"
    usual["volumes"] = [{"name": "v", "csi": driven}]
    assert "Trials read no Secret but" in as_mallory("create", "-f", "-", thing=pod)
    here.objects.kubectl("delete", "pod", "usual", "--now")
    # a TrainJob that lays over what its runtime says
    overrides = {
        "the account": {"serviceAccountName": "autotune-worker"},
        "a Secret": {"volumes": [{"name": "s", "secret": {"secretName": "autotune"}}]},
        "a Secret as environment": {
            "containers": [
                {"name": "node", "env": [{"name": "K", "valueFrom": {
                    "secretKeyRef": {"name": "autotune", "key": "k"}}}]}
            ]
        },
        "the node's files": {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]},
    }  # fmt: skip
    row = tasks("pytorch", {"worker": 1})
    row[0]["template"] = STRICT.completed(row[0]["template"])
    for number, (what, over) in enumerate(overrides.items()):
        given = replace(launch_of_tasks(row), namespace=here.objects.namespace, trial_number=number)
        objects, _ = build(given, "trainer")
        objects[0]["spec"]["podSpecOverrides"] = [{"targetJobs": [{"name": "node"}], **over}]
        for thing in objects[::-1]:
            here.objects.kubectl("create", "-f", "-", text=json.dumps(thing))

        def refused(name: str = given.name) -> bool:
            return any(
                event["verb"] == "create"
                and event["objectRef"]["resource"] in ("jobs", "pods")
                and event["objectRef"].get("namespace") == here.objects.namespace
                and event["responseStatus"]["code"] in (403, 422)
                and name in json.dumps(event)
                for event in control_plane.audit()
            )

        wait_for(f"the refusal of {what}", refused, 60)
    assert here.objects.kubectl("get", "pods", "-o", "name") == ""
    here.objects.kubectl("delete", "trainjobs,trainingruntimes", "--all")
