"""The same product on PostgreSQL and Redis: the roles of a cluster, on one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT, environment, running_stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.services]


@pytest.mark.xdist_group("services")
def test_an_experiment_runs_to_done_and_outlives_its_worker(tmp_path, postgres_url, redis_url):
    with running_stack(
        tmp_path / "data", "--no-sample", DATABASE_URL=postgres_url, REDIS_URL=redis_url
    ) as stack:
        stack_env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
        assert stack.env == stack_env
        experiment = stack.create(maxTrialNum=6, trialConcurrency=3, arguments=[8, 0.1])
        wait_for(
            "three running trials",
            lambda: [t["state"] for t in stack.trials(experiment)].count("RUNNING") == 3,
        )
        os.kill(stack.pids()["worker"], signal.SIGKILL)
        stack.wait_for_phase(experiment, "DONE", timeout_s=100)
        trials = stack.trials(experiment)
    assert [trial["number"] for trial in trials] == list(range(6))
    assert {trial["state"] for trial in trials} == {"SUCCEEDED"}
    assert all(trial["n_reports"] == 8 for trial in trials)
    assert not (tmp_path / "data" / "autotune.sqlite3").exists()


TAKEOVER = "tests/loop/test_takeover.py"
# They have nothing to do with the database, or with the other one only.
WITHOUT = ("backend_traits", "folder_broker", "manifest_files", "write_ahead_log")
ROWS = [
    *("tests/loop", f"--ignore={TAKEOVER}"),
    *(f"--ignore=tests/loop/test_{name}.py" for name in WITHOUT),
    *("tests/web/test_hub.py", "tests/web/test_trial_api.py"),
    *("tests/web/test_trial_api_reports.py", "tests/web/test_trial_api_late.py"),
    *("tests/web/test_trial_api_nni.py", "tests/elsewhere/test_ask_and_tell.py"),
    "tests/elsewhere/test_client.py",
    "tests/web/test_monitoring.py::test_the_rows_say_how_things_stand",
    "tests/web/test_monitoring.py::test_who_asks_often_makes_no_more_queries",
]


@pytest.mark.xdist_group("services")
@pytest.mark.parametrize("those", [ROWS, [TAKEOVER]], ids=["rows", "takeover"])
def test_rows_loop_and_feed_pass_their_tests_on_postgresql_too(
    those: list[str], tmp_path: Path, postgres_url: str
):
    """Run this repository's own tests of what depends on the database again, on the other one."""
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            # Dropped with its server: a thread of a socket may still be connected.
            *("--reuse-db", "--create-db"),
            *("-m", "not long"),  # what computes for long does the same on any database
            *those,
        ],
        env=environment(tmp_path, DATABASE_URL=postgres_url),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout[:4000] + answer.stdout[-6000:]
    assert " passed" in answer.stdout
