"""REST: charts as tables, for who reads numbers, in pages or as one CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.charts.base import Table
from experiments.rest import inputs
from experiments.rest.base import BAD, COMMON, ApiView
from experiments.rest.comparing import AcrossChartQuery, AcrossView, CompareCurvesQuery
from experiments.rest.experiments import CHART_PARAMETERS, known_chart
from experiments.rest.file_names import as_download, file_name
from experiments.selectors import across, chart_data, compare, selection
from experiments.selectors.export import CONTENT_TYPES, csv_of

MOST_ROWS = 1000  # at once


class TableQuery(inputs.StrictSerializer):
    """Which rows, and how; beside the chart's own options."""

    format = serializers.ChoiceField(
        ["json", "csv"], required=False, default="json", help_text="csv: all rows as a file."
    )
    offset = inputs.QueryNumber(required=False, default=0, min_value=0, max_value=10**9)
    limit = inputs.QueryNumber(required=False, default=200, min_value=1, max_value=MOST_ROWS)


class TableShape(serializers.Serializer[Any]):
    columns = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField(help_text="Rows in all.")
    rows = serializers.ListField(
        child=serializers.ListField(child=serializers.JSONField()),
        help_text="Numbers, words, true, false and null, as the columns are.",
    )


ANSWERS: dict[Any, Any] = {
    (200, "application/json"): TableShape,
    (200, "text/csv"): OpenApiTypes.STR,
    400: BAD,
    **COMMON,
}


class TableView(ApiView):
    """Shared by the routes: which rows are asked for, and the answer."""

    def split(self, request: Request) -> tuple[dict[str, Any], dict[str, str]]:
        """The wish for rows, and the rest of the query."""
        asked = {name: str(value) for name, value in request.query_params.items()}
        known = TableQuery().fields
        wish = self.read(TableQuery, {n: v for n, v in asked.items() if n in known})
        return wish, {n: v for n, v in asked.items() if n not in known}

    def answer(self, table: Table, wish: Mapping[str, Any], name: str) -> HttpResponseBase:
        if wish["format"] == "csv":
            text = csv_of(table.columns, table.rows)
            return HttpResponse(text, content_type=CONTENT_TYPES["csv"], headers=as_download(name))
        part = table.rows[wish["offset"] : wish["offset"] + wish["limit"]]
        return Response({"columns": table.columns, "count": len(table.rows), "rows": part})


class ChartTable(TableView):
    @extend_schema(
        operation_id="experiments_chart_table",
        summary="What a chart draws, in rows and columns",
        parameters=[*CHART_PARAMETERS, inputs.SelectionQuery, TableQuery],
        responses=ANSWERS,
    )
    def get(self, request: Request, experiment_id: str, kind: str) -> HttpResponseBase:
        experiment = self.experiment(experiment_id)
        known_chart(kind)
        chosen = self.selection()
        wish, asked = self.split(request)
        options = {name: value for name, value in asked.items() if name not in selection.PARAMS}
        table = chart_data.table(experiment, kind, options, chosen)
        return self.answer(table, wish, file_name(experiment.name, f"-{kind}.csv", experiment.pk))


class CompareCurvesTable(TableView):
    @extend_schema(
        operation_id="experiments_compare_curves_table",
        summary="Their intermediate values, in rows and columns",
        parameters=[CompareCurvesQuery, TableQuery],
        responses=ANSWERS,
    )
    def get(self, request: Request, experiment_id: str) -> HttpResponseBase:
        experiment = self.experiment(experiment_id)
        wish, asked = self.split(request)
        query = self.read(CompareCurvesQuery, asked)
        trials = compare.chosen_trials(experiment, query.pop("trials"))
        table = compare.curves_table(experiment, trials, query)
        return self.answer(table, wish, file_name(experiment.name, "-curves.csv", experiment.pk))


class AcrossTable(TableView, AcrossView):
    @extend_schema(
        operation_id="experiments_across_chart_table",
        summary="What a chart of several experiments draws, in rows and columns",
        parameters=[
            AcrossChartQuery,
            TableQuery,
            OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=["best", "edf"]),
        ],
        responses=ANSWERS,
    )
    def get(self, request: Request, kind: str) -> HttpResponseBase:
        wish, asked = self.split(request)
        query = self.read(AcrossChartQuery, asked)
        experiments = self.chosen(request, query.pop("ids"))
        table = across.table(experiments, kind, query)
        return self.answer(table, wish, file_name(experiments[0].name, f"-{kind}.csv", "compared"))
