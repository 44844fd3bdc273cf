"""REST: trials of an experiment side by side, and experiments; with their curves."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access import policy
from experiments.models import Experiment
from experiments.rest import answers, inputs
from experiments.rest.base import BAD, COMMON, ApiView
from experiments.selectors import across, compare

_TRIALS = f"Numbers of {compare.FEWEST} to {compare.MOST} trials, e.g. `3,7,12`."


class CompareQuery(inputs.StrictSerializer):
    trials = serializers.CharField(default="", allow_blank=True, help_text=_TRIALS)


class CompareCurvesQuery(CompareQuery):
    metric = serializers.CharField(required=False, allow_blank=True)
    x = serializers.CharField(required=False, help_text="step, sequence or time.")
    log = serializers.CharField(required=False, help_text="1: a logarithmic value axis.")
    clip = serializers.CharField(required=False, help_text="0: values off scale too.")


class ComparedTrialShape(answers.TrialShape):
    duration = serializers.FloatField(allow_null=True, help_text="Seconds, so far where it runs.")
    delta = serializers.FloatField(
        allow_null=True, help_text="Its value less the best's of these; the latest while it runs."
    )
    colour = serializers.CharField(help_text="Of its line in the figure.")
    dash = serializers.CharField()


class DiffRowShape(serializers.Serializer[Any]):
    """A parameter, metric or setting; nested ones by their dotted names."""

    name = serializers.CharField()
    values = inputs.JSONObject(
        help_text="By the trial's number or the experiment's id; who lacks it is left out."
    )
    differs = serializers.BooleanField()


class MetricRowShape(DiffRowShape):
    latest = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="Trials whose value is their newest report, for want of a final one.",
    )


class ComparisonShape(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    optimize_mode = serializers.CharField()
    best = serializers.IntegerField(allow_null=True, help_text="Of these trials.")
    experiment_best = serializers.IntegerField(allow_null=True)
    trials = ComparedTrialShape(many=True)
    parameters = DiffRowShape(many=True)
    metrics = MetricRowShape(many=True)


class CompareTrials(ApiView):
    @extend_schema(
        operation_id="experiments_compare",
        summary="A few trials side by side",
        parameters=[CompareQuery],
        responses={200: ComparisonShape, 400: BAD, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment(experiment_id)
        query = self.read(CompareQuery, request.query_params)
        trials = compare.chosen_trials(experiment, query["trials"])
        return Response(compare.compare_json(experiment, trials))


class CompareCurves(ApiView):
    @extend_schema(
        operation_id="experiments_compare_curves",
        summary="Their intermediate values as a Plotly figure",
        parameters=[CompareCurvesQuery],
        responses={200: OpenApiTypes.OBJECT, 400: BAD, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment(experiment_id)
        query = self.read(CompareCurvesQuery, request.query_params)
        trials = compare.chosen_trials(experiment, query.pop("trials"))
        return Response(compare.curves_figure(experiment, trials, query))


# ---- experiments

_IDS = f"Ids of {across.FEWEST} to {across.MOST} experiments, e.g. `abcd1234,efgh5678`."


class AcrossQuery(inputs.StrictSerializer):
    ids = serializers.CharField(default="", allow_blank=True, help_text=_IDS)


class AcrossChartQuery(AcrossQuery):
    x = serializers.CharField(required=False, help_text="Of `best`: trials or time.")
    y = serializers.CharField(
        required=False,
        help_text="value, or gap: the distance to each one's own best, which is taken anyway "
        "where some maximize and others minimize.",
    )
    log = serializers.CharField(required=False, help_text="1: a logarithmic axis of values.")


class ComparedExperimentShape(answers.ExperimentShape):
    colour = serializers.CharField(help_text="Of its line in the figures.")
    dash = serializers.CharField()


class AcrossShape(serializers.Serializer[Any]):
    mixed = serializers.BooleanField(help_text="Some maximize, others minimize.")
    experiments = ComparedExperimentShape(many=True)
    settings = DiffRowShape(many=True, help_text="Of the manifest; limits as they are today.")
    space = DiffRowShape(many=True)
    best_parameters = DiffRowShape(many=True)


class AcrossView(ApiView):
    def chosen(self, request: Request, ids: str) -> list[Experiment]:
        return across.chosen_experiments(policy.visible_experiments(request.user), ids)


class CompareExperiments(AcrossView):
    @extend_schema(
        operation_id="experiments_across",
        summary="A few experiments side by side",
        parameters=[AcrossQuery],
        responses={200: AcrossShape, 400: BAD, **COMMON},
    )
    def get(self, request: Request) -> Response:
        query = self.read(AcrossQuery, request.query_params)
        return Response(across.across_json(self.chosen(request, query["ids"])))


class CompareExperimentsChart(AcrossView):
    @extend_schema(
        operation_id="experiments_across_chart",
        summary="Best so far, or the distribution of results, of several experiments",
        parameters=[
            AcrossChartQuery,
            OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=["best", "edf"]),
        ],
        responses={200: OpenApiTypes.OBJECT, 400: BAD, **COMMON},
    )
    def get(self, request: Request, kind: str) -> Response:
        query = self.read(AcrossChartQuery, request.query_params)
        experiments = self.chosen(request, query.pop("ids"))
        return Response(across.figure(experiments, kind, query))
