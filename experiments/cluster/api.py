"""The few requests about AutoTuneExperiment objects and their Events, made of the API server.

Called by ``sync`` and ``operator``. Errors are sorted into those that pass by
themselves (ClusterUnavailable) and those that do not (ClusterRefused).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from experiments.manifest.crd import PLURAL
from experiments.manifest.fields import API_VERSION, KIND
from experiments.training.kubernetes.api import ApiError, KubeApi, Unreachable

_MESSAGE = 1024  # characters of an Event's message, the API server's own bound
_PAGE = 500  # objects of an answer


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


@contextmanager
def _sorted_errors() -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        raise ClusterUnavailable(str(error)) from None
    except ApiError as error:
        if error.is_temporary:
            raise ClusterUnavailable(f"{error.status}: {error}") from None
        raise ClusterRefused(error.status, str(error)) from None


def _objects(namespace: str) -> str:
    """Path of the objects of a namespace; "" is every namespace."""
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{API_VERSION}{where}/{PLURAL}"


class ClusterApi:
    """AutoTuneExperiment objects of one cluster; safe to use from several threads.

    Raises ClusterUnavailable where nothing says where a cluster is.
    """

    def __init__(self) -> None:
        with _sorted_errors():
            self._api = KubeApi.from_environment()

    def list(self, namespace: str) -> list[dict[str, Any]]:
        """All objects of a namespace; "": of every namespace."""
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            with _sorted_errors():
                query = {"limit": _PAGE, "continue": more}
                page = self._api.get(_objects(namespace), **query)
            found += page["items"]
            more = page["metadata"].get("continue", "")
            if not more:
                return found

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        with _sorted_errors():
            return self._api.get(f"{_objects(namespace)}/{name}")

    def create(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        with _sorted_errors():
            return self._api.post(_objects(namespace), manifest, fieldValidation="Strict")

    def patch(self, namespace: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Merge ``changes`` into spec and metadata."""
        with _sorted_errors():
            return self._api.merge(f"{_objects(namespace)}/{name}", changes)

    def patch_status(self, namespace: str, name: str, uid: str, changes: dict[str, Any]) -> None:
        """Merge ``changes`` into the status of the object with this uid, and of no namesake."""
        patch = {"metadata": {"uid": uid}, "status": changes}
        with _sorted_errors():
            self._api.merge(f"{_objects(namespace)}/{name}/status", patch)

    def delete(self, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid, if it is still there."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            with _sorted_errors():
                self._api.delete(f"{_objects(namespace)}/{name}", options)
        except ClusterRefused as error:
            if not error.is_missing and not error.is_conflict:
                raise

    def tell(
        self, about: dict[str, str], key: str, reason: str, message: str, at: datetime,
        *, is_warning: bool,
    ) -> None:  # fmt: skip
        """Make an Event about an object; ``key`` makes sure that it is made once only."""
        namespace, time = about["namespace"], at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = f"{about['name'][:200]}.{about['uid'][:8]}.{key}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {"apiVersion": API_VERSION, "kind": KIND, **about},
            "type": "Warning" if is_warning else "Normal",
            "reason": reason,
            "message": message[:_MESSAGE],
            "source": {"component": "autotune"},
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }
        try:
            with _sorted_errors():
                self._api.post(f"/api/v1/namespaces/{namespace}/events", event)
        except ClusterRefused as error:
            if not error.is_conflict:
                raise
