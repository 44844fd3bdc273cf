"""What an experiment learns from, for pages and REST. Pure reading."""

from __future__ import annotations

from collections import Counter
from typing import Any

from experiments.models import Experiment


def borrowed_json(experiment: Experiment) -> dict[str, Any]:
    """Each earlier experiment, what of it was borrowed, and how many trials it led to."""
    led: Counter[str] = Counter()
    for note in experiment.trials.filter(origin="borrowed").values_list("note", flat=True):
        led[str(note.get("borrowed", ""))] += 1
    rows = experiment.warm_starts.order_by("place")
    there = set(
        Experiment.objects.filter(
            pk__in=[row.source_id for row in rows], deleting=False
        ).values_list("pk", flat=True)
    )
    return {
        "experiments": [
            {
                "id": row.source_id,
                "name": row.source_name,
                "is_there": row.source_id in there,
                "offered": row.n_offered,
                "borrowed": len(row.trials),
                "outside": [{"reason": reason, "trials": n} for reason, n in row.outside.items()],
                "led": led[row.label],
            }
            for row in rows
        ]
    }
