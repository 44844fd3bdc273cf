"""The manifest of an experiment as it stands today. Read by export, REST, pages and cluster."""

from __future__ import annotations

from typing import Any

from experiments.models import Experiment


def current_manifest(experiment: Experiment) -> dict[str, Any]:
    """The manifest with today's limits in it."""
    manifest = dict(experiment.manifest)
    manifest["spec"] = {
        **manifest["spec"],
        "maxExecSeconds": experiment.max_exec_seconds,
        "maxTrialNum": experiment.max_trials,
        "trialConcurrency": experiment.concurrency,
    }
    return manifest
