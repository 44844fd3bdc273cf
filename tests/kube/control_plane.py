"""A real Kubernetes control plane on 127.0.0.1: etcd, kube-apiserver, kube-controller-manager.

Used by the fixtures of tests/kube and by benchmarks/kube_requests.py. RBAC is on, every request is
in the audit log, nothing schedules or runs pods (see ``kubelet.py`` for that). Everything is kept
in one directory, listens on free ports, and ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from kubernetes import client, config

from tests.e2e.stack import free_port

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
CRDS = Path(__file__).parent / "crds"
HERE = Path(__file__).parent / "controlplane"
START_S = 90.0

CONTROLLERS = (
    "job-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "resourcequota-controller",
    "persistentvolumeclaim-protection-controller",
    "ttl-after-finished-controller",
    "clusterrole-aggregation-controller",
)
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def find_programs() -> Path | None:
    """The directory that holds all programs: KUBEBUILDER_ASSETS, PATH, or the cache of build.sh."""
    candidates = []
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        candidates.append(Path(given))
    if found := shutil.which("kube-apiserver"):
        candidates.append(Path(found).parent)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    candidates += sorted((cache / "autotune-web").glob("controlplane-*"), reverse=True)
    for directory in candidates:
        if all(os.access(directory / name, os.X_OK) for name in PROGRAMS):
            return directory
    return None


def _end_with_parent() -> None:
    """Run in the child: no orphan when the tests are killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class ControlPlane:
    """Start with ``start()``, end with ``stop()``; ``kubeconfig`` is the administrator's."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self.kubeconfig = directory / "admin.kubeconfig"
        self.audit_log = directory / "audit.log"
        self._token = secrets.token_hex(16)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._etcd_port, self._etcd_peer_port, self._port = free_port(), free_port(), free_port()

    # life

    @property
    def others(self) -> Path:
        """Where build.sh has put the kinds of Kueue, JobSet and Kubeflow's Trainer."""
        return self.programs / "crds"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start everything; returns when the API server is ready and our CRDs are served."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_keys()
        self._start_etcd()
        self.start_api()
        for path in sorted(CRDS.glob("*.yaml")):
            self.kubectl("apply", "-f", str(path))
        if self.others.is_dir():  # too long for apply
            self.kubectl("create", "-f", str(self.others))
        # The garbage collector looks for new kinds every 30 s only: have ours be there first.
        self._wait_established()
        self.start_controllers()

    def stop(self) -> None:
        """End everything, by pid."""
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self.end(name)

    def start_api(self) -> None:
        """Start the API server, for the first time or again on the same port."""
        self.spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self.directory / 'certs'}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.directory / 'sa.key'}",
            f"--service-account-signing-key-file={self.directory / 'sa.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={self.directory / 'audit.yaml'}",
            f"--audit-log-path={self.audit_log}",
        )
        self._wait_ready()
        self._write_kubeconfig(self.kubeconfig, self._token)

    def stop_api(self, *, kill: bool = False) -> None:
        """End the API server; etcd and the controllers stay, as in an outage."""
        self.end("kube-apiserver", kill=kill)

    def start_controllers(self) -> None:
        self.spawn(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            f"--service-account-private-key-file={self.directory / 'sa.key'}",
            f"--root-ca-file={self.directory / 'certs' / 'apiserver.crt'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """The API server is away within this block.

        The controllers begin anew after it: left alone they would try again only once in 30 s.
        """
        self.stop_api()
        try:
            yield
        finally:
            self.start_api()
            self.end("kube-controller-manager")
            self.start_controllers()

    def compact(self) -> None:
        """Have etcd forget all history, as it does by itself every few minutes."""
        self._ask_etcd("kv/compaction", {"revision": self._revision(), "physical": True})

    # use

    def client(self, kubeconfig: Path | None = None) -> client.ApiClient:
        """An API client of the official library; the administrator's unless told otherwise."""
        return config.new_client_from_config(str(kubeconfig or self.kubeconfig))

    def kubectl(self, *arguments: str, text: str = "", kubeconfig: Path | None = None) -> str:
        """Run kubectl as a user would; return what it prints. ``text`` goes to its stdin.

        Raises:
            AssertionError: it failed; with what it said.
        """
        done = subprocess.run(
            [self.programs / "kubectl", "--kubeconfig", kubeconfig or self.kubeconfig, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            env={"HOME": str(self.directory), "PATH": os.environ.get("PATH", "")},
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def make_namespace(self, name: str) -> str:
        """Make a namespace, ready for pods; returns its name."""
        self.kubectl("create", "namespace", name)
        core = client.CoreV1Api(self.client())
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            with contextlib.suppress(client.ApiException):
                core.read_namespaced_service_account("default", name)
                return name
            time.sleep(0.05)
        raise AssertionError(f"{name} got no default service account: is the controller alive?")

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig that acts as this ServiceAccount, under its own RBAC rules."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration=2h").strip()
        path = self.directory / f"{namespace}-{name}.kubeconfig"
        self._write_kubeconfig(path, token, namespace)
        return path

    def audit(self) -> list[dict[str, Any]]:
        """All requests so far, oldest first: audit.k8s.io Events with ``verb``, ``objectRef``, …

        Each once: watches and logs are written down when they begin and when they end.
        """
        with self.audit_log.open() as lines:
            events = [json.loads(line) for line in lines if line.endswith("\n")]
        return list({event["auditID"]: event for event in events}.values())

    def log(self, name: str) -> str:
        """What one of the programs printed, e.g. ``kube-apiserver``."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def spawn(self, name: str, *arguments: str) -> None:
        """Start one of the programs; its output is ``log(name)``."""
        assert name not in self._running, f"{name} runs already"
        with (self.directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [self.programs / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent,
            )

    def end(self, name: str, *, kill: bool = False) -> None:
        """End one that ``spawn`` has started, if it runs."""
        process = self._running.pop(name, None)
        if process is None:
            return
        # The API server would wait a minute for its watches to end.
        if kill or name == "kube-apiserver":
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # parts

    def _revision(self) -> int:
        return int(self._ask_etcd("kv/range", {"key": "AA=="})["header"]["revision"])

    def _ask_etcd(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._etcd_port}/v3/{path}", json.dumps(body).encode()
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def _start_etcd(self) -> None:
        url = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._etcd_peer_port}"
        self.spawn(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            "--unsafe-no-fsync",
        )

    def _wait_established(self) -> None:
        """kubectl gives up at once on a kind of which nothing is said yet."""
        limit = time.monotonic() + START_S
        while True:
            try:
                self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
                return
            except AssertionError:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.2)

    def _wait_ready(self) -> None:
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(
            f"{self.url}/readyz", headers={"Authorization": f"Bearer {self._token}"}
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anyone)
        )
        limit = time.monotonic() + START_S
        while time.monotonic() < limit:
            code = self._running["kube-apiserver"].poll()
            assert code is None, f"kube-apiserver ended:\n{self.log('kube-apiserver')[-3000:]}"
            with contextlib.suppress(OSError), opener.open(request, timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready in {START_S} s:\n{self.log('kube-apiserver')[-3000:]}")

    def _write_keys(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self.directory / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (self.directory / "tokens.csv").write_text(f"{self._token},admin,admin,system:masters\n")
        (self.directory / "audit.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))

    def _write_kubeconfig(self, path: Path, token: str, namespace: str = "default") -> None:
        certificate = self.directory / "certs" / "apiserver.crt"
        here = {"cluster": "tests", "user": "user", "namespace": namespace}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "tests",
                    "cluster": {"server": self.url, "certificate-authority": str(certificate)},
                }
            ],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": here}],
            "current-context": "tests",
        }
        path.write_text(yaml.safe_dump(content))
        path.chmod(0o600)
