"""What a process keeps: made once however many ask, and the trials of a page read once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from experiments.selectors.kept import Once
from experiments.states import Phase, TrialState
from tests.web.rest import url


def test_what_several_ask_for_at_once_is_made_once() -> None:
    once: Once[str, int] = Once(2)
    made: list[int] = []

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(once.get("a", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]
    assert once.get("a", make, for_s=0.0) == 2  # too old


def test_who_fails_leaves_it_to_the_next_one() -> None:
    once: Once[str, int] = Once(2)
    with pytest.raises(ZeroDivisionError):
        once.get("a", lambda: 1 // 0)
    assert once.get("a", lambda: 3) == 3


def test_the_charts_of_an_ended_experiment_read_its_trials_once_until_there_is_news(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment(phase=Phase.DONE)
    trial = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.5)

    def trials_read(kind: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(url(experiment, f"charts/{kind}/")).status_code == 200
        return sum('"n_reports", "experiments_trial"."number"' in q["sql"] for q in asked)

    assert [trials_read(kind) for kind in ("history", "duration", "parcoords")] == [1, 0, 0]
    experiment.record("remark", trial=trial)
    assert trials_read("history") == 1
