"""What a person can do about being told. Callers have authorised already."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from experiments import wake
from experiments.models import Channel, Experiment, Notice
from experiments.models.notices import KINDS, TEST
from experiments.models.secrets import seal
from experiments.notices import webhook
from experiments.problems import Problem, ProblemsError
from experiments.said import said

MOST = 20  # channels of a person
# What ``webhook.parts_of`` says, which knows no translations.
N_("must be an address as https://host/path")
N_("must not hold a user name or password")
N_("must be ASCII without spaces; write other signs as %XX")


def create(
    user: Any, kind: str, target: str, told_of: Collection[str], experiment: Experiment | None
) -> tuple[Channel, str]:
    """A new channel, and the key that its webhook is signed with: the only time that it is told.

    Raises ProblemsError.
    """
    problems = []
    if kind not in Channel.Kind.values:
        problems.append(Problem("kind", _("must be webhook or email.")))
    elif wrong := _wrong_target(kind, target):
        problems.append(Problem("target", wrong))
    if not told_of or not set(told_of) <= set(KINDS):
        problems.append(Problem("told_of", _("must name at least one kind of news.")))
    if Channel.objects.filter(user=user).count() >= MOST:
        problems.append(Problem("", _("You have %(n)d already.") % {"n": MOST}))
    if problems:
        raise ProblemsError(problems)
    key = secrets.token_urlsafe(24) if kind == Channel.Kind.WEBHOOK else ""
    channel = Channel.objects.create(
        user=user,
        kind=kind,
        target=target,
        told_of=[what for what in KINDS if what in told_of],
        experiment=experiment,
        sealed=seal(key) if key else "",
        language=get_language() or settings.LANGUAGE_CODE,
    )
    return channel, key


def _wrong_target(kind: str, target: str) -> str:
    if len(target) > 500:
        return _("must have at most 500 characters.")
    if kind == Channel.Kind.EMAIL:
        if not settings.EMAIL_HOST:
            return _("This server sends no e-mail: EMAIL_HOST is not set.")
        try:
            validate_email(target)
        except ValidationError:
            return _("must be an e-mail address, but got %(given)s.") % {"given": repr(target[:80])}
        return ""
    try:
        webhook.address_of(webhook.parts_of(target), settings.WEBHOOK_HOSTS)
    except ValueError as error:
        return f"{_(str(error))}."
    except webhook.NotTold as error:
        return said(str(error))
    return ""


def send_test(channel: Channel) -> Notice:
    """Queue a notice that says nothing but that it came; it does not wait for a pause to end."""
    with transaction.atomic():
        Channel.objects.filter(pk=channel.pk, attempts__gt=0).update(
            attempts=0, next_try_at=channel.created_at
        )
        notice = Notice.objects.create(
            channel=channel, what=TEST, cause=f"test:{secrets.token_hex(8)}"
        )
        transaction.on_commit(partial(wake.notify_soon, str(channel.pk)))
    return notice
