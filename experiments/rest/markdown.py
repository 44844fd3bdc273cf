"""REST: notes as a page shows them, before they are kept and after somebody else changed them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.rest import inputs
from experiments.rest.base import BAD, NO_TOKEN, ApiView
from experiments.selectors.markdown import rendered


class MarkdownShape(serializers.Serializer[Any]):
    html = serializers.CharField(help_text="Clean: it may stand on a page as it is.")


class Markdown(ApiView):
    @extend_schema(
        operation_id="markdown_render",
        summary="Notes in Markdown as HTML",
        request=inputs.MarkdownBody,
        responses={200: MarkdownShape, 400: BAD, 401: NO_TOKEN},
    )
    def post(self, request: Request) -> Response:
        return Response({"html": rendered(self.read(inputs.MarkdownBody, request.data)["text"])})
