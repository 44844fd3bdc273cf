"""REST: one experiment is read, changed, cloned, finished and deleted."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from django.db import connections
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment
from experiments.states import Phase, TrialState
from tests.web.rest import LIST, errors, patch, post, url


def test_reading_one_experiment(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(name="digits")
    answer = client.get(url(experiment)).json()
    assert answer["id"] == experiment.pk
    assert answer["name"] == "digits"
    assert client.get(LIST + "nosuchid/").status_code == 404
    assert post(client, url(experiment)).status_code == 405


def test_limits_change_in_either_spelling(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    body = {"max_trials": 9, "maxExecSeconds": 77, "notes": "longer", "name": "renamed"}
    answer = patch(client, url(experiment), body).json()
    assert (answer["max_trials"], answer["max_exec_seconds"]) == (9, 77)
    assert (answer["notes"], answer["name"]) == ("longer", "renamed")
    (limits,) = experiment.events.filter(what="limits")
    assert "max_trials 4 → 9" in limits.reason


def test_a_limit_is_taken_away_by_null_and_missing_from_the_manifest(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment()
    seen = {"maxTrialNum": 4}
    answer = patch(client, url(experiment), {"maxTrialNum": None, "expected": seen}).json()
    assert answer["max_trials"] is None
    body = {"max_exec_seconds": None}
    refused = patch(client, url(experiment), body)
    assert refused.status_code == 400
    assert [each["path"] for each in refused.json()["errors"]] == ["max_trials"]
    assert patch(client, url(experiment), {"concurrency": None}).status_code == 400
    manifest = yaml.safe_load(client.get(url(experiment, "manifest/")).content)["spec"]
    assert ("maxTrialNum" in manifest, "maxExecSeconds" in manifest) == (False, True)
    body = {"max_trials": 5, "expected": {"max_trials": None}}
    assert patch(client, url(experiment), body).json()["max_trials"] == 5


def test_suspend_and_resume(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(phase=Phase.RUNNING)
    assert patch(client, url(experiment), {"suspended": True}).json()["suspended"] is True
    assert patch(client, url(experiment), {"suspended": False}).json()["suspended"] is False


def test_raising_a_limit_of_a_done_experiment_makes_it_run_again(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment(phase=Phase.DONE, finished_at=timezone.now())
    answer = patch(client, url(experiment), {"maxTrialNum": 10}).json()
    assert answer["phase"] == "RUNNING"
    assert answer["finished_at"] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"max_trials": "50"}, "max_trials"),
        ({"max_trials": True}, "max_trials"),
        ({"max_trials": 5.0}, "max_trials"),
        ({"maxTrialNum": 0}, "maxTrialNum"),
        ({"max_trials": 10**40}, "max_trials"),
        ({"concurrency": None}, "concurrency"),
        ({"max_trials": 5, "maxTrialNum": 5}, "maxTrialNum"),
        ({"suspended": "yes"}, "suspended"),
        ({"name": ""}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"name": 7}, "name"),
        ({"phase": "DONE"}, "phase"),
        ({"expected": {"max_trial": 4}}, "expected.max_trial"),
        ({"expected": 4}, "expected"),
        ([], ""),
        ("text", ""),
    ],
)
def test_a_bad_change_is_refused_whole(
    client: Client, make_experiment: Any, body: Any, path: str
) -> None:
    experiment = make_experiment()
    if isinstance(body, dict):
        body = {"notes": "must not be written", **body}
    response = patch(client, url(experiment), json.dumps(body))
    assert response.status_code == 400, response.content
    assert list(errors(response)) == [path]
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.notes) == (4, "")


def test_every_problem_of_a_change_is_told_at_once(client: Client, make_experiment: Any) -> None:
    response = patch(
        client, url(make_experiment()), {"max_trials": 0, "concurency": 2, "suspended": 1}
    )
    assert set(errors(response)) == {"max_trials", "concurency", "suspended"}
    hints = {error["path"]: error["hint"] for error in response.json()["errors"]}
    assert hints["concurency"] == "Did you mean 'concurrency'?"


def test_of_two_people_the_second_is_told(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    seen = {"max_trials": 4}
    assert patch(client, url(experiment), {"max_trials": 8, "expected": seen}).status_code == 200
    body = {"max_trials": 6, "notes": "mine", "expected": seen}
    response = patch(client, url(experiment), body)
    assert response.status_code == 409
    assert "max_trials is 8 by now, not 4" in errors(response)[""]
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.notes) == (8, "")


def test_of_people_at_the_very_same_time_one_wins(
    transactional_db: None, alice: Any, make_experiment: Any
) -> None:
    experiment = make_experiment()
    together = threading.Barrier(4)

    def change(value: int) -> int:
        client = Client()
        client.force_login(alice)
        together.wait(timeout=30)
        try:
            body = {"max_trials": value, "expected": {"max_trials": 4}}
            return int(patch(client, url(experiment), body).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(change, [11, 12, 13, 14]))
    assert statuses == [200, 409, 409, 409]
    assert experiment.events.filter(what="limits").count() == 1


def test_a_refused_part_undoes_the_whole_change(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(phase=Phase.ERROR)
    response = patch(client, url(experiment), {"max_trials": 8, "suspended": True})
    assert response.status_code == 409
    experiment.refresh_from_db()
    assert experiment.max_trials == 4
    assert not experiment.events.exists()


@pytest.mark.parametrize(
    "body",
    ['{"name": "\\ud800"}', '{"name": "a\\u0000b"}', "[" * 50_000, '{"notes": NaN}', "{"],
    ids=["half-character", "nul", "deep", "nan", "broken"],
)
def test_json_that_cannot_be_kept_is_refused(
    client: Client, make_experiment: Any, body: str
) -> None:
    response = patch(client, url(make_experiment()), body)
    assert response.status_code == 400
    assert list(errors(response)) == [""]


def test_a_huge_body_is_refused(client: Client, make_experiment: Any) -> None:
    response = patch(client, url(make_experiment()), json.dumps({"notes": "x" * 2_000_000}))
    assert response.status_code == 413


def test_deleting_hides_at_once(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    response = client.delete(url(experiment))
    assert response.status_code == 204
    assert client.get(url(experiment)).status_code == 404
    assert client.delete(url(experiment)).status_code == 404


def test_the_manifest_comes_back_with_todays_limits(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    patch(client, url(experiment), {"max_trials": 9})
    response = client.get(url(experiment, "manifest/"), headers={"Accept": "application/yaml"})
    assert response["Content-Type"] == "application/yaml; charset=utf-8"
    manifest = yaml.safe_load(response.content)
    assert manifest["spec"]["maxTrialNum"] == 9
    again = client.post(LIST + "validate/", response.content, content_type="application/yaml")
    assert again.status_code == 200


def test_finishing_early(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(phase=Phase.RUNNING)
    answer = post(client, url(experiment, "finish/")).json()
    assert answer["finishing"] is True
    done = make_experiment(phase=Phase.DONE)
    assert post(client, url(done, "finish/")).status_code == 409
    assert client.get(url(experiment, "finish/")).status_code == 405


def test_a_clone_has_the_current_limits_and_a_name_of_its_own(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment()
    patch(client, url(experiment), {"max_trials": 9})
    response = post(client, url(experiment, "clone/"), {"name": "second"})
    assert response.status_code == 201, response.content
    copy = Experiment.objects.get(pk=response.json()["id"])
    assert copy.pk != experiment.pk
    assert (copy.name, copy.max_trials, copy.phase) == ("second", 9, Phase.PENDING)
    unnamed = client.post(url(experiment, "clone/"), b"", content_type="application/json")
    assert unnamed.status_code == 201
    assert unnamed.json()["name"] == "sample"


def test_a_clone_with_a_bad_name_is_refused(client: Client, make_experiment: Any) -> None:
    response = post(client, url(make_experiment(), "clone/"), {"name": "Not A Name"})
    assert response.status_code == 400
    assert list(errors(response)) == ["name"]
    response = post(client, url(make_experiment(), "clone/"), {"nmae": "x"})
    assert list(errors(response)) == ["nmae"]


def test_every_failed_trial_is_retried_once(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment(phase=Phase.RUNNING)
    make_trial(experiment, state=TrialState.FAILED)
    make_trial(experiment, state=TrialState.SUCCEEDED, value=1.0)
    make_trial(experiment, state=TrialState.LOST)
    assert client.get(url(experiment)).json()["n_to_retry"] == 2
    answer = post(client, url(experiment, "retry-failed/")).json()
    assert client.get(url(experiment)).json()["n_to_retry"] == 0
    assert answer["count"] == 2
    assert [trial["number"] for trial in answer["trials"]] == [3, 4]
    assert post(client, url(experiment, "retry-failed/")).json()["count"] == 0
    ended = make_experiment(phase=Phase.TIMEOUT)
    assert post(client, url(ended, "retry-failed/")).status_code == 409
