"""Which kinds an API server serves: they come and go with their operators' CRDs.

Used by ``Cluster`` where the engine is chosen by it. All groups are asked for at once (aggregated
discovery), and again with the ETag of the last answer, so that a cluster in which nothing came or
went answers with nothing. Guarantees: what came is known AGAIN_S later, at the next launch; what
is missed by a launch (``doubt``) is asked for at once; nobody asks but who launches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from experiments.training.kubernetes.api import ApiError, KubeApi
from experiments.training.kubernetes.jobs.common import Kind

AGAIN_S = 30.0
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
BETA = AGGREGATED.replace("v=v2", "v=v2beta1")  # Kubernetes 1.29
ACCEPT = f"{AGGREGATED},{BETA},application/json"


class Served:
    """What one API server serves; safe to use from several threads."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._kinds: frozenset[tuple[str, str]] | None = None  # group/version and plural
        self._etag = ""
        self._asked = 0.0

    def has_all(self, kinds: Iterable[Kind]) -> bool:
        """Whether all of these are served. Raises ApiError, Unreachable."""
        known = self._now()
        if known is None:
            return all(self._has(kind) for kind in kinds)
        return all((kind.group_version, kind.plural) in known for kind in kinds)

    def doubt(self) -> None:
        """Something that should be served is not: ask before the next answer."""
        with self._lock:
            self._asked = 0.0

    def _now(self) -> frozenset[tuple[str, str]] | None:
        """All kinds; None from a server that does not tell of all groups at once."""
        with self._lock:
            if self._asked and time.monotonic() - self._asked < AGAIN_S:
                return self._kinds
            found, etag = self._api.get_if_changed("/apis", ACCEPT, self._etag)
            if found is not None:
                self._kinds = _kinds_of(found)
                self._etag = etag if self._kinds is not None else ""
            self._asked = time.monotonic()
            return self._kinds

    def _has(self, kind: Kind) -> bool:
        try:
            found = self._api.get(f"/apis/{kind.group_version}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return any(each["name"] == kind.plural for each in found.get("resources") or [])


def _kinds_of(answer: dict[str, Any]) -> frozenset[tuple[str, str]] | None:
    if "items" not in answer:
        return None
    return frozenset(
        (f"{group['metadata']['name']}/{version['version']}", resource["resource"])
        for group in answer["items"]
        for version in group.get("versions") or []
        for resource in version.get("resources") or []
    )
