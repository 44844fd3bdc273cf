"""The list of experiments: what its rows say, and how it is searched, filtered, ordered, paged."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.models import Experiment, Trial
from experiments.services import actions
from experiments.states import Phase, TrialState
from experiments.templatetags.autotune import duration, number, trial_bar
from experiments.trials import changes


def rows(page: str) -> list[str]:
    """Names in the order shown."""
    return re.findall(r'class="list-name truncate"[^>]*>([^<]+)<', page)


def shown(client: Client, query: str = "") -> list[str]:
    answer = client.get(f"/{query}")
    assert answer.status_code == 200
    return rows(answer.content.decode())


def named(make_experiment: Any, name: str, **columns: Any) -> Experiment:
    experiment = make_experiment()
    Experiment.objects.filter(pk=experiment.pk).update(name=name, **columns)
    experiment.refresh_from_db()
    return experiment


def test_an_empty_list_offers_a_beginning(client: Client) -> None:
    page = client.get("/").content.decode()
    assert 'data-testid="empty-list"' in page
    assert "/experiments/new/?template=digits-mlp" in page


def test_a_row_tells_phase_progress_best_and_tuner(client: Client, make_experiment: Any) -> None:
    experiment = named(make_experiment, "digits", phase=Phase.RUNNING)
    for n, (state, value) in enumerate(
        [(TrialState.SUCCEEDED, 0.5), (TrialState.SUCCEEDED, 0.75), (TrialState.FAILED, None)]
    ):
        Trial.objects.create(
            experiment=experiment, number=n, parameters={}, state=state, value=value
        )
    changes.update_best(experiment)
    page = client.get("/").content.decode()
    assert f'id="experiment-{experiment.pk}"' in page
    assert "3 of 4 trials finished: 2 Succeeded, 1 Failed" in page
    assert "0.75" in page
    assert f"/experiments/{experiment.pk}/trials/1/" in page
    assert "Random" in page
    assert 'data-phase="RUNNING"' in page


def test_a_name_is_never_markup(client: Client, make_experiment: Any) -> None:
    named(make_experiment, "<img src=x onerror=1>", message="<script>", phase=Phase.ERROR)
    page = client.get("/").content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_search_finds_names_ids_and_notes(client: Client, make_experiment: Any) -> None:
    first = named(make_experiment, "resnet", notes="augmented")
    named(make_experiment, "bert")
    assert shown(client, "?q=RES") == ["resnet"]
    assert shown(client, f"?q={first.pk[:6]}") == ["resnet"]
    assert shown(client, "?q=augment+net") == ["resnet"]
    assert shown(client, "?q=%00") == ["bert", "resnet"]
    assert 'data-testid="no-matches"' in client.get("/?q=nothing").content.decode()


def test_phases_filter_and_are_counted(client: Client, make_experiment: Any) -> None:
    named(make_experiment, "a", phase=Phase.RUNNING)
    named(make_experiment, "b", phase=Phase.RUNNING, suspended=True)
    named(make_experiment, "c", phase=Phase.DONE)
    named(make_experiment, "d", phase=Phase.ERROR)
    assert shown(client, "?phase=active") == ["a"]
    assert shown(client, "?phase=suspended") == ["b"]
    assert shown(client, "?phase=done") == ["c"]
    assert shown(client, "?phase=error") == ["d"]
    assert shown(client, "?phase=nonsense") == ["d", "c", "b", "a"]
    tabs = dict(
        re.findall(r">(\w[\w ]*) <span class=\"num\">(\d+)<", client.get("/").content.decode())
    )
    assert tabs == {
        "All": "4", "Active": "1", "Suspended": "1", "Done": "1", "Timed out": "0", "Error": "1",
    }  # fmt: skip


def test_orders(client: Client, make_experiment: Any) -> None:
    now = timezone.now()
    named(make_experiment, "B", created_at=now - timedelta(days=2), finished_at=now)
    named(make_experiment, "a", created_at=now - timedelta(days=1))
    named(make_experiment, "c", created_at=now - timedelta(days=3))
    assert shown(client) == ["a", "B", "c"]
    assert shown(client, "?order=oldest") == ["c", "B", "a"]
    assert shown(client, "?order=name") == ["a", "B", "c"]
    assert shown(client, "?order=finished")[0] == "B"


def test_pages_keep_the_search_and_bear_nonsense(client: Client, make_experiment: Any) -> None:
    for n in range(27):
        named(make_experiment, f"sweep-{n:02d}")
    first = client.get("/?q=sweep").content.decode()
    assert len(rows(first)) == 25
    assert "/?q=sweep&amp;page=2" in first
    assert len(shown(client, "?q=sweep&page=2")) == 2
    assert len(shown(client, "?page=99")) == 2
    assert len(shown(client, "?page=x")) == 25


def test_the_refresh_gets_the_rows_alone(client: Client, make_experiment: Any) -> None:
    named(make_experiment, "digits")
    part = client.get("/", headers={"HX-Request": "true"}).content.decode()
    assert rows(part) == ["digits"]
    assert "<html" not in part
    history = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in client.get("/", headers=history).content.decode()


def test_more_experiments_take_no_more_queries(client: Client, make_experiment: Any) -> None:
    def n_queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            client.get("/")
        return len(found)

    named(make_experiment, "one")
    few = n_queries()
    for n in range(8):
        experiment = named(make_experiment, f"more-{n}")
        Trial.objects.create(experiment=experiment, number=0, parameters={})
    assert n_queries() == few


def test_deleted_experiments_are_not_listed(client: Client, make_experiment: Any) -> None:
    actions.delete(named(make_experiment, "gone"))
    assert shown(client) == []


def test_the_bar_shares_its_width_among_states() -> None:
    bar = trial_bar({"SUCCEEDED": 2, "RUNNING": 1, "WAITING": 0}, 4)
    assert [(s["css"], s["x"], s["width"]) for s in bar["segments"]] == [
        ("succeeded", "0.00", "500.00"),
        ("running", "500.00", "250.00"),
    ]
    assert bar["n_finished"] == 2


def test_the_bar_is_never_longer_than_its_track() -> None:
    bar = trial_bar({"SUCCEEDED": 5, "FAILED": 5}, 4)
    assert sum(float(s["width"]) for s in bar["segments"]) == pytest.approx(1000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (3, "3"), (2.0, "2"), (0.123456789, "0.123457"), (1e-7, "1e-07"),
        (float("nan"), "NaN"), (float("inf"), "∞"), ("text", "text"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: object, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0, "0 s"), (3.25, "3.2 s"), (59.6, "1 m"), (61, "1 m 01 s"), (3600, "1 h"),
        (3900, "1 h 05 m"), (90000, "1 d 01 h"), (timedelta(days=2), "2 d"),
    ],
)  # fmt: skip
def test_durations_have_two_units(seconds: object, text: str) -> None:
    assert duration(seconds) == text
