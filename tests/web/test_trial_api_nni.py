"""NNI's channel of the trial API over a real socket: each row of its table, and what goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from experiments.models import Trial
from experiments.states import TrialState
from tests.web.conftest import Server, nni_path


def put_metric(server: Server, trial: Trial, **fields: Any) -> Any:
    metric = {
        "parameter_id": trial.number,
        "trial_job_id": trial.key,
        "type": "PERIODICAL",
        "sequence": 0,
        "value": "0.5",
    }
    command = {"type": "metric", "metric": json.dumps(metric | fields)}
    return server.ask("PUT", nni_path(trial), command)


def test_nni_gets_its_parameters_as_text_within_json(server: Server, trial: Trial) -> None:
    assert server.ask("PUT", nni_path(trial), {"type": "request_parameter"})[:2] == (200, "")

    reply = server.ask("GET", nni_path(trial))

    assert reply.status == 200
    assert reply.json["type"] == "parameter"
    assert json.loads(reply.json["parameter"]) == {
        "parameter_id": 7,
        "parameter_source": "algorithm",
        "parameters": {"lr": 0.01, "units": 32},
    }


@pytest.mark.parametrize("state", [TrialState.SUCCEEDED, TrialState.EARLY_STOPPED])
def test_nni_gets_the_parameters_of_an_ended_trial(
    server: Server, trial: Trial, state: TrialState
) -> None:
    Trial.objects.filter(pk=trial.pk).update(state=state)

    assert server.ask("GET", nni_path(trial)).status == 200


@pytest.mark.parametrize(
    "columns", [{"state": TrialState.CANCELED}, {"stop_as": TrialState.CANCELED}]
)
def test_nni_is_told_that_a_trial_is_canceled(
    server: Server, trial: Trial, columns: dict[str, str]
) -> None:
    Trial.objects.filter(pk=trial.pk).update(**columns)

    assert server.ask("GET", nni_path(trial)).status == 410


def test_nni_is_told_that_a_trial_is_unknown(server: Server, trial: Trial) -> None:
    path = nni_path(trial)
    assert server.ask("GET", "/n/nonsense").status == 410
    assert server.ask("PUT", "/n/nonsense", {"type": "request_parameter"}).status == 404
    trial.delete()
    assert server.ask("GET", path).status == 410


@pytest.mark.parametrize(
    "parameters", [{"__nni_obj__": "gASV"}, {"a": [{"__instance_type__": ["os", "system"]}]}]
)
def test_nni_is_never_served_a_key_that_it_would_run(
    server: Server, trial: Trial, parameters: dict[str, Any]
) -> None:
    Trial.objects.filter(pk=trial.pk).update(parameters=parameters)

    reply = server.ask("GET", nni_path(trial))

    assert reply.status == 410
    assert "would run the parameter named '__" in reply.text


def test_nni_reports_are_stored_with_their_sequence_as_step(server: Server, trial: Trial) -> None:
    assert put_metric(server, trial, sequence=2)[:2] == (200, "")
    assert put_metric(server, trial, type="FINAL", value='{"default": 0.9}')[:2] == (200, "")

    trial.refresh_from_db()
    assert (trial.value, trial.latest_value, trial.latest_sequence) == (0.9, 0.5, 2)
    assert trial.metric_set.get(kind="PERIODICAL").step == 2.0
    assert trial.metric_set.get(kind="FINAL").step is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "stdout"}, 400),
        ({"type": "metric", "metric": {"value": 1}}, 400),
        ({"type": "metric", "metric": "{"}, 400),
        ("nonsense", 400),
        (b" " * 2_000_000, 413),
    ],
)
def test_bad_commands_of_nni_are_refused(
    server: Server, trial: Trial, body: Any, status: int
) -> None:
    assert server.ask("PUT", nni_path(trial), body).status == status


def test_a_metric_of_another_trial_is_refused_on_nnis_channel_too(
    server: Server, trial: Trial, make_trial: Any
) -> None:
    other = make_trial(trial.experiment)

    assert put_metric(server, trial, trial_job_id=other.key).status == 403
    assert put_metric(server, trial, trial_job_id=None).status == 400


def test_a_refused_final_result_of_nni_is_known_as_one(server: Server, trial: Trial) -> None:
    assert put_metric(server, trial, type="FINAL", value='"good"').status == 400

    assert trial.event_set.get().data["final"] is True


def test_a_final_result_of_nni_that_is_too_large_is_known_as_one(
    server: Server, trial: Trial
) -> None:
    value = json.dumps({"default": 1, "note": "x" * 2_000_000})
    reply = put_metric(server, trial, type="FINAL", value=value)

    assert reply.status == 413
    assert trial.event_set.get().data["final"] is True
    assert put_metric(server, trial, value=value).status == 413
    assert "final" not in trial.event_set.order_by("seq").last().data
