"""REST: experiments, their manifests, charts, exports and events; and the algorithms there are.

Each view authorises, reads its input, makes one call and answers. Mutations are ``actions``'.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import get_conditional_response
from django.utils.translation import get_language
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access import policy
from experiments.algorithms.reference import catalogue
from experiments.charts import CHARTS
from experiments.manifest.spec import Parsed, to_manifest
from experiments.manifest.yaml_text import dump_yaml
from experiments.models import Experiment, Project
from experiments.problems import Problem, ProblemsError, nearest
from experiments.rest import answers, inputs
from experiments.rest.base import (
    BAD,
    COMMON,
    MANIFEST_PARSERS,
    NO_TOKEN,
    REFUSED,
    ApiView,
    manifest_of,
    page_of,
    selected,
    streamed,
)
from experiments.rest.errors import InvalidManifest
from experiments.rest.file_names import as_download, file_name
from experiments.rest.heads import head
from experiments.said import forecast_json, problems_json
from experiments.selectors import chart_data, selection
from experiments.selectors.blocked import blocked_by_id
from experiments.selectors.borrowed import borrowed_json
from experiments.selectors.export import CONTENT_TYPES, export, json_chunks
from experiments.selectors.listing import listed
from experiments.selectors.manifest import current_manifest, manifest_text
from experiments.selectors.present import (
    aistore_by_id,
    count_trials,
    event_json,
    experiment_json,
    trial_json,
)
from experiments.services import actions, creations
from experiments.services.intake import Intake, keep_secrets, take_in, take_in_file
from experiments.trials.backends import backend

MANIFEST_BODY: Any = {
    "application/json": OpenApiTypes.OBJECT,
    "application/yaml": OpenApiTypes.STR,
    "text/yaml": OpenApiTypes.STR,
    "multipart/form-data": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    },
}


def _require_runnable(intake: Intake) -> Parsed:
    """The parsed manifest, or InvalidManifest with all that stands against it."""
    if intake.problems or intake.parsed is None:
        raise InvalidManifest(intake.problems, intake.warnings)
    return intake.parsed


def _require_permission(user: Any, *intakes: Intake, namespace: str = "") -> None:
    """May this person make these? Who runs commands on this host needs more than who does not.

    Args:
        namespace: where they are made, whatever they say.
    """
    for where in dict.fromkeys(namespace or intake.namespace for intake in intakes):
        if not policy.may_create(user, where):
            raise _not_there(user, where)
    parsed = [intake.parsed for intake in intakes]
    if not backend().runs_here or (parsed and all(p and p.spec.elsewhere for p in parsed)):
        return
    if not settings.LOCAL_TRIALS:
        raise PermissionDenied(
            "This server does not run trials on its own host (AUTOTUNE_LOCAL_TRIALS is off)."
        )
    if not policy.may_run_locally(user):
        raise PermissionDenied("You may not run commands on this host.")


def _not_there(user: Any, namespace: str) -> PermissionDenied:
    if not policy.is_asked_of_the_cluster(user):
        return PermissionDenied("You may not create experiments.")
    where = namespace or settings.NAMESPACE
    if others := ", ".join(policy.creates_in(user)):
        return PermissionDenied(
            f"You may not create experiments in the namespace '{where}'. "
            f"Set metadata.namespace to one in which you may: {others}."
        )
    return PermissionDenied(f"You may not create experiments in the namespace '{where}'.")


def _created(request: Request, made: list[Experiment], warnings: Iterable[Problem]) -> Response:
    """The first one's head; ``more`` holds those of the others, where a file held several."""
    first, *others = [head(request, experiment) for experiment in made]
    shown = problems_json(warnings)
    answer = {**first, "warnings": shown, "more": others}
    return Response(answer, status=status.HTTP_201_CREATED, headers={"Location": first["api_url"]})


def _key(request: Request) -> str:
    """Its Idempotency-Key; "" where it has none. Raises ProblemsError for one that is absurd."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > 200:
        message = f"Must have at most 200 characters, but has {len(key)}."
        raise ProblemsError([Problem("Idempotency-Key", message)])
    return key


def _origin(request: Request) -> str:
    """Who made it: the new-experiment page has a session, programs have tokens."""
    by_session = isinstance(request.successful_authenticator, SessionAuthentication)
    return Experiment.Origin.WEB if by_session else Experiment.Origin.API


class Experiments(ApiView):
    parser_classes = MANIFEST_PARSERS

    @extend_schema(
        operation_id="experiments_list",
        summary="List experiments",
        parameters=[inputs.ExperimentsQuery],
        responses={
            200: answers.page_shape("Experiment", answers.ExperimentShape(many=True)),
            400: BAD,
            **COMMON,
        },
    )
    def get(self, request: Request) -> Response:
        query = self.read(inputs.ExperimentsQuery, request.query_params)
        phases = query.get("phase")
        found = listed(
            policy.visible_experiments(request.user),
            search=query.get("search", ""),
            tags=query.get("tag", ()),
            shown=Q(phase__in=phases) if phases else None,
            orders=query.get("order", ()),
        )
        page, pager = page_of(found, request, self)
        counts, aistore, blocked = count_trials(page), aistore_by_id(page), blocked_by_id(page)
        return pager.get_paginated_response(
            [experiment_json(e, counts[e.pk], aistore, blocked) for e in page]
        )

    @extend_schema(
        operation_id="experiments_create",
        summary="Create an experiment from its manifest",
        description="With an `Idempotency-Key` a request that is sent again makes no second one.",
        parameters=[
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, required=False)
        ],
        request=MANIFEST_BODY,
        responses={
            201: answers.CreatedShape,
            400: answers.ManifestErrorsShape,
            401: NO_TOKEN,
            403: OpenApiResponse(answers.ErrorsShape, description="You may not create it."),
        },
    )
    def post(self, request: Request) -> Response:
        body = manifest_of(request)
        found = take_in_file(body.raw, is_json=body.is_json, viewer=request.user)
        _require_permission(request.user, *(intake for _, intake in found.experiments))
        if found.problems:
            raise InvalidManifest(found.problems, found.warnings)
        if found.secrets and not policy.may_keep_secrets(request.user):
            raise PermissionDenied("You may not set secrets.")
        with transaction.atomic(), creations.once(request.user, _key(request)) as creation:
            if made := creation.made:
                return _created(request, made, found.warnings)
            keep_secrets(found.secrets, Project.default())
            made = [
                actions.create_experiment(
                    _require_runnable(intake),
                    owner=request.user,
                    origin=_origin(request),
                    source=given.text,
                )
                for given, intake in found.experiments
            ]
            creation.note(made)
        return _created(request, made, found.warnings)


class ValidateManifest(ApiView):
    parser_classes = MANIFEST_PARSERS

    @extend_schema(
        operation_id="experiments_validate",
        summary="Check a manifest without storing it",
        request=MANIFEST_BODY,
        responses={200: answers.ValidShape, 400: answers.ManifestErrorsShape, 401: NO_TOKEN},
    )
    def post(self, request: Request) -> Response:
        body = manifest_of(request)
        found = take_in_file(body.raw, is_json=body.is_json, viewer=request.user)
        if found.problems:
            raise InvalidManifest(found.problems, found.warnings)
        first, *others = [_forecast(intake) for _, intake in found.experiments]
        warnings = problems_json(found.warnings)
        return Response({"errors": [], "warnings": warnings, **first, "more": others})


def _forecast(intake: Intake) -> dict[str, Any]:
    manifest = to_manifest(_require_runnable(intake).spec)
    assert intake.forecast is not None
    foretold = forecast_json(intake.forecast.as_dict())
    return {"manifest": manifest, "yaml": dump_yaml(manifest), **foretold}


class OneExperiment(ApiView):
    @extend_schema(
        operation_id="experiments_read",
        summary="Read an experiment",
        responses={200: answers.ExperimentShape, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        return Response(experiment_json(self.experiment(experiment_id)))

    @extend_schema(
        operation_id="experiments_change",
        summary="Change limits, name, notes or tags, suspend or resume",
        request=inputs.ExperimentPatch,
        responses={200: answers.ExperimentShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def patch(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        wanted = self.read(inputs.ExperimentPatch, request.data)
        actions.edit(experiment, wanted, expected=wanted.pop("expected", {}))
        return Response(experiment_json(self.experiment(experiment_id)))

    @extend_schema(
        operation_id="experiments_delete",
        summary="Delete an experiment, its trials and logs",
        responses={204: None, **COMMON},
    )
    def delete(self, request: Request, experiment_id: str) -> Response:
        actions.delete(self.experiment_to_delete(experiment_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class Manifest(ApiView):
    @extend_schema(
        operation_id="experiments_manifest",
        summary="The manifest as it was written, with today's limits, as YAML",
        responses={(200, "application/yaml"): OpenApiTypes.STR, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> HttpResponse:
        experiment = self.experiment(experiment_id)
        name = experiment.manifest["metadata"]["name"]
        return HttpResponse(
            manifest_text(experiment),
            content_type="application/yaml; charset=utf-8",
            headers={"Content-Disposition": f'inline; filename="{name}.yaml"'},
        )


class Finish(ApiView):
    @extend_schema(
        operation_id="experiments_finish",
        summary="End an experiment early",
        request=None,
        responses={200: answers.ExperimentShape, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        actions.finish(self.experiment_to_change(experiment_id))
        return Response(experiment_json(self.experiment(experiment_id)))


class Clone(ApiView):
    @extend_schema(
        operation_id="experiments_clone",
        summary="Create a new experiment from this one's manifest",
        request=inputs.CloneBody,
        responses={201: answers.CreatedShape, 400: answers.ManifestErrorsShape, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment(experiment_id)
        wanted = self.read(inputs.CloneBody, request.data)
        manifest = current_manifest(experiment)
        if "name" in wanted:
            manifest["metadata"] = {**manifest["metadata"], "name": wanted["name"]}
        learns = None
        if "warm_start" in wanted:
            learns = {"experiments": [experiment.pk], "trials": wanted["warm_start"]}
            manifest["spec"] = {**manifest["spec"], "warmStart": learns}
        intake = take_in(manifest, experiment.project.namespace, request.user)
        _require_permission(request.user, intake, namespace=experiment.project.namespace)
        if "name" in wanted and intake.problems:
            problems = [
                Problem("name", p.message, p.hint) if p.path == "metadata.name" else p
                for p in intake.problems
            ]
            raise InvalidManifest(problems, intake.warnings)
        copy = actions.create_experiment(
            _require_runnable(intake),
            owner=request.user,
            origin=_origin(request),
            source=manifest_text(experiment, name=manifest["metadata"]["name"], warm_start=learns),
            project=experiment.project,
        )
        return _created(request, [copy], intake.warnings)


class WarmStarts(ApiView):
    @extend_schema(
        operation_id="experiments_borrowed",
        summary="What the experiment learns from: trials of earlier ones",
        responses={200: answers.BorrowedShape, **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        return Response(borrowed_json(self.experiment(experiment_id)))


class RetryFailed(ApiView):
    @extend_schema(
        operation_id="experiments_retry_failed",
        summary="Retry every failed or lost trial, or those that are named",
        request=inputs.RetryBody,
        responses={200: answers.RetriedShape, 400: BAD, 409: REFUSED, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        body = self.read(inputs.RetryBody, request.data)
        again = actions.retry_failed(experiment, body.get("trials"))
        return Response({"count": len(again), "trials": [trial_json(trial) for trial in again]})


CHART_OPTIONS = {
    "x": "`history`: number, start, time (of the end). `curves`: step, sequence, time. "
    "`cost`: wall, trials. `pair`: a parameter.",
    "y": "`pair`: a parameter.",
    "color": "`scatter`: what the colour says, as `x`, or `start`, `state`.",
    "view": "`pair`: rank, contour.",
    "part": "`slots`: last, first, longest.",
    "axes": '`parcoords`, `slice`: a JSON list of parameters, as ["lr", "units"].',
    "flip": '`parcoords`: a JSON list of the axes to turn upside down; "" is the value.',
    "log_axes": "`parcoords`: the same, of those to draw logarithmic though the space does not.",
    "linear_axes": "`parcoords`: the same, of those to draw linear though the space is not.",
    "columns": "`slice`: panels in a row, 1 to 6.",
    "top": "`parcoords`: the share of the best trials to show, in percent.",
    "metric": "`curves`: the metric's name.",
    "best": "`curves`: how many of the best trials to show with those that run, and no others.",
    "smooth": "`curves`: a moving mean, 0 to 0.999: what the mean before counts at a report.",
    "trial": "`curves`: the number of the trial to show among the others.",
    "log": "`history`, `curves`, `slice`, `edf`, `cost`: 1 for logarithmic values.",
    "clip": "`history`, `curves`, `slice`, `edf`: 0 to show far-out values in place.",
}


CHART_PARAMETERS = [
    OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=sorted(CHARTS)),
    *(
        OpenApiParameter(name, str, description=f"Of {kinds}")
        for name, kinds in CHART_OPTIONS.items()
    ),
]


def known_chart(kind: str) -> None:
    """Raises Http404 for a chart that there is not."""
    if kind not in CHARTS:
        close = nearest(kind, CHARTS)
        words = f"Did you mean {close!r}?" if close else f"Known: {', '.join(CHARTS)}."
        raise Http404(f"No chart {kind!r}. {words}")


class Chart(ApiView):
    @extend_schema(
        operation_id="experiments_chart",
        summary="A chart as a Plotly figure",
        description="`layout.meta` has what is shown in words: `note`, `n_trials`, `empty`. Send "
        "the ETag back as If-None-Match: an experiment without news answers 304.",
        parameters=[*CHART_PARAMETERS, inputs.SelectionQuery],
        responses={
            200: OpenApiTypes.OBJECT,
            304: OpenApiResponse(description="Unchanged."),
            400: BAD,
            **COMMON,
        },
    )
    def get(self, request: Request, experiment_id: str, kind: str) -> Any:
        experiment = self.experiment(experiment_id)
        chosen = self.selection()
        asked = {name: str(value) for name, value in request.query_params.items()}
        options = {name: value for name, value in asked.items() if name not in selection.PARAMS}
        # The cursor is read before the rows: a figure may be newer than its tag, never older.
        tag = _etag(experiment, kind, options, chosen)
        unchanged = get_conditional_response(request._request, etag=tag)
        if unchanged is not None:
            return unchanged
        known_chart(kind)
        figure = chart_data.figure(experiment, kind, options, chosen)
        if figure["layout"]["meta"].get("n_unread"):  # there is more, though nothing has happened
            return Response(figure, headers={"Cache-Control": "no-store"})
        return Response(figure, headers={"ETag": tag, "Cache-Control": "private, no-cache"})


def _etag(
    experiment: Experiment, kind: str, options: dict[str, str], chosen: selection.Selection
) -> str:
    key = repr((experiment.pk, kind, get_language(), sorted(options.items()), chosen))
    return f'"{experiment.last_seq}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"'


class Export(ApiView):
    @extend_schema(
        operation_id="experiments_export",
        summary="Download the experiment with all trials, or with those that are selected",
        parameters=[inputs.ExportQuery],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/yaml"): OpenApiTypes.STR,
            (200, "text/html"): OpenApiTypes.STR,
            400: BAD,
            **COMMON,
        },
    )
    def get(self, request: Request, experiment_id: str) -> HttpResponseBase:
        experiment = self.experiment(experiment_id)
        query = self.read(inputs.ExportQuery, request.query_params)
        kind, chosen = query["format"], selection.keys(experiment, selected(query))
        if kind == "html" and chosen is not None:
            message = "Must be json, csv or yaml for a selection: a page has every trial."
            raise ProblemsError([Problem("format", message)])
        headers = as_download(file_name(experiment.name, f".{kind}", experiment.pk))
        if kind != "json":
            with translation.override(query.get("language") or get_language()):
                whole = export(experiment, kind, chosen)
            return HttpResponse(whole, content_type=CONTENT_TYPES[kind], headers=headers)
        return StreamingHttpResponse(
            streamed(request, json_chunks(experiment, chosen)),
            content_type=CONTENT_TYPES[kind],
            headers=headers,
        )


class Events(ApiView):
    @extend_schema(
        operation_id="experiments_events",
        summary="What happened, in order",
        parameters=[inputs.EventsQuery],
        responses={
            200: answers.page_shape("Event", answers.EventsShape),
            400: BAD,
            **COMMON,
        },
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment(experiment_id)
        query = self.read(inputs.EventsQuery, request.query_params)
        found = experiment.events.select_related("trial").order_by("seq")
        if "after" in query:
            found = found.filter(seq__gt=query["after"])
        if "trial" in query:
            found = found.filter(trial__number=query["trial"])
        page, pager = page_of(found, request, self)
        return pager.get_paginated_response(
            [event_json(event, event.trial.number if event.trial else None) for event in page]
        )


class Algorithms(ApiView):
    @extend_schema(
        operation_id="algorithms_list",
        summary="Tuners, assessors and advisors with their settings",
        responses={200: answers.AlgorithmsShape, 401: NO_TOKEN},
    )
    def get(self, request: Request) -> Response:
        return Response(catalogue())
