"""The pages of an experiment and of a trial, and the charts they ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from experiments.charts import CHARTS
from experiments.manifest.yaml_text import load_yaml
from experiments.models import Experiment, Metric, Trial
from experiments.selectors import chart_data
from experiments.selectors.manifest import current_manifest
from experiments.services import actions
from experiments.states import TrialState
from experiments.trials import changes
from experiments.web import detail_pages
from tests.loop.scripted import ScriptedBackend

NASTY = "</script><script>alert('x')</script>"


def state_of(html: str) -> dict[str, Any]:
    """The JSON that the page's script starts from."""
    found = re.search(r'<script id="page-state" type="application/json">(.*?)</script>', html, re.S)
    assert found is not None
    state: dict[str, Any] = json.loads(found[1])
    return state


def report(trial: Trial, values: list[float | None], name: str = "default") -> None:
    """Store intermediate values as the trial API does; None is a NaN."""
    experiment = trial.experiment
    seq = experiment.next_seq()
    for sequence, value in enumerate(values):
        Metric.objects.update_or_create(
            trial=trial,
            kind=Metric.Kind.PERIODICAL,
            sequence=sequence,
            name=name,
            defaults={
                "experiment": experiment,
                "step": 10.0 * sequence,
                "value": value,
                "nonfinite": "NaN" if value is None else "",
                "time": timezone.now(),
                "seq": seq,
            },
        )


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(phase="RUNNING", started_at=timezone.now(), clock_at=timezone.now())


# ---- the experiment's page


def test_the_page_starts_from_what_the_rows_say(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    for number in range(3):
        make_trial(experiment, state="SUCCEEDED", value=number / 10)
    changes.update_best(experiment)
    event = experiment.record("remark", reason="hello")
    html = client.get(f"/experiments/{experiment.pk}/").content.decode()
    state = state_of(html)
    assert state["cursor"] == event.seq
    assert state["experiment"]["best"]["number"] == 2
    assert [t["number"] for t in state["trials"]["results"]] == [2, 1, 0]  # newest first
    assert state["trials"]["count"] == 3
    assert state["events"][0]["reason"] == "hello"
    assert state["may_change"] is True
    for hook in ("phase-badge", "connection-state", "trial-table", "limit-max_trials"):
        assert f'data-testid="{hook}"' in html
    for kind in CHARTS:
        assert f'data-testid="chart-{kind}"' in html


def test_only_the_first_page_of_many_trials_comes_with_the_page(
    client: Client, experiment: Experiment
) -> None:
    Trial.objects.bulk_create(
        Trial(experiment=experiment, number=n, parameters={}, key=f"{n:05}") for n in range(120)
    )
    trials = state_of(client.get(f"/experiments/{experiment.pk}/").content.decode())["trials"]
    assert (trials["count"], len(trials["results"])) == (120, 50)


def test_the_number_of_queries_does_not_grow_with_the_trials(
    client: Client,
    experiment: Experiment,
    make_trial: Callable[..., Trial],
    django_assert_max_num_queries: Any,
) -> None:
    for _ in range(30):
        experiment.record("state", trial=make_trial(experiment), new="WAITING")
    with django_assert_max_num_queries(12):
        client.get(f"/experiments/{experiment.pk}/")


def test_an_empty_experiment_has_a_page(client: Client, experiment: Experiment) -> None:
    answer = client.get(f"/experiments/{experiment.pk}/")
    assert answer.status_code == 200
    assert state_of(answer.content.decode())["trials"] == {"count": 0, "results": []}


@pytest.mark.parametrize("runs_here", [True, False])
def test_gpus_are_shown_where_trials_run_on_this_machine(
    client: Client, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, runs_here: bool
) -> None:
    monkeypatch.setattr(ScriptedBackend, "runs_here", runs_here)
    monkeypatch.setattr(detail_pages, "backend", ScriptedBackend)
    page = client.get(f"/experiments/{experiment.pk}/").content.decode()
    assert ('id="devices"' in page) == runs_here
    assert ('data-devices="/api/v1/devices/"' in page) == runs_here


def test_what_users_wrote_is_never_markup(
    client: Client, make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> None:
    nasty = make_experiment(
        name=NASTY[:60],
        notes=NASTY,
        message=NASTY,
        error_detail=NASTY,
        phase="ERROR",
        spec={"searchSpace": {NASTY: {"_type": "choice", "_value": [NASTY]}}},
    )
    make_trial(nasty, state="FAILED", reason=NASTY, parameters={NASTY: NASTY})
    for path in ("", "trials/0/"):
        html = client.get(f"/experiments/{nasty.pk}/{path}").content.decode()
        assert "<script>alert" not in html
    state = state_of(client.get(f"/experiments/{nasty.pk}/").content.decode())
    assert state["experiment"]["message"] == NASTY


def test_an_error_shows_its_message_and_details(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    broken = make_experiment(phase="ERROR", message="No tuner.", error_detail="Traceback: boom")
    html = client.get(f"/experiments/{broken.pk}/").content.decode()
    assert "No tuner." in html
    assert "Traceback: boom" in html


def test_the_configuration_names_algorithms_space_and_command(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    given = make_experiment(
        {
            "searchSpace": json.dumps(
                {
                    "net": {
                        "_type": "choice",
                        "_value": [
                            {"_name": "cnn", "kernel": {"_type": "randint", "_value": [1, 9]}}
                        ],
                    }
                }
            ),
            "tuner": {"builtinTunerName": "TPE", "classArgs": '{"optimize_mode": "minimize"}'},
            "assessor": {"builtinAssessorName": "Medianstop", "classArgs": {"start_step": 7}},
        }
    )
    html = client.get(f"/experiments/{given.pk}/").content.decode()
    for words in ("TPE", "optimize_mode minimize", "start_step 7", "python3 x.py", "randint"):
        assert words in html
    assert re.search(r"depth-1\">\s*kernel", html)


def test_texts_of_the_space_are_told_from_what_they_look_like(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    space = {"x": {"_type": "choice", "_value": [1, "1", None, "null", True, "true", "relu"]}}
    given = make_experiment({"searchSpace": json.dumps(space)})
    html = client.get(f"/experiments/{given.pk}/").content.decode()
    words = '1, "1", null, "null", true, "true", relu'
    assert escape(words) in html


@pytest.mark.parametrize("path", ["", "trials/0/"])
def test_a_stranger_is_sent_to_sign_in(
    stranger: Client, experiment: Experiment, make_trial: Callable[..., Trial], path: str
) -> None:
    make_trial(experiment)
    answer = stranger.get(f"/experiments/{experiment.pk}/{path}")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("path", ["nosuchid/", "{id}/trials/7/", "nosuchid/trials/0/"])
def test_what_does_not_exist_is_404(client: Client, experiment: Experiment, path: str) -> None:
    assert client.get(f"/experiments/{path.format(id=experiment.pk)}").status_code == 404


def test_a_deleted_experiment_is_gone_at_once(client: Client, experiment: Experiment) -> None:
    actions.delete(experiment)
    assert client.get(f"/experiments/{experiment.pk}/").status_code == 404


def test_pages_are_not_cached_and_cannot_be_posted_to(
    client: Client, experiment: Experiment
) -> None:
    answer = client.get(f"/experiments/{experiment.pk}/")
    assert "no-store" in answer.headers["Cache-Control"]
    assert client.post(f"/experiments/{experiment.pk}/").status_code == 405


# ---- the trial's page


def test_the_trial_page_tells_why_it_was_stopped(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(experiment, state="RUNNING", started_at=timezone.now())
    numbers = {"step": 3, "best_value": 0.2, "median_value": 0.5, "n_completed": 4}
    changes.request_stop(trial, TrialState.EARLY_STOPPED, "Worse than the median.", **numbers)
    trial.move(TrialState.EARLY_STOPPED, reason="Worse than the median.", value=0.2)
    state = state_of(client.get(f"/experiments/{experiment.pk}/trials/0/").content.decode())
    assert state["trial"]["reason"] == "Worse than the median."
    assert state["stop"]["data"] == numbers
    assert [event["what"] for event in state["events"]] == ["state", "stopping"]


def test_the_trial_page_leads_to_its_neighbours(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    for number in (0, 1, 5):
        make_trial(experiment, number=number)
    base = f"/experiments/{experiment.pk}/trials"
    middle = client.get(f"{base}/1/").content.decode()
    assert re.search(rf'rel="prev"\s+href="{base}/0/"', middle)
    assert re.search(rf'rel="next"\s+href="{base}/5/"', middle)
    assert 'rel="prev"' not in client.get(f"{base}/0/").content.decode()
    assert 'rel="next"' not in client.get(f"{base}/5/").content.decode()


def test_a_retried_trial_and_its_retry_name_each_other(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    make_trial(experiment, number=0, state="FAILED")
    make_trial(experiment, number=1, retry_of=experiment.trials.get(number=0), origin="retry")
    base = f"/experiments/{experiment.pk}/trials"
    assert f'Tried again as <a href="{base}/1/">' in client.get(f"{base}/0/").content.decode()
    assert f'A retry of <a href="{base}/0/">' in client.get(f"{base}/1/").content.decode()


def test_a_trial_says_how_likely_it_was_to_run(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    make_trial(experiment, number=20, note={"likely": 0.71})
    make_trial(experiment, number=21, note={})
    pages = [client.get(f"/experiments/{experiment.pk}/trials/{n}/") for n in (20, 21)]
    assert "it was 71% likely to run" in pages[0].content.decode()
    assert "likely to run" not in pages[1].content.decode()


def test_events_of_other_trials_do_not_show(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    mine, other = make_trial(experiment), make_trial(experiment)
    experiment.record("state", trial=mine, new="WAITING")
    experiment.record("state", trial=other, new="WAITING")
    state = state_of(client.get(f"/experiments/{experiment.pk}/trials/0/").content.decode())
    assert [event["trial"] for event in state["events"]] == [0]


# ---- charts from rows


def test_curves_come_from_the_reports_in_order(
    experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(experiment, state="RUNNING")
    report(trial, [0.1, None, 0.3])
    figure = chart_data.figure(experiment, "curves", {})
    trace = figure["data"][0]
    assert trace["meta"] == {"trial": 0, "last": 2, "start": 0.0, "most": 203}
    assert (trace["x"], trace["y"]) == ([0.0, 10.0, 20.0], [0.1, None, 0.3])
    assert figure["layout"]["meta"]["seq"] == experiment.last_seq


def test_curves_can_be_of_another_metric(
    experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(experiment, state="RUNNING")
    report(trial, [0.1])
    report(trial, [5.0, 4.0], name="loss/train")
    figure = chart_data.figure(experiment, "curves", {"metric": "loss/train", "x": "time"})
    assert figure["data"][0]["y"] == [5.0, 4.0]
    assert figure["data"][0]["x"][0] == 0.0
    assert figure["layout"]["meta"]["metrics"] == ["default", "loss/train"]


def test_each_of_thousands_of_metrics_is_offered(
    experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(experiment, state="RUNNING")
    names = [f"layer {n}/norm" for n in range(2_700)]
    Metric.objects.bulk_create(
        Metric(trial=trial, experiment=experiment, kind="PERIODICAL", sequence=0, name=name,
               value=1.0, time=timezone.now(), seq=experiment.last_seq)
        for name in ["default", *names]
    )  # fmt: skip
    offered = chart_data.figure(experiment, "curves", {})["layout"]["meta"]["metrics"]
    assert (offered[0], set(offered[1:])) == ("default", set(names))


def test_a_figure_is_drawn_anew_as_soon_as_there_is_news(
    experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(experiment, state="RUNNING")
    report(trial, [0.1])
    before = chart_data.figure(experiment, "curves", {})
    assert chart_data.figure(experiment, "curves", {}) is before
    report(trial, [0.7, 0.2])  # a repeated report overwrites
    assert chart_data.figure(experiment, "curves", {})["data"][0]["y"] == [0.7, 0.2]


def test_the_threshold_of_a_stopped_trial_reaches_its_chart(
    experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(experiment, state="RUNNING")
    report(trial, [0.1, 0.2])
    data = {
        "step": 1,
        "best_value": 0.2,
        "median_value": 0.5,
        "threshold_steps": [0, 1],
        "threshold_values": [0.3, 0.5],
    }
    changes.request_stop(trial, TrialState.EARLY_STOPPED, "Worse.", **data)
    figure = chart_data.figure(experiment, "curves", {"trial": "0"})
    threshold = next(t for t in figure["data"] if t["uid"] == "threshold")
    assert (threshold["x"], threshold["y"]) == ([0.0, 10.0], [0.3, 0.5])


def test_a_space_stored_as_text_makes_axes_too(
    make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> None:
    space = {"lr": {"_type": "loguniform", "_value": [0.001, 1]}}
    given = make_experiment({"searchSpace": json.dumps(space)})
    make_trial(given, state="SUCCEEDED", value=1.0, parameters={"lr": 0.1})
    labels = [
        d["label"] for d in chart_data.figure(given, "parcoords", {})["data"][0]["dimensions"]
    ]
    assert labels == ["<b>Value</b>", "lr (log)"]


def test_an_unknown_chart_is_a_key_error(experiment: Experiment) -> None:
    with pytest.raises(KeyError):
        chart_data.figure(experiment, "pie", {})


@pytest.mark.parametrize("kind", sorted(CHARTS))
def test_rest_serves_the_same_figure(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial], kind: str
) -> None:
    trial = make_trial(experiment, state="SUCCEEDED", value=0.5, started_at=timezone.now())
    report(trial, [0.1, 0.5])
    experiment.refresh_from_db()
    answer = client.get(f"/api/v1/experiments/{experiment.pk}/charts/{kind}/")
    assert answer.json() == json.loads(json.dumps(chart_data.figure(experiment, kind, {})))


def test_rest_names_the_option_it_does_not_understand(
    client: Client, experiment: Experiment
) -> None:
    answer = client.get(f"/api/v1/experiments/{experiment.pk}/charts/history/?x=colour")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "x"


def test_a_chart_reads_rows_in_few_queries(
    experiment: Experiment, make_trial: Callable[..., Trial], django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        report(make_trial(experiment, state="SUCCEEDED", value=0.1), [0.1, 0.2])
    for kind in CHARTS:
        with django_assert_max_num_queries(5):
            chart_data.figure(experiment, kind, {"trial": "3"})


def test_every_entry_of_the_export_menu_gives_what_it_says(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    experiment = make_experiment()
    page = client.get(f"/experiments/{experiment.pk}/").content.decode()
    entry = r'download\s+href="([^"]+)">(?:(?!</a>).)*?\b(JSON|HTML|CSV|YAML)\b'
    menu = dict(re.findall(entry, page, re.DOTALL))
    given = {kind: b"".join(client.get(url)).decode() for url, kind in menu.items()}
    assert given["CSV"].startswith("number,id,state")
    assert json.loads(given["JSON"])["experiment"]["id"] == experiment.pk
    assert given["HTML"].startswith("<!DOCTYPE html>")
    assert load_yaml(given["YAML"]).data == current_manifest(experiment)
