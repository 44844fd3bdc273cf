"""Pages of one experiment and of one trial.

The server renders what does not change (names, configuration) and hands the rest over as JSON in
the shapes of ``present``, with the cursor it was read at; the page's script draws it and keeps it
fresh over the websocket, so that a reload at any moment shows the same.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from experiments.access import policy
from experiments.algorithms.base import LIKELY
from experiments.models import Event, Experiment, Trial
from experiments.selectors import chart_data, compare, early, present
from experiments.selectors.artifacts import artifacts_json
from experiments.selectors.configuration import configuration
from experiments.selectors.logged import logged_json
from experiments.selectors.markdown import rendered
from experiments.selectors.own_figures import own_figures_json
from experiments.trials.backends import backend

PAGE_SIZE = 50  # trials on the table's first page, as REST pages them
N_EVENTS = 40  # newest events that come with the page
FIGURE_CODE = """import autotune_client as at

experiment = at.Client().get("{pk}")
experiment.keep_figure("my figure", fig)"""
OVERVIEW = ("curves", "parcoords", "duration")  # charts beside the history, in order


@login_required
@never_cache
@require_safe
def experiment_detail(request: HttpRequest, experiment_id: str) -> HttpResponse:
    experiment = policy.get_visible(request.user, experiment_id)
    # The cursor is read before the rows: what changes in between comes again, never not at all.
    cursor = experiment.last_seq
    trials = experiment.trials.order_by("-number")
    space = chart_data.search_space(experiment)
    n_trials = trials.count()
    state = {
        "cursor": cursor,
        "experiment": present.experiment_json(experiment),
        "trials": {
            "count": n_trials,
            "results": [present.trial_json(trial) for trial in trials[:PAGE_SIZE]],
        },
        "events": _newest_events(experiment.events.all()),
        "space": space,
        "metric_names": _final_metric_names(experiment),
        "views": [
            present.saved_view_json(view)
            for view in experiment.saved_views.select_related("author")
        ],
        "figures": own_figures_json(experiment),
        "may_change": policy.is_offered_changes(request.user, experiment),
    }
    context = {
        "nav": "experiments",
        "experiment": experiment,
        "state": state,
        "figure_code": FIGURE_CODE.format(pk=experiment.pk),
        "configuration": configuration(experiment),
        "notes_html": rendered(experiment.notes),
        "compare": compare.LIMITS,
        "overview": OVERVIEW,
        "devices_url": reverse("api-devices") if backend().runs_here else "",
    }
    answer = render(request, "experiments/detail.html", context)
    early.begin(experiment, n_trials)
    return answer


@login_required
@never_cache
@require_safe
def trial_detail(request: HttpRequest, experiment_id: str, number: int) -> HttpResponse:
    experiment = policy.get_visible(request.user, experiment_id)
    cursor = experiment.last_seq
    trial = experiment.trials.select_related("retry_of").filter(number=number).first()
    if trial is None:
        raise Http404(f"Experiment {experiment_id} has no trial {number}.")
    trial.experiment = experiment
    numbers = experiment.trials.order_by("number").values_list("number", flat=True)
    retried_as = experiment.trials.filter(retry_of=trial).values_list("number", flat=True).first()
    stop = chart_data.stop_event(experiment, number)
    state = {
        "cursor": cursor,
        "experiment": present.experiment_json(experiment),
        "trial": present.trial_json(trial),
        "events": _newest_events(experiment.events.filter(trial=trial)),
        "artifacts": artifacts_json(trial),
        "logged": logged_json(trial),
        "stop": None if stop is None else present.event_json(stop, number),
        "may_change": policy.is_offered_changes(request.user, experiment),
    }
    context = {
        "nav": "experiments",
        "experiment": experiment,
        "trial": trial,
        "notes_html": rendered(trial.notes),
        "state": state,
        "previous": numbers.filter(number__lt=number).last(),
        "next": numbers.filter(number__gt=number).first(),
        "retry_of": trial.retry_of.number if trial.retry_of else None,
        "retried_as": retried_as,
        "likely": _percent(trial.note.get(LIKELY)),
    }
    return render(request, "experiments/trial.html", context)


def _percent(share: Any) -> int | None:
    """A share of 1 as a person reads it; None for what is none."""
    return round(100 * share) if isinstance(share, int | float) else None


def _newest_events(events: Any) -> list[dict[str, Any]]:
    """The newest events, latest first."""
    rows = events.select_related("trial").order_by("-seq")[:N_EVENTS]
    return [present.event_json(event, _number(event)) for event in rows]


def _number(event: Event) -> int | None:
    return event.trial.number if event.trial else None


def _final_metric_names(experiment: Experiment) -> list[str]:
    """Names of final metrics, to offer as columns; seen on the newest trials that have any."""
    rows = Trial.objects.filter(experiment=experiment, has_final=True).order_by("-number")
    names: dict[str, None] = {}
    for metrics in rows.values_list("metrics", flat=True)[:20]:
        names.update(dict.fromkeys(metrics))
    return list(names)
