"""Works off the outbox of notices, a channel at a time. Called by the worker for hints and ticks.

A channel is delivered to by one process at once, in order, with growing pauses while its receiver
does not take anything, and given up after a day. A notice is marked once it is taken: where a
worker dies in between it goes again under the same delivery id. Nothing here touches an experiment.
"""

from __future__ import annotations

import logging
import smtplib
import threading
import time
from datetime import timedelta
from email.utils import formataddr

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import QuerySet
from django.utils import timezone, translation

from experiments.access import policy
from experiments.access.namespaces import Unsure
from experiments.models import Channel, Notice
from experiments.models.secrets import SecretError, opened
from experiments.notices import webhook
from experiments.notices.webhook import NotTold
from experiments.notices.words import body_of, page_of, sentence

logger = logging.getLogger(__name__)

HELD = timedelta(seconds=60)  # by who delivers; longer than any attempt
GIVE_UP = timedelta(days=1)
KEPT = timedelta(days=30)  # in the log
MOST_IN_PASS = 20
PASS_S = 60.0  # then it is the next one's turn

# Slow receivers never take more than these of a worker's threads, and one person's only one.
MOST_AT_ONCE = 2
_told: set[int] = set()  # people who are being told
_lock = threading.Lock()


def due_channels() -> list[str]:
    """Ids of channels with something to tell now, who waits longest first."""
    rows = _due().filter(channel__next_try_at__lte=timezone.now())
    rows = rows.order_by("channel__next_try_at", "channel_id").distinct()
    return [str(pk) for pk, _ in rows.values_list("channel_id", "channel__next_try_at")]


def _due() -> QuerySet[Notice]:
    return Notice.objects.filter(state=Notice.State.WAITING, due_at__lte=timezone.now())


def deliver(channel_id: str) -> None:
    """Tell what is due through one channel, unless somebody is at it right now."""
    person = Channel.objects.filter(pk=channel_id).values_list("user_id", flat=True).first()
    with _lock:
        if person is None or person in _told or len(_told) >= MOST_AT_ONCE:
            return  # the ticker comes again
        _told.add(person)
    end = time.monotonic() + PASS_S
    try:
        for _ in range(MOST_IN_PASS):
            if time.monotonic() > end:
                return
            now = timezone.now()
            won = Channel.objects.filter(pk=channel_id, next_try_at__lte=now).update(
                next_try_at=now + HELD
            )
            if not won or not _deliver_next(channel_id):
                return
    finally:
        with _lock:
            _told.discard(person)


def _deliver_next(channel_id: str) -> bool:
    """Whether one was told; the channel is free again afterwards, or put off."""
    channel = Channel.objects.select_related("user").filter(pk=channel_id).first()
    if channel is None:
        return False  # deleted a moment ago
    notice = _due().filter(channel=channel).select_related("experiment").first()
    if notice is None:
        Channel.objects.filter(pk=channel.pk).update(next_try_at=timezone.now())
        return False
    notice.attempts += 1
    try:
        _tell(channel, notice)
    except NotTold as error:
        is_over = error.permanent or timezone.now() - notice.created_at > GIVE_UP
        state = Notice.State.FAILED if is_over else Notice.State.WAITING
        _keep(notice, state=state, error=str(error)[:1000])
        logger.warning("Notice %s through %s: %s", notice.pk, channel, error)
        if error.permanent:
            Channel.objects.filter(pk=channel.pk).update(next_try_at=timezone.now())
        else:
            channel.put_off()
        return error.permanent
    _keep(notice, state=Notice.State.DONE, error="", sent_at=timezone.now())
    Channel.objects.filter(pk=channel.pk).update(attempts=0, next_try_at=timezone.now())
    channel.notices.exclude(state=Notice.State.WAITING).filter(
        created_at__lt=timezone.now() - KEPT
    ).delete()
    return True


def _keep(notice: Notice, **columns: object) -> None:
    Notice.objects.filter(pk=notice.pk).update(attempts=notice.attempts, **columns)


def _tell(channel: Channel, notice: Notice) -> None:
    """One attempt. Raises NotTold."""
    try:
        may_know = not notice.experiment_id or _may_know(channel, notice)
    except Unsure:
        words = "The cluster does not say now whether you may see this experiment."
        raise NotTold(words, permanent=False) from None
    if not may_know:
        raise NotTold("You may not see this experiment any more.", permanent=True)
    with translation.override(channel.language):
        try:
            if channel.kind == Channel.Kind.EMAIL:
                _mail(channel, notice)
            else:
                webhook.post(
                    channel.target,
                    body_of(notice),
                    key=opened(channel.sealed),
                    event=notice.what,
                    delivery=str(notice.pk),
                    allowed=settings.WEBHOOK_HOSTS,
                )
        except NotTold:
            raise
        except SecretError as error:
            raise NotTold(str(error), permanent=True) from None
        except Exception as defect:  # of ours; not to be met again every two seconds
            logger.exception("Notice %s", notice.pk)
            raise NotTold(f"A defect ({type(defect).__name__}).", permanent=False) from None


def _may_know(channel: Channel, notice: Notice) -> bool:
    visible = policy.visible_experiments(channel.user)
    return channel.user.is_active and visible.filter(pk=notice.experiment_id).exists()


def _mail(channel: Channel, notice: Notice) -> None:
    if not settings.EMAIL_HOST:
        raise NotTold("This server sends no e-mail: EMAIL_HOST is not set.", permanent=True)
    text = " ".join(sentence(notice).split())
    message = EmailMessage(
        subject=text[:150],
        body=f"{text}\n\n{page_of(notice)}\n",
        from_email=formataddr(("AutoTune", settings.DEFAULT_FROM_EMAIL)),
        to=[channel.target],
        headers={"Message-ID": f"<autotune-notice-{notice.pk}@{_mail_host()}>"},
    )
    try:
        message.send()
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused) as error:
        raise NotTold(
            f"The mail server refused it ({type(error).__name__}).", permanent=True
        ) from None
    except (OSError, smtplib.SMTPException) as error:
        words = f"The mail server did not take it ({type(error).__name__})."
        raise NotTold(words, permanent=False) from None


def _mail_host() -> str:
    return settings.DEFAULT_FROM_EMAIL.rpartition("@")[2] or "localhost"
