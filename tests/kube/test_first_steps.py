"""What a newcomer and their cluster do: the first example, server-side apply, a user of no name."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import tables
from tests.e2e.stack import ROOT, environment, free_port, wait_for
from tests.groups import need
from tests.kube.control_plane import ControlPlane
from tests.kube.installed import bind_rights, install_crd, installation

pytestmark = [pytest.mark.stack]

QUICKSTART = ROOT / "examples" / "kubernetes" / "quickstart.yaml"
# In a user namespace of its own, which maps that number to us.
NOBODY = ("unshare", "--user", "--map-user=54321", "--map-group=54321")


@pytest.mark.usefixtures("kubelet")
def test_the_first_example_and_server_side_apply(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    with installation(control_plane, namespace, tmp_path) as here:
        server_side = ("apply", "--server-side", "-f", "-")
        documents = list(yaml.safe_load_all(QUICKSTART.read_text()))
        here.objects.kubectl(*server_side, text=QUICKSTART.read_text())
        status = here.objects.wait_for_phase("quickstart", "DONE", "ERROR")
        assert (status["phase"], status["progress"]) == ("DONE", "12/12"), status
        assert status["trials"]["succeeded"] == 12
        assert status["best"]["value"] < 25

        # an edit on the page does not make the next apply a conflict, whatever it says
        (experiment,) = here.experiments()
        edit = {"max_trials": 14}
        assert here.stack.api("PATCH", f"experiments/{experiment['id']}/", edit)[0] == 200

        def followed() -> Any:
            shown = ("get", "ate", "quickstart", "-o", "json", "--show-managed-fields")
            found = json.loads(here.objects.kubectl(*shown))
            owners = {
                o["manager"] for o in found["metadata"]["managedFields"] if not o.get("subresource")
            }
            return found["spec"]["maxTrialNum"] == 14 and "autotune-web" not in owners

        wait_for("the edit of the page", followed, 30)
        here.objects.wait_for_phase("quickstart", "DONE")
        documents[1]["spec"]["maxTrialNum"] = 15
        here.objects.kubectl(*server_side, text=yaml.safe_dump_all(documents))
        wait_for(
            "the edit of the object",
            lambda: here.stack.experiment(experiment["id"])["max_trials"] == 15,
            30,
        )


def as_nobody(place: Path, *words: str, **env: str) -> subprocess.Popen[bytes]:
    """A role as the image's entry point starts it, by a user who has no entry in passwd."""
    given = environment(place / "data", HOME=str(place), **env)
    for name in ("USER", "LOGNAME", "USERNAME", "LNAME"):
        given.pop(name, None)
    with (place / f"{words[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [*NOBODY, sys.executable, str(ROOT / "manage.py"), *words],
            env=given,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_a_user_without_a_name_runs_every_role(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    asked = subprocess.run([*NOBODY, "id", "-un"], capture_output=True, text=True)
    need("cluster", "cannot find name" in asked.stderr, "unshare --map-user (util-linux)")
    install_crd(control_plane)
    own = control_plane.make_namespace(f"{namespace}-own")
    control_plane.kubectl("-n", own, "create", "serviceaccount", "autotune-operator")
    bind_rights(control_plane, namespace, own, tmp_path / "rights")
    (tmp_path / "data").mkdir()
    tables.lay(tmp_path / "data" / tables.FILE)
    port, health = free_port(), free_port()
    env = {
        "KUBECONFIG": str(control_plane.service_account_kubeconfig(own, "autotune-operator")),
        "AUTOTUNE_TRAINING_ENGINE": "batch",
        "AUTOTUNE_NAMESPACE": namespace,
        "AUTOTUNE_OWN_NAMESPACE": own,
    }
    roles: Sequence[tuple[str, ...]] = (
        ("up", "--port", str(port), "--no-sample"),
        ("operator", "--health", f"http://127.0.0.1:{health}/healthz"),
    )
    running = [as_nobody(tmp_path, *words, **env) for words in roles]
    try:
        for what, url in (
            ("up", f"http://127.0.0.1:{port}/readyz"),
            ("operator", f"http://127.0.0.1:{health}/healthz"),
        ):
            wait_for(f"{what} to answer", lambda url=url: answers(url), 90)
        assert [process.poll() for process in running] == [None, None]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=30)
