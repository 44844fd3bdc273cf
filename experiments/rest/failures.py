"""REST: failed trials in groups, and the parameter values at which they fail."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.rest.base import BAD, COMMON, ApiView
from experiments.rest.inputs import SelectionQuery
from experiments.selectors.triage import failures_json


class WhereShape(serializers.Serializer[Any]):
    parameter = serializers.CharField(help_text="A nested one by its dotted name.")
    low = serializers.FloatField(allow_null=True, help_text="From this value on.")
    high = serializers.FloatField(allow_null=True, help_text="Up to this value.")
    values = serializers.ListField(help_text="Of a parameter without order.")
    failed = serializers.IntegerField()
    of = serializers.IntegerField()
    elsewhere_failed = serializers.IntegerField()
    elsewhere_of = serializers.IntegerField()


class GroupShape(serializers.Serializer[Any]):
    exit_code = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(help_text="Of the newest; numbers and paths may differ.")
    count = serializers.IntegerField()
    trials = serializers.ListField(
        child=serializers.IntegerField(), help_text="Numbers, the newest first; at most 200."
    )
    where = WhereShape(
        many=True,
        help_text="The same of this group's failures; empty where all are of one group, and after "
        "the fifth.",
    )


class FailuresShape(serializers.Serializer[Any]):
    failed = serializers.IntegerField(help_text="Trials that nobody retried or excluded.")
    groups = GroupShape(many=True, help_text="The largest first; at most 20.")
    where = WhereShape(
        many=True,
        help_text="At most three places where more trials fail than elsewhere, by Fisher's exact "
        "test (1 % for all that is looked at), against trials that did well.",
    )


class Failures(ApiView):
    @extend_schema(
        operation_id="experiments_failures",
        summary="Failed trials in groups, and where they fail",
        parameters=[SelectionQuery],
        responses={200: FailuresShape, 400: BAD, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        return Response(failures_json(self.experiment(experiment_id), self.selection()))
