"""The list of experiments: what its rows say, and how it is searched, filtered, ordered, paged."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.charts.sparkline import BestLine, points
from experiments.cluster.status import status_of
from experiments.management.commands import run
from experiments.models import ClusterObject, Experiment, Trial
from experiments.selectors.export import export
from experiments.selectors.present import count_trials, experiment_json
from experiments.selectors.trend import best_lines
from experiments.services import actions
from experiments.states import Phase, TrialState
from experiments.templatetags.autotune import duration, number, phase_badge, trial_bar
from experiments.trials import changes
from experiments.trials.changes import update_best

ROOT = Path(__file__).resolve().parents[2]


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
    bar = trial_bar({"SUCCEEDED": 2, "RUNNING": 1, "WAITING": 0}, 2, 4)
    assert [(s["css"], s["x"], s["width"]) for s in bar["segments"]] == [
        ("succeeded", "0.00", "500.00"),
        ("running", "500.00", "250.00"),
    ]
    assert bar["n_finished"] == 2


def test_the_bar_is_never_longer_than_its_track() -> None:
    bar = trial_bar({"SUCCEEDED": 5, "FAILED": 5}, 4, 4)
    assert sum(float(s["width"]) for s in bar["segments"]) == pytest.approx(1000)


# The same table as tests/js/numbers.test.js reads: pages and templates write numbers alike.
NUMBERS = json.loads((ROOT / "tests/js/numbers.json").read_text())


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_numbers_are_short_and_as_the_pages_scripts_write_them(value: object, text: str) -> None:
    assert number(value) == text


def test_numbers_that_are_none() -> None:
    assert [number(v) for v in (float("nan"), float("inf"), "text")] == ["NaN", "∞", "text"]
    assert number(10**400) == str(10**400)


def test_retries_count_once_and_what_the_time_cut_off_not_at_all(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = named(make_experiment, "retried", max_trials=2)
    for _ in range(2):
        failed = make_trial(experiment, state="FAILED", retried=True)
        make_trial(experiment, state="SUCCEEDED", retry_of=failed)
    make_trial(experiment, state="CANCELED", stop_as="CANCELED", cut_off=True)
    counted = count_trials([experiment])[experiment.pk]
    assert counted.finished == 2
    assert experiment_json(experiment)["n_finished"] == 2
    assert counted.by_state["FAILED"] == 2
    html = client.get("/").content.decode()
    assert "<strong>2</strong> / 2" in html
    assert "2 of 2 trials finished" in html


def test_a_limit_lowered_below_what_has_finished_makes_no_nonsense(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = named(make_experiment, "low", phase=Phase.DONE, max_trials=3)
    for _ in range(14):
        make_trial(experiment, state="SUCCEEDED", value=1.0)
    page = client.get("/").content.decode()
    assert "14 of 14 trials finished" in page
    assert "<strong>14</strong> / 14" in page
    assert "14 of 14 finished" in export(experiment, "html").decode()
    assert "14/14 trials" in run.Command()._progress(experiment).plain()
    counts = count_trials([experiment])[experiment.pk]
    told = status_of(ClusterObject(experiment=experiment, name="low"), counts, 1, {})
    assert told["progress"] == "14/14"


def test_the_best_come_first_maximised_and_minimised_apart(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    for name, mode, value in (
        ("low", "maximize", 0.1), ("high", "maximize", 0.9), ("none", "maximize", None),
        ("loss-2", "minimize", 2.0), ("loss-1", "minimize", 1.0),
    ):  # fmt: skip
        experiment = named(make_experiment, name, optimize_mode=mode)
        if value is not None:
            make_trial(experiment, state="SUCCEEDED", value=value, has_final=True)
            update_best(experiment)
    assert shown(client, "?order=best") == ["high", "low", "loss-1", "loss-2", "none"]
    page = client.get("/", {"order": "best"}).content.decode()
    assert re.search(r'value="best"\s+selected', page)


def test_tuners_sort_by_letter_advisors_among_them(client: Client, make_experiment: Any) -> None:
    def with_spec(name: str, **spec: Any) -> None:
        experiment = make_experiment()
        manifest = {**experiment.manifest, "spec": {**experiment.manifest["spec"], **spec}}
        Experiment.objects.filter(pk=experiment.pk).update(name=name, manifest=manifest)

    with_spec("t", tuner={"builtinTunerName": "TPE", "classArgs": {}})
    with_spec("a", tuner={"builtinTunerName": "Anneal", "classArgs": {}})
    with_spec("h", tuner=None, advisor={"builtinAdvisorName": "Hyperband", "classArgs": {}})
    with_spec("none", tuner=None)
    assert shown(client, "?order=tuner") == ["a", "h", "t", "none"]
    api = client.get("/api/v1/experiments/", {"order": "-tuner"}).json()
    assert [e["name"] for e in api["results"]] == ["t", "h", "a", "none"]


def polyline(page: str) -> list[str]:
    return re.findall(r'<polyline points="([^"]+)"', page)


@pytest.mark.parametrize(
    ("mode", "label"), [("maximize", "from 0.2 to 0.9"), ("minimize", "from 0.2 to 0.1")]
)
def test_a_row_draws_how_the_best_went(
    client: Client, make_experiment: Any, make_trial: Any, mode: str, label: str
) -> None:
    experiment = named(make_experiment, "digits", optimize_mode=mode)
    empty = named(make_experiment, "empty")
    for state, value, excluded in [
        ("SUCCEEDED", 0.2, False), ("FAILED", None, False), ("SUCCEEDED", 0.1, False),
        ("SUCCEEDED", 0.9, False), ("SUCCEEDED", 1e9, True), ("SUCCEEDED", -1e9, True),
        ("EARLY_STOPPED", 5.0, False), ("RUNNING", None, False),
    ]:  # fmt: skip
        make_trial(experiment, state=state, value=value, excluded=excluded)
    page = client.get("/").content.decode()
    assert f"Best so far over 8 trials: {label}" in page
    assert len(polyline(page)) == 1, empty
    ys = [float(point.split(",")[1]) for point in polyline(page)[0].split()]
    assert ys == sorted(ys, reverse=mode == "maximize")  # up is larger
    assert ys[0] != ys[-1]


def test_the_line_follows_a_running_experiment_and_is_kept_of_an_ended_one(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = named(make_experiment, "digits", phase=Phase.RUNNING)
    make_trial(experiment, state="SUCCEEDED", value=0.2)
    before = polyline(client.get("/").content.decode())
    make_trial(experiment, state="SUCCEEDED", value=0.9)
    after = polyline(client.get("/").content.decode())
    assert before != after
    Experiment.objects.filter(pk=experiment.pk).update(phase=Phase.DONE)

    def n_queries() -> int:
        with CaptureQueriesContext(connection) as found:
            assert polyline(client.get("/").content.decode()) == after
        return len(found)

    assert n_queries() == n_queries() + 1  # read once, then kept
    experiment.refresh_from_db()
    actions.set_excluded(experiment.trials.get(number=1), True)
    assert polyline(client.get("/").content.decode()) == ["2.0,12.0 94.0,12.0"]  # level


def test_what_is_read_for_a_line_is_bounded_however_many_trials_there_are(
    make_experiment: Any,
) -> None:
    experiment = make_experiment()
    Trial.objects.bulk_create(
        Trial(
            experiment=experiment, number=n, parameters={}, state="SUCCEEDED", value=float(n),
            key=f"{n:05}",  # of thousands drawn at random two would be the same now and then
        )
        for n in range(3000)  # each better than all before
    )  # fmt: skip
    counts = count_trials([experiment])
    with CaptureQueriesContext(connection) as found:
        line = best_lines([experiment], counts)[experiment.pk]
    assert len(found) == 1
    assert line is not None
    assert len(line.steps) <= 64
    assert line.last_value == 2999.0


@pytest.mark.parametrize("values", [[5.0], [1.7e308, -1.7e308], [0.0, 5e-324], [3.0, 3.0]])
def test_a_line_of_odd_values_can_be_drawn(values: list[float]) -> None:
    steps = tuple(enumerate(values))
    numbers = [float(n) for point in points(BestLine(steps, 9)).split() for n in point.split(",")]
    assert all(0 <= number <= 96 for number in numbers)


def test_what_the_list_does_not_know_is_told(client: Client, make_experiment: Any) -> None:
    named(make_experiment, "one")
    html = client.get("/", {"order": "<b>", "phase": "gone"}).content.decode()
    assert 'data-testid="unknown-query"' in html
    assert "phase=gone, order=&lt;b&gt;" in html
    assert "one" in html
    html = client.get("/", {"order": "name", "phase": "done"}).content.decode()
    assert "unknown-query" not in html


def test_done_without_a_success_is_not_green(make_experiment: Any, make_trial: Any) -> None:
    failed = make_experiment(phase="DONE", message="No trial succeeded. Trial 0: exit code 1")
    empty, good = make_experiment(phase="DONE"), make_experiment(phase="DONE")
    make_trial(good, state="SUCCEEDED", value=1.0, has_final=True)
    update_best(good)
    looks = [phase_badge(e)["css"] for e in (failed, empty, good)]
    assert looks == ["failed", "canceled", "succeeded"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0, "0 s"), (3.25, "3.2 s"), (59.6, "1 m"), (61, "1 m 01 s"), (3600, "1 h"),
        (3900, "1 h 05 m"), (90000, "1 d 01 h"), (timedelta(days=2), "2 d"),
    ],
)  # fmt: skip
def test_durations_have_two_units(seconds: object, text: str) -> None:
    assert duration(seconds) == text


def test_the_address_above_an_experiment_s_leads_to_the_list(client: Client) -> None:
    response = client.get("/experiments/?phase=DONE")
    assert (response.status_code, response["Location"]) == (302, "/?phase=DONE")
