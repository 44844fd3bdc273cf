"""Secrets that manifests name: API keys of AIStore, by the name in ``spec.aistore.secret``.

Where the backend has no Secrets of a cluster they are rows, encrypted with a key derived from
SECRET_KEY; where it has, they are Kubernetes Secrets with the key ``apikey``. A value goes in by
REST or command line and comes out for the uploader alone; no text of ours repeats it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import OperationalError, ProgrammingError
from django.db.models import QuerySet

from experiments.models import Secret
from experiments.models.secrets import SecretError, seal
from experiments.problems import Problem, ProblemsError
from experiments.redaction import KEY, KEY_RULE
from experiments.trials.backends import backend

NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9._]{0,251}[A-Za-z0-9])?\Z")
KUBERNETES_KEY = "apikey"  # of the Secret's data
_TIMEOUT_S = 10


# ---------------------------------------------------------------- setting and removing


def put(project: Any, name: str, value: str) -> bool:
    """Set a secret; True where it is new. Raises ProblemsError, which never shows the value."""
    problems = []
    if not NAME.match(name):
        rule = "must be at most 253 letters, digits, '-', '_' and '.'"
        problems.append(Problem("name", f"{rule}, but got '{name[:80]}'."))
    if not KEY.match(value):
        what = f"{len(value)} characters of another form"
        problems.append(Problem("value", f"{KEY_RULE}, but got {what}."))
    if problems:
        raise ProblemsError(problems)
    sealed = seal(value)
    _, is_new = Secret.objects.update_or_create(
        project=project, name=name, defaults={"sealed": sealed}
    )
    return is_new


def remove(project: Any, name: str) -> bool:
    """Forget a secret; False where there is none of this name."""
    if not NAME.match(name):  # NUL, say, for which PostgreSQL refuses even to look
        return False
    n, _ = Secret.objects.filter(project=project, name=name).delete()
    return bool(n)


def secrets_of(project: Any) -> QuerySet[Secret]:
    return Secret.objects.filter(project=project)


# ---------------------------------------------------------------- using


def reveal_key(experiment: Any) -> str:
    """The API key that an experiment's manifest names. Raises SecretError."""
    name = experiment.configuration["aistore"]["secret"]
    if not backend().has_cluster_secrets:
        row = Secret.objects.filter(project=experiment.project_id, name=name).first()
        if row is None:
            raise SecretError(_missing(name))
        key = row.reveal()
    else:
        namespace = experiment.manifest.get("metadata", {}).get("namespace")
        key = _from_kubernetes(name, namespace or experiment.project.namespace)
    if not KEY.match(key):
        raise SecretError(f"The secret '{name}' {KEY_RULE}; it is not.")
    return key


def _missing(name: str) -> str:
    return f"There is no secret '{name}'. Set it: {settings.COMMAND} manage secret {name}"


def _from_kubernetes(name: str, namespace: str) -> str:
    """The key in a Secret of the cluster. The client is imported here: it is large."""
    from kubernetes import client, config

    where = f"the Secret '{name}' in the namespace '{namespace}'"
    configuration = client.Configuration()
    trouble: SecretError | None = None
    try:
        try:
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        with client.ApiClient(configuration) as api:
            # Not loaded by the client: it would log the whole Secret at DEBUG.
            answer: Any = client.CoreV1Api(api).read_namespaced_secret(
                name, namespace, _request_timeout=_TIMEOUT_S, _preload_content=False
            )
            data = json.loads(answer.data).get("data") or {}
    except client.ApiException as error:
        permanent = error.status in (403, 404)
        words = {404: "does not exist", 403: "may not be read: the service account has no right"}
        said = words.get(error.status, f"cannot be read now ({error.status} {error.reason})")
        trouble = SecretError(f"The cluster says of {where} that it {said}.", permanent=permanent)
    except Exception as error:  # no configuration, no network: the client raises many kinds
        trouble = SecretError(f"Cannot read {where} ({type(error).__name__}).", permanent=False)
    if trouble is not None:
        raise trouble
    try:
        raw = base64.b64decode(data.get(KUBERNETES_KEY, ""), validate=True)
        return raw.decode("ascii").strip()
    except (binascii.Error, UnicodeError):
        return ""


def _is_known(name: str) -> bool:
    try:
        return Secret.objects.filter(name=name).exists()
    except (OperationalError, ProgrammingError):
        return False  # a manifest can be checked before there is a database


def forecast(aistore: Any, known: Collection[str] = ()) -> list[Problem]:
    """What keeps ``spec.aistore`` from working here: warnings, for the trials run all the same.

    ``known`` are names of secrets that are about to be set.
    """
    if aistore is None:
        return []
    found = []
    if not settings.AISTORE_HOST:
        message = "AISTORE_HOST is not set on this server: nothing is uploaded until it is."
        found.append(Problem("spec.aistore", message))
    if not backend().has_cluster_secrets:
        name = aistore.secret
        if name not in known and not _is_known(name):
            message = f"There is no secret '{name}' on this server: nothing is uploaded without it."
            hint = f"Set it with {settings.COMMAND} manage secret {name}, now or later."
            found.append(Problem("spec.aistore.secret", message, hint))
    return found
