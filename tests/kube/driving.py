"""Experiments on the test cluster: manifests for each engine, and the loop that drives them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from experiments.loop.reconcile import reconcile
from experiments.models import Experiment, Project
from experiments.states import PHASE_ENDED
from tests.base_manifest import base_manifest

TRIAL = Path(__file__).with_name("trial.py")
PATIENCE_S = 240.0


def tasks(
    framework: str, types: dict[str, int], *arguments: Any, restart: str = "", **pod: Any
) -> list[dict[str, Any]]:
    """Tasks of ``trainingConfig`` that run trial.py; keywords are fields of the pod."""
    container = {
        "name": framework,
        "image": pod.pop("image", "registry.local/trial:1"),
        "command": [sys.executable, "-S", str(TRIAL), *map(str, arguments)],
        **pod.pop("container", {}),
    }
    return [
        {
            "type": type_,
            "replicas": count,
            **({"restartPolicy": restart} if restart else {}),
            "template": {"spec": {"containers": [container], **pod}},
        }
        for type_, count in types.items()
    ]


def experiment(
    namespace: str,
    framework: str,
    rows: list[dict[str, Any]],
    labels: dict[str, str] | None = None,
    **limits: int,
) -> Experiment:
    """Write the row of an experiment whose project is the namespace."""
    wanted = {"maxExecSeconds": 600, "maxTrialNum": 2, "trialConcurrency": 2} | limits
    manifest = base_manifest(
        "sample",
        [],
        **wanted,
        searchSpace={"x": {"_type": "uniform", "_value": [-5, 5]}},
        trainingConfig={"type": framework, "tasks": rows},
    )
    manifest["metadata"]["labels"] = labels or {}
    project, _made = Project.objects.get_or_create(name=namespace)
    return Experiment.objects.create(
        project=project,
        name="sample",
        manifest=manifest,
        max_exec_seconds=wanted["maxExecSeconds"],
        max_trials=wanted["maxTrialNum"],
        concurrency=wanted["trialConcurrency"],
        optimize_mode="maximize",
        seed=1,
    )


def drive(
    rows: Experiment | Iterable[Experiment],
    until: Callable[[], Any] | None = None,
    what: str = "the end of the experiment",
    timeout_s: float = PATIENCE_S,
) -> Any:
    """Do what the ticker does, until ``until`` says something true (by default: all ended)."""
    if isinstance(rows, Experiment):
        rows = [rows]
    rows = list(rows)

    def ended() -> bool:
        for row in rows:
            row.refresh_from_db()
        return all(
            row.phase in PHASE_ENDED and not row.trials.filter(state="RUNNING").exists()
            for row in rows
        )

    check = until or ended
    limit = time.monotonic() + timeout_s
    while True:
        for row in rows:
            reconcile(row.pk)
        if answer := check():
            return answer
        states = [(r.phase, r.message, list(r.trials.values_list("state", "reason"))) for r in rows]
        assert time.monotonic() < limit, f"waited {timeout_s} s for {what}: {states}"
        time.sleep(0.1)
