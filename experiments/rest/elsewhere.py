"""REST: trials that programs elsewhere run. They ask for some, say that they live, tell the end."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access.tokens import trial_token
from experiments.models import Experiment, Loan, Trial
from experiments.rest.base import BAD, COMMON, REFUSED, ApiView
from experiments.rest.inputs import JSONObject, StrictSerializer, Text, WholeNumber
from experiments.services import elsewhere, growing
from experiments.services.elsewhere import WORDS, Told
from experiments.states import TrialState

LONGEST_WAIT_S = 20
MOST_AT_ONCE = 100
_NAMED = {"NaN", "Infinity", "-Infinity"}


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string", "enum": sorted(_NAMED)}]})
class AnyNumber(serializers.Field[Any, Any, Any, Any]):
    """A JSON number, or the name of what is none."""

    def to_internal_value(self, data: Any) -> float | str:
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        if isinstance(data, str) and data in _NAMED:
            return data
        try:
            if is_number and math.isfinite(float(data)):
                return float(data)
        except OverflowError:
            pass
        raise serializers.ValidationError(
            f'Must be a number, "NaN", "Infinity" or "-Infinity", but got {data!r:.60}.'
        )

    def to_representation(self, value: Any) -> Any:
        return value


class AskBody(StrictSerializer):
    key = Text(
        max_length=64,
        help_text="Yours for this wish: sent again with it, the same trials come, never others.",
    )
    n = WholeNumber(required=False, default=1, min_value=1, max_value=MOST_AT_ONCE)
    wait = WholeNumber(
        required=False,
        default=10,
        min_value=0,
        max_value=LONGEST_WAIT_S,
        help_text="Seconds to wait for the first trial.",
    )


class _OfAttempt(StrictSerializer):
    attempt = WholeNumber(min_value=1, max_value=32767, help_text="As it was given.")


class HeartbeatBody(_OfAttempt):
    pass


class TellBody(_OfAttempt):
    value = AnyNumber(required=False, help_text="The final result.")
    metrics = serializers.DictField(
        child=AnyNumber(), required=False, help_text="Further final metrics, by name."
    )
    failed = Text(required=False, max_length=4000, help_text="Why it failed.")
    stopped = Text(
        required=False,
        max_length=4000,
        help_text="Why its program stopped it early: its last intermediate value counts.",
    )
    lost = Text(
        required=False, max_length=4000, help_text="Why its program gives it back, to start anew."
    )
    used = serializers.ListField(
        child=Text(max_length=200),
        required=False,
        help_text="Names of the parameters that it met, where the search space grows.",
    )

    def validate(self, attrs: Any) -> Any:
        given = [name for name in WORDS if name in attrs]
        if len(given) != 1:
            words = ", ".join(given) or "none"
            message = f"One of value, failed, stopped and lost must be given, but got {words}."
            raise serializers.ValidationError({"value": message})
        if "metrics" in attrs and ("value" not in attrs or "default" in attrs["metrics"]):
            message = "Must stand beside value, and hold no 'default': that is the value."
            raise serializers.ValidationError({"metrics": message})
        return attrs


class GrowBody(_OfAttempt):
    space = JSONObject(help_text="Parameters that the program met, each with _type and _value.")


class GivenTrialShape(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    id = serializers.CharField()
    attempt = serializers.IntegerField(help_text="Say it with heartbeats and the result.")
    parameters = JSONObject()
    state = serializers.ChoiceField([state.value for state in TrialState])
    address = serializers.CharField(
        help_text="Below this server's address: where the trial API takes this attempt's reports."
    )


class GivenShape(serializers.Serializer[Any]):
    trials = GivenTrialShape(many=True)
    reason = serializers.CharField(allow_blank=True, help_text="Why there are none.")
    over = serializers.BooleanField(help_text="There will be none any more.")
    lost_after_seconds = serializers.IntegerField(help_text="Of silence: then a trial is lost.")
    grows = serializers.BooleanField(help_text="The search space does, by what programs meet.")


class ToldShape(serializers.Serializer[Any]):
    number = serializers.IntegerField(help_text="Another one, where a retry took its place.")
    state = serializers.ChoiceField([state.value for state in TrialState])
    used = serializers.BooleanField(help_text="It is the trial's result.")
    reason = serializers.CharField(allow_blank=True)


class HeardShape(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    state = serializers.ChoiceField([state.value for state in TrialState])
    stop = serializers.BooleanField(help_text="Go no further: the result would not be used.")
    reason = serializers.CharField(allow_blank=True)


class GrownShape(serializers.Serializer[Any]):
    parameters = JSONObject(help_text="The trial's, with a value for each of the new ones.")


def _given(trial: Trial, loan: Loan) -> dict[str, Any]:
    return {
        "number": trial.number,
        "id": trial.key,
        "attempt": loan.attempt,
        "parameters": trial.parameters,
        "state": trial.state,
        "address": f"/t/{trial_token(trial, attempt=loan.attempt)}",
    }


def _told(told: Told) -> dict[str, Any]:
    trial = told.trial
    return {"number": trial.number, "state": trial.state, "reason": told.reason}


class Ask(ApiView):
    @extend_schema(
        operation_id="experiments_ask",
        summary="Ask for trials to run elsewhere",
        description="Of an experiment with `spec.elsewhere`. Waits for the first one.",
        request=AskBody,
        responses={200: GivenShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        body = self.read(AskBody, request.data)
        given = elsewhere.ask(experiment, body["key"], body["n"], body["wait"])
        spec = experiment.spec.elsewhere
        return Response(
            {
                "trials": [_given(trial, loan) for trial, loan in given.trials],
                "reason": given.reason,
                "over": given.over,
                "lost_after_seconds": spec.lost_after_s if spec else 0,
                "grows": bool(spec and spec.grows),
            }
        )


class _OfTrial(ApiView):
    """One POST of the program that has a trial."""

    def lent(self, experiment_id: str, number: int) -> Experiment:
        experiment = self.experiment_to_change(experiment_id)
        self.trial(experiment, number)  # 404 where there is none
        return experiment


class Heartbeat(_OfTrial):
    @extend_schema(
        operation_id="trials_heartbeat",
        summary="Say that a trial's program lives",
        request=HeartbeatBody,
        responses={200: HeardShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str, number: int) -> Response:
        experiment = self.lent(experiment_id, number)
        body = self.read(HeartbeatBody, request.data)
        told = elsewhere.heartbeat(experiment, number, body["attempt"])
        return Response({**_told(told), "stop": not told.used})


class Tell(_OfTrial):
    @extend_schema(
        operation_id="trials_tell",
        summary="Tell what came of a trial that ran elsewhere",
        description="Told again in the same words it counts once; other words are refused (409).",
        request=TellBody,
        responses={200: ToldShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str, number: int) -> Response:
        experiment = self.lent(experiment_id, number)
        word = self.read(TellBody, request.data)
        used = word.pop("used", None)
        told = elsewhere.tell(experiment, number, word.pop("attempt"), word)
        if used is not None:
            growing.keep_used(told.trial, used)
        return Response({**_told(told), "used": told.used})


class Grow(_OfTrial):
    @extend_schema(
        operation_id="trials_grow",
        summary="Add parameters that a trial's program met to the search space",
        description="Of an experiment with `spec.elsewhere.grows`. The trial gets a value for each "
        "parameter that it has none for.",
        request=GrowBody,
        responses={200: GrownShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str, number: int) -> Response:
        experiment = self.lent(experiment_id, number)
        body = self.read(GrowBody, request.data)
        found = growing.grow(experiment, number, body["attempt"], body["space"])
        return Response({"parameters": found})
