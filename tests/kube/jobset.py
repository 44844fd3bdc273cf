"""JobSet's own controller on the test control plane, with its webhooks for JobSets."""

from __future__ import annotations

import base64
import json
import shutil
import time
import urllib.request
from typing import Any

import yaml

from experiments.training.kubernetes.jobs.jobset import JOB_SET
from tests.e2e.stack import free_port
from tests.kube.control_plane import START_S, ControlPlane

NAME = "jobset-controller"
GROUP, VERSION = JOB_SET.group_version.split("/")


class JobSets:
    """Start it with ``with JobSets(plane):``."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self._port, self._health = free_port(), free_port()

    def __enter__(self) -> JobSets:
        folder = self.plane.directory / NAME
        folder.mkdir(exist_ok=True)
        for kind in ("crt", "key"):
            certificate = self.plane.directory / "certs" / f"apiserver.{kind}"
            shutil.copy(certificate, folder / f"tls.{kind}")
        configuration = folder / "configuration.yaml"
        configuration.write_text(yaml.safe_dump(self._configuration(str(folder))))
        kubeconfig = f"--kubeconfig={self.plane.kubeconfig}"
        self.plane.spawn(NAME, f"--config={configuration}", kubeconfig)
        self._wait_ready()
        for name, path, operations in (
            ("Mutating", "mutate", ["CREATE"]),
            ("Validating", "validate", ["CREATE", "UPDATE"]),
        ):
            hook = self._webhook(name, path, operations)
            self.plane.kubectl("apply", "-f", "-", text=json.dumps(hook))
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("mutating", "validating"):
            hook = f"{name}webhookconfiguration"
            self.plane.kubectl("delete", hook, "jobset", "--ignore-not-found")
        self.plane.end(NAME)

    def _configuration(self, folder: str) -> dict[str, Any]:
        return {
            "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
            "kind": "Configuration",
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
            "webhook": {"host": "127.0.0.1", "port": self._port, "certDir": folder},
            "metrics": {"bindAddress": "0"},
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._health}"},
        }

    def _wait_ready(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        limit = time.monotonic() + START_S
        while True:
            try:
                opener.open(f"http://127.0.0.1:{self._health}/readyz", timeout=5).close()
                return
            except OSError:  # HTTPError is one
                assert time.monotonic() < limit, self.plane.log(NAME)[-3000:]
                time.sleep(0.1)

    def _webhook(self, kind: str, path: str, operations: list[str]) -> dict[str, Any]:
        certificate = (self.plane.directory / "certs" / "apiserver.crt").read_bytes()
        where = f"{path}-{GROUP.replace('.', '-')}-{VERSION}-jobset"
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": "jobset"},
            "webhooks": [
                {
                    "name": f"{kind[0].lower()}jobset.kb.io",
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{self._port}/{where}",
                        "caBundle": base64.b64encode(certificate).decode(),
                    },
                    "rules": [
                        {
                            "apiGroups": [GROUP],
                            "apiVersions": [VERSION],
                            "operations": operations,
                            "resources": [JOB_SET.plural],
                        }
                    ],
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }
