"""The operator finds the API server where the kubelet says it is, not by the cluster's DNS."""

from __future__ import annotations

import kopf
import pytest

from experiments.cluster import operator


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("10.0.0.1", "https://10.0.0.1:6443"),
        ("fd00::1", "https://[fd00::1]:6443"),
        ("", "https://kubernetes.default.svc"),  # nobody told us
    ],
)
def test_the_server_is_the_one_that_the_pod_was_told(
    host: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def account(**_: object) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t")

    monkeypatch.setattr(kopf, "login_with_service_account", account)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    found = operator._own_account()
    assert (found.server, found.token) == (server, "t")
