"""People of a cluster: its own roles know our objects, and web asks it who may do what.

The web process has the rights of ``autotune-web`` in deploy/, and a proxy's headers name the users.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.access import namespaces, policy
from experiments.models import Experiment, Project
from tests.kube.control_plane import ControlPlane
from tests.kube.installed import bind_rights, install_base

ATE = "autotuneexperiments.tensorstack.dev"


def can(
    plane: ControlPlane, who: str, verb: str, namespace: str, what: str = ATE, of: str = ""
) -> bool:
    done = subprocess.run(
        [
            *(plane.programs / "kubectl", "--kubeconfig", plane.kubeconfig, "-n", namespace),
            *("auth", "can-i", verb, what, f"--as={who}", f"--subresource={of}"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() == "yes"


def bind(plane: ControlPlane, role: str, namespace: str, subject: str) -> None:
    """Give somebody one of the cluster's roles in a namespace; the binding has the role's name."""
    plane.kubectl("-n", namespace, "create", "rolebinding", role, f"--clusterrole={role}", subject)


@pytest.fixture
def two(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> tuple[str, str, str]:
    """Two namespaces that are served, and our own; anna edits the first, red view it."""
    other = control_plane.make_namespace(f"{namespace}-b")
    own = install_base(control_plane, namespace, tmp_path / "kustomize")
    bind_rights(control_plane, other, own, tmp_path / "rights-b")
    bind(control_plane, "edit", namespace, "--user=oidc:anna")
    bind(control_plane, "admin", namespace, "--user=oidc:root")
    bind(control_plane, "view", namespace, "--group=oidc:red")
    return namespace, other, own


def test_the_clusters_own_roles_know_our_objects(
    control_plane: ControlPlane, two: tuple[str, str, str]
):
    namespace, other, own = two
    limit = time.monotonic() + 30  # a controller puts the roles together
    while not can(control_plane, "oidc:root", "create", namespace):
        assert time.monotonic() < limit
        time.sleep(0.2)
    for who in ("oidc:anna", "oidc:root"):
        for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
            assert can(control_plane, who, verb, namespace), (who, verb)
            assert not can(control_plane, who, verb, other), (who, verb)
    assert can(control_plane, "oidc:anna", "get", namespace, of="status")
    assert not can(control_plane, "oidc:anna", "patch", namespace, of="status")
    for account in ("autotune-web", "autotune-worker"):
        ours = f"system:serviceaccount:{own}:{account}"
        reviews = "localsubjectaccessreviews.authorization.k8s.io"
        assert can(control_plane, ours, "create", namespace, reviews)
        assert not can(control_plane, ours, "create", own, reviews), "only where it serves"
        everywhere = "subjectaccessreviews.authorization.k8s.io"
        assert not can(control_plane, ours, "create", namespace, everywhere)


class People:
    """Requests as a proxy passes them on."""

    def __init__(self, address: str) -> None:
        self.host = address.removeprefix("http://")

    def ask(
        self, who: str, method: str, path: str, body: Any = None, groups: str = "", token: str = ""
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {"X-User": who, "X-Groups": groups} if who else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Content-Type": "application/json"}
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1/{path}", text, headers)
            answer = connection.getresponse()
            raw = answer.read()
        return answer.status, json.loads(raw) if raw else None


def test_a_user_acts_where_the_cluster_lets_them(
    control_plane: ControlPlane, two: tuple[str, str, str], trial_url: str, settings: Any,
    monkeypatch: pytest.MonkeyPatch, make_experiment: Callable[..., Experiment],
):  # fmt: skip
    from experiments.access.proxy import Identity, user_of
    from experiments.access.tokens import make_api_token

    namespace, other, own = two
    account = control_plane.service_account_kubeconfig(own, "autotune-web")
    monkeypatch.setenv("KUBECONFIG", str(account))
    settings.NAMESPACE, settings.NAMESPACES = namespace, [namespace, other]
    settings.USER_HEADER, settings.GROUPS_HEADER = b"x-user", b"x-groups"
    settings.USER_PREFIX = settings.GROUPS_PREFIX = "oidc:"
    settings.CHECK_NAMESPACES = True
    policy.cluster.forget()
    monkeypatch.setattr(namespaces, "YES_S", 0.0)  # ask each time
    monkeypatch.setattr(namespaces, "NO_S", 0.0)
    monkeypatch.setattr(namespaces, "AWAY_S", 0.5)
    mine, theirs = make_experiment(), make_experiment()
    Experiment.objects.filter(pk=theirs.pk).update(project=Project.of_namespace(other))
    people = People(trial_url)
    anna = make_api_token(user_of(Identity("anna", ())), "")
    here, there = f"experiments/{mine.pk}/", f"experiments/{theirs.pk}/"

    limit = time.monotonic() + 30
    while people.ask("", "GET", here, token=anna)[0] != 200:  # roles are put together
        assert time.monotonic() < limit
        time.sleep(0.2)
    assert people.ask("", "PATCH", here, {"notes": "anna"}, token=anna)[0] == 200
    assert people.ask("", "GET", there, token=anna)[0] == 404
    assert people.ask("", "PATCH", there, {"notes": "anna"}, token=anna)[0] == 404
    # by the proxy's headers alone, as a browser comes: red may look, and others are strangers
    assert people.ask("bert", "GET", here, groups="red")[0] == 200
    assert people.ask("bert", "GET", here)[0] == 404
    assert people.ask("anna", "GET", there)[0] == 404
    assert people.ask("anna", "GET", "experiments/")[1]["count"] == 1
    assert people.ask("bert", "GET", "experiments/")[1]["count"] == 0
    bert = make_api_token(user_of(Identity("bert", ("red",))), "")
    status, answer = people.ask("", "PATCH", here, {"notes": "bert"}, token=bert)
    assert (status, answer["errors"][0]["message"]) == (
        403, "You may look at this experiment but not change it.",
    )  # fmt: skip
    # a clone lands where it came from, for whoever may there
    status, clone = people.ask("", "POST", f"{here}clone/", {}, token=anna)
    assert status == 201, clone
    assert Experiment.objects.get(pk=clone["id"]).project.namespace == namespace
    assert people.ask("", "POST", f"{here}clone/", {}, token=bert)[0] == 403
    assert people.ask("", "POST", f"{there}clone/", {}, token=anna)[0] == 404
    bind(control_plane, "edit", other, "--user=oidc:anna")
    while (answer := people.ask("", "POST", f"{there}clone/", {}, token=anna))[0] != 201:
        assert time.monotonic() < limit + 30, answer
        time.sleep(0.2)
    assert Experiment.objects.get(pk=answer[1]["id"]).project.namespace == other
    # a right that is taken away is gone
    control_plane.kubectl("-n", namespace, "delete", "rolebinding", "view")
    assert people.ask("", "GET", here, token=bert)[0] == 404
    # and while nobody can be asked, anna may look but not touch, and is told so at once
    assert people.ask("", "GET", here, token=anna)[0] == 200
    with control_plane.outage():
        begun = time.monotonic()
        status, answer = people.ask("", "PATCH", here, {"notes": "now"}, token=anna)
        assert (status, answer["errors"][0]["message"].split(",")[0]) == (
            503, "The cluster does not say now whether you may do that",
        )  # fmt: skip
        assert people.ask("", "GET", here, token=anna)[0] == 200
        assert time.monotonic() - begun < 10
    limit = time.monotonic() + 30
    while people.ask("", "PATCH", here, {"notes": "later"}, token=anna)[0] != 200:
        assert time.monotonic() < limit
        time.sleep(0.2)
    mine.refresh_from_db()
    assert mine.notes == "later"
