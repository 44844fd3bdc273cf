"""REST: when an experiment will be done at its pace, and what its trials took."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.rest.base import COMMON, ApiView
from experiments.selectors.pace import pace_json


class LeftShape(serializers.Serializer[Any]):
    low_s = serializers.FloatField(help_text="It takes less in one of ten cases.")
    high_s = serializers.FloatField(help_text="It takes more in one of ten cases.")
    ends_by = serializers.ChoiceField(["trials", "time"], help_text="Which limit comes first.")


class LetFinishShape(serializers.Serializer[Any]):
    trials = serializers.ListField(
        child=serializers.IntegerField(), help_text="That it would have stopped, and that ran on."
    )
    ended = serializers.IntegerField(help_text="How many of them have a result.")
    wrong = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="Those that ended better than the median of the trials that it never wanted to "
        "stop (Medianstop), or reached the threshold (Curvefitting).",
    )


class PaceShape(serializers.Serializer[Any]):
    left = LeftShape(
        allow_null=True,
        help_text="Of active time. Null where it does not run, and before three trials have ended.",
    )
    trial_seconds = serializers.FloatField(help_text="All trials together, from start to end.")
    gpus_per_trial = serializers.IntegerField(help_text="As its containers ask for.")
    gpu_seconds = serializers.FloatField(allow_null=True, help_text="Null where none is asked for.")
    stopped_early = serializers.IntegerField()
    saved_seconds = serializers.FloatField(
        allow_null=True,
        help_text="What trials stopped early would have taken beyond, had each run as long as "
        "those that succeeded did on average. Null without any of both.",
    )
    saved_reports = serializers.FloatField(
        allow_null=True, help_text="The same in intermediate reports."
    )
    let_finish = LetFinishShape(
        allow_null=True,
        help_text="How often the assessor was wrong, where its `let_finish` lets some run on.",
    )


class Pace(ApiView):
    @extend_schema(
        operation_id="experiments_pace",
        summary="When it will be done at this pace, and what its trials took",
        responses={200: PaceShape, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        return Response(pace_json(self.experiment(experiment_id)))
