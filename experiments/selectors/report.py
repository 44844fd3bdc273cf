"""An experiment as one HTML page that stands alone: charts that live offline, words, numbers.

Called by ``export``. The figures are those of pages and REST, drawn by the pages' own scripts, and
everything is in the file: it opens from a disk, without a network, and asks for nothing. In the
language of whoever asks. Everything of a user's is escaped.
"""

from __future__ import annotations

import base64
import gzip
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from django.db.models import Case, F, IntegerField, Value, When
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from experiments import looks
from experiments.algorithms.space.flat import flat
from experiments.charts import CHARTS, style
from experiments.models import MAY_BE_BEST, Event, Experiment, Trial
from experiments.models.release import VERSION
from experiments.selectors import chart_data, one_file, own_figures
from experiments.selectors.configuration import configuration
from experiments.selectors.manifest import manifest_text
from experiments.selectors.markdown import rendered
from experiments.selectors.pace import pace_json
from experiments.selectors.present import count_trials
from experiments.selectors.triage import failures_json
from experiments.states import PHASE_ENDED, EventKind, TrialState
from experiments.strict_json import unmistakable

MOST_BYTES = 8_000_000  # of the file; the table of all trials is left out where it would pass that
ROOM_FOR_WORDS = 600_000  # bytes of the file that are no charts
MOST_ROWS = 200  # trials in the table, the best first
MOST_COLUMNS = 16  # parameters in it
MOST_STOPS = 20
MOST_EVENTS = 100
AT_ONCE = 500  # events read
MOST_CHARACTERS = 200  # of one cell
PLOTLY = "vendor/plotly/plotly.min.js"
RANKED = ("parcoords", "pair", "scatter")  # by colour, where none of one's own was chosen
KEPT = ("kind", "n_trials", "n_drawn", "height")  # of what a figure says of itself
ON_A_PHONE = {"slice": {"columns": "2"}}  # options of those that are drawn otherwise there
STYLES = ("css/app.css", "css/detail.css", "css/report.css")

# What a timeline would tell of each trial stands in the table; the rest says how it was run.
_OF_TRIALS = (EventKind.STATE, EventKind.STOPPING, EventKind.RETRIED, EventKind.REMARK)


def html_text(experiment: Experiment, csv: str) -> str:
    """The page; ``csv`` is the table of all trials, which the reader can save from it."""
    charts, owned = _charts(experiment), _owned(experiment)
    figures = json_script([chart["figure"] for chart in charts], "figures")
    any_chart = bool(charts or owned)
    plotly = one_file.script(one_file.static_text(PLOTLY)) if any_chart else SafeString("")
    drawing = one_file.script(one_file.bundled("js/report/main.js"))
    context = {
        **_facts(experiment),
        "experiment": experiment,
        "language": get_language(),
        "notes_html": rendered(experiment.notes),
        "charts": charts,
        "policy": one_file.policy([drawing, plotly] if plotly else [drawing]),
        "styles": one_file.style("\n".join(map(one_file.static_text, STYLES))),
        "drawing": drawing,
    }
    room = MOST_BYTES - ROOM_FOR_WORDS - len(figures.encode()) - len(plotly.encode())
    context["owned"], context["left_out"] = _fitting(owned, room)
    own_script = json_script([each["figure"] for each in context["owned"]], "own-figures")
    page = render_to_string("report/report.html", context).lstrip()
    pieces = [figures, own_script, plotly, _packed(csv)]
    if len(page.encode()) + sum(len(piece.encode()) for piece in pieces) > MOST_BYTES:
        pieces.pop()
    head, body = page.split("<!-- data -->")
    return "".join([head, *pieces, body])


def _packed(csv: str) -> SafeString:
    """The table as a browser unpacks it: a quarter of its size."""
    data = base64.b64encode(gzip.compress(csv.encode(), mtime=0)).decode()
    return SafeString(f'<script type="application/gzip" id="csv">{data}</script>')


# ---- charts


def _titles() -> dict[str, str]:
    """In the order in which a reader asks: how good, what mattered, how it went, what it took."""
    return {
        "history": _("Optimization history"),
        "importance": _("Importance of parameters"),
        "pair": _("Two parameters"),
        "slice": _("Each parameter against the value"),
        "parcoords": _("Parallel coordinates"),
        "curves": _("Intermediate values"),
        "edf": _("Distribution of the values"),
        "scatter": _("Trade-off"),
        "cost": _("Best value against time spent"),
        "duration": _("Duration of trials"),
        "slots": _("Timeline by slot"),
    }


def _charts(experiment: Experiment) -> list[dict[str, Any]]:
    """Each chart that has something to show."""
    found = []
    titles = _titles()
    for kind in sorted(CHARTS, key=lambda kind: list(titles).index(kind) if kind in titles else 99):
        figure = chart_data.figure(experiment, kind, {})
        meta = figure["layout"]["meta"]
        if meta.get("empty"):
            continue
        drawn = _still(figure)
        if kind in ON_A_PHONE:
            drawn["narrow"] = _still(chart_data.figure(experiment, kind, ON_A_PHONE[kind]))
        found.append(
            {
                "kind": kind,
                "title": titles.get(kind, kind),
                "note": style.unescaped(meta.get("note", "")),
                "is_ranked": kind in RANKED and not meta.get("color"),
                "figure": drawn,
            }
        )
    return found


def _still(figure: dict[str, Any]) -> dict[str, Any]:
    """A figure without what only live pages need."""
    meta = figure["layout"]["meta"]
    kept = {name: meta[name] for name in KEPT if name in meta}
    return {"data": figure["data"], "layout": {**figure["layout"], "meta": kept}}


def _owned(experiment: Experiment) -> list[dict[str, Any]]:
    """Figures that people keep with it, by name."""
    return [
        {"title": figure.title or figure.name, "figure": own_figures.drawn(figure)}
        for figure in experiment.own_figures.all()
    ]


def _fitting(
    owned: list[dict[str, Any]], room: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Those that the file has room for, the small ones first, and those that it has none for."""
    sizes = [len(json_script(each["figure"])) for each in owned]
    fits = set()
    for place in sorted(range(len(owned)), key=sizes.__getitem__):
        room -= sizes[place]
        if room >= 0:
            fits.add(place)
    kept = [each for place, each in enumerate(owned) if place in fits]
    return kept, [each for place, each in enumerate(owned) if place not in fits]


# ---- facts


def _facts(experiment: Experiment) -> dict[str, Any]:
    counts = count_trials([experiment])[experiment.pk]
    best = experiment.best_trial
    failures = failures_json(experiment)
    for group in failures["groups"]:
        group["places"] = [_place(place) for place in group["where"]]
    is_by_group = any(group["where"] for group in failures["groups"])
    look = looks.experiment_look(
        experiment.phase,
        finishing=experiment.finish_requested,
        suspended=experiment.suspended,
        has_best=best is not None,
        message=experiment.message,
    )
    return {
        "made_at": timezone.now(),
        "look": {"label": _(look.label), "tone": look.tone},
        "best": best,
        "best_parameters": [] if best is None else _pairs(flat(best.parameters)),
        "best_metrics": [] if best is None else _pairs(best.metrics),
        "is_over": experiment.phase in PHASE_ENDED,
        "best_json": "" if best is None else _json(best.parameters),
        "n_finished": counts.finished,
        "n_of": counts.out_of(experiment.max_trials),
        "states": [
            {"label": _(look.label), "tone": look.tone, "n": counts.by_state[state]}
            for state, look in looks.STATES.items()
            if counts.by_state[state]
        ],
        "active_seconds": experiment.active_seconds_at(timezone.now()),
        "pace": pace_json(experiment),
        "failures": failures,
        "places": [] if is_by_group else [_place(place) for place in failures["where"]],
        "stops": _stops(experiment),
        "n_stops": counts.by_state[TrialState.EARLY_STOPPED],
        "most_stops": MOST_STOPS,
        "table": _table(experiment),
        "configuration": configuration(experiment),
        "events": _events(experiment),
        "manifest": manifest_text(experiment),
        "versions": [
            ("AutoTune Web", VERSION),
            ("Python", platform.python_version()),
            ("Plotly", version("plotly")),
        ],
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _text(value: Any) -> str:
    """A value in full, told apart from text that looks like it; only what is absurd is cut."""
    if isinstance(value, str):
        text = unmistakable(value)
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _cell(values: Mapping[str, Any], name: str) -> Any:
    """A float as it is, for the table to round it; "" where the trial has no such parameter."""
    value = values.get(name, "")
    return value if value == "" or isinstance(value, float) else _text(value)


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, value in values.items()]


def _place(where: Mapping[str, Any]) -> str:
    """Where more trials fail than elsewhere, as a sentence; as static/js/experiment/failures.js."""
    name, low, high = where["parameter"], where["low"], where["high"]
    if low is not None:
        place = _("%(name)s from %(value)s up") % {"name": name, "value": f"{low:.6g}"}
    elif high is not None:
        place = _("%(name)s up to %(value)s") % {"name": name, "value": f"{high:.6g}"}
    else:
        place = f"{name} = {_text(where['values'][0])}"
    return _(
        "%(place)s: %(failed)d of %(of)d failed, elsewhere %(fewer)d of %(others)d."
    ) % {
        "place": place,
        "failed": where["failed"],
        "of": where["of"],
        "fewer": where["elsewhere_failed"],
        "others": where["elsewhere_of"],
    }  # fmt: skip


def _stops(experiment: Experiment) -> list[Trial]:
    stopped = experiment.trials.filter(state=TrialState.EARLY_STOPPED).order_by("number")
    return list(stopped.only("number", "value", "n_reports", "reason")[:MOST_STOPS])


def _events(experiment: Experiment) -> list[dict[str, Any]]:
    """What was decided and what went wrong, the newest of them where they are many, in order.

    What was done to many trials at once is one line: it would take the place of all others.
    """
    rows = Event.objects.filter(experiment=experiment).exclude(what__in=_OF_TRIALS)
    told: list[dict[str, Any]] = []
    for event in rows.select_related("trial").order_by("-seq").iterator(chunk_size=AT_ONCE):
        label = _(looks.event_look(event.what, event.from_state, event.to_state).label)
        after = told[-1] if told else {}
        is_same = event.trial is not None and after.get("n_trials", 0) > 0
        if is_same and (after["label"], after["reason"]) == (label, event.reason):
            after |= {"n_trials": after["n_trials"] + 1, "time": event.time}
            continue
        if len(told) == MOST_EVENTS:
            break
        number = event.trial.number if event.trial else None
        told.append(
            {
                "time": event.time,
                "label": label,
                "trial": number,
                "n_trials": 0 if number is None else 1,
                "reason": event.reason,
            }
        )
    return told[::-1]


def _table(experiment: Experiment) -> dict[str, Any]:
    """The best trials first, then the others by number."""
    good = Case(When(MAY_BE_BEST, then=Value(0)), default=Value(1), output_field=IntegerField())
    ordered = experiment.trials.annotate(place=good, sorted_by=Case(When(place=0, then=F("value"))))
    down = experiment.optimize_mode != "minimize"
    by_value = F("sorted_by").desc(nulls_last=True) if down else F("sorted_by").asc(nulls_last=True)
    trials = list(ordered.order_by("place", by_value, "number")[:MOST_ROWS])
    values = [flat(trial.parameters) for trial in trials]
    names = list(dict.fromkeys(name for value in values for name in value))
    return {
        "n_all": experiment.trials.count(),
        "n_hidden": max(0, len(names) - MOST_COLUMNS),
        "names": names[:MOST_COLUMNS],
        "rows": [
            {
                "trial": trial,
                "is_best": trial.pk == experiment.best_trial_id,
                "look": _state(trial.state),
                "cells": [_cell(found, name) for name in names[:MOST_COLUMNS]],
            }
            for trial, found in zip(trials, values, strict=True)
        ],
    }


def _state(state: str) -> dict[str, str]:
    look = looks.STATES[TrialState(state)]
    return {"label": _(look.label), "tone": look.tone}
