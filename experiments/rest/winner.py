"""REST: whether the best is really the best, and running parameters again to find out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.engine.winner import Verdict
from experiments.rest import answers, inputs
from experiments.rest.base import BAD, COMMON, REFUSED, ApiView
from experiments.rest.many import SelectedTrials
from experiments.selectors.winner import winner_json
from experiments.services import repeats


class ContenderShape(serializers.Serializer[Any]):
    trial = serializers.IntegerField(help_text="The first that ran these parameters.")
    value = serializers.FloatField(help_text="The best that they gave.")
    again = serializers.ListField(
        child=serializers.IntegerField(), help_text="Trials that ran them later, with a result."
    )
    n_failed = serializers.IntegerField(help_text="Their trials without a result.")
    mean = serializers.FloatField(allow_null=True, help_text="Of what they gave later.")
    low = serializers.FloatField(allow_null=True, help_text="The mean's interval, 95 %.")
    high = serializers.FloatField(allow_null=True)
    chance = serializers.FloatField(
        allow_null=True, help_text="That they are the best of those that were repeated."
    )


class OutlookShape(serializers.Serializer[Any]):
    n_more = serializers.IntegerField(
        help_text="Trials more: those that are left, or as many again where it has ended."
    )
    as_many_again = serializers.BooleanField(help_text="None are left: as many as there were.")
    chance = serializers.FloatField(help_text="That one of them is better than the best so far.")
    gain = serializers.FloatField(help_text="How much better the best is then, on average.")
    gained = serializers.FloatField(help_text="By how much the later half of the trials did.")
    since = serializers.IntegerField(help_text="Trials with a value since the best one came.")


class WinnerShape(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(
        [verdict.value for verdict in Verdict],
        help_text="Of the parameters with the best value: not_repeated (they ran once), too_few "
        "(nothing ran again twice), identical (each run gave the same number), alone (only they "
        "were repeated), confirmed (the best with 95 % and more), likely, open, lucky (others are "
        "likelier).",
    )
    contenders = ContenderShape(many=True, help_text="At most five, the best value first.")
    likeliest = serializers.IntegerField(allow_null=True, help_text="Trial of the likeliest.")
    noise = serializers.FloatField(
        allow_null=True, help_text="Standard deviation of trials with the same parameters."
    )
    gap = serializers.FloatField(
        allow_null=True, help_text="From the best value to that of the next parameters."
    )
    n_different = serializers.IntegerField(help_text="Parameters that have a result.")
    outlook = OutlookShape(allow_null=True, help_text="Null with less than 20 values.")
    seconds_each = serializers.FloatField(
        allow_null=True, help_text="What a trial that succeeded took on average."
    )


class Winner(ApiView):
    @extend_schema(
        operation_id="experiments_winner",
        summary="Whether the best trial is really the best, and whether more would help",
        responses={200: WinnerShape, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        return Response(winner_json(self.experiment(experiment_id)))


class RepeatTrials(SelectedTrials):
    body = inputs.RepeatBody

    @extend_schema(
        operation_id="trials_repeat_many",
        summary="Run the parameters of trials again, to see how much was luck",
        parameters=[inputs.SelectionQuery],
        request=inputs.RepeatBody,
        responses={201: answers.DoneShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        pks, body = self.chosen(request, experiment)
        made = repeats.repeat(experiment, pks, body["times"])
        answer = {"count": len(made), "trials": [trial.number for trial in made]}
        return Response(answer, status=status.HTTP_201_CREATED)
