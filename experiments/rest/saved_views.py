"""REST: views of an experiment's page, kept by name for everybody who sees the experiment."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.models import SavedView
from experiments.rest import answers, inputs
from experiments.rest.base import BAD, COMMON, ApiView
from experiments.selectors.present import saved_view_json
from experiments.services import saved_views


class SavedViews(ApiView):
    @extend_schema(
        operation_id="views_list",
        summary="Views that were given names",
        responses={200: answers.SavedViewShape(many=True), **COMMON},
    )
    def get(self, request: Request, experiment_id: str) -> Response:
        found = self.experiment(experiment_id).saved_views.select_related("author")
        return Response([saved_view_json(view) for view in found])

    @extend_schema(
        operation_id="views_create",
        summary="Keep a view under a name",
        request=inputs.SavedViewBody,
        responses={201: answers.SavedViewShape, 400: BAD, **COMMON},
    )
    def post(self, request: Request, experiment_id: str) -> Response:
        experiment = self.experiment_to_change(experiment_id)
        body = self.read(inputs.SavedViewBody, request.data)
        view = saved_views.save(experiment, body["name"], body["query"], request.user)
        return Response(saved_view_json(view), status=status.HTTP_201_CREATED)


class OneSavedView(ApiView):
    def _view(self, experiment_id: str, pk: int) -> SavedView:
        view = self.experiment_to_change(experiment_id).saved_views.filter(pk=pk).first()
        if view is None:
            raise Http404(f"Experiment {experiment_id} has no view {pk}.")
        return view

    @extend_schema(
        operation_id="views_change",
        summary="Rename a view, or let its name stand for another",
        request=inputs.SavedViewPatch,
        responses={200: answers.SavedViewShape, 400: BAD, **COMMON},
    )
    def patch(self, request: Request, experiment_id: str, view: int) -> Response:
        found = self._view(experiment_id, view)
        body = self.read(inputs.SavedViewPatch, request.data)
        saved_views.change(found, name=body.get("name"), query=body.get("query"))
        return Response(saved_view_json(found))

    @extend_schema(
        operation_id="views_delete", summary="Delete a view", responses={204: None, **COMMON}
    )
    def delete(self, request: Request, experiment_id: str, view: int) -> Response:
        self._view(experiment_id, view).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
