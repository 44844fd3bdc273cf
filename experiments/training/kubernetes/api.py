"""Requests to a Kubernetes API server: plain JSON in and out, errors as two exceptions.

Used by the Kubernetes backend and its watches. The official client brings configuration, TLS and
credentials (renewed where they expire); its typed models are left out, as manifests are dicts. It
is imported when a cluster is asked: it is large, and who has no cluster need not have it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import urllib3

from experiments import counted

if TYPE_CHECKING:
    from kubernetes import client

TIMEOUT_S = (5.0, 20.0)  # to connect, to answer
POOL_SIZE = 256  # connections kept for the next request: watches, logs, and whoever launches
USER_AGENT = "autotune-web"  # what an audit log of the cluster calls us


class ApiError(Exception):
    """The API server refused: ``status`` is HTTP's, ``reason`` Kubernetes' word for it."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message or reason or f"HTTP {status}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after  # seconds, where the server said

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (401, 408, 429) or self.status >= 500


class Unreachable(Exception):
    """No answer from the API server."""


class Stream:
    """An answer that is read as it comes. Close it from any thread; the reader then ends."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._closed = False

    def chunks(self) -> Iterator[bytes]:
        """Yield what comes. Raises Unreachable where the connection breaks."""
        try:
            yield from self._response.stream(65536, decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            if not self._closed:
                raise Unreachable(_words(error)) from error
        finally:
            with contextlib.suppress(Exception):
                self._response.close()

    def lines(self) -> Iterator[bytes]:
        """Yield whole lines."""
        rest = b""
        for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(Exception):  # a connection that is gone already
            self._response.connection.sock.shutdown(socket.SHUT_RDWR)


class KubeApi:
    """One connection pool; safe for use by several threads."""

    user_agent = USER_AGENT

    def __init__(self, api_client: client.ApiClient) -> None:
        from kubernetes.client import ApiException

        self._client = api_client
        self._refusal: type[Exception] = ApiException
        self.timeout_s = TIMEOUT_S  # of what is not a stream

    @classmethod
    def from_environment(cls) -> Self:
        """Connect as KUBECONFIG or ~/.kube/config says, else as the pod's ServiceAccount.

        Raises:
            Unreachable: nothing says where a cluster is.
        """
        from kubernetes import client, config

        settings = client.Configuration()
        try:
            file = os.environ.get("KUBECONFIG") or None
            if file is None and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            else:
                config.load_kube_config(file, client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise Unreachable(f"no cluster is configured (KUBECONFIG): {error}") from error
        return cls.with_configuration(settings)

    @classmethod
    def with_configuration(cls, settings: client.Configuration) -> Self:
        from kubernetes import client

        settings.retries = False  # what to repeat, and when, is decided by whoever calls
        settings.connection_pool_maxsize = POOL_SIZE
        api_client = client.ApiClient(settings)
        api_client.user_agent = cls.user_agent
        return cls(api_client)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._json("GET", path, query, None)

    def get_if_changed(
        self, path: str, accept: str, etag: str
    ) -> tuple[dict[str, Any] | None, str]:
        """The answer and its ETag; None where it is still that of ``etag``."""
        headers = {"Accept": accept, **({"If-None-Match": etag} if etag else {})}
        response = self._open("GET", path, {}, None, self.timeout_s, headers=headers)
        data = _read(response)
        if response.status == 304:
            return None, etag
        return _as_object(path, data), response.headers.get("ETag", "")

    def post(self, path: str, body: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        return self._json("POST", path, query, body)

    def merge(self, path: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH by a JSON merge patch (RFC 7386)."""
        return self._json("PATCH", path, {}, changes, "application/merge-patch+json")

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._json("DELETE", path, {}, body)

    def stream(self, path: str, read_timeout_s: float, **query: Any) -> Stream:
        """Start reading an answer of any length."""
        return Stream(self._open("GET", path, query, None, (self.timeout_s[0], read_timeout_s)))

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        response = self._open(method, path, query, body, self.timeout_s, content_type)
        return _as_object(path, _read(response))

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        timeout: tuple[float, float],
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request; return urllib3's response, whose status is a success."""
        pairs = [(key, value) for key, value in query.items() if value not in ("", None)]
        sent = {"Accept": "application/json", "Content-Type": content_type, **(headers or {})}
        try:
            request = self._client.param_serialize(
                method,
                path,
                query_params=pairs,
                header_params=sent,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=timeout)
        except (urllib3.exceptions.HTTPError, self._refusal, OSError) as error:
            _count(method, path, query, "none")
            raise Unreachable(_words(error)) from error
        response = answer.response
        _count(method, path, query, str(response.status))
        if response.status >= 400:
            raise _api_error(response)
        return response


def _as_object(path: str, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Unreachable(f"{path} was answered by something else: {data[:100]!r}") from error
    if not isinstance(value, dict):
        raise Unreachable(f"{path} was answered by something else: {data[:100]!r}")
    return value


def _count(method: str, path: str, query: Mapping[str, Any], status: str) -> None:
    verb = "WATCH" if query.get("watch") else method
    counted.KUBERNETES_REQUESTS.labels(verb, counted.resource_of(path), status).inc()


def _read(response: Any) -> bytes:
    try:
        data: bytes = response.read()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(_words(error)) from error
    response.release_conn()
    return data


def _api_error(response: Any) -> ApiError:
    data = _read(response)
    reason, message = "", data[:300].decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, AttributeError):
        status = json.loads(data)
        reason = status.get("reason") or ""
        message = status.get("message") or message
    retry_after = 0.0
    with contextlib.suppress(ValueError):
        retry_after = float(response.headers.get("Retry-After", 0))
    return ApiError(response.status, reason, message, retry_after)


def _words(error: BaseException) -> str:
    """Say what went wrong in one line, without the object addresses of urllib3's texts."""
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return f"no connection ({str(error).rpartition(': ')[2]})"
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def refusal_of(error: ApiError, kind: str, namespace: str) -> str:
    """Say in the user's words why an object can never be created."""
    if is_unknown(error):
        return f"the cluster knows no {kind}s; is their operator installed?"
    if error.status == 404:
        return f"the namespace {namespace!r} does not exist in the cluster"
    return f"the cluster refused the {kind}: {error}"


def is_unknown(error: ApiError) -> bool:
    """Whether a kind is not served: its CRD went."""
    return error.status == 404 and "namespaces" not in str(error)
