"""The trial API over a real socket: parameters (T9k), its paths and methods, the client."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.access import tokens
from experiments.models import Trial
from experiments.states import TrialState
from tests.web.conftest import Server, nni_path, t9k_path


def test_parameters_are_the_record_that_the_sdk_expects(server: Server, trial: Trial) -> None:
    reply = server.ask("GET", f"{t9k_path(trial)}/apis/v1/parameter/{trial.key}")

    assert reply.status == 200
    assert reply.json == {
        "parameter_id": 7,
        "parameter_source": "algorithm",
        "parameters": {"lr": 0.01, "units": 32},
    }


def test_parameters_have_sorted_keys(server: Server, trial: Trial) -> None:
    Trial.objects.filter(pk=trial.pk).update(parameters={"b": 1, "a": {"d": 2, "c": 3}})

    reply = server.ask("GET", f"{t9k_path(trial)}/apis/v1/parameter/{trial.key}")

    assert reply.text.endswith('"parameters": {"a": {"c": 3, "d": 2}, "b": 1}}')


def test_every_worker_of_a_trial_gets_the_same_parameters(server: Server, trial: Trial) -> None:
    path = f"{t9k_path(trial)}/apis/v1/parameter/{trial.key}"

    assert len({server.ask("GET", path).text for _ in range(4)}) == 1


def test_a_fetch_writes_nothing(server: Server, trial: Trial) -> None:
    path = f"{t9k_path(trial)}/apis/v1/parameter/{trial.key}"
    before = Trial.objects.filter(pk=trial.pk).values().get()
    server.ask("GET", path)
    server.report(trial, 1)  # its answer comes after what else stood in the queue
    Trial.objects.filter(pk=trial.pk).update(
        latest_value=None, latest_sequence=None, n_reports=0, seq=before["seq"]
    )

    assert Trial.objects.filter(pk=trial.pk).values().get() == before


@pytest.mark.parametrize("state", [TrialState.EARLY_STOPPED, TrialState.CANCELED])
def test_a_late_worker_gets_its_old_record(server: Server, trial: Trial, state: TrialState) -> None:
    Trial.objects.filter(pk=trial.pk).update(state=state)

    reply = server.ask("GET", f"{t9k_path(trial)}/apis/v1/parameter/{trial.key}")

    assert (reply.status, reply.json["parameter_id"]) == (200, 7)


def test_another_trials_id_in_the_path_is_unknown(
    server: Server, trial: Trial, make_trial: Any
) -> None:
    other = make_trial(trial.experiment)

    reply = server.ask("GET", f"{t9k_path(trial)}/apis/v1/parameter/{other.key}")

    assert reply.status == 404
    assert reply.json == {"error": f"unknown trial {other.key}"}


def test_a_forged_token_is_unknown(server: Server, trial: Trial) -> None:
    forged = tokens.trial_token(trial)[:-1] + "!"
    reply = server.ask("GET", f"/t/{forged}/apis/v1/parameter/{trial.key}")

    assert reply.status == 404
    assert reply.json["error"].startswith("unknown trial")


def test_a_deleted_trial_is_unknown(server: Server, trial: Trial) -> None:
    path = t9k_path(trial)
    key = trial.key
    Trial.objects.all().delete()

    reply = server.ask("GET", f"{path}/apis/v1/parameter/{key}")
    assert (reply.status, reply.json) == (404, {"error": f"unknown trial {key}"})
    body = {"trial_job_id": key, "type": "FINAL", "sequence": 0, "value": "1"}
    reply = server.ask("POST", f"{path}/apis/v1/metric", body)
    assert (reply.status, reply.text) == (404, f"unknown trial {key}")


def test_slashes_collapse_and_nothing_redirects(server: Server, trial: Trial) -> None:
    token = tokens.trial_token(trial)

    for path in (
        f"//t//{token}//apis/v1/parameter/{trial.key}",
        f"/t/{token}//apis/v1/parameter/{trial.key}/",
    ):
        assert server.ask("GET", path).status == 200
    body = {"trial_job_id": trial.key, "type": "FINAL", "sequence": 0, "value": "1"}
    assert server.ask("POST", f"/t/{token}//apis/v1/metric", body).status == 200


def test_wrong_methods_and_paths_are_named(server: Server, trial: Trial) -> None:
    path = t9k_path(trial)

    assert server.ask("POST", f"{path}/apis/v1/parameter/{trial.key}", {}).status == 405
    assert server.ask("GET", f"{path}/apis/v1/metric").headers["allow"] == "POST"
    assert server.ask("POST", nni_path(trial), {}).headers["allow"] == "GET, PUT"
    assert server.ask("GET", f"{path}/apis/v2/metric").status == 404
    assert server.ask("GET", "/t").status == 404


def test_other_paths_are_left_to_django(server: Server) -> None:
    reply = server.ask("GET", "/tea/")

    assert reply.status == 404
    assert "trial API" not in reply.text


def test_the_client_is_served_without_signing_in(
    server: Server, settings: Any, tmp_path: Any
) -> None:
    settings.CLIENT_DIR = tmp_path
    assert server.ask("GET", "/client/autotune_trial.py").status == 404
    (tmp_path / "autotune_trial.py").write_text("# client\n")

    reply = server.ask("GET", "/client/autotune_trial.py")

    assert (reply.status, reply.text) == (200, "# client\n")
    assert server.ask("POST", "/client/autotune_trial.py", "").status == 405
