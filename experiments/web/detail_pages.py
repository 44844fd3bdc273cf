"""Pages of one experiment and of one trial.

The server renders what does not change (names, configuration) and hands the rest over as JSON in
the shapes of ``present``, with the cursor it was read at; the page's script draws it and keeps it
fresh over the websocket, so that a reload at any moment shows the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from experiments.access import policy
from experiments.models import Event, Experiment, Trial
from experiments.selectors import chart_data, compare, present
from experiments.strict_json import unmistakable
from experiments.trials.backends import backend

PAGE_SIZE = 50  # trials on the table's first page, as REST pages them
N_EVENTS = 40  # newest events that come with the page


@login_required
@never_cache
@require_safe
def experiment_detail(request: HttpRequest, experiment_id: str) -> HttpResponse:
    experiment = policy.get_visible(request.user, experiment_id)
    # The cursor is read before the rows: what changes in between comes again, never not at all.
    cursor = experiment.last_seq
    trials = experiment.trials.order_by("-number")
    space = chart_data.search_space(experiment)
    state = {
        "cursor": cursor,
        "experiment": present.experiment_json(experiment),
        "trials": {
            "count": trials.count(),
            "results": [present.trial_json(trial) for trial in trials[:PAGE_SIZE]],
        },
        "events": _newest_events(experiment.events.all()),
        "space": space,
        "metric_names": _final_metric_names(experiment),
        "may_change": policy.may_change(request.user, experiment),
    }
    context = {
        "nav": "experiments",
        "experiment": experiment,
        "state": state,
        "configuration": configuration(experiment),
        "compare": compare.LIMITS,
        "devices_url": reverse("api-devices") if backend().runs_here else "",
    }
    return render(request, "experiments/detail.html", context)


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
        "stop": None if stop is None else present.event_json(stop, number),
        "may_change": policy.may_change(request.user, experiment),
    }
    context = {
        "nav": "experiments",
        "experiment": experiment,
        "trial": trial,
        "state": state,
        "previous": numbers.filter(number__lt=number).last(),
        "next": numbers.filter(number__gt=number).first(),
        "retry_of": trial.retry_of.number if trial.retry_of else None,
        "retried_as": retried_as,
    }
    return render(request, "experiments/trial.html", context)


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


# ---- how it is configured


@dataclass(frozen=True)
class SpaceRow:
    """One parameter of the search space; ``depth`` counts the nested choices above it."""

    name: str
    type: str
    value: str
    depth: int


@dataclass(frozen=True)
class TaskRow:
    type: str
    replicas: int
    image: str
    command: str
    working_dir: str


@dataclass(frozen=True)
class AlgorithmRow:
    role: str
    name: str
    args: tuple[tuple[str, str], ...]


def configuration(experiment: Experiment) -> dict[str, Any]:
    """What the overview tells of the manifest."""
    spec = experiment.configuration
    training = spec.get("trainingConfig") or {}
    return {
        "algorithms": _algorithms(spec),
        "space": _space_rows(spec["searchSpace"], 0),
        "training_type": training.get("type", ""),
        "tasks": [_task(task) for task in training.get("tasks") or []],
    }


def _algorithms(spec: dict[str, Any]) -> list[AlgorithmRow]:
    found = []
    roles = (
        ("advisor", "builtinAdvisorName", _("Advisor")),
        ("tuner", "builtinTunerName", _("Tuner")),
        ("assessor", "builtinAssessorName", _("Assessor")),
    )
    for field, name_field, role in roles:
        node = spec.get(field)
        if not node:
            continue
        pairs = tuple((name, _plain(value)) for name, value in node["classArgs"].items())
        found.append(AlgorithmRow(role, node.get(name_field, ""), pairs))
    return found


def _plain(value: Any) -> str:
    return unmistakable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _space_rows(space: dict[str, Any], depth: int) -> list[SpaceRow]:
    rows = []
    for name, node in space.items():
        if not isinstance(node, dict) or "_type" not in node:
            continue
        value = node.get("_value")
        branches: list[SpaceRow] = []
        shown = []
        for option in value if isinstance(value, list) else []:
            if isinstance(option, dict):
                shown.append(option.get("_name", option))
                branches += _space_rows(option, depth + 1)
            else:
                shown.append(option)
        words = ", ".join(_plain(v) for v in shown) if isinstance(value, list) else _plain(value)
        rows.append(SpaceRow(name, node["_type"], words, depth))
        rows += branches
    return rows


def _task(task: dict[str, Any]) -> TaskRow:
    containers = task.get("template", {}).get("spec", {}).get("containers") or [{}]
    main = containers[0]
    command = [*(main.get("command") or []), *(main.get("args") or [])]
    return TaskRow(
        type=task.get("type", ""),
        replicas=task.get("replicas", 1),
        image=main.get("image", ""),
        command=" ".join(str(word) for word in command),
        working_dir=main.get("workingDir", ""),
    )
