"""What a trial logged to a tracker, as it is listed. Called by pages and REST."""

from __future__ import annotations

from typing import Any

from experiments.models import TrackedTrial, Trial


def logged_json(trial: Trial) -> dict[str, Any]:
    """Parameters, tags and nested runs, and how many files were sent that are not kept."""
    row = TrackedTrial.objects.filter(trial=trial).first() or TrackedTrial(trial=trial)
    children = [run for run in row.runs.values() if run.get("parent")]
    return {
        "metrics": list(row.series),
        "params": row.params,
        "tags": {name: text for name, text in row.tags.items() if not name.startswith("mlflow.")},
        "runs": [{"name": run["name"], "status": run["status"]} for run in children],
        "files": row.files,
    }
