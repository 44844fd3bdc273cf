"""Capabilities: trial tokens checked without the database, REST tokens, sign-in links."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import OperationalError
from django.db.models import Q
from django.utils import timezone

from experiments.access import busy
from experiments.models import ApiToken, SignInLink, Trial

logger = logging.getLogger(__name__)

SIGN_IN_LINK_LIFETIME = timedelta(hours=12)
LAST_USED_EVERY = timedelta(minutes=1)
_SIGNATURE_BYTES = 16  # 128 bits: more than enough for a capability of one trial


class TrialClaim(NamedTuple):
    """What a trial token says: which trial its holder is."""

    trial_id: int
    key: str
    number: int
    experiment_id: str
    attempt: int = 0  # the only one that it is good for; 0: any


def _sign(text: str) -> str:
    key = hashlib.sha256(b"autotune.trial:" + settings.SECRET_KEY.encode()).digest()
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()[:_SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def trial_token(trial: Trial, *, attempt: int = 0) -> str:
    """Signed capability of one trial, or of one ``attempt`` of it; safe in a URL path.

    A job of ours has ended before the next attempt starts. Elsewhere nobody can tell.
    """
    text = f"{trial.pk}.{trial.key}.{trial.number}.{trial.experiment_id}"
    text += f".{attempt}" if attempt else ""
    return f"{text}.{_sign(text)}"


def read_trial_token(token: str) -> TrialClaim | None:
    """The claim of a genuine token, None for any other text."""
    text, _, signature = token.rpartition(".")
    if not text or not hmac.compare_digest(_sign(text).encode(), signature.encode()):
        return None
    trial_id, key, number, experiment_id, *attempt = text.split(".")
    return TrialClaim(int(trial_id), key, int(number), experiment_id, *map(int, attempt))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def make_api_token(user: Any, name: str) -> str:
    """Make a REST token; this is the only time its text exists."""
    token = "at_" + secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, name=name, digest=_digest(token))
    return token


def user_of_api_token(token: str) -> Any | None:
    """The active user whose token this is, or None."""
    found = ApiToken.objects.select_related("user").filter(digest=_digest(token)).first()
    if found is None or not found.user.is_active:
        return None
    _stamp(found)
    return found.user


def _stamp(token: ApiToken) -> None:
    """Note when it was used last, where that costs nobody a wait: reading needs no lock.

    One write a minute at most: a token may be used hundreds of times a second.
    """
    now = timezone.now()
    if token.last_used_at is not None and token.last_used_at > now - LAST_USED_EVERY:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - LAST_USED_EVERY)
    try:
        with busy.without_waiting():
            ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    except OperationalError as error:
        logger.debug("The use of token %s is not noted: %s", token.pk, error)


def make_sign_in_link(user: Any) -> str:
    """Secret part of a link that signs ``user`` in, once, within SIGN_IN_LINK_LIFETIME."""
    secret = secrets.token_urlsafe(24)
    SignInLink.objects.create(
        user=user, digest=_digest(secret), expires_at=timezone.now() + SIGN_IN_LINK_LIFETIME
    )
    return secret


def redeem_sign_in_link(secret: str) -> Any | None:
    """The user to sign in, or None where the link is unknown, used or expired. Spends the link."""
    now = timezone.now()
    link = SignInLink.objects.select_related("user").filter(digest=_digest(secret)).first()
    if link is None:
        return None
    won = SignInLink.objects.filter(pk=link.pk, used_at__isnull=True, expires_at__gt=now).update(
        used_at=now
    )
    return link.user if won and link.user.is_active else None
