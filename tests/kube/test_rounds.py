"""Seeded rounds of drains and of a queue's evictions: each ends with exactly the wanted trials.

A few here; ``benchmarks/kube_rounds.py`` runs as many as one likes and prints what each saw.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.models import Experiment
from experiments.states import TrialState
from experiments.training.kubernetes.api import KubeApi
from experiments.trials.ends import WAS_DISRUPTED
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import drive, experiment, tasks
from tests.kube.kueue import Kueue
from tests.kube.test_disruptions import FRAMEWORKS, evict, running_pods, types_for
from tests.kube.test_queues import LABELS

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("kubelet", "trial_url")]

ENGINES = tuple(FRAMEWORKS)
ROUNDS = "AUTOTUNE_ROUNDS"  # how many; and AUTOTUNE_ROUNDS_FILE, to which each adds a line
N_TRIALS, CONCURRENCY, ROOM = 6, 3, 2


class Storm:
    """Takes places away, at moments that its seed decides, until it has done so often enough."""

    def __init__(self, chosen: random.Random, api: KubeApi, namespace: str, queue: Kueue | None):
        self.chosen, self.api, self.namespace, self.queue = chosen, api, namespace, queue
        self.left = chosen.randint(3, 6)
        self.drained = self.evicted = 0
        self._next = time.monotonic() + chosen.uniform(0.2, 1.0)

    def blow(self) -> bool:
        """Do one thing if it is time; whether all is done."""
        if time.monotonic() < self._next:
            return False
        jobs = self.queue.admitted(self.namespace) if self.queue else []
        pods = running_pods(self.api, self.namespace)
        if self.queue and jobs and self.chosen.random() < 0.6:
            self.queue.evict(self.namespace, self.chosen.choice(jobs))
            self.evicted += 1
            self.left -= 1
        elif pods:
            whole_node = self.chosen.random() < 0.3
            for pod in pods if whole_node else [self.chosen.choice(pods)]:
                self.drained += evict(self.api, self.namespace, pod)
            self.left -= 1
        else:
            return False  # nothing is there to be taken away; look again at once
        self._next = time.monotonic() + self.chosen.uniform(0.5, 2.0)
        return self.left <= 0


@pytest.mark.parametrize("seed", range(int(os.environ.get(ROUNDS, "5"))))
def test_a_round_of_disruptions_ends_with_exactly_the_wanted_trials(
    seed: int, namespace: str, use_engine: Any, control_plane: ControlPlane, kueue: Kueue
):
    chosen = random.Random(seed)
    turn, number = divmod(seed, len(ENGINES))
    engine = ENGINES[number]
    queued = engine != "tensorstack" and (turn + number) % 2 == 1
    replicas = chosen.choice([1, 2])
    began = time.monotonic()
    use_engine(engine)
    framework = FRAMEWORKS[engine]
    row = experiment(
        namespace,
        framework,
        tasks(framework, types_for(engine, replicas), chosen.uniform(1.5, 3.0)),
        labels=LABELS if queued else {},
        maxTrialNum=N_TRIALS,
        trialConcurrency=CONCURRENCY,
    )
    kueue.room[namespace] = ROOM
    api = KubeApi.with_configuration(control_plane.client().configuration)
    storm = Storm(chosen, api, namespace, kueue if queued else None)

    def over() -> bool:
        row.refresh_from_db()
        return storm.blow() or row.is_ended

    drive(row, over, f"the storm of round {seed}")
    drive(row)
    saw = {
        "seed": seed,
        "engine": engine,
        "replicas": replicas,
        "queued": queued,
        "drained": storm.drained,
        "evicted": storm.evicted,
        "anew": row.events.filter(data__has_key=WAS_DISRUPTED).count(),
        "phase": row.phase,
        "trials": row.trials.count(),
        "seconds": round(time.monotonic() - began, 1),
    }
    if file := os.environ.get(f"{ROUNDS}_FILE"):
        with Path(file).open("a") as lines:
            lines.write(json.dumps(saw) + "\n")
    check(row, saw)


def check(row: Experiment, saw: dict[str, Any]) -> None:
    states = list(row.trials.values_list("state", "reason"))
    assert saw["phase"] == "DONE", (saw, row.message, states)
    assert [state for state, _ in states] == [TrialState.SUCCEEDED] * N_TRIALS, (saw, states)
    assert sum(trial.attempt - 1 for trial in row.trials.all()) == saw["anew"], saw
    assert saw["drained"] + saw["evicted"] > 0, saw
    failures = [TrialState.FAILED, TrialState.LOST, TrialState.CANCELED]
    assert not row.events.filter(to_state__in=failures).exists(), saw
    assert not row.breaker_trips, saw
