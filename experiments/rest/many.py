"""REST: one action on many trials, those of a selection or those that are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.algorithms.space.flat import nested
from experiments.models import Experiment
from experiments.problems import Problem, ProblemsError
from experiments.rest import answers, inputs
from experiments.rest.base import BAD, COMMON, REFUSED, ApiView
from experiments.rest.trials_csv import csv_rows
from experiments.selectors import selection
from experiments.services import actions, many


class SelectedTrials(ApiView):
    """One POST that changes many trials. Without any that are named it refuses: never all."""

    body: type[serializers.Serializer[Any]] = inputs.SelectedBody

    def chosen(self, request: Request, experiment: Experiment) -> tuple[list[int], dict[str, Any]]:
        """Primary keys of the trials, and the rest of the body."""
        body = self.read(self.body, request.data)
        asked = self.selection()
        named = body.pop("trials", None)
        if (named is None) == asked.is_whole:
            message = "Name the trials: their numbers here, or a selection in the query; not both."
            raise ProblemsError([Problem("trials", message, "E.g. ?state=FAILED")])
        if named is None:
            return list(selection.picked(experiment, asked)), body
        by_number = dict(experiment.trials.values_list("number", "pk"))
        unknown = sorted(set(named) - set(by_number))
        if unknown:
            words = ", ".join(map(str, unknown[:10]))
            raise ProblemsError([Problem("trials", f"There are no trials {words}.")])
        return [by_number[number] for number in named], body


def _done(numbers: list[int]) -> Response:
    return Response({"count": len(numbers), "trials": numbers})


Post = Callable[..., Response]


def _described(name: str, summary: str, body: Any) -> Callable[[Post], Post]:
    described: Callable[[Post], Post] = extend_schema(
        operation_id=f"trials_{name}_many",
        summary=summary,
        parameters=[inputs.SelectionQuery],
        request=body,
        responses={200: answers.DoneShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    return described


class KillTrials(SelectedTrials):
    @_described("kill", "Stop trials; those that have ended are passed over", inputs.SelectedBody)
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        pks, _ = self.chosen(request, experiment)
        return _done(many.kill(experiment, pks))


class RetryTrials(SelectedTrials):
    @_described(
        "retry", "Try trials again; those that succeeded are passed over", inputs.SelectedBody
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        pks, _ = self.chosen(request, experiment)
        return _done([trial.number for trial in many.retry(experiment, pks)])


class ExcludeTrials(SelectedTrials):
    body = inputs.ExcludeSelectedBody

    @_described(
        "exclude", "Leave trials out of the best and of the history", inputs.ExcludeSelectedBody
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        pks, body = self.chosen(request, experiment)
        return _done(many.set_excluded(experiment, pks, True, reason=body["reason"]))


class RestoreTrials(SelectedTrials):
    @_described("restore", "Take excluded trials back in", inputs.SelectedBody)
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        pks, _ = self.chosen(request, experiment)
        return _done(many.set_excluded(experiment, pks, False))


class CustomTrials(ApiView):
    @extend_schema(
        operation_id="trials_create_many",
        summary="Try many parameters of your own: all of them, or none",
        request=inputs.CustomTrialsBody,
        responses={201: answers.DoneShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        body = self.read(inputs.CustomTrialsBody, request.data)
        if ("trials" in body) == ("csv" in body):
            message = "Give the trials' parameters as a list here, or as CSV in 'csv'; not both."
            raise ProblemsError([Problem("trials", message)])
        rows = body["trials"] if "trials" in body else csv_rows(body["csv"])
        parameters = experiment.spec.space.parameters
        many_of = [nested(parameters, row) for row in rows]
        paths = [f"trials[{n}]" for n in range(len(rows))]
        if "csv" in body:
            paths = [f"row {n}" for n in range(1, len(rows) + 1)]
        made = actions.custom_trials(experiment, many_of, force=body["force"], paths=paths)
        answer = {"count": len(made), "trials": [trial.number for trial in made]}
        return Response(answer, status=status.HTTP_201_CREATED)
