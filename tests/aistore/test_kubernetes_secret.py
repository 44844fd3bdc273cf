"""On a cluster the key is in a Secret: read with the real client, over HTTP."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import kube_config

from experiments.aistore import vault
from experiments.models import Experiment
from experiments.trials.backends import backend
from tests.aistore.server import KEY


class ApiServer:
    """The one route of a Kubernetes API server that is needed here."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []

    def secret(self, name: str, namespace: str, data: dict[str, str]) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        self.answers[f"/api/v1/namespaces/{namespace}/secrets/{name}"] = (200, body)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[ApiServer]:
    api = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.asked.append(self.path)
            missing = (404, {"kind": "Status", "status": "Failure", "reason": "NotFound"})
            status, body = api.answers.get(self.path, missing)
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    config = tmp_path / "kubeconfig"
    address = f"http://127.0.0.1:{server.server_port}"
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": address}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(config))
    settings.TRAINING_ENGINE = "tensorstack"
    backend.cache_clear()
    yield api
    backend.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    found = make_experiment({"aistore": {"folder": "f", "secret": "my-key"}})
    found.manifest["metadata"] = {"name": "sample", "namespace": "team"}
    return found


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.long
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_key_is_read_from_the_manifests_namespace(
    cluster: ApiServer, experiment: Experiment, end: str, caplog: pytest.LogCaptureFixture
):
    cluster.secret("my-key", "team", {"apikey": encoded(KEY + end)})
    with caplog.at_level(logging.DEBUG):
        assert vault.reveal_key(experiment) == KEY
    assert "/secrets/my-key" in caplog.text
    assert KEY not in caplog.text
    assert encoded(KEY + end) not in caplog.text


def test_without_a_namespace_the_project_is_one(cluster: ApiServer, experiment: Experiment):
    experiment.manifest["metadata"] = {"name": "sample"}
    cluster.secret("my-key", "default", {"apikey": encoded(KEY)})
    assert vault.reveal_key(experiment) == KEY


@pytest.mark.parametrize(
    ("status", "words", "permanent"),
    [(404, "does not exist", True), (403, "may not be read", True), (503, "now \\(503", False)],
)
def test_what_the_api_server_refuses_is_told(
    cluster: ApiServer, experiment: Experiment, status: int, words: str, permanent: bool
):
    path = "/api/v1/namespaces/team/secrets/my-key"
    cluster.answers[path] = (status, {"kind": "Status"})
    with pytest.raises(vault.SecretError, match=f"'my-key' in the namespace 'team' .*{words}") as e:
        vault.reveal_key(experiment)
    assert e.value.permanent is permanent


@pytest.mark.parametrize(
    "data", [{}, {"apikey": "%%%"}, {"apikey": encoded("short")}, {"key": "x"}]
)
def test_a_secret_without_a_key_is_told_without_its_content(
    cluster: ApiServer, experiment: Experiment, data: dict[str, str]
):
    cluster.secret("my-key", "team", data)
    with pytest.raises(vault.SecretError, match="8-4-4-4-12") as caught:
        vault.reveal_key(experiment)
    assert caught.value.permanent
    assert "short" not in str(caught.value)


def test_an_api_server_that_is_away_is_asked_again_later(
    cluster: ApiServer,
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    missing = str(tmp_path / "nothing")
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", missing)
    with pytest.raises(vault.SecretError, match="Cannot read the Secret") as caught:
        vault.reveal_key(experiment)
    assert not caught.value.permanent
