"""What transformers' KubeflowCallback sends (5.24: copied from reading it), over a real socket."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from experiments.models import Metric, Trial
from experiments.states import TrialState
from tests.web.conftest import Reply, Server, rows, t9k_path


@pytest.fixture
def trial(transactional_db: None, make_experiment: Any, make_trial: Any) -> Trial:
    experiment = make_experiment({"metrics": {"objective": "eval_loss"}})
    return make_trial(experiment, state=TrialState.RUNNING, number=7)


def send(server: Server, trial: Trial, status: Any) -> Reply:
    return server.ask("POST", f"{t9k_path(trial)}/trainer", {"trainerStatus": status})


def said(metrics: dict[str, float], percent: int = 10, left: int | None = None) -> dict[str, Any]:
    """As ``_update_status`` puts it together: every value a string."""
    status: dict[str, Any] = {"lastUpdatedTime": "2026-11-27T21:00:00+00:00"}
    status["progressPercentage"] = percent
    if left is not None:
        status["estimatedRemainingSeconds"] = left
    status["metrics"] = [{"name": k, "value": str(v)} for k, v in metrics.items()]
    return status


def curve(trial: Trial, name: str) -> list[tuple[float | None, float | str]]:
    found = Metric.objects.filter(trial=trial, kind="PERIODICAL", name=name).order_by("sequence")
    return [(metric.step, metric.json_value) for metric in found]


def test_what_was_logged_is_a_curve_and_what_is_told_again_is_not(
    server: Server, trial: Trial
) -> None:
    send(server, trial, said({"total_steps": 100}, 0))
    place = {"total_steps": 100, "current_epoch": 0.1}
    send(server, trial, said({"loss": 2.5, "epoch": 0.1, **place, "current_step": 10}))
    send(server, trial, said({"loss": 2.5, "epoch": 0.1, **place, "current_step": 14}))
    told = {"loss": 2.0, "eval_loss": 3.0, "epoch": 0.2}
    send(server, trial, said({**told, **place, "current_step": 20}))
    reply = send(server, trial, said({**told, "eval_loss": float("nan")}, 100, 0))

    assert (reply.status, reply.text) == (200, "ok")
    assert curve(trial, "loss") == [(10, 2.5), (20, 2.0)]
    assert curve(trial, "default") == [(20, 3.0), (20, "NaN")]
    assert not {"total_steps", "current_step"} & {name for _, _, name, _ in rows(trial)}
    trial.refresh_from_db()
    assert (trial.logged_by, trial.latest_sequence) == ("trainer", 1)


def test_progress_and_the_time_left_are_the_trials(server: Server, trial: Trial) -> None:
    before = timezone.now()
    send(server, trial, said({}, 25, 90))

    trial.refresh_from_db()
    assert trial.progress == 0.25
    assert trial.expected_end is not None
    assert 90 <= (trial.expected_end - before).total_seconds() < 99


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (None, "trainerStatus must be an object, but is null"),
        ({"progressPercentage": 101}, "progressPercentage must be a number from 0 to 100, but"),
        ({"estimatedRemainingSeconds": -1}, "estimatedRemainingSeconds must be a number from 0"),
        (
            {"metrics": [{"name": "a", "value": "x"}]},
            'metrics[0].value must be a number, but is "x"',
        ),
        ({"metrics": [{"value": "1"}]}, "metrics[0].key must be the metric's name, but is null"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    server: Server, trial: Trial, status: Any, message: str
) -> None:
    reply = send(server, trial, status)

    assert reply.status == 400
    assert message in reply.text
    assert "\n" not in reply.text


def test_what_the_collector_found_in_event_files_is_there_once(
    server: Server, trial: Trial
) -> None:
    metrics = [{"key": "eval_loss", "value": 0.5, "step": 3}, {"key": "acc", "value": 1, "step": 3}]
    for _ in range(2):
        server.ask("POST", f"{t9k_path(trial)}/tracked", {"id": "events 1", "metrics": metrics})
    server.ask("POST", f"{t9k_path(trial)}/tracked", {"id": "events 2", "metrics": metrics[:1]})

    assert curve(trial, "default") == [(3, 0.5), (3, 0.5)]
    assert curve(trial, "acc") == [(3, 1)]
    reply = server.ask("POST", f"{t9k_path(trial)}/tracked", {"metrics": []})
    assert (reply.status, reply.text) == (400, "not stored: id must be text, but is null")


def test_wrong_tokens_and_methods(server: Server, trial: Trial) -> None:
    assert server.ask("POST", f"{t9k_path(trial)}!/trainer", {"trainerStatus": {}}).status == 404
    assert server.ask("GET", f"{t9k_path(trial)}/trainer").headers["allow"] == "POST"
