"""Template tags and filters of the pages: icons, badges, progress bars, numbers, durations."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context
from typing import Any

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from experiments import looks
from experiments.access import policy
from experiments.charts import sparkline as lines
from experiments.charts.words import together
from experiments.models import Experiment
from experiments.said import ENGLISH, EVENTS, catalogue
from experiments.said import said as said_of
from experiments.states import TrialState
from experiments.web.modules import modules as imported_by

register = template.Library()

_SIX_DIGITS = Context(prec=6, rounding=ROUND_HALF_UP)  # as JavaScript's toPrecision rounds


@register.simple_tag
def autotune_command() -> str:
    """What people type to run us on this machine."""
    return str(settings.COMMAND)


@register.filter
def sees_server_logs(user: Any) -> bool:
    return policy.may_see_server_logs(user)


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """An icon of static/img/icons.svg, hidden from screen readers: words stand beside it."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


@register.simple_tag
def modules(name: str) -> SafeString:
    """Have the browser fetch what the page's script imports while it reads the page."""
    links = ((static(module),) for module in imported_by(name))
    return format_html_join("", '<link rel="modulepreload" href="{}">', links)


@register.inclusion_tag("partials/_phase_badge.html")
def phase_badge(experiment: Experiment) -> dict[str, Any]:
    """Badge of an experiment: its phase, or that it is suspended or being finished."""
    look = looks.experiment_look(
        experiment.phase,
        finishing=experiment.finish_requested,
        suspended=experiment.suspended,
        has_best=experiment.best_trial_id is not None,
        message=experiment.message,
    )
    return {**_badge(look, experiment.phase), "title": said_of(experiment.message)}


@register.inclusion_tag("partials/_phase_badge.html")
def state_badge(state: str) -> dict[str, Any]:
    """Badge of a trial's state."""
    return _badge(looks.STATES[TrialState(state)], state)


def _badge(look: looks.Look, phase: str) -> dict[str, Any]:
    return {"css": look.tone, "icon_name": look.icon, "label": _(look.label), "phase": phase}


@register.simple_tag
def looks_json() -> SafeString:
    """How states and events look, for the page's scripts: base.html has it once."""
    return json_script(looks.for_scripts(_), "looks")


@register.simple_tag
def words_json() -> SafeString:
    """What the page's scripts say, from English to the reader's language; nothing in English."""
    return _handed("djangojs", "words")


@register.simple_tag
def said_json() -> SafeString:
    """What the page's scripts find reasons and texts of events by; nothing in English."""
    return _handed(EVENTS, "said")


def _handed(domain: str, name: str) -> SafeString:
    language = get_language() or settings.LANGUAGE_CODE
    if language == ENGLISH:
        return SafeString("")
    return json_script(catalogue(domain, language), name)


@register.simple_tag
def sentences(*given: str | None) -> str:
    """Sentences one after the other, as the reader's language puts them."""
    return together(sentence or "" for sentence in given)


@register.filter
def said(text: str) -> str:
    """A message or reason, in the reader's language."""
    return said_of(text)


@register.inclusion_tag("partials/_trial_bar.html")
def trial_bar(counts: dict[str, int], n_finished: int, max_trials: int | None) -> dict[str, Any]:
    """One stacked bar of trials by state, out of ``max_trials`` if any, with the counts beneath.

    ``n_finished`` is how many of ``max_trials`` are done: of retried trials the retries count.
    """
    n_trials = sum(counts.values())
    most = max(max_trials or 0, n_finished)  # the limit may be lowered below what is done
    whole = max(most, n_trials, 1)
    segments, x = [], 0.0
    for state, look in looks.STATES.items():
        n = counts.get(state, 0)
        if not n:
            continue
        width = 1000 * n / whole
        segments.append(
            {
                "css": look.tone,
                "icon": look.icon,
                "label": _(look.label),
                "n": n,
                "x": f"{x:.2f}",
                "width": f"{width:.2f}",
            }
        )
        x += width
    words = _(", ").join(f"{s['n']} {s['label']}" for s in segments)
    if max_trials is None:
        label = _("%(finished)d trials finished") % {"finished": n_finished}
    else:
        label = _("%(finished)d of %(max)d trials finished") % {"finished": n_finished, "max": most}
    return {
        "segments": segments,
        "n_finished": n_finished,
        "max_trials": None if max_trials is None else most,
        "label": label + _(": ") + words if words else label,
    }


@register.inclusion_tag("partials/_sparkline.html")
def sparkline(line: lines.BestLine | None) -> dict[str, Any]:
    """How the best value went, as a line of an SVG; nothing before there are two trials."""
    if line is None or line.last == line.steps[0][0]:
        return {}
    label = _("Best so far over %(n)d trials: from %(first)s to %(last)s") % {
        "n": line.last + 1,
        "first": number(line.first_value),
        "last": number(line.last_value),
    }
    return {
        "points": lines.points(line),
        "width": lines.WIDTH,
        "height": lines.HEIGHT,
        "label": label,
    }


@register.filter
def number(value: object) -> str:
    """A number short enough for a table: 6 significant digits, integers whole.

    The same words as ``number`` of static/js/format.js: one value looks alike everywhere.
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) and (abs(value) < 2**53 or abs(value) > 10**300):
        return str(value)
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "NaN")
    if value == int(value) and abs(value) < 2**53:
        return str(int(value))
    if 1e6 <= abs(value) < 1e7:
        return str(math.floor(value + 0.5))
    rounded = _SIX_DIGITS.create_decimal(value)
    if 1e-4 <= abs(value) < 1e6:
        return format(rounded.normalize(), "f")
    mantissa, _e, exponent = f"{rounded:.5e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


@register.filter
def duration(seconds: object) -> str:
    """Seconds or a timedelta as its two largest units: ``1 h 05 m``."""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if not isinstance(seconds, int | float):
        return "–"
    whole = round(seconds)
    if seconds < 10 and seconds != whole:
        return f"{seconds:.1f} s"
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    if days:
        return f"{days} d {hours:02d} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes:02d} m" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} m {secs:02d} s" if secs else f"{minutes} m"
    return f"{secs} s"


@register.simple_tag
def ago(time: datetime | None) -> str | SafeString:
    """A time that the page's script keeps in words; without the script it is the plain date."""
    if time is None:
        return "–"
    return format_html(
        '<time datetime="{}" data-ago>{}</time>', time.isoformat(), f"{time:%Y-%m-%d %H:%M} UTC"
    )
