"""The page of notifications: through which channels one is told, of what, and what became of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from experiments.access import policy
from experiments.models import Channel, Experiment, Notice
from experiments.models.notices import BEST, BREAKER, END, ERROR, TEST
from experiments.problems import ProblemsError
from experiments.services import channels

FRESH_KEY = "fresh_webhook_key"
LOG_ROWS = 50
SOON_S = 3  # between two looks while something is on its way


def _kinds() -> dict[str, str]:
    return {
        END: _("it ends"),
        ERROR: _("it ends in an error"),
        BREAKER: _("it suspends itself"),
        BEST: _("there is a new best value"),
    }


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def notifications(request: HttpRequest) -> HttpResponse:
    """List one's channels and what was told; POST makes a channel."""
    user: Any = request.user  # not anonymous: see the decorator
    asked = request.POST if request.method == "POST" else request.GET
    pk = asked.get("experiment", "")
    experiment = policy.get_visible(user, pk[:8]) if pk else None
    problems: dict[str, str] = {}
    if request.method == "POST":
        try:
            _made, key = channels.create(
                user,
                asked.get("kind", ""),
                asked.get("target", "").strip(),
                request.POST.getlist("told_of"),
                experiment,
            )
        except ProblemsError as error:
            problems = {p.path: p.message for p in error.problems}
        else:
            request.session[FRESH_KEY] = key
            return redirect("notifications")
    return _page(request, user, experiment, problems)


def _page(
    request: HttpRequest, user: Any, experiment: Experiment | None, problems: dict[str, str]
) -> HttpResponse:
    kinds = _kinds()
    notices = Notice.objects.filter(channel__user=user).select_related("channel", "experiment")
    notices = notices.filter(policy.may_be_told(user))
    newest = list(notices.order_by("-pk")[:LOG_ROWS])
    chosen = request.POST.getlist("told_of") if problems else [END, ERROR, BREAKER]
    context = {
        "nav": "notifications",
        "experiment": experiment,
        "problems": problems,
        "given": request.POST if problems else {},
        "kinds": [(name, words, name in chosen) for name, words in kinds.items()],
        "channels": [
            (channel, _(", ").join(kinds[what] for what in channel.told_of if what in kinds))
            for channel in Channel.objects.filter(user=user).select_related("experiment")
        ],
        "notices": [(n, kinds.get(n.what) or (_("test") if n.what == TEST else n.what))
                    for n in newest],
        "sends_mail": bool(settings.EMAIL_HOST),
        "fresh": request.session.pop(FRESH_KEY, "") if not problems else "",
    }  # fmt: skip
    status = 400 if problems else 200
    response = render(request, "account/notifications.html", context, status=status)
    if not problems and any(n.state == Notice.State.WAITING and not n.attempts for n in newest):
        response["Refresh"] = str(SOON_S)
    return response


@login_required
@require_POST
def notification_test(request: HttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(Channel, pk=pk, user=request.user)
    try:
        channels.send_test(channel)
    except ProblemsError as error:
        return _page(request, request.user, None, {p.path: p.message for p in error.problems})
    return redirect("notifications")


@login_required
@require_POST
def notification_delete(request: HttpRequest, pk: int) -> HttpResponse:
    get_object_or_404(Channel, pk=pk, user=request.user).delete()
    return redirect("notifications")
