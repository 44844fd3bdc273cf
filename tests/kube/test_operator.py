"""The operator at a real API server, under its own rights, with a real stack behind it.

What is tried is the way from objects to rows and back; trials are Jobs, with a played kubelet.
"""

from __future__ import annotations

import contextlib
import copy
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.training.kubernetes.policy import STRICT
from tests.e2e.stack import manage, wait_for
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import TRIAL
from tests.kube.installed import (
    Installed,
    Objects,
    bind_rights,
    install_base,
    install_crd,
    installation,
    running_operator,
    specification,
)

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("kubelet")]


def installed(plane: ControlPlane, directory: Path, **env: str) -> Any:
    """An installation that tests share, in a namespace of its own: starting it costs most."""
    namespace = plane.make_namespace(f"t-{secrets.token_hex(4)}")
    return installation(plane, namespace, directory, **env)


@pytest.fixture(scope="module")
def _one(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    directory = tmp_path_factory.mktemp("installed")
    with installed(control_plane, directory, AUTOTUNE_SEND_TO_CLUSTER="1") as here:
        yield here


@pytest.fixture(scope="module")
def _other(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    with installed(control_plane, tmp_path_factory.mktemp("to-break")) as here:
        yield here


@pytest.fixture
def here(_one: Installed) -> Iterator[Installed]:
    """The product, with nothing in it, for tests that kill nothing."""
    with in_order(_one):
        yield _one


@pytest.fixture
def to_break(_other: Installed) -> Iterator[Installed]:
    """The product, with nothing in it, for tests that kill the operator or what it stands on."""
    with in_order(_other):
        yield _other


@contextlib.contextmanager
def in_order(installed: Installed) -> Iterator[None]:
    """With an operator that runs, and with nothing left behind."""
    if installed.operator.ended():
        installed.operator.start()
    yield
    if installed.operator.ended():
        installed.operator.start()
    installed.objects.kubectl("delete", "ate", "--all", "--timeout=60s")
    installed.objects.kubectl("delete", "events", "--all")
    wait_for("the rows to go", lambda: installed.experiments() == [], 60)


def quick(**spec: Any) -> dict[str, Any]:
    return specification(
        TRIAL, *spec.pop("arguments", []), **{"maxTrialNum": 4, "trialConcurrency": 2, **spec}
    )


def created(here: Installed) -> str:
    """The id of an experiment named quick, made over REST."""
    manifest = quick(arguments=[60], maxTrialNum=6)
    manifest["metadata"] = {"name": "quick"}
    status, answer = here.stack.api("POST", "experiments/", manifest)
    assert status == 201, answer
    return str(answer["id"])


def pods(here: Installed) -> list[str]:
    return here.objects.kubectl("get", "pods", "-o", "name").split()


def test_an_applied_manifest_runs_to_done_and_kubectl_shows_it(here):
    name = here.objects.apply(quick())
    status = here.objects.wait_for_phase(name, "DONE")
    assert here.objects.reasons(name) == ["Created", "Running", "Done"]
    assert status["progress"] == "4/4"
    assert status["trials"] == {
        "waiting": 0, "running": 0, "succeeded": 4, "failed": 0, "earlyStopped": 0, "canceled": 0,
        "lost": 0,
    }  # fmt: skip
    assert status["observedGeneration"] == 1
    assert status["best"]["parameters"].keys() == {"batch_size", "learning_rate"}
    (experiment,) = here.experiments()
    assert experiment["id"] == status["experiment"]
    assert experiment["best"]["value"] == status["best"]["value"]
    assert experiment["project"] == "default"
    header, row = here.objects.kubectl("get", "ate").splitlines()
    cells = dict(zip(header.split(), row.split(), strict=True))
    assert (cells["PHASE"], cells["TRIALS"]) == ("DONE", "4/4")
    assert float(cells["BEST"]) == pytest.approx(status["best"]["value"], rel=1e-3)
    here.objects.kubectl("wait", "--for=condition=Finished", "--timeout=10s", f"ate/{name}")
    # kopf keeps its notes below the status, not among the user's annotations
    annotations = here.objects.get(name)["metadata"].get("annotations", {})
    assert [key for key in annotations if "kopf" in key] == []
    # nothing happens any more, so nothing is written any more
    version = here.objects.get(name)["metadata"]["resourceVersion"]
    time.sleep(4)
    assert here.objects.get(name)["metadata"]["resourceVersion"] == version


def test_a_bad_manifest_is_an_error_with_all_problems_until_it_is_mended(here):
    bad = quick(
        searchSpace='{"lr": {"_type": "unifrom", "_value": [0, 1]}}',
        tuner={"builtinTunerName": "TPE", "classArgs": '{"constant_lair_type": "min"}'},
    )
    name = here.objects.apply(bad)
    status = here.objects.wait_for_phase(name, "ERROR")
    assert "spec.searchSpace.lr._type" in status["serverNote"]
    wait_for("an Event", lambda: here.objects.reasons(name) == ["InvalidManifest"], 30)
    here.objects.kubectl("annotate", "ate", name, "note=looked-at-again")
    assert "spec.tuner.classArgs.constant_lair_type" in status["serverNote"]
    assert here.experiments() == []
    here.objects.apply(quick())
    status = here.objects.wait_for_phase(name, "DONE")
    assert status["progress"] == "4/4"
    assert status["serverNote"] == ""
    assert here.objects.reasons(name).count("InvalidManifest") == 1


ATTACKS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the server's Secret": ({}, {"envFrom": [{"secretRef": {"name": "autotune"}}]}, "no Secret"),
    "the server's account": (
        {"serviceAccountName": "autotune-worker"},
        {},
        r"no service account|not found",
    ),
    "the node": ({"hostNetwork": True}, {}, "hostNetwork"),
    "users' traffic": ({"labels": {"app.kubernetes.io/part-of": "autotune"}}, {}, "is kept for"),
}


@pytest.mark.parametrize("what", ATTACKS)
def test_a_trial_gets_nothing_of_the_control_planes_at_any_door(here, what: str):
    pod, container, at_last = ATTACKS[what]
    pod = dict(pod)
    labels = pod.pop("labels", {})
    attack = quick()
    template = attack["spec"]["trainingConfig"]["tasks"][0]["template"]
    template["metadata"] = {"labels": labels}
    template["spec"] |= pod
    template["spec"]["containers"][0] |= container
    # REST and pages
    status, answer = here.stack.api("POST", "experiments/", attack)
    assert status == 400
    (problem,) = answer["errors"]
    assert problem["path"].startswith("spec.trainingConfig.tasks[0].template.")
    assert "AUTOTUNE_POD_POLICY" in problem["hint"]
    # kubectl
    attack["metadata"]["name"] = "attack"
    name = here.objects.apply(attack)
    note = here.objects.wait_for_phase(name, "ERROR")["serverNote"]
    assert problem["path"] in note
    assert here.experiments() == []
    # and past us: whoever may create pods there
    image = {"name": "c", "image": "registry.local/x:1", **container}
    locked = STRICT.completed({"spec": {"containers": [image], **pod}})["spec"]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "attack", "labels": labels},
        "spec": locked,
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "attack"},
        "spec": {
            "template": {
                "metadata": {"labels": labels},
                "spec": {**locked, "restartPolicy": "Never"},
            }
        },
    }
    for thing in (body, job):
        with pytest.raises(AssertionError, match=at_last):
            here.objects.kubectl("create", "-f", "-", text=json.dumps(thing))


def test_a_manifest_for_another_namespace_is_refused_never_ignored(here):
    elsewhere = quick()
    elsewhere["metadata"]["namespace"] = "kube-system"
    status, answer = here.stack.api("POST", "experiments/", elsewhere)
    assert (status, answer["errors"][0]["path"]) == (400, "metadata.namespace")
    elsewhere["metadata"]["namespace"] = here.objects.namespace
    status, answer = here.stack.api("POST", "experiments/", elsewhere)
    assert status == 201, answer
    assert here.stack.api("DELETE", f"experiments/{answer['id']}/")[0] in (202, 204)


def test_delete_in_the_middle_leaves_nothing(here):
    name = here.objects.apply(quick(arguments=[60]))
    wait_for("running trials", lambda: here.objects.status(name).get("trials", {}).get("running"))
    assert pods(here)
    here.objects.kubectl("delete", "ate", name, "--timeout=60s")
    assert here.objects.all() == []
    wait_for("the row to go", lambda: here.experiments() == [], 30)
    wait_for("the pods to go", lambda: pods(here) == [], 30)


def test_edits_on_either_side_reach_the_other_and_come_to_rest(here):
    name = here.objects.apply(quick(arguments=[60], maxTrialNum=6))
    here.objects.wait_for_phase(name, "RUNNING")
    (experiment,) = here.experiments()
    path = f"experiments/{experiment['id']}/"

    # kubectl → page
    here.objects.patch(name, {"spec": {"maxTrialNum": 9, "trialConcurrency": 1}})
    here.objects.kubectl("annotate", "ate", name, "tensorstack.dev/suspend=true")

    def edited() -> Any:
        head = here.stack.experiment(experiment["id"])
        return (head["max_trials"], head["concurrency"], head["suspended"]) == (9, 1, True)

    wait_for("the edit of the object", edited, 30)
    wait_for("the progress", lambda: here.objects.status(name)["progress"].endswith("/9"), 30)
    conditions = {row["type"]: row["status"] for row in here.objects.status(name)["conditions"]}
    assert conditions["Suspended"] == "True"

    # page → kubectl
    assert here.stack.api("PATCH", path, {"max_trials": 12, "suspended": False})[0] == 200

    def followed() -> Any:
        found = here.objects.get(name)
        annotations = found["metadata"].get("annotations", {})
        return found["spec"]["maxTrialNum"] == 12 and "tensorstack.dev/suspend" not in annotations

    wait_for("the edit of the row", followed, 30)

    # no ping-pong: one generation an edit, and then rest
    time.sleep(3)
    found = here.objects.get(name)
    assert found["metadata"]["generation"] == 3
    head = here.stack.experiment(experiment["id"])
    assert (head["max_trials"], head["concurrency"], head["suspended"]) == (12, 1, False)

    # what may not be edited is said, and changes nothing
    here.objects.patch(name, {"spec": {"tuner": {"builtinTunerName": "Random"}}})
    note = wait_for("the note", lambda: here.objects.status(name).get("serverNote"), 30)
    assert "the experiment goes on without the edit of tuner" in note
    wait_for("an Event", lambda: "EditRefused" in here.objects.reasons(name), 30)
    here.objects.patch(name, {"spec": {"maxTrialNum": 13}})
    wait_for("the edit", lambda: here.stack.experiment(experiment["id"])["max_trials"] == 13, 60)
    assert here.objects.reasons(name).count("EditRefused") == 1, "told once"


def test_a_killed_operator_goes_on_and_doubles_nothing(to_break):
    here = to_break
    first = quick(arguments=[0.5])
    name = here.objects.apply(first)
    here.objects.wait_for_phase(name, "RUNNING")
    here.operator.kill()
    second = copy.deepcopy(first)
    second["metadata"]["name"] = "while-it-was-away"
    here.objects.apply(second)
    here.objects.patch(name, {"spec": {"maxTrialNum": 5}})
    here.operator.start()
    here.objects.wait_for_phase(name, "DONE")
    here.objects.wait_for_phase("while-it-was-away", "DONE")
    for _ in range(2):  # once more, with nothing left to do
        here.operator.kill()
        here.operator.start()
        time.sleep(3)
    rows = {row["name"]: row["n_trials"] for row in here.experiments()}
    assert rows == {name: 5, "while-it-was-away": 4}
    reasons = here.objects.reasons(name)
    assert (reasons.count("Created"), reasons[-1]) == (1, "Done")
    # deleted while it is away: nothing holds the object up, and its row goes once it is back
    here.operator.kill()
    here.objects.kubectl("delete", "ate", name, "--timeout=10s")
    assert name in [row["name"] for row in here.experiments()]
    here.operator.start()
    rest = ["while-it-was-away"]
    wait_for("its row to go", lambda: [row["name"] for row in here.experiments()] == rest, 60)


def test_experiments_made_in_the_browser_are_seen_by_kubectl(here):
    experiment = created(here)
    (found,) = wait_for("the object", here.objects.all, 60)
    assert found["metadata"]["name"] == "quick"
    assert found["spec"]["maxTrialNum"] == 6
    wait_for("its phase", lambda: here.objects.status("quick").get("phase") == "RUNNING", 60)
    assert here.objects.status("quick")["experiment"] == experiment
    there = here.stack.experiment(experiment)["cluster_object"]
    assert there == {"namespace": here.objects.namespace, "name": "quick", "trouble": ""}
    # a second of the same name, an edit from the cluster, and goodbye from either side
    twin = created(here)
    wait_for("the twin", lambda: len(here.objects.all()) == 2, 60)
    assert {o["metadata"]["name"] for o in here.objects.all()} == {"quick", f"quick-{twin}"}
    here.objects.patch("quick", {"spec": {"maxTrialNum": 8}})
    wait_for("the edit", lambda: here.stack.experiment(experiment)["max_trials"] == 8, 30)
    assert here.stack.api("DELETE", f"experiments/{experiment}/")[0] in (202, 204)
    wait_for("the object to go", lambda: len(here.objects.all()) == 1, 60)
    here.objects.kubectl("delete", "ate", f"quick-{twin}", "--timeout=60s")
    wait_for("the rows to go", lambda: here.experiments() == [], 60)


def test_an_api_server_that_is_away_for_a_while_loses_nothing(to_break, control_plane):
    here = to_break
    name = here.objects.apply(quick(arguments=[0.3]))
    here.objects.wait_for_phase(name, "RUNNING")
    with control_plane.outage():
        time.sleep(8)
        (experiment,) = here.experiments()  # the pages are there meanwhile
        assert experiment["phase"] == "RUNNING"
    assert here.objects.wait_for_phase(name, "DONE", timeout_s=90)["progress"] == "4/4"
    here.objects.patch(name, {"spec": {"maxTrialNum": 5}})  # and it still listens
    wait_for("the fifth", lambda: here.objects.status(name)["progress"] == "5/5", 90)


def test_an_operator_that_hears_no_more_ends_and_waits_for_its_crd(to_break, control_plane):
    here = to_break
    wait_for("the start", lambda: "Activity 'login' succeeded" in here.operator.log(), 60)
    time.sleep(5)
    control_plane.kubectl("delete", "crd", "autotuneexperiments.tensorstack.dev", "--timeout=60s")
    assert wait_for("its end", here.operator.ended, 90) == "code 1"
    here.operator.start()
    wait_for("words", lambda: "deploy/base/crd.yaml" in here.operator.log(), 60)
    install_crd(control_plane)
    name = here.objects.apply(quick())
    here.objects.wait_for_phase(name, "DONE")


def test_a_namespace_that_cannot_be_looked_at_keeps_nobody_else_waiting(
    to_break, control_plane, tmp_path
):
    here = to_break
    second = control_plane.make_namespace(f"t-{secrets.token_hex(4)}")
    here.operator.stop()
    served = f"{here.objects.namespace},{second}"
    with running_operator(here.stack.data, here.operator.kubeconfig, **{
        **here.operator.given, "AUTOTUNE_NAMESPACES": served,
    }) as operator:  # fmt: skip
        # no Role there yet
        name = here.objects.apply(quick())
        here.objects.wait_for_phase(name, "DONE")
        said = wait_for("words", lambda: f"Namespace {second}:" in operator.log(), 60)
        assert said
        assert operator.log().count(f"Namespace {second}:") == 1, "once, not every second"
        # the Role comes: it ends, and serves both when it is started again
        bind_rights(control_plane, second, here.own_namespace, tmp_path / "rights")
        assert wait_for("its end", operator.ended, 120) == "code 1"
        operator.start()
        other = Objects(control_plane, second)
        there = other.apply(quick())
        other.wait_for_phase(there, "DONE")
        # kubectl delete ns, rights and all, with a finished and a running experiment in it
        long = quick(arguments=[600])
        long["metadata"]["name"] = "long"
        other.apply(long)
        other.wait_for_phase("long", "RUNNING")
        control_plane.kubectl("delete", "namespace", second, "--timeout=90s")
        third = quick()
        third["metadata"]["name"] = "after"
        here.objects.apply(third)
        operator.restart_if_ended()
        here.objects.wait_for_phase("after", "DONE")


def test_rights_that_are_missing_are_said(control_plane, namespace, tmp_path):
    install_base(control_plane, namespace, tmp_path / "kustomize")
    account = control_plane.service_account_kubeconfig(namespace, "default")
    data = tmp_path / "data"
    env = {"AUTOTUNE_NAMESPACE": namespace, "AUTOTUNE_TRAINING_ENGINE": "auto"}
    assert manage(data, "migrate").returncode == 0
    with running_operator(data, account, **env) as operator:
        wait_for("words", lambda: "cannot list resource" in operator.log(), 60)
    no_cluster = manage(data, "operator", KUBECONFIG=str(tmp_path / "none"), **env)
    assert no_cluster.returncode != 0
    assert "no cluster is configured" in no_cluster.stderr
    # a cluster's experiments never run on the machine of whoever serves them
    here = manage(data, "operator", KUBECONFIG=str(account), AUTOTUNE_NAMESPACE=namespace)
    assert here.returncode != 0
    assert "AUTOTUNE_TRAINING_ENGINE must not be local for an operator" in here.stderr
    beside = {**env, "AUTOTUNE_OWN_NAMESPACE": namespace}
    own = manage(data, "operator", KUBECONFIG=str(account), **beside)
    assert own.returncode != 0
    assert "which is AutoTune's own namespace" in own.stderr
