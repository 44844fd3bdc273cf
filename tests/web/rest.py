"""How the tests of the REST API ask: addresses, bodies, and the errors of an answer."""

from __future__ import annotations

import copy
from typing import Any

from django.test import Client

from experiments.models import Experiment
from tests.conftest import MANIFEST

LIST = "/api/v1/experiments/"


def url(experiment: Experiment, rest: str = "") -> str:
    return f"{LIST}{experiment.pk}/{rest}"


def trials_url(experiment: Experiment, rest: str = "") -> str:
    return url(experiment, f"trials/{rest}")


def post(client: Client, to: str, body: Any = None, **more: Any) -> Any:
    return client.post(
        to, body if body is not None else {}, content_type="application/json", **more
    )


def patch(client: Client, to: str, body: Any) -> Any:
    return client.patch(to, body, content_type="application/json")


def errors(response: Any) -> dict[str, str]:
    """Messages by path."""
    return {error["path"]: error["message"] for error in response.json()["errors"]}


def changed(**spec: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"].update(spec)
    return manifest
