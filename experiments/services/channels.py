"""What a person can do about being told. Callers have authorised already."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Collection
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from experiments import wake
from experiments.models import Channel, Experiment, Notice
from experiments.models.notices import KINDS, TEST
from experiments.models.secrets import seal
from experiments.notices import delivery, webhook
from experiments.problems import Problem, ProblemsError
from experiments.said import said

MOST = 20  # channels of a person
# Anybody's address may be a channel's: nobody is to be flooded with tests.
MOST_TESTS = 10  # of a person
TESTS_WITHIN_S = 600.0
_tests: dict[int, deque[float]] = {}  # when, by person
_lock = threading.Lock()
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
    """Queue a notice that says nothing but that it came; it does not wait for a long pause to end.

    Raises ProblemsError.
    """
    if not _may_test(channel.user_id):
        words = _("You sent %(n)d tests within ten minutes. Try again later.")
        raise ProblemsError([Problem("", words % {"n": MOST_TESTS})])
    with transaction.atomic():
        # What is ahead no longer than that may be a delivery that is under way, which is no pause.
        held_at_most = timezone.now() + delivery.HELD
        Channel.objects.filter(pk=channel.pk, attempts__gt=0, next_try_at__gt=held_at_most).update(
            attempts=0, next_try_at=channel.created_at
        )
        notice = Notice.objects.create(
            channel=channel, what=TEST, cause=f"test:{secrets.token_hex(8)}"
        )
        transaction.on_commit(partial(wake.notify_soon, str(channel.pk)))
    return notice


def _may_test(person: int) -> bool:
    """Count a test; False where there were enough of them. Of this process, as sign-ins are."""
    now = time.monotonic()
    with _lock:
        sent = _tests.setdefault(person, deque(maxlen=MOST_TESTS))
        if len(sent) == MOST_TESTS and sent[0] > now - TESTS_WITHIN_S:
            return False
        sent.append(now)
        return True


def forget_tests() -> None:
    with _lock:
        _tests.clear()
