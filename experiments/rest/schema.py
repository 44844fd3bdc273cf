"""REST: the schema, its documentation page, and the answer to every other address."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from experiments.rest.authentication import TokenAuthentication
from experiments.rest.base import ApiView


class Schema(SpectacularAPIView):
    authentication_classes = [TokenAuthentication, SessionAuthentication]


class Docs(SpectacularSwaggerSplitView):
    """Swagger UI on a page of ours. Its start-up script is its own address: none is inline."""

    authentication_classes = [SessionAuthentication]
    url_name = "api-schema"
    template_name = "rest/docs.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return super().dispatch(request, *args, **kwargs)


class NoSuchRoute(ApiView):
    """Everything else below /api/v1/: a JSON 404 rather than a page."""

    def _refuse(self, request: Request, rest: str = "") -> Any:
        hint = "" if rest.endswith("/") or not rest else " Routes end with a slash."
        raise Http404(f"There is no such route.{hint} See /api/docs/.")

    @extend_schema(exclude=True)
    def get(self, request: Request, rest: str = "") -> Any:
        return self._refuse(request, rest)

    @extend_schema(exclude=True)
    def post(self, request: Request, rest: str = "") -> Any:
        return self._refuse(request, rest)

    @extend_schema(exclude=True)
    def put(self, request: Request, rest: str = "") -> Any:
        return self._refuse(request, rest)

    @extend_schema(exclude=True)
    def patch(self, request: Request, rest: str = "") -> Any:
        return self._refuse(request, rest)

    @extend_schema(exclude=True)
    def delete(self, request: Request, rest: str = "") -> Any:
        return self._refuse(request, rest)
