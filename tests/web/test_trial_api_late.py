"""The trial API over a real socket: reports that are late, doubled, foreign or far too long."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from experiments.models import Event, Metric, Trial
from experiments.states import TrialState
from tests.web.conftest import Server, nni_path, rows, t9k_path


def test_the_first_final_wins(server: Server, trial: Trial) -> None:
    server.report_final(trial, 0.9)
    reply = server.report_final(trial, 0.1)

    assert (reply.status, reply.text) == (200, "not used: the first FINAL result, 0.9, stands")
    trial.refresh_from_db()
    assert trial.value == 0.9
    assert rows(trial) == [("FINAL", 0, "default", 0.9)]
    assert Event.objects.get(what="late final").data == {"values": {"default": 0.1}}


def test_a_final_sent_again_after_a_lost_answer_is_fine(server: Server, trial: Trial) -> None:
    first = server.report_final(trial, {"default": 0.9, "loss": "NaN"})
    again = server.report_final(trial, {"default": 0.9, "loss": "NaN"})

    assert first == again._replace(headers=first.headers)
    assert not Event.objects.exists()


def test_an_intermediate_after_the_final_is_stored_and_not_used(
    server: Server, trial: Trial
) -> None:
    server.report(trial, 0.5, sequence=0)
    server.report_final(trial, 0.9)
    reply = server.report(trial, 0.1, sequence=1)

    assert reply.status == 200
    assert "stored, but not used" in reply.text
    assert ("PERIODICAL", 1, "default", 0.1) in rows(trial)
    trial.refresh_from_db()
    assert (trial.value, trial.latest_value, trial.n_reports) == (0.9, 0.5, 2)


@pytest.mark.parametrize("state", sorted(TrialState.__members__.keys() - {"WAITING", "RUNNING"}))
def test_reports_of_an_ended_trial_are_stored_and_not_used(
    server: Server, trial: Trial, state: str
) -> None:
    Trial.objects.filter(pk=trial.pk).update(state=state)

    replies = [server.report(trial, 0.5), server.report_final(trial, 0.9)]

    for reply in replies:
        assert (reply.status, reply.text) == (
            200, f"stored, but not used: the trial has ended as {state}",
        )  # fmt: skip
    assert rows(trial) == [("FINAL", 0, "default", 0.9), ("PERIODICAL", 0, "default", 0.5)]
    trial.refresh_from_db()
    assert (trial.value, trial.latest_value, trial.has_final) == (None, None, False)
    assert "0.9, stands" in server.report_final(trial, 0.1).text


def test_a_success_that_crosses_a_stop_still_counts(server: Server, trial: Trial) -> None:
    Trial.objects.filter(pk=trial.pk).update(stop_as=TrialState.EARLY_STOPPED)

    assert server.report_final(trial, 0.9).text == "ok"

    trial.refresh_from_db()
    assert (trial.has_final, trial.value) == (True, 0.9)


def test_another_trials_token_is_refused(server: Server, trial: Trial, make_trial: Any) -> None:
    other = make_trial(trial.experiment)

    reply = server.report(trial, 0.5, trial_job_id=other.key)

    assert reply.status == 403
    assert reply.text == f"not stored: the token is of trial {trial.key}, the report of another"
    assert not Metric.objects.exists()


def test_a_report_without_a_genuine_token_is_refused(server: Server, trial: Trial) -> None:
    body = {"trial_job_id": trial.key, "type": "FINAL", "sequence": 0, "value": "1"}

    reply = server.ask("POST", "/t/nonsense/apis/v1/metric", body)

    assert reply.status == 404
    assert "\n" not in reply.text
    assert not Metric.objects.exists()


def test_who_sends_far_too_much_hears_so_instead_of_a_broken_connection(
    server: Server, trial: Trial
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    connection.request("PUT", nni_path(trial), b" " * 30_000_000)
    response = connection.getresponse()

    assert response.status == 413
    assert response.read() == b"not stored: a report must have at most 1048576 bytes"
    connection.close()


def test_a_body_of_five_megabytes_is_refused_in_one_line(server: Server, trial: Trial) -> None:
    path = f"{t9k_path(trial)}/apis/v1/metric"

    reply = server.ask("POST", path, b" " * (5 * 1024 * 1024))

    assert reply.status == 413
    assert reply.text == "not stored: a report must have at most 1048576 bytes"
    # one that a real SDK would still send is read
    padded = json.dumps({"default": 1, "note": "x" * 900_000})
    assert server.report(trial, padded).status == 200
