"""REST: Plotly figures that people keep with an experiment."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.charts.own import MOST_BYTES
from experiments.models import Experiment, OwnFigure
from experiments.rest.base import BAD, COMMON, ApiView, StrictJSONParser
from experiments.rest.file_names import file_name
from experiments.rest.tables import ANSWERS, TableQuery, TableView
from experiments.selectors import own_figures as selector
from experiments.services import figures


class FigureShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField(help_text="The figure's own, in plain words.")
    size = serializers.IntegerField(help_text="Bytes as JSON.")
    n_traces = serializers.IntegerField()
    n_points = serializers.IntegerField()
    author = serializers.CharField(allow_null=True, help_text="Who put it last.")
    changed_at = serializers.DateTimeField()


class FigureParser(StrictJSONParser):
    limit = MOST_BYTES


def _figure(experiment: Experiment, name: str) -> OwnFigure:
    found = experiment.own_figures.filter(name=name).first()
    if found is None:
        raise Http404(f"Experiment {experiment.pk} has no figure {name!r}.")
    found.experiment = experiment
    return found


class Figures(ApiView):
    @extend_schema(
        operation_id="figures_list",
        summary="Figures of one's own, by name",
        responses={200: FigureShape(many=True), **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        return Response(selector.own_figures_json(self.experiment(experiment_id)))


class OneFigure(ApiView):
    parser_classes = [FigureParser]

    @extend_schema(
        operation_id="figures_read",
        summary="The figure itself, as Plotly draws it",
        responses={
            200: OpenApiTypes.OBJECT,
            304: OpenApiResponse(description="Unchanged."),
            **COMMON,
        },
    )
    def get(self, request: Request, experiment_id: str, name: str) -> HttpResponseBase:
        text = _figure(self.experiment(experiment_id), name).text.encode()
        tag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
        unchanged = get_conditional_response(request._request, etag=tag)
        if unchanged is not None:
            return unchanged
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        return HttpResponse(text, content_type="application/json", headers=headers)

    @extend_schema(
        operation_id="figures_put",
        summary="Keep a Plotly figure under this name, in the place of an earlier one",
        description="The body is the figure as `fig.to_json()` writes it: `data` and `layout`.",
        request=OpenApiTypes.OBJECT,
        responses={200: FigureShape, 201: FigureShape, 400: BAD, **COMMON},
    )
    def put(self, request: Request, experiment_id: str, name: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        figure, is_new = figures.keep(experiment, name, request.data, request.user)
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(selector.own_figure_json(figure), status=code)

    @extend_schema(
        operation_id="figures_delete",
        summary="Delete a figure of one's own for good",
        responses={204: None, **COMMON},
    )
    def delete(self, request: Request, experiment_id: str, name: str) -> Response:
        figures.delete(_figure(self.experiment_to_change(experiment_id), name))
        return Response(status=status.HTTP_204_NO_CONTENT)


class FigureTable(TableView):
    @extend_schema(
        operation_id="figures_table",
        summary="What a figure of one's own draws, in rows and columns",
        parameters=[TableQuery],
        responses=ANSWERS,
    )
    def get(self, request: Request, experiment_id: str, name: str) -> HttpResponseBase:
        experiment = self.experiment(experiment_id)
        wish = self.read(TableQuery, request.query_params)
        table = selector.table(_figure(experiment, name))
        return self.answer(table, wish, file_name(experiment.name, f"-{name}.csv", experiment.pk))
