"""The few requests about AutoTuneExperiment objects and their Events, made of the API server.

Called by ``cluster_sync`` and ``kube_operator``. Each method is one request; errors are sorted into
those that pass by themselves (ClusterUnavailable) and those that do not (ClusterRefused).
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client import ApiException

from experiments.engine.crd import PLURAL
from experiments.engine.fields import API_GROUP, API_VERSION, API_VERSION_NAME, KIND

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT = (5, 20)  # seconds to connect, to read
_MERGE = "application/merge-patch+json"
_PASSING = frozenset({0, 401, 408, 429, 500, 502, 503, 504})  # 401: a token that was rotated
_TOO_LONG = 1024  # characters of an Event's message, the API server's own bound


class ClusterUnavailable(Exception):
    """The API server cannot answer now; try again later."""


class ClusterRefused(Exception):
    """The API server will not do it; trying again changes nothing."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)

    @property
    def is_missing(self) -> bool:
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        return self.status == 409


def _load() -> client.ApiClient:
    """A client for KUBECONFIG (or ~/.kube/config), else for the cluster we run in."""
    configuration = client.Configuration()
    try:
        if os.environ.get("KUBECONFIG") or not (_SERVICE_ACCOUNT / "token").exists():
            config.load_kube_config(client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise ClusterRefused(0, f"No cluster is configured: {error}") from None
    configuration.retries = False  # our callers come again by themselves
    return client.ApiClient(configuration)


def own_namespace() -> str:
    """The namespace we run in, else that of the kubeconfig's context, else ``default``."""
    try:
        return (_SERVICE_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        pass
    try:
        _, active = config.list_kube_config_contexts()
        return str(active["context"].get("namespace") or "default")
    except (config.ConfigException, KeyError, TypeError):
        return "default"


class ClusterApi:
    """AutoTuneExperiment objects of one cluster; safe to use from several threads."""

    def __init__(self) -> None:
        api = _load()
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._type = {"group": API_GROUP, "version": API_VERSION_NAME, "plural": PLURAL}

    def list(self, namespace: str | None) -> list[dict[str, Any]]:
        """All objects of a namespace; None: of every namespace."""
        where = {} if namespace is None else {"namespace": namespace}
        method = (
            self._objects.list_cluster_custom_object
            if namespace is None
            else self._objects.list_namespaced_custom_object
        )
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            page = _ask(method, **self._type, **where, limit=500, _continue=more or None)
            found += page["items"]
            more = page["metadata"].get("continue", "")
            if not more:
                return found

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        return dict(
            _ask(
                self._objects.get_namespaced_custom_object,
                **self._type, namespace=namespace, name=name,
            )
        )  # fmt: skip

    def create(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        return dict(
            _ask(
                self._objects.create_namespaced_custom_object,
                **self._type, namespace=namespace, body=manifest, field_validation="Strict",
            )
        )  # fmt: skip

    def patch(self, namespace: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Merge ``changes`` into spec and metadata."""
        return dict(
            _ask(
                self._objects.patch_namespaced_custom_object,
                **self._type, namespace=namespace, name=name, body=changes, _content_type=_MERGE,
            )
        )  # fmt: skip

    def patch_status(self, namespace: str, name: str, uid: str, changes: dict[str, Any]) -> None:
        """Merge ``changes`` into the status of the object with this uid, and of no namesake."""
        _ask(
            self._objects.patch_namespaced_custom_object_status,
            **self._type, namespace=namespace, name=name, _content_type=_MERGE,
            body={"metadata": {"uid": uid}, "status": changes},
        )  # fmt: skip

    def delete(self, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid, if it is still there."""
        try:
            _ask(
                self._objects.delete_namespaced_custom_object,
                **self._type, namespace=namespace, name=name,
                body=client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=uid)),
            )  # fmt: skip
        except ClusterRefused as error:
            if not error.is_missing and not error.is_conflict:
                raise

    def tell(
        self, about: dict[str, str], key: str, reason: str, message: str, at: datetime,
        *, is_warning: bool,
    ) -> None:  # fmt: skip
        """Make an Event about an object; ``key`` makes sure that it is made once only."""
        name = f"{about['name'][:200]}.{about['uid'][:8]}.{key}"
        try:
            _ask(
                self._core.create_namespaced_event,
                about["namespace"],
                client.CoreV1Event(
                    metadata=client.V1ObjectMeta(name=name, namespace=about["namespace"]),
                    involved_object=client.V1ObjectReference(
                        api_version=API_VERSION, kind=KIND, **about
                    ),
                    type="Warning" if is_warning else "Normal",
                    reason=reason,
                    message=message[:_TOO_LONG],
                    source=client.V1EventSource(component="autotune"),
                    first_timestamp=at,
                    last_timestamp=at,
                    count=1,
                ),
            )
        except ClusterRefused as error:
            if not error.is_conflict:
                raise


def _ask(method: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return method(*args, **kwargs, _request_timeout=_TIMEOUT)
    except ApiException as error:
        if (error.status or 0) in _PASSING:
            raise ClusterUnavailable(f"{error.status} {error.reason}") from None
        raise ClusterRefused(int(error.status or 0), _words(error)) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ClusterUnavailable(str(error)) from None


def _words(error: ApiException) -> str:
    """The API server's own message, out of the Status object that it answers with."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"
