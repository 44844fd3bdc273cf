"""A few experiments side by side: settings, spaces and best parameters, and how each one went.

Called by REST and the page with ids as the address has them, and with the experiments that the
asker may see: others do not exist. Reads trials once per experiment and state, then keeps them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from experiments.algorithms.space.flat import flat
from experiments.charts import across, style
from experiments.charts.across import Course
from experiments.charts.base import Figure, Table
from experiments.charts.words import spoken_by
from experiments.manifest.fields import NAME_FIELDS
from experiments.manifest.reading import suggestion
from experiments.models import Experiment, Trial
from experiments.problems import Problem, ProblemsError
from experiments.selectors import chart_data
from experiments.selectors.blocked import blocked_by_id
from experiments.selectors.differences import diff_rows
from experiments.selectors.kept import Kept
from experiments.selectors.present import aistore_by_id, count_trials, experiment_json
from experiments.states import FINISHED, TrialState

FEWEST = 2
MOST = 10
LIMITS = {"fewest": FEWEST, "most": MOST}  # for pages
MOST_KEPT = 40
_ID = re.compile(r"[a-z0-9]{1,8}")

_kept: Kept[tuple[str, int], Course] = Kept(MOST_KEPT)  # by id, as of its seq


def chosen_experiments(visible: QuerySet[Experiment], text: str) -> list[Experiment]:
    """The experiments that ``abcd1234,efgh5678`` names, in that order, each once.

    Raises:
        ProblemsError: saying what must hold and what came.
        Http404: naming those that there are not, or that are none of the asker's business.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    hint = _("E.g. ids=abcd1234,efgh5678.")
    odd = [word for word in words if not _ID.fullmatch(word)]
    if odd:
        message = _("must be ids of experiments with commas between them, but got %(got)r.")
        raise ProblemsError([Problem("ids", message % {"got": odd[0][:60]}, hint)])
    ids = list(dict.fromkeys(words))
    if not FEWEST <= len(ids) <= MOST:
        message = _("must name %(fewest)d to %(most)d different experiments, but got %(n)d.")
        named = {"fewest": FEWEST, "most": MOST, "n": len(ids)}
        raise ProblemsError([Problem("ids", message % named, hint)])
    found = visible.in_bulk(ids)
    missing = [pk for pk in ids if pk not in found]
    if missing:
        raise Http404(_("No experiment %(ids)s.") % {"ids": ", ".join(map(repr, missing))})
    return [found[pk] for pk in ids]


def across_json(experiments: Sequence[Experiment]) -> dict[str, Any]:
    """Everything the comparison shows but the charts; columns go by the experiment's id."""
    counts, aistore = count_trials(experiments), aistore_by_id(experiments)
    blocked = blocked_by_id(experiments)
    best = {e.pk: flat(e.best_trial.parameters) for e in experiments if e.best_trial is not None}
    return {
        "mixed": len({e.optimize_mode for e in experiments}) > 1,
        "experiments": [
            {
                **experiment_json(e, counts[e.pk], aistore, blocked),
                "colour": style.line_colour(place),
                "dash": style.line_dash(place),
            }
            for place, e in enumerate(experiments)
        ],
        "settings": _rows({e.pk: _settings(e) for e in experiments}),
        "space": _rows({e.pk: _space(chart_data.search_space(e)) for e in experiments}),
        "best_parameters": _rows(best),
    }


def _rows(columns: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [row.as_dict() for row in diff_rows(columns)]


def _settings(experiment: Experiment) -> dict[str, Any]:
    """What the manifest says beside the space, in its own words; limits as they are today."""
    spec = experiment.configuration
    found: dict[str, Any] = {}
    for kind in ("tuner", "advisor", "assessor"):
        section = spec.get(kind)
        if not section:
            continue
        found[kind] = section.get(NAME_FIELDS[kind], "")
        for name, value in section.get("classArgs", {}).items():
            found[f"{kind}.{name}"] = value
    limits = {"maxTrialNum": experiment.max_trials, "maxExecSeconds": experiment.max_exec_seconds}
    found |= {name: limit for name, limit in limits.items() if limit is not None}
    found |= {"trialConcurrency": experiment.concurrency, "seed": experiment.seed}
    training = spec.get("trainingConfig") or {}
    found["trainingConfig"] = training.get("type", "")
    for task in training.get("tasks") or []:
        found |= _task(task)
    return found


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    containers = task.get("template", {}).get("spec", {}).get("containers") or [{}]
    main = containers[0]
    name = f"trainingConfig.{task.get('type', '')}"
    words = [*(main.get("command") or []), *(main.get("args") or [])]
    found = {
        f"{name}.replicas": task.get("replicas", 1),
        f"{name}.image": main.get("image", ""),
        f"{name}.command": " ".join(map(str, words)),
        f"{name}.workingDir": main.get("workingDir", ""),
    }
    return {key: value for key, value in found.items() if value not in ("", None)}


def _space(space: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Each parameter by its dotted name, as ``uniform [0, 1]``; branches by their names."""
    found: dict[str, str] = {}
    for name, node in space.items():
        if not isinstance(node, Mapping) or "_type" not in node:
            continue
        value = node.get("_value")
        below: dict[str, str] = {}
        if isinstance(value, list):
            for member in value:
                if isinstance(member, Mapping):
                    below |= _space(member, f"{above}{name}.")
            value = [m.get("_name", m) if isinstance(m, Mapping) else m for m in value]
        found[above + name] = f"{node['_type']} {json.dumps(value, ensure_ascii=False)}"
        for inner, text in below.items():
            found.setdefault(inner, text)
    return found


# ---- charts


def figure(experiments: Sequence[Experiment], kind: str, options: Mapping[str, str]) -> Figure:
    """``best`` or ``edf`` of all of them.

    Raises Http404 for another kind, ProblemsError for an option that makes no sense.
    """
    _check(kind)
    with spoken_by(_):
        drawn = across.draw(kind, courses(experiments), options)
    drawn["layout"]["meta"]["seq"] = sum(experiment.last_seq for experiment in experiments)
    return drawn


def table(experiments: Sequence[Experiment], kind: str, options: Mapping[str, str]) -> Table:
    """What ``figure`` draws, in rows and columns; raises as it."""
    _check(kind)
    with spoken_by(_):
        return across.tabulate(kind, courses(experiments), options)


def _check(kind: str) -> None:
    if kind not in across.KINDS:
        raise Http404(f"No chart {kind!r:.60}. {suggestion(kind, across.KINDS)}")


def courses(experiments: Sequence[Experiment]) -> list[Course]:
    """How each went; those that have not changed since are not read again."""
    known = {e.pk: _kept.get((e.pk, e.last_seq)) for e in experiments}
    unknown = [e for e in experiments if known[e.pk] is None]
    fresh = _read(unknown)
    for experiment in unknown:
        _kept.put((experiment.pk, experiment.last_seq), fresh[experiment.pk])
    return [known[e.pk] or fresh[e.pk] for e in experiments]


def forget() -> None:
    _kept.clear()


def _read(experiments: Sequence[Experiment]) -> dict[str, Course]:
    if not experiments:
        return {}
    rows = (
        Trial.objects.filter(
            experiment__in=[e.pk for e in experiments],
            state__in=FINISHED,
            finished_at__isnull=False,
        )
        .order_by("experiment_id", "finished_at", "number")
        .values_list("experiment_id", "state", "excluded", "value", "finished_at", "created_at")
    )
    ended: dict[str, list[tuple[float, float, float]]] = {e.pk: [] for e in experiments}
    for pk, state, excluded, value, finished_at, created_at in rows:
        if state != TrialState.SUCCEEDED or excluded or value is None:
            value = float("nan")
        end = created_at if finished_at is None else finished_at  # none is: see the filter
        ended[pk].append((value, end.timestamp(), created_at.timestamp()))
    return {e.pk: _course(e, ended[e.pk]) for e in experiments}


def _course(experiment: Experiment, ended: list[tuple[float, float, float]]) -> Course:
    table = np.array(ended, dtype=np.float64).reshape(-1, 3)  # value, end, creation
    start = 0.0
    if experiment.started_at is not None:
        start = experiment.started_at.timestamp()
    elif len(table):
        start = float(table[:, 2].min())
    return Course(
        key=experiment.pk,
        name=experiment.name,
        maximize=experiment.optimize_mode != "minimize",
        value=table[:, 0],
        seconds=np.maximum(table[:, 1] - start, 0.0),
    )
