"""What people keep beside experiments: tokens, channels, what was told; for the sheets' pages.

``manage shell -c`` calls ``put`` in the data directory whose pages are photographed. A receiver
that has long been dead is among them: its rows cannot be waited for.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.utils import timezone

from experiments.access.tokens import make_api_token
from experiments.models import ApiToken, Channel, Experiment, Notice
from experiments.models.notices import BEST, BREAKER, END, ERROR, TEST

TOKENS = ("CI", "notebook", "nightly-retraining-of-the-ranking-model")
LONG = "https://hooks.example.com/services/T00000000/B00000000/a-rather-long-secret-part-of-it"


def put() -> None:
    """Rows for the first user; nothing where there are some."""
    user = get_user_model().objects.order_by("pk").first()
    if user is None or ApiToken.objects.exists():
        return
    for name in TOKENS:
        make_api_token(user, name)
    ApiToken.objects.filter(name=TOKENS[0]).update(last_used_at=timezone.now())
    experiment = Experiment.objects.order_by("pk").first()
    webhook, email = Channel.Kind.WEBHOOK, Channel.Kind.EMAIL
    alive = Channel.objects.create(user=user, kind=webhook, target=LONG, told_of=[END, ERROR])
    dead = Channel.objects.create(
        user=user, experiment=experiment, kind=webhook, target="https://gone.example.org/hook",
        told_of=[END, ERROR, BREAKER, BEST], attempts=9,
        next_try_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    mail = Channel.objects.create(user=user, kind=email, target="ada@example.org", told_of=[BEST])
    done, waiting, failed = Notice.State.DONE, Notice.State.WAITING, Notice.State.FAILED
    told = (
        (alive, END, done, 1, ""),
        (alive, TEST, done, 1, ""),
        (dead, ERROR, failed, 12, "The host gone.example.org cannot be found."),
        (dead, BEST, waiting, 9, "gone.example.org answered 503."),
        (mail, BEST, done, 1, ""),
    )
    for nth, (channel, what, state, attempts, error) in enumerate(told):
        Notice.objects.create(
            channel=channel, experiment=experiment, what=what, cause=f"sheet:{nth}", state=state,
            attempts=attempts, error=error, facts={"name": experiment.name if experiment else "x"},
        )  # fmt: skip
