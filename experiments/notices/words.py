"""What a notice says: one sentence in its owner's language, and JSON for programs."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from experiments import looks
from experiments.models import Notice
from experiments.models.notices import BEST, BREAKER, ERROR, TEST
from experiments.said import said
from experiments.selectors.present import iso
from experiments.states import Phase


def sentence(notice: Notice) -> str:
    """In the language that is active."""
    facts = notice.facts
    name, value = facts.get("name", ""), facts.get("value")
    if notice.what == TEST:
        return _("AutoTune: this is a test. Notices will come this way.")
    if notice.what == BEST:
        words = _("%(name)s: new best value %(value)s, trial %(number)s")
        return words % {"name": name, "value": f"{value:.6g}", "number": facts.get("trial")}
    if notice.what == BREAKER:
        return _("%(name)s has suspended itself: %(reason)s") % {
            "name": name, "reason": said(facts.get("reason", ""))
        }  # fmt: skip
    if notice.what == ERROR:
        return _("%(name)s ended in an error: %(reason)s") % {
            "name": name, "reason": said(facts.get("reason", ""))
        }  # fmt: skip
    phase = _(looks.PHASES[Phase(facts["phase"])].label)
    if value is None:
        return _("%(name)s has ended (%(phase)s); no trial succeeded") % {
            "name": name, "phase": phase
        }  # fmt: skip
    return _("%(name)s has ended (%(phase)s); best value %(value)s, trial %(number)s") % {
        "name": name, "phase": phase, "value": f"{value:.6g}", "number": facts.get("trial")
    }  # fmt: skip


def page_of(notice: Notice) -> str:
    """The address of the page that it is about."""
    pk = notice.experiment_id
    path = reverse("experiment-detail", args=[pk]) if pk else reverse("notifications")
    return f"{settings.PUBLIC_URL}{path}"


def body_of(notice: Notice) -> bytes:
    """What a webhook is sent."""
    facts = notice.facts
    experiment: dict[str, Any] | None = None
    if notice.experiment_id:
        experiment = {
            "id": notice.experiment_id, "name": facts.get("name"), "phase": facts.get("phase"),
            "url": page_of(notice),
        }  # fmt: skip
    data = {
        "id": str(notice.pk),
        "event": notice.what,
        "time": iso(notice.created_at),
        "text": sentence(notice),
        "experiment": experiment,
        "reason": facts.get("reason", ""),
        "trial": facts.get("trial"),
        "value": facts.get("value"),
    }
    return json.dumps(data, ensure_ascii=False).encode()
