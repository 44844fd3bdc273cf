"""Figures for Prometheus: who may read them, what they say, and that each role serves its own."""

from __future__ import annotations

import json
import re
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from autotune_web.env import env_address
from experiments import counted
from experiments.access import accounts, tokens
from experiments.models import Upload
from experiments.monitoring import door, rows
from experiments.states import Phase, TrialState
from tests.e2e.stack import ROOT, free_port, running_stack, wait_for
from tests.web.test_health import ask

DASHBOARD = ROOT / "deploy" / "monitoring" / "dashboard.json"


def values(text: str) -> dict[str, float]:
    """Samples by name and labels: ``autotune_trials{state="RUNNING"}``."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "FRESH_S", 0.0)


def of_rows() -> dict[str, float]:
    return values(generate_latest(door.ROWS).decode())


@pytest.mark.django_db(transaction=True)
def test_only_who_has_a_token_reads_them():
    user = accounts.find(accounts.ADMINISTRATOR)
    token = tokens.make_api_token(user, "prometheus")
    assert ask("/metrics") == (404, "Not Found\n")
    for wrong in ("Bearer at_wrong", "Bearer ", f"Basic {token}", token):
        assert ask("/metrics", authorization=wrong) == (404, "Not Found\n"), wrong
    status, text = ask("/metrics", authorization=f"Bearer {token}")
    assert status == 200
    assert values(text)["autotune_database_up"] == 1
    assert 'autotune_http_requests_total{door="probe",status="404"}' in values(text)
    user.is_active = False
    user.save()
    assert ask("/metrics", authorization=f"Bearer {token}")[0] == 404


@pytest.mark.django_db(transaction=True)
def test_the_rows_say_how_things_stand(fresh: None, make_experiment: Any, make_trial: Any):
    now = timezone.now()
    running = make_experiment(phase=Phase.RUNNING, clock_at=now - timedelta(seconds=40))
    make_experiment(phase=Phase.RUNNING, clock_at=now)
    ended = make_experiment(phase=Phase.DONE)
    make_experiment(phase=Phase.PENDING, deleting=True, created_at=now - timedelta(days=1))
    for number, state in enumerate([TrialState.RUNNING, TrialState.RUNNING, TrialState.FAILED]):
        make_trial(running, number=number, state=state)
    make_trial(ended, state=TrialState.SUCCEEDED)
    Upload.objects.create(
        experiment=ended, kind=Upload.Kind.FOLDER, next_try_at=now - timedelta(seconds=90)
    )
    with CaptureQueriesContext(connection) as asked:
        found = of_rows()
    reads = [query for query in asked if query["sql"].startswith("SELECT")]
    assert len(reads) == 11, "a handful, whatever there is"
    assert found['autotune_experiments{phase="RUNNING"}'] == 2
    assert found['autotune_experiments{phase="PENDING"}'] == 0
    assert found['autotune_trials{state="RUNNING"}'] == 2
    assert found['autotune_trials{state="FAILED"}'] == 1
    assert found['autotune_trials{state="SUCCEEDED"}'] == 0, "its experiment has ended"
    assert 40 <= found["autotune_reconcile_lag_seconds"] < 60
    assert found['autotune_outbox{state="WAITING",to="aistore"}'] == 1
    assert 90 <= found['autotune_outbox_overdue_seconds{to="aistore"}'] < 120


@pytest.mark.django_db(transaction=True)
def test_who_asks_often_makes_no_more_queries(monkeypatch: pytest.MonkeyPatch):
    collector = rows.RowsCollector()
    list(collector.collect())
    with CaptureQueriesContext(connection) as asked:
        for _ in range(50):
            assert list(collector.collect())
    assert len(asked) == 0
    # and where there is no database, nothing is claimed of it
    monkeypatch.setattr(rows, "FRESH_S", 0.0)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE experiments_upload RENAME TO elsewhere")
    try:
        assert of_rows() == {"autotune_database_up": 0.0}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO experiments_upload")


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/apis/batch/v1/namespaces/a/jobs", "jobs"),
        ("/apis/batch/v1/namespaces/a/jobs/b", "jobs"),
        ("/api/v1/namespaces/a/pods/b/log", "pods/log"),
        ("/api/v1/namespaces/a", "namespaces"),
        ("/apis/tensorstack.dev/v1beta1/autotuneexperiments", "autotuneexperiments"),
        ("/apis/batch/v1", "discovery"),
        ("/apis", "discovery"),
    ],
)
def test_no_name_of_the_cluster_becomes_a_label(path: str, resource: str):
    assert counted.resource_of(path) == resource


@pytest.mark.parametrize(
    ("given", "is_one"),
    [
        *(("", True), ("0.0.0.0:9464", True), ("[::]:9464", True), ("9464", False)),
        *((":9464", False), ("a:b", False), ("a:0", False), ("a:65001", False), ("u@a:1", False)),
    ],
)
def test_an_address_to_serve_them_at(given: str, is_one: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTOTUNE_METRICS", given)
    if is_one:
        assert env_address("AUTOTUNE_METRICS") == given
        return
    with pytest.raises(ImproperlyConfigured, match="AUTOTUNE_METRICS must be an address"):
        env_address("AUTOTUNE_METRICS")


def test_the_dashboard_asks_for_figures_that_there_are():
    """And docs/monitoring.md names each."""
    names = {family.name for family in counted.REGISTRY.collect()}
    names |= {f"{name}_total" for name in names} | {f"{name}_bucket" for name in names}
    names |= {f"autotune_{word}" for word in ("experiments", "trials", "outbox")}
    names |= {"autotune_reconcile_lag_seconds"}
    asked = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"\b(?:autotune|process)_\w+", target["expr"]))
    assert asked
    assert asked - names == set()
    guide = (ROOT / "docs" / "monitoring.md").read_text()
    own = {name for name in (f.name for f in counted.REGISTRY.collect()) if "autotune" in name}
    assert [name for name in own if name not in guide] == []


@pytest.mark.stack
def test_every_role_serves_its_own(tmp_path: Path):
    first = free_port()
    with running_stack(tmp_path / "data", AUTOTUNE_METRICS=f"127.0.0.1:{first}") as stack:

        def of(role: str) -> dict[str, float]:
            url = f"http://127.0.0.1:{first + door.OFFSETS[role]}/metrics"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return values(answer.read().decode())

        def sample_ended() -> bool:
            return sum(v for k, v in of("worker").items() if "trials_ended_total{" in k) >= 1

        wait_for("the sample's first trial", sample_ended)
        web, worker, ticker = of("web"), of("worker"), of("ticker")
        pids = stack.pids()
        assert worker["autotune_reconcile_seconds_count"] > 0
        assert web["autotune_reconcile_seconds_count"] == 0, "it is not the web process that passes"
        assert web['autotune_reports_total{status="200"}'] > 0
        assert 'autotune_reports_total{status="200"}' not in worker
        assert ticker["autotune_reconcile_lag_seconds"] < 30
        assert "autotune_reconcile_lag_seconds" not in {**web, **worker}, "one tells, not three"
        assert len({v["process_start_time_seconds"] for v in (web, worker, ticker)}) > 1
        assert pids["web"] != pids["worker"]
