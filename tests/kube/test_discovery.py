"""What a cluster serves: asked for at once, and again only for what came and went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.training.base import BackendUnavailable
from experiments.training.kubernetes import discovery
from experiments.training.kubernetes.api import ApiError, KubeApi
from experiments.training.kubernetes.backend import KubernetesBackend
from experiments.training.kubernetes.discovery import Served
from experiments.training.kubernetes.jobs.common import Kind
from tests.e2e.stack import wait_for
from tests.kube.control_plane import ControlPlane
from tests.kube.test_outages import launch

KIND = Kind("Sometimes", "come-and-go.example/v1", "sometimes")


def crd(served: bool = True) -> str:
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1", "served": served, "storage": True, "schema": schema}
    names = {"kind": KIND.name, "plural": KIND.plural, "singular": "sometime"}
    spec = {"group": "come-and-go.example", "scope": "Namespaced", "names": names}
    return json.dumps(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "sometimes.come-and-go.example"},
            "spec": {**spec, "versions": [version]},
        }
    )


class Counted:
    """Notes what is asked, and what came back."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self.answers: list[bool] = []  # whether there was something new

    def get_if_changed(self, path: str, accept: str, etag: str) -> Any:
        found, tag = self._api.get_if_changed(path, accept, etag)
        self.answers.append(found is not None)
        return found, tag


def test_what_comes_and_goes_is_noticed_by_one_small_request(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
):
    settings = control_plane.client().configuration
    api = Counted(KubeApi.with_configuration(settings))
    served = Served(api)  # type: ignore[arg-type]
    assert not served.has_all([KIND])
    for _ in range(10):
        assert not served.has_all([KIND])
    assert api.answers == [True], "asked once, for all"
    monkeypatch.setattr(discovery, "AGAIN_S", 0.0)
    wait_for("rest", lambda: not served.has_all([KIND]) and not api.answers[-1], 30)
    control_plane.kubectl("apply", "-f", "-", text=crd())
    wait_for("the kind", lambda: served.has_all([KIND]), 30)
    control_plane.kubectl("delete", "crd", "sometimes.come-and-go.example")
    wait_for("its end", lambda: not served.has_all([KIND]), 30)


def test_a_kind_that_went_costs_no_trial_where_the_engine_is_found_out(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Trainer's CRDs go between the answer and the launch: the next try takes another engine."""
    settings = control_plane.client().configuration
    api = KubeApi.with_configuration(settings)
    post, gone = api.post, "/apis/trainer.kubeflow.org/"

    def refusing(path: str, body: Any, **query: Any) -> Any:
        if path.startswith(gone):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return post(path, body, **query)

    monkeypatch.setattr(api, "post", refusing)
    backend = KubernetesBackend("auto", tmp_path, connect=lambda: api)
    try:
        before = Served(api)
        served = backend._reach().served
        doubted: list[bool] = []
        monkeypatch.setattr(served, "doubt", lambda: doubted.append(True))
        monkeypatch.setattr(
            served,
            "has_all",
            lambda kinds: (
                before.has_all(kinds) and not (doubted and "trainer" in kinds[0].group_version)
            ),
        )
        with pytest.raises(BackendUnavailable, match="could not find"):
            backend.launch(launch(namespace, 1))
        assert doubted
        handle = backend.launch(launch(namespace, 1))
        assert handle["kind"] == "PyTorchTrainingJob"
    finally:
        backend.close()
