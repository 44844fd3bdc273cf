"""REST: through which channels one is told, of what, and what became of it."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access import policy
from experiments.models import Channel, Experiment, Notice
from experiments.models.notices import KINDS, TEST
from experiments.notices.words import sentence
from experiments.problems import Problem, ProblemsError
from experiments.rest.base import BAD, COMMON, NO_TOKEN, ApiView
from experiments.rest.inputs import StrictSerializer, Text, Words
from experiments.selectors.present import iso
from experiments.services import channels

NEWEST = 200  # notices


class ChannelBody(StrictSerializer):
    kind = serializers.ChoiceField(Channel.Kind.values)
    target = Text(max_length=500, help_text="Address of the webhook, or of the mailbox.")
    told_of = serializers.ListField(
        child=serializers.ChoiceField(KINDS), allow_empty=False, help_text="Of what."
    )
    experiment = Text(
        required=False, max_length=8, help_text="Its id; without one, of all that are yours."
    )


class ChannelShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(Channel.Kind.values)
    target = serializers.CharField()
    told_of = serializers.ListField(child=serializers.ChoiceField(KINDS))
    experiment = serializers.CharField(allow_null=True, help_text="Null: all that are yours.")
    language = serializers.CharField(help_text="In which it is told.")
    created_at = serializers.DateTimeField()


class NewChannelShape(ChannelShape):
    key = serializers.CharField(
        help_text="What a webhook is signed with: told here and never again; empty for e-mail."
    )


class NoticeShape(serializers.Serializer[Any]):
    id = serializers.IntegerField(help_text="As in X-AutoTune-Delivery.")
    channel = serializers.IntegerField()
    event = serializers.ChoiceField([*KINDS, TEST])
    experiment = serializers.CharField(allow_null=True)
    text = serializers.CharField()
    state = serializers.ChoiceField(Notice.State.values)
    attempts = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True, help_text="Of the last attempt.")
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)


class NoticesQuery(StrictSerializer):
    state = Words(Notice.State.values, help_text="Only these, separated by commas.")


def channel_json(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.pk,
        "kind": channel.kind,
        "target": channel.target,
        "told_of": channel.told_of,
        "experiment": channel.experiment_id,
        "language": channel.language,
        "created_at": iso(channel.created_at),
    }


def notice_json(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.pk,
        "channel": notice.channel_id,
        "event": notice.what,
        "experiment": notice.experiment_id,
        "text": sentence(notice),
        "state": notice.state,
        "attempts": notice.attempts,
        "error": notice.error,
        "created_at": iso(notice.created_at),
        "sent_at": iso(notice.sent_at),
    }


class Notifications(ApiView):
    @extend_schema(
        operation_id="notifications_list",
        summary="Through which channels you are told, and of what",
        responses={200: ChannelShape(many=True), 401: NO_TOKEN},
    )
    def get(self, request: Request) -> Response:
        mine = Channel.objects.filter(user=_user(request))
        return Response([channel_json(channel) for channel in mine])

    @extend_schema(
        operation_id="notifications_create",
        summary="Be told by webhook or e-mail",
        request=ChannelBody,
        responses={201: NewChannelShape, 400: BAD, 401: NO_TOKEN},
    )
    def post(self, request: Request) -> Response:
        body = self.read(ChannelBody, request.data)
        channel, key = channels.create(
            _user(request),
            body["kind"],
            body["target"],
            body["told_of"],
            self._of(body.get("experiment")),
        )
        return Response({**channel_json(channel), "key": key}, status=status.HTTP_201_CREATED)

    def _of(self, experiment_id: str | None) -> Experiment | None:
        if experiment_id is None:
            return None
        try:
            return policy.get_visible(self.request.user, experiment_id)
        except Http404:
            message = _("There is no experiment %(id)s.") % {"id": experiment_id}
            raise ProblemsError([Problem("experiment", message)]) from None


class OneNotification(ApiView):
    @extend_schema(
        operation_id="notifications_delete",
        summary="Be told no longer through a channel",
        responses={204: None, **COMMON},
    )
    def delete(self, request: Request, channel: int) -> Response:
        _mine(request, channel).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class TestNotification(ApiView):
    @extend_schema(
        operation_id="notifications_test",
        summary="Send a test through a channel",
        request=None,
        responses={201: NoticeShape, 400: BAD, **COMMON},
    )
    def post(self, request: Request, channel: int) -> Response:
        notice = channels.send_test(_mine(request, channel))
        return Response(notice_json(notice), status=status.HTTP_201_CREATED)


class Notices(ApiView):
    @extend_schema(
        operation_id="notifications_told",
        summary="What you were told, the newest first, and what became of it; at most 200",
        parameters=[NoticesQuery],
        responses={200: NoticeShape(many=True), 400: BAD, 401: NO_TOKEN},
    )
    def get(self, request: Request) -> Response:
        asked = self.read(NoticesQuery, request.query_params)
        told = Notice.objects.filter(channel__user=_user(request)).order_by("-pk")
        told = told.filter(policy.may_be_told(_user(request)))
        if asked.get("state"):
            told = told.filter(state__in=asked["state"])
        return Response([notice_json(notice) for notice in told[:NEWEST]])


def _user(request: Request) -> Any:
    return request.user


def _mine(request: Request, pk: int) -> Channel:
    found = Channel.objects.filter(pk=pk, user=_user(request)).first()
    if found is None:
        raise Http404(f"You have no notification {pk}.")
    return found
