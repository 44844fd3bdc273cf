"""REST: files that a trial attached.

What a file holds is its trial's business, so a browser gets it as something to save and never as a
page of ours: only raster images, told by their first bytes, are shown in place.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access.security import NOTHING_RUNS
from experiments.models import Artifact, Experiment
from experiments.rest import inputs
from experiments.rest.base import BAD, COMMON, ApiView, streamed
from experiments.selectors.artifacts import artifacts_json, pieces
from experiments.services import artifacts


class ArtifactShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    image_type = serializers.CharField(
        allow_null=True, help_text="Content type of a PNG, JPEG, GIF or WebP image."
    )
    created_at = serializers.DateTimeField()


class DownloadQuery(inputs.StrictSerializer):
    download = serializers.ChoiceField(
        ["0", "1"], required=False, default="0", help_text="1: save an image too, do not show it."
    )


class Artifacts(ApiView):
    @extend_schema(
        operation_id="artifacts_list",
        summary="Files that a trial attached",
        responses={200: ArtifactShape(many=True), **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> Response:
        return Response(artifacts_json(self.trial(self.experiment(experiment_id), number)))


class OneArtifact(ApiView):
    def _artifact(self, experiment: Experiment, number: int, artifact_id: int) -> Artifact:
        trial = self.trial(experiment, number)
        artifact = trial.artifacts.filter(pk=artifact_id, complete=True).first()
        if artifact is None:
            raise Http404(f"Trial {number} has no file {artifact_id}.")
        artifact.trial = trial
        return artifact

    @extend_schema(
        operation_id="artifacts_read",
        summary="The file itself",
        parameters=[DownloadQuery],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="Unchanged."),
            400: BAD,
            **COMMON,
        },
    )
    def get(
        self, request: Request, experiment_id: str, number: int, artifact_id: int
    ) -> HttpResponseBase:
        artifact = self._artifact(self.experiment(experiment_id), number, artifact_id)
        query = self.read(DownloadQuery, request.query_params)
        is_shown = bool(artifact.image_type) and query["download"] == "0"
        tag = f'"{artifact.sha256}"'
        unchanged = get_conditional_response(request._request, etag=tag)
        if unchanged is not None:
            return unchanged
        headers = {
            "Content-Disposition": content_disposition_header(not is_shown, artifact.name)
            or "inline",
            "Content-Length": str(artifact.size),
            "Content-Security-Policy": NOTHING_RUNS,
            "X-Content-Type-Options": "nosniff",
            "ETag": tag,
            "Cache-Control": "private, no-cache",
        }
        kind = artifact.image_type or "application/octet-stream"
        if not artifact.size:
            return HttpResponse(b"", content_type=kind, headers=headers)
        return StreamingHttpResponse(
            streamed(request, pieces(artifact)), content_type=kind, headers=headers
        )

    @extend_schema(
        operation_id="artifacts_delete",
        summary="Delete a file for good",
        responses={204: None, **COMMON},
    )
    def delete(
        self, request: Request, experiment_id: str, number: int, artifact_id: int
    ) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        artifacts.delete(self._artifact(experiment, number, artifact_id))
        return Response(status=status.HTTP_204_NO_CONTENT)
