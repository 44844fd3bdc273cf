"""The list of experiments: search, phase filter, order and page, all in the URL.

The page asks for its rows again every few seconds; the same view answers that with the rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from experiments.access import policy
from experiments.charts.sparkline import BestLine
from experiments.manifest.fields import NAME_FIELDS
from experiments.models import Experiment
from experiments.models.tags import LONGEST, MOST
from experiments.selectors import across
from experiments.selectors.blocked import Blocked, blocked_by_id
from experiments.selectors.listing import listed, tags_in_use
from experiments.selectors.present import count_trials
from experiments.selectors.trend import best_lines
from experiments.states import PHASE_ENDED, Phase

PER_PAGE = 25
SHOWN_TAGS = 6  # of a row; the experiment's page has all

# ?phase=…: the phases of the specification, and two groups that people look for.
PHASES: dict[str, tuple[Any, Q]] = {
    "": (_("All"), Q()),
    "active": (_("Active"), ~Q(phase__in=PHASE_ENDED) & Q(suspended=False)),
    "suspended": (_("Suspended"), ~Q(phase__in=PHASE_ENDED) & Q(suspended=True)),
    "done": (_("Done"), Q(phase=Phase.DONE)),
    "timeout": (_("Timed out"), Q(phase=Phase.TIMEOUT)),
    "error": (_("Error"), Q(phase=Phase.ERROR)),
}
ORDERS: dict[str, tuple[Any, list[str]]] = {
    "newest": (_("Newest first"), ["-created_at"]),
    "oldest": (_("Oldest first"), ["created_at"]),
    "best": (_("Best value"), ["best", "-created_at"]),
    "tuner": (_("Tuner"), ["tuner", "-created_at"]),
    "name": (_("Name"), ["name", "-created_at"]),
    "finished": (_("Last finished"), ["-finished_at", "-created_at"]),
}


@dataclass(frozen=True)
class Query:
    """What the URL asks for; unknown words mean the default, and ``unknown`` names them."""

    search: str
    phase: str
    order: str
    page: str
    tags: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: HttpRequest) -> Query:
        phase = request.GET.get("phase", "")
        order = request.GET.get("order", "")
        return cls(
            search=request.GET.get("q", "").strip()[:200].replace("\x00", ""),
            phase=phase if phase in PHASES else "",
            order=order if order in ORDERS else "newest",
            page=request.GET.get("page", "1"),
            tags=_tags_asked(request),
            unknown=tuple(
                f"{name}={word[:80]}"
                for name, word, known in (("phase", phase, PHASES), ("order", order, ORDERS))
                if word and word not in known
            ),
        )

    def url(self, **changes: Any) -> str:
        """This list with something changed; anything but a page goes back to the first."""
        asked = {
            "q": self.search,
            "tag": self.tags,
            "phase": self.phase,
            "order": self.order,
            "page": "1",
            **changes,
        }
        defaults = {"order": "newest", "page": "1"}
        words = {k: v for k, v in asked.items() if v and v != defaults.get(k)}
        path = reverse("experiment-list")
        return f"{path}?{urlencode(words, doseq=True)}" if words else path

    def apply(self, experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
        return listed(
            experiments,
            search=self.search,
            tags=self.tags,
            shown=PHASES[self.phase][1],
            orders=ORDERS[self.order][1],
        )


def _tags_asked(request: HttpRequest) -> tuple[str, ...]:
    """Each once; one that cannot be a tag finds nothing, as any that nobody has."""
    given = (
        tag.replace("\x00", "").strip().lower()[:LONGEST] for tag in request.GET.getlist("tag")
    )
    return tuple(dict.fromkeys(tag for tag in given if tag))[:MOST]


@dataclass(frozen=True)
class Row:
    """One experiment as the list shows it."""

    experiment: Experiment
    counts: dict[str, int]
    n_finished: int  # of max_trials
    active_seconds: float
    tuner: str
    trend: BestLine | None
    tags: list[dict[str, str]]  # with the list of those that have it too
    blocked: Blocked | None  # why none of its trials can run now


def _with(tags: tuple[str, ...], tag: str) -> tuple[str, ...]:
    return tags if tag in tags else (*tags, tag)


def _tag_filter(visible: QuerySet[Experiment], query: Query) -> dict[str, Any]:
    """The tags asked for, each with the list without it, and the others that there are."""
    in_use = tags_in_use(visible)
    return {
        "chosen": [
            {"name": tag, "url": query.url(tag=tuple(t for t in query.tags if t != tag))}
            for tag in query.tags
        ],
        "others": [
            {"name": tag, "n": n, "url": query.url(tag=_with(query.tags, tag))}
            for tag, n in in_use
            if tag not in query.tags
        ],
    }


def _rows(page: Page[Experiment], query: Query) -> list[Row]:
    now = timezone.now()
    counts = count_trials(page.object_list)
    trends = best_lines(page.object_list, counts)
    blocked = blocked_by_id(page.object_list)
    return [
        Row(
            e,
            counts[e.pk].by_state,
            counts[e.pk].finished,
            e.active_seconds_at(now),
            _chooser(e.configuration),
            trends[e.pk],
            [
                {"name": tag, "url": query.url(tag=_with(query.tags, tag))}
                for tag in e.tag_list[:SHOWN_TAGS]
            ],
            blocked.get(e.pk),
        )
        for e in page.object_list
    ]


def _chooser(spec: dict[str, Any]) -> str:
    """Name of what chooses the parameters."""
    for kind in ("tuner", "advisor"):
        if section := spec.get(kind):
            return str(section.get(NAME_FIELDS[kind], ""))
    return ""


def _tabs(visible: QuerySet[Experiment], query: Query) -> list[dict[str, Any]]:
    counts = visible.order_by().aggregate(
        **{f"n_{key or 'all'}": Count("pk", filter=rule) for key, (_label, rule) in PHASES.items()}
    )
    return [
        {
            "label": label,
            "url": query.url(phase=key),
            "n": counts[f"n_{key or 'all'}"],
            "current": key == query.phase,
        }
        for key, (label, _rule) in PHASES.items()
    ]


@never_cache
@login_required
@require_GET
def experiment_list(request: HttpRequest) -> HttpResponse:
    query = Query.of(request)
    visible = policy.visible_experiments(request.user)
    page = Paginator(query.apply(visible), PER_PAGE).get_page(query.page)
    context = {
        "nav": "experiments",
        "query": query,
        "rows": _rows(page, query),
        "page": page,
        "page_urls": {
            "previous": query.url(page=str(page.number - 1)) if page.has_previous() else "",
            "next": query.url(page=str(page.number + 1)) if page.has_next() else "",
        },
        "tabs": _tabs(visible, query),
        "orders": [(key, label) for key, (label, _rule) in ORDERS.items()],
        "tag_filter": _tag_filter(visible, query),
        "is_filtered": bool(query.search or query.phase or query.tags),
        "clear_url": query.url(q="", phase="", tag=()),
        "compare": across.LIMITS,
    }
    part = request.headers.get("HX-Request") and not request.headers.get(
        "HX-History-Restore-Request"
    )
    name = "experiments/_list_results.html" if part else "experiments/list.html"
    response = render(request, name, context)
    response["Vary"] = "HX-Request"
    return response
