"""Signing in and out, and the page of one's REST tokens.

A one-time link is spent by POST only: its GET shows a page that posts itself, because mail scanners
and browsers' prefetching would otherwise use the link up before its owner.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from experiments.access import tokens
from experiments.access.throttle import sign_ins
from experiments.models import ApiToken
from experiments.web.account_forms import PasswordForm, TokenForm

BACKEND = "django.contrib.auth.backends.ModelBackend"
FRESH_TOKEN = "fresh_api_token"  # key of the session


def _next(request: HttpRequest) -> str:
    """Where to go after signing in: a page of this site, or the list."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return reverse("experiment-list")


def _secret_in(text: str) -> str:
    """The secret of a pasted link, or the text itself where only the code was pasted."""
    path = text.strip().partition("?")[0].partition("#")[0]
    parts = [part for part in path.split("/") if part]
    return parts[-1] if parts else ""


def _sign_in_by_secret(request: HttpRequest, secret: str) -> HttpResponse | None:
    user = tokens.redeem_sign_in_link(secret)
    if user is None:
        return None
    login(request, user, backend=BACKEND)
    return redirect(_next(request))


def _address(request: HttpRequest) -> str:
    """Whose requests count together; a proxy must be named in FORWARDED_ALLOW_IPS."""
    return str(request.META.get("REMOTE_ADDR") or "unknown")


def _too_often(request: HttpRequest, context: dict[str, Any], wait_s: int) -> HttpResponse:
    context["password_error"] = _("Too many sign-ins failed. Try again in %(seconds)s seconds.") % {
        "seconds": wait_s
    }
    answer = render(request, "account/sign_in.html", context, status=429)
    answer["Retry-After"] = str(wait_s)
    return answer


@never_cache
@sensitive_post_parameters("password", "link")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(_next(request))
    context = {"next": request.POST.get("next") or request.GET.get("next", "")}
    if request.method == "GET":
        return render(request, "account/sign_in.html", context)
    # As it is compared: else spaces around it would make as many names as one likes.
    name = request.POST.get("username", "").strip()[:150]
    if wait_s := sign_ins.wait_s(_address(request), name):
        return _too_often(request, context, wait_s)
    if "link" in request.POST:
        answer = _sign_in_by_secret(request, _secret_in(request.POST["link"]))
        if answer is not None:
            return answer
        sign_ins.failed(_address(request))
        context["link_error"] = _("This link is unknown, used or expired. Make a new one.")
        return render(request, "account/sign_in.html", context, status=400)
    form = PasswordForm(request.POST)
    user = authenticate(request, **form.cleaned_data) if form.is_valid() else None
    if user is not None:
        login(request, user)
        return redirect(_next(request))
    context["username"] = name
    sign_ins.failed(_address(request), name)
    context["password_error"] = _("User name and password do not fit together.")
    return render(request, "account/sign_in.html", context, status=400)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, secret: str) -> HttpResponse:
    context = {"next": request.GET.get("next", "")}
    if request.method == "POST":
        if wait_s := sign_ins.wait_s(_address(request)):
            return _too_often(request, context, wait_s)
        answer = _sign_in_by_secret(request, secret)
        if answer is not None:
            return answer
        if request.user.is_authenticated:  # the link sent twice, by button and by script
            return redirect(_next(request))
        sign_ins.failed(_address(request))
        return render(request, "account/sign_in_link.html", {**context, "spent": True}, status=400)
    return render(request, "account/sign_in_link.html", context)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def api_tokens(request: HttpRequest) -> HttpResponse:
    """List one's tokens; POST makes one, which the next GET shows, this once."""
    if request.method == "POST":
        form = TokenForm(request.POST)
        if form.is_valid():
            token = tokens.make_api_token(request.user, form.cleaned_data["name"])
            request.session[FRESH_TOKEN] = token
        return redirect("api-tokens")
    user: Any = request.user  # not anonymous: see the decorator
    context = {
        "tokens": ApiToken.objects.filter(user=user).order_by("-created_at"),
        "fresh": request.session.pop(FRESH_TOKEN, ""),
        "nav": "tokens",
    }
    return render(request, "account/tokens.html", context)


@login_required
@require_POST
def api_token_delete(request: HttpRequest, pk: int) -> HttpResponse:
    get_object_or_404(ApiToken, pk=pk, user=request.user).delete()
    return redirect("api-tokens")
