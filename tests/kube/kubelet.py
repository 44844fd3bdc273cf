"""Plays scheduler and kubelet: pods of the test control plane run as processes of this machine.

Binds every pod to its one Node, runs each container's command with its env (references, fieldRefs
and DNS names of Services resolved), writes pod status back as a kubelet does, ends pods that are
deleted, and serves their logs to the API server, so that ``kubectl logs`` works. ConfigMaps are
mounted as directories whose names stand in the command; a pod that works in ``/tmp`` has one of its
own. Like the real ones it leaves pods with a nodeSelector or another scheduler unscheduled, cannot
pull images below ``missing/``, waits for Secrets and ConfigMaps that are not there, and calls a
SIGKILL under a memory limit OOMKilled.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from experiments.training.environment import expand
from experiments.training.kubernetes.api import ApiError, KubeApi, Unreachable
from experiments.training.kubernetes.watch import Watch
from tests.kube.control_plane import ControlPlane
from tests.kube.https import Answering, https_server

NODE = "test-node"
SERVICE_NAME = re.compile(r"[a-z0-9][-a-z0-9.]*\.svc\b")
FIELD = re.compile(r"metadata\.(annotations|labels)\['([^']+)'\]")
GRACE_S = 1.0

Object = dict[str, Any]


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def persist(call: Callable[[], Any], timeout_s: float = 90.0) -> Any:
    """Do it even if the API server is away for a while; None where the object is gone."""
    limit = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except ApiError as error:
            if error.status in (404, 422):
                return None
            if error.status != 409 and not error.is_temporary:
                raise
        except Unreachable:
            pass
        assert time.monotonic() < limit, "the API server stayed away"
        time.sleep(0.2)


class PatchingApi(KubeApi):
    """With what only controllers and kubelets need."""

    user_agent = "test-kubelet"

    def patch_status(self, path: str, status: Object) -> Any:
        body = {"status": status}
        headers = {"Content-Type": "application/merge-patch+json", "Accept": "application/json"}
        request = self._client.param_serialize(
            "PATCH", f"{path}/status", header_params=headers, body=body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        try:
            answer = self._client.call_api(*request, _request_timeout=(5, 20))
        except Exception as error:
            raise Unreachable(str(error)) from error
        data = answer.response.read()
        if answer.response.status >= 400:
            raise ApiError(answer.response.status, "", data.decode())


class Kubelet:
    """Start it with ``with Kubelet(plane, directory):``."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self.directory = directory
        settings = plane.client().configuration
        self.api = PatchingApi.with_configuration(settings)
        self.listeners: list[Callable[[str, Object], None]] = []
        self._pods: dict[str, PodRun] = {}  # by uid
        self._server = _log_server(plane, self)

    def __enter__(self) -> Kubelet:
        self.directory.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._register()
        self._watch = Watch(self.api, "/api/v1/pods", listener=self._on_pod)
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        for run in list(self._pods.values()):
            run.kill()
        self._server.shutdown()
        self._server.server_close()

    def log_path(self, namespace: str, pod: str, container: str) -> Path:
        return self.directory / f"{namespace}_{pod}_{container}.log"

    @property
    def running(self) -> int:
        """How many containers run now."""
        return sum(1 for run in list(self._pods.values()) for p in run.processes.values() if p)

    def _register(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        with contextlib.suppress(ApiError):  # from an earlier kubelet
            self.api.post("/api/v1/nodes", node)
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._server.server_port}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Tests"}],
        }
        self.api.patch_status(f"/api/v1/nodes/{NODE}", status)

    def _on_pod(self, what: str, pod: Object) -> None:
        for listener in self.listeners:
            listener(what, pod)
        uid = pod["metadata"]["uid"]
        run = self._pods.get(uid)
        if what == "DELETED":
            if run is not None:
                run.kill()
            return
        if run is None and (pod.get("status") or {}).get("phase") == "Pending":
            self._pods[uid] = run = PodRun(self, pod)
            run.start()
        if run is not None and pod["metadata"].get("deletionTimestamp"):
            run.asked_to_end.set()


class PodRun(threading.Thread):
    """The life of one pod."""

    def __init__(self, kubelet: Kubelet, pod: Object) -> None:
        super().__init__(daemon=True, name=pod["metadata"]["name"])
        self.kubelet, self.pod = kubelet, pod
        meta = pod["metadata"]
        self.path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self.asked_to_end = threading.Event()
        self.processes: dict[str, subprocess.Popen[bytes] | None] = {}
        self.restarts: dict[str, int] = {}
        self.codes: dict[str, int] = {}
        self.started_at: dict[str, str] = {}

    def run(self) -> None:
        spec = self.pod["spec"]
        if spec.get("nodeSelector"):
            message = "0/1 nodes are available: 1 node(s) didn't match Pod's node selector."
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            self._write({"conditions": [{**condition, "message": message}]})
        elif spec.get("schedulerName", "default-scheduler") != "default-scheduler":
            pass  # which is not here
        elif self._bind():
            if any(c["image"].startswith("missing/") for c in spec["containers"]):
                self._cannot_pull()
            elif self._has_what_it_names():
                self._run_containers()
        if (self.pod["status"].get("phase")) not in ("Succeeded", "Failed"):
            self.asked_to_end.wait()
        self.asked_to_end.wait(timeout=3600)
        self._remove()

    def kill(self) -> None:
        self.asked_to_end.set()
        for process in list(self.processes.values()):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _bind(self) -> bool:
        meta = self.pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        }
        try:
            return (
                persist(lambda: self.kubelet.api.post(f"{self.path}/binding", binding)) is not None
            )
        except ApiError:
            return False  # deleted meanwhile

    def _cannot_pull(self) -> None:
        message = "Back-off pulling image: not found"
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
        states = [self._container(c, waiting) for c in self.pod["spec"]["containers"]]
        self._write({"phase": "Pending", "containerStatuses": states})

    def _has_what_it_names(self) -> bool:
        """Wait for what its containers read; False where it was deleted meanwhile."""
        told: tuple[str, str] | None = None
        while (missing := self._missing()) is not None:
            if missing != told:
                self._tell_missing(*missing)
            told = missing
            if self.asked_to_end.wait(0.5):
                return False
        return True

    def _missing(self) -> tuple[str, str] | None:
        """(volume or "", "secret" or "configmap" and its name) of the first that is not there."""
        named = [("", kind, name) for kind, name in self._read_by_containers()]
        named += [(v["name"], "secret", v["secret"]["secretName"]) for v in self._volumes("secret")]
        named += [
            (v["name"], "configmap", v["configMap"]["name"]) for v in self._volumes("configMap")
        ]
        for volume, kind, name in named:
            namespace = self.pod["metadata"]["namespace"]
            path = f"/api/v1/namespaces/{namespace}/{kind}s/{name}"
            if persist(lambda path=path: self.kubelet.api.get(path)) is None:
                return volume, f'{kind} "{name}"'
        return None

    def _read_by_containers(self) -> list[tuple[str, str]]:
        found = []
        for container in self.pod["spec"]["containers"]:
            entries = [e.get("valueFrom") or {} for e in container.get("env") or []]
            for entry in [*entries, *(container.get("envFrom") or [])]:
                for key, value in entry.items():
                    if key.startswith(("secret", "configMap")) and not value.get("optional"):
                        found.append(("secret" if "secret" in key else "configmap", value["name"]))
        return found

    def _tell_missing(self, volume: str, what: str) -> None:
        words, reason = f"{what} not found", "CreateContainerConfigError"
        if volume:  # its containers wait without a word, and an Event says why
            meta = self.pod["metadata"]
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
                "involvedObject": {
                    "kind": "Pod",
                    **{key: meta[key] for key in ("name", "namespace", "uid")},
                },
                "type": "Warning",
                "reason": "FailedMount",
                "message": f'MountVolume.SetUp failed for volume "{volume}" : {words}',
                "lastTimestamp": now(),
            }
            path = f"/api/v1/namespaces/{meta['namespace']}/events"
            persist(lambda: self.kubelet.api.post(path, event))
            words, reason = "", "ContainerCreating"
        waiting = {"waiting": {"reason": reason, **({"message": words} if words else {})}}
        states = [self._container(c, waiting) for c in self.pod["spec"]["containers"]]
        self._write({"phase": "Pending", "containerStatuses": states})

    def _run_containers(self) -> None:
        spec = self.pod["spec"]
        for container in spec["containers"]:
            self._start(container)
        self._report("Running")
        while any(self.processes.values()):
            if self.asked_to_end.wait(0.02):
                self._end_all()
            for container in spec["containers"]:
                process = self.processes[container["name"]]
                if process is None or (code := process.poll()) is None:
                    continue
                again = spec.get("restartPolicy") == "OnFailure" and code != 0
                if again and not self.asked_to_end.is_set():
                    self.restarts[container["name"]] += 1
                    self._start(container)
                    self._report("Running")
                else:
                    self.codes[container["name"]] = code if code >= 0 else 128 - code
                    self.processes[container["name"]] = None
        failed = any(self.codes.values())
        self._report("Failed" if failed else "Succeeded")

    def _start(self, container: Object) -> None:
        name = container["name"]
        self.restarts.setdefault(name, 0)
        self.started_at[name] = now()
        environment = self._environment(container)
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        argv = [expand(str(word), environment) for word in words]
        for path, place in self._mounts(container).items():
            argv = [word.replace(path, str(place)) for word in argv]
        meta = self.pod["metadata"]
        base = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with self.kubelet.log_path(meta["namespace"], meta["name"], name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                argv,
                env={**base, **environment},
                cwd=self._directory(container.get("workingDir") or ""),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _directory(self, wanted: str) -> Path:
        if wanted != "/tmp":
            return Path(wanted or self.kubelet.directory)
        own = self.kubelet.directory / f"tmp-{self.pod['metadata']['uid']}"
        own.mkdir(exist_ok=True)
        return own

    def _mounts(self, container: Object) -> dict[str, Path]:
        """Where this machine has the ConfigMaps that the container mounts, by mountPath."""
        meta, found = self.pod["metadata"], {}
        names = {v["name"]: v["configMap"]["name"] for v in self._volumes("configMap")}
        for mount in container.get("volumeMounts") or []:
            if mount["name"] in names:
                path = f"/api/v1/namespaces/{meta['namespace']}/configmaps/{names[mount['name']]}"
                place = self.kubelet.directory / f"{meta['uid']}-{mount['name']}"
                place.mkdir(exist_ok=True)
                for name, text in (persist(lambda p=path: self.kubelet.api.get(p))["data"]).items():
                    (place / name).write_text(text)
                found[mount["mountPath"]] = place
        return found

    def _volumes(self, kind: str) -> list[Object]:
        return [volume for volume in self.pod["spec"].get("volumes") or [] if kind in volume]

    def _environment(self, container: Object) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in container.get("env") or []:
            if "fieldRef" in (entry.get("valueFrom") or {}):
                value = self._field(entry["valueFrom"]["fieldRef"]["fieldPath"])
            elif "valueFrom" in entry:
                continue  # of a Secret or ConfigMap: no trial of the tests reads one
            else:
                value = expand(entry.get("value") or "", found)
            found[entry["name"]] = SERVICE_NAME.sub("127.0.0.1", value)
        return found

    def _field(self, path: str) -> str:
        meta = self.pod["metadata"]
        if match := FIELD.fullmatch(path):
            return str(meta.get(match[1], {})[match[2]])
        return str(meta[path.removeprefix("metadata.")])

    def _end_all(self) -> None:
        for number, grace in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, 5.0)):
            living = [p for p in self.processes.values() if p is not None and p.poll() is None]
            for process in living:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            limit = time.monotonic() + grace
            while time.monotonic() < limit and any(p.poll() is None for p in living):
                time.sleep(0.01)

    def _report(self, phase: str) -> None:
        states = []
        for container in self.pod["spec"]["containers"]:
            name = container["name"]
            started = {"startedAt": self.started_at[name]}
            if name in self.codes:
                code = self.codes[name]
                reason = "Completed" if code == 0 else "Error"
                limited = (container.get("resources") or {}).get("limits", {}).get("memory")
                if code == 137 and limited and not self.asked_to_end.is_set():
                    reason = "OOMKilled"
                ended = {"exitCode": code, "reason": reason, "finishedAt": now(), **started}
                states.append(self._container(container, {"terminated": ended}))
            else:
                states.append(self._container(container, {"running": started}))
        ready = "True" if phase == "Running" else "False"
        self._write(
            {
                "phase": phase,
                "podIP": "127.0.0.1",
                "startTime": self.pod["metadata"]["creationTimestamp"],
                "conditions": [
                    {"type": "PodScheduled", "status": "True"},
                    {"type": "Ready", "status": ready},
                    *self._of_others(),
                ],
                "containerStatuses": states,
            }
        )

    def _of_others(self) -> list[Object]:
        """Conditions that are not a kubelet's: why the API server has the pod end."""
        if not self.asked_to_end.is_set():
            return []
        pod = persist(lambda: self.kubelet.api.get(self.path)) or {}
        conditions = (pod.get("status") or {}).get("conditions") or []
        return [row for row in conditions if row["type"] == "DisruptionTarget"]

    def _container(self, container: Object, state: Object) -> Object:
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": "running" in state,
            "restartCount": self.restarts.get(container["name"], 0),
            "state": state,
        }

    def _write(self, status: Object) -> None:
        self.pod["status"] = status
        persist(lambda: self.kubelet.api.patch_status(self.path, status))

    def _remove(self) -> None:
        with contextlib.suppress(ApiError, Unreachable, AssertionError):
            options = {
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": self.pod["metadata"]["uid"]},
            }
            persist(lambda: self.kubelet.api.delete(self.path, options))


def _log_server(plane: ControlPlane, kubelet: Kubelet) -> ThreadingHTTPServer:
    """Serve ``/containerLogs/NAMESPACE/POD/CONTAINER``, what the API server asks a kubelet."""

    class Handler(Answering):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            parts = url.path.strip("/").split("/")
            data, status = b"", 404
            if parts[0] == "containerLogs" and len(parts) == 4:
                with contextlib.suppress(FileNotFoundError):
                    data, status = kubelet.log_path(*parts[1:]).read_bytes(), 200
            if "limitBytes" in query:
                data = data[: int(query["limitBytes"])]
            self.answer(status, "text/plain", data)

    return https_server(plane, Handler)
