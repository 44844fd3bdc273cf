"""``spec.warmStart`` as the new-experiment form shows it, and the experiments there are to choose.

Called by ``manifest_form`` in both directions, and by the page for its list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Q

from experiments.access import policy
from experiments.manifest.warm_start_spec import ALL
from experiments.states import TrialState
from experiments.web.form_values import as_dict, as_list, as_text

MOST_OFFERED = 100  # the newest
LEAST_TRIALS = 3  # that succeeded


def warm_start_form(raw: Any) -> dict[str, Any]:
    """The form of a ``spec.warmStart``, right or wrong."""
    section = as_dict(raw)
    return {
        "experiments": [as_text(key) for key in as_list(section.get("experiments"))],
        "trials": as_text(section.get("trials")),
    }


def merge_warm_start(spec: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Write what was edited into ``spec``."""
    keys = [as_text(key) for key in as_list(new.get("experiments"))]
    if not keys:
        spec.pop("warmStart", None)
        return
    section = {**as_dict(spec.get("warmStart")), "experiments": keys}
    trials = as_text(new.get("trials")).strip()
    if trials and trials != ALL:
        section["trials"] = trials
    else:
        section.pop("trials", None)
    spec["warmStart"] = section


def offered(user: Any) -> list[dict[str, Any]]:
    """Experiments with results, the newest first, and what of them tells whether they fit."""
    n_good = Count("trials", filter=Q(trials__state=TrialState.SUCCEEDED))
    found = (
        policy.visible_experiments(user).annotate(n_good=n_good).filter(n_good__gte=LEAST_TRIALS)
    )
    return [
        {
            "id": each.pk,
            "name": each.name,
            "trials": each.n_good,
            "mode": each.optimize_mode,
            "parameters": list(as_dict(each.configuration.get("searchSpace"))),
            "best": None if each.best_trial is None else each.best_trial.value,
        }
        for each in found.order_by("-created_at", "pk")[:MOST_OFFERED]
    ]
