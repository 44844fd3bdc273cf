"""What the tests of CRD, operator and deploy/ share: the product installed on the control plane."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.stack import ROOT, TRIAL_SCRIPT, Stack, environment, running_stack, wait_for
from tests.kube.control_plane import ControlPlane

DEPLOY = ROOT / "deploy"
SPECIFICATION = ROOT / "examples" / "specification.yaml"


def install_crd(plane: ControlPlane) -> None:
    """``kubectl apply`` the CRD, and wait until its objects are served."""
    plane.kubectl("apply", "-f", str(DEPLOY / "base" / "crd.yaml"))
    plane.kubectl(
        *("wait", "--for=condition=Established", "--timeout=60s"),
        "crd/autotuneexperiments.tensorstack.dev",
    )


def install_base(plane: ControlPlane, namespace: str, scratch: Path) -> str:
    """deploy/ for trials in this namespace; returns that of the accounts, which is another."""
    own = plane.make_namespace(f"{namespace}-own")
    _apply(plane, "base", own, scratch / "base")
    bind_rights(plane, namespace, own, scratch / "rights")
    install_crd(plane)
    return own


def bind_rights(plane: ControlPlane, namespace: str, own: str, scratch: Path) -> None:
    """deploy/rights in a namespace, for the accounts of another, and the labels it should have."""
    served = yaml.safe_load((DEPLOY / "trials" / "namespace.yaml").read_text())
    labels = [f"{key}={value}" for key, value in served["metadata"]["labels"].items()]
    plane.kubectl("label", "namespace", namespace, *labels)
    elsewhere = [
        {"op": "replace", "path": f"/subjects/{index}/namespace", "value": own} for index in (0, 1)
    ]
    subjects = {"target": {"kind": "RoleBinding"}, "patch": yaml.safe_dump(elsewhere)}
    _apply(plane, "rights", namespace, scratch, subjects)


def bind_runtimes(plane: ControlPlane, own: str, scratch: Path) -> None:
    """deploy/runtimes for the accounts of this namespace."""
    elsewhere = [
        {"op": "replace", "path": f"/subjects/{index}/namespace", "value": own}
        for index in range(3)
    ]
    subjects = {"target": {"kind": "ClusterRoleBinding"}, "patch": yaml.safe_dump(elsewhere)}
    _apply(plane, "runtimes", own, scratch, subjects)


def _apply(plane: ControlPlane, folder: str, namespace: str, scratch: Path, *patches: Any) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(DEPLOY / folder, scratch)],
        "patches": list(patches),
    }
    (scratch / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    plane.kubectl("apply", "-k", str(scratch))


def specification(script: Path = TRIAL_SCRIPT, *arguments: object, **spec: Any) -> dict[str, Any]:
    """The specification's own manifest, its command replaced by one that runs here."""
    manifest: dict[str, Any] = yaml.safe_load(SPECIFICATION.read_text())
    manifest["spec"].update(spec)
    (container,) = manifest["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"]
    container["command"] = [sys.executable, str(script), *map(str, arguments)]
    container["workingDir"] = "/tmp"
    return manifest


class Operator:
    """``manage.py operator`` with the rights of a ServiceAccount, beside a stack."""

    def __init__(self, data: Path, kubeconfig: Path, **env: str) -> None:
        self.data = data
        self.kubeconfig = kubeconfig
        self.given = env
        self._env = environment(data, KUBECONFIG=str(kubeconfig), **env)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = data / "operator.log"

    def start(self) -> Operator:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "operator"],
                env=self._env,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ended(self) -> str:
        """How it ended by itself, e.g. ``code 1``; "" while it runs."""
        assert self._process is not None
        code = self._process.poll()
        return "" if code is None else f"code {code}"

    def kill(self) -> None:
        """SIGKILL, as a node that is lost."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=10)

    def restart_if_ended(self, within_s: float = 30) -> None:
        """What a kubelet does for it."""
        limit = time.monotonic() + within_s
        while time.monotonic() < limit and not self.ended():
            time.sleep(0.5)
        if self.ended():
            self.start()

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextlib.contextmanager
def running_operator(data: Path, kubeconfig: Path, **env: str) -> Iterator[Operator]:
    operator = Operator(data, kubeconfig, **env).start()
    try:
        yield operator
    finally:
        operator.stop()


class Objects:
    """AutoTuneExperiment objects of one namespace, by kubectl as a user has it."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace

    def kubectl(self, *arguments: str, text: str = "") -> str:
        return self.plane.kubectl("-n", self.namespace, *arguments, text=text)

    def apply(self, manifest: dict[str, Any]) -> str:
        self.kubectl("apply", "-f", "-", text=json.dumps(manifest))
        return str(manifest["metadata"]["name"])

    def all(self) -> list[dict[str, Any]]:
        return list(json.loads(self.kubectl("get", "ate", "-o", "json"))["items"])

    def get(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", "ate", name, "-o", "json")))

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.get(name).get("status") or {})

    def patch(self, name: str, changes: dict[str, Any]) -> None:
        self.kubectl("patch", "ate", name, "--type=merge", "-p", json.dumps(changes))

    def wait_for_phase(self, name: str, *phases: str, timeout_s: float = 150) -> dict[str, Any]:
        def check() -> Any:
            status = self.status(name)
            return status if status.get("phase") in phases else None

        return dict(wait_for(f"{name} to be {phases}", check, timeout_s))

    def reasons(self, name: str) -> list[str]:
        """Reasons of the Events about an object, in order."""
        found = json.loads(self.kubectl("get", "events", "-o", "json"))["items"]
        about = [event for event in found if event["involvedObject"]["name"] == name]
        about.sort(key=lambda event: int(event["metadata"]["name"].rpartition(".")[2]))
        return [event["reason"] for event in about]


class Installed:
    """A stack, its namespace, and the operator between them."""

    def __init__(
        self, stack: Stack, objects: Objects, operator: Operator, own_namespace: str
    ) -> None:
        self.own_namespace = own_namespace
        self.stack = stack
        self.objects = objects
        self.operator = operator

    def experiments(self) -> list[dict[str, Any]]:
        status, answer = self.stack.api("GET", "experiments/?page_size=100")
        assert status == 200, answer
        return list(answer["results"])


@contextlib.contextmanager
def installation(
    plane: ControlPlane, namespace: str, directory: Path, engine: str = "batch", **env: str
) -> Iterator[Installed]:
    """The product in a namespace of its own, each role with the rights of its own account."""
    own = install_base(plane, namespace, directory / "kustomize")
    operator_account = plane.service_account_kubeconfig(own, "autotune-operator")
    worker_account = plane.service_account_kubeconfig(own, "autotune-worker")
    env |= {
        "AUTOTUNE_NAMESPACE": namespace,
        "AUTOTUNE_OWN_NAMESPACE": own,
        "AUTOTUNE_TRAINING_ENGINE": engine,
    }
    with (
        running_stack(
            directory / "data", "--no-sample", KUBECONFIG=str(worker_account), **env
        ) as stack,
        running_operator(stack.data, operator_account, **env) as operator,
    ):
        yield Installed(stack, Objects(plane, namespace), operator, own)
