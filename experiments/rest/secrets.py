"""REST: API keys for AIStore, write-only, and another try of an experiment's uploads."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access import policy
from experiments.aistore import outbox, vault
from experiments.models import Experiment, Project, Secret, uploads
from experiments.rest import answers, inputs
from experiments.rest.base import BAD, COMMON, NO_TOKEN, REFUSED, ApiView
from experiments.selectors.present import experiment_json, iso
from experiments.services.actions import Refused


class SecretsView(ApiView):
    """Base: whose secrets these are."""

    def project(self) -> Project | None:
        """None while it is not there yet: who only reads makes none, and waits for no writer."""
        if not policy.may_keep_secrets(self.request.user):
            raise Http404("There are no secrets for you here.")
        return Project.objects.filter(name=Project.DEFAULT).first()


def _secret_json(secret: Secret) -> dict[str, Any]:
    return {"name": secret.name, "changed_at": iso(secret.changed_at)}


class Secrets(SecretsView):
    @extend_schema(
        operation_id="secrets_list",
        summary="Names of the secrets; values are never told",
        responses={200: answers.SecretShape(many=True), 401: NO_TOKEN},
    )
    def get(self, request: Request) -> Response:
        project = self.project()
        found = vault.secrets_of(project) if project else ()
        return Response([_secret_json(secret) for secret in found])


class OneSecret(SecretsView):
    @extend_schema(
        operation_id="secrets_set",
        summary="Set a secret: an API key for AIStore",
        description="Uploads that failed for want of it are tried again.",
        request=inputs.SecretBody,
        responses={200: answers.SecretShape, 201: answers.SecretShape, 400: BAD, 401: NO_TOKEN},
    )
    def put(self, request: Request, name: str) -> Response:
        project = self.project() or Project.default()
        value = self.read(inputs.SecretBody, request.data)["value"]
        is_new = vault.put(project, name, value)
        outbox.secret_changed(project, name)
        secret = vault.secrets_of(project).get(name=name)
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(_secret_json(secret), status=code)

    @extend_schema(
        operation_id="secrets_delete",
        summary="Delete a secret",
        responses={204: None, **COMMON},
    )
    def delete(self, request: Request, name: str) -> Response:
        project = self.project()
        if project is None or not vault.remove(project, name):
            raise Http404(f"There is no secret {name[:80]!r}.")
        return Response(status=status.HTTP_204_NO_CONTENT)


class RetryUploads(ApiView):
    @extend_schema(
        operation_id="experiments_retry_uploads",
        summary="Try failed and waiting uploads to AIStore again now",
        request=None,
        responses={200: answers.ExperimentShape, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        if uploads.destination(experiment) is None:
            raise Refused("The experiment has no spec.aistore: there is nothing to upload.")
        if not outbox.try_again(Experiment.objects.filter(pk=experiment.pk)):
            raise Refused("No upload has failed: there is nothing to try again.")
        return Response(experiment_json(self.experiment(experiment_id)))
