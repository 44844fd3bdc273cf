"""REST: trials of an experiment, their reports and logs."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.models import Metric, Trial
from experiments.problems import Problem, ProblemsError
from experiments.rest import answers, inputs
from experiments.rest.base import BAD, COMMON, REFUSED, ApiView, Pages, page_of, selected
from experiments.selectors import selection
from experiments.selectors.logged import logged_json
from experiments.selectors.present import metric_json, trial_json
from experiments.selectors.trial_filter import unquoted
from experiments.services import actions
from experiments.services.actions import Refused
from experiments.training.base import LaunchError
from experiments.trials.backends import backend
from experiments.trials.by_hand import command_line
from experiments.trials.launching import job_text
from experiments.trials.logs import log_files, read_log


class Trials(ApiView):
    @extend_schema(
        operation_id="trials_list",
        summary="List trials",
        parameters=[inputs.TrialsQuery],
        responses={
            200: answers.TrialPage,
            400: BAD,
            **COMMON,
        },
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment(experiment_id)
        query = self.read(inputs.TrialsQuery, request.query_params)
        chosen = selection.picked(experiment, selected(query), query.get("order") or ["number"])
        given_page = None
        if "at" in query:
            chosen = list(chosen)
            found = experiment.trials.filter(number=query["at"]).values_list("pk", flat=True)
            size = query.get("page_size", Pages.page_size)
            given_page = _page_with(chosen, found.first(), query["at"], size)
        page, pager = page_of(chosen, request, self, number=given_page)
        by_id = experiment.trials.in_bulk(page)  # sorted without their parameters and metrics
        shown = [trial_json(by_id[pk]) for pk in page if pk in by_id]
        answer = pager.get_paginated_response(shown)
        return Response({**answer.data, "page": pager.number})

    @extend_schema(
        operation_id="trials_create",
        summary="Try parameters of your own",
        request=inputs.CustomTrialBody,
        responses={201: answers.TrialShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        body = self.read(inputs.CustomTrialBody, request.data)
        trial = actions.custom_trial(experiment, body["parameters"], force=body["force"])
        return Response(trial_json(trial), status=status.HTTP_201_CREATED)


def _page_with(pks: Sequence[int], pk: int | None, number: int, size: int) -> int:
    """The page, from 1, that a trial is on. Raises ProblemsError where it is on none."""
    if pk is None or pk not in pks:
        message = _("Trial %(n)d is not among these trials.") % {"n": number}
        raise ProblemsError([Problem("at", message, _("Take the filter back, or mend it."))])
    return pks.index(pk) // size + 1


class OneTrial(ApiView):
    @extend_schema(
        operation_id="trials_read",
        summary="Read a trial",
        responses={200: answers.TrialShape, **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> Response:
        return Response(trial_json(self.trial(self.experiment(experiment_id), number)))

    @extend_schema(
        operation_id="trials_change",
        summary="Write a trial's notes",
        request=inputs.TrialPatch,
        responses={200: answers.TrialShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def patch(self, request: Request, experiment_id: str, number: int) -> Response:
        trial = self.trial(self.experiment_to_change(experiment_id), number)
        wanted = self.read(inputs.TrialPatch, request.data)
        actions.edit_trial(trial, wanted, expected=wanted.pop("expected", {}))
        trial.refresh_from_db()
        return Response(trial_json(trial))


class _TrialAction(ApiView):
    """One POST that changes one trial."""

    def trial_to_change(self, experiment_id: str, number: int) -> Trial:
        return self.trial(self.experiment_to_change(experiment_id), number)


class KillTrial(_TrialAction):
    @extend_schema(
        operation_id="trials_kill",
        summary="Stop a trial",
        request=None,
        responses={200: answers.TrialShape, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str, number: int) -> Response:
        trial = self.trial_to_change(experiment_id, number)
        if trial.is_finished:
            raise Refused(f"Trial {trial.number} has ended already ({trial.state}).")
        actions.kill_trial(trial)
        trial.refresh_from_db()
        return Response(trial_json(trial))


class RetryTrial(_TrialAction):
    @extend_schema(
        operation_id="trials_retry",
        summary="Try the same parameters again, as a new trial",
        request=None,
        responses={201: answers.TrialShape, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str, number: int) -> Response:
        again = actions.retry_trial(self.trial_to_change(experiment_id, number))
        return Response(trial_json(again), status=status.HTTP_201_CREATED)


class ExcludeTrial(_TrialAction):
    @extend_schema(
        operation_id="trials_exclude",
        summary="Leave a trial out of the best and of the tuner's history",
        request=inputs.ExcludeBody,
        responses={200: answers.TrialShape, 400: BAD, **COMMON},
    )
    def post(self, request: Request, experiment_id: str, number: int) -> Response:
        trial = self.trial_to_change(experiment_id, number)
        body = self.read(inputs.ExcludeBody, request.data)
        actions.set_excluded(trial, True, reason=body["reason"])
        return Response(trial_json(trial))


class RestoreTrial(_TrialAction):
    @extend_schema(
        operation_id="trials_restore",
        summary="Take an excluded trial back in",
        request=None,
        responses={200: answers.TrialShape, **COMMON},
    )
    def post(self, request: Request, experiment_id: str, number: int) -> Response:
        trial = self.trial_to_change(experiment_id, number)
        actions.set_excluded(trial, False)
        return Response(trial_json(trial))


class Metrics(ApiView):
    @extend_schema(
        operation_id="trials_metrics",
        summary="Every report of a trial, in order",
        parameters=[inputs.MetricsQuery],
        responses={200: answers.MetricsShape, 400: BAD, **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> Response:
        trial = self.trial(self.experiment(experiment_id), number)
        query = self.read(inputs.MetricsQuery, request.query_params)
        # PERIODICAL sorts behind FINAL by name, but comes first in time.
        found = Metric.objects.filter(trial=trial).order_by("-kind", "sequence", "name")
        if kinds := query.get("kind"):
            found = found.filter(kind__in=kinds)
        if names := query.get("name"):
            found = found.filter(name__in=[unquoted(name) for name in names])
        rows = [metric_json(metric, trial.number) for metric in found]
        return Response({"count": len(rows), "results": rows})


class Logged(ApiView):
    @extend_schema(
        operation_id="trials_logged",
        summary="What a trial logged to MLflow, beside its metrics",
        responses={200: answers.LoggedShape, **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> Response:
        return Response(logged_json(self.trial(self.experiment(experiment_id), number)))


class Job(ApiView):
    @extend_schema(
        operation_id="trials_job",
        summary="What was, or would be, started for the trial, as YAML",
        description="Kubernetes objects, or the commands of this machine with what is their own of "
        "the environment; the trial's token is left out.",
        responses={(200, "application/yaml"): OpenApiTypes.STR, 409: REFUSED, **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> HttpResponse:
        experiment = self.experiment(experiment_id)
        trial = self.trial(experiment, number)
        try:
            text = job_text(trial, backend())
        except LaunchError as error:
            raise Refused(f"It could not be started here now: {error}") from None
        except ProblemsError as error:
            words = "; ".join(f"{p.path} {p.message}" for p in error.problems)
            raise Refused(f"This version does not take its manifest: {words}") from None
        name = f"{experiment.manifest['metadata']['name']}-trial-{number}.yaml"
        return HttpResponse(
            text,
            content_type="application/yaml; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


class Command(ApiView):
    @extend_schema(
        operation_id="trials_command",
        summary="The command that runs its parameters by hand, as one line for a shell",
        responses={(200, "text/plain"): OpenApiTypes.STR, 409: REFUSED, **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> HttpResponse:
        experiment = self.experiment(experiment_id)
        trial = self.trial(experiment, number)
        try:
            line = command_line(experiment.spec, trial.parameters)
        except ProblemsError as error:
            words = "; ".join(f"{p.path} {p.message}" for p in error.problems)
            raise Refused(f"This version does not take its manifest: {words}") from None
        return HttpResponse(f"{line}\n", content_type="text/plain; charset=utf-8")


class Logs(ApiView):
    @extend_schema(
        operation_id="trials_logs",
        summary="Names and sizes of a trial's logs",
        responses={200: answers.LogFileShape(many=True), **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> Response:
        trial = self.trial(self.experiment(experiment_id), number)
        return Response([{"name": log.name, "size": log.size} for log in log_files(trial)])


class Log(ApiView):
    @extend_schema(
        operation_id="trials_log",
        summary="A piece of a log, as plain text",
        description="X-Log-Size is the whole log's size, X-Log-Offset where this piece starts, "
        "X-Log-Next where to go on, all in bytes; X-Log-Name names the log. It is what the trial "
        "printed, control characters and all, but for the signature of the token that it reports "
        "with: that is starred out.",
        parameters=[inputs.LogQuery],
        responses={(200, "text/plain"): OpenApiTypes.STR, 400: BAD, **COMMON},
    )
    def get(self, request: Request, experiment_id: str, number: int) -> HttpResponse:
        trial = self.trial(self.experiment(experiment_id), number)
        query = self.read(inputs.LogQuery, request.query_params)
        logs = {log.name: log for log in log_files(trial)}
        name = query.get("log") or next(iter(logs), "")
        if query.get("log") and name not in logs:
            raise Http404(f"Trial {number} has no log {name[:80]!r}; it has: {', '.join(logs)}.")
        size = logs[name].size if name else 0
        offset = query["offset"]
        start = max(0, size + offset) if offset < 0 else min(offset, size)
        # Names come from the backend's own list, so no path can be asked for.
        text = read_log(trial, logs[name], start, query["limit"]) if name else b""
        return HttpResponse(
            text,
            content_type="text/plain; charset=utf-8",
            headers={
                "X-Log-Name": name,
                "X-Log-Size": str(max(size, start + len(text))),
                "X-Log-Offset": str(start),
                "X-Log-Next": str(start + len(text)),
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )
