"""REST: a manifest is validated, refused with every error, or becomes an experiment."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from experiments.access import policy
from experiments.access.tokens import make_api_token
from experiments.models import Experiment
from experiments.states import Phase
from tests.conftest import MANIFEST
from tests.web.rest import LIST, changed, errors, post, url

# ---- creating


def test_a_manifest_in_json_becomes_an_experiment(
    client: Client, alice: Any, no_broker: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = post(client, LIST, MANIFEST)
    assert response.status_code == 201, response.content
    answer = response.json()
    experiment = Experiment.objects.get(pk=answer["id"])
    assert answer["url"] == f"http://testserver/experiments/{experiment.pk}/"
    assert answer["api_url"] == response["Location"] == f"http://testserver{url(experiment)}"
    assert answer["name"] == "sample"
    assert isinstance(answer["warnings"], list)
    assert experiment.owner == alice
    assert experiment.phase == Phase.PENDING
    assert experiment.origin == Experiment.Origin.WEB  # it came from a browser's session
    assert json.loads(experiment.source) == MANIFEST
    assert no_broker == [experiment.pk]  # the loop was told


def test_a_program_with_a_token_leaves_api_as_origin(alice: Any) -> None:
    headers = {"Authorization": f"Bearer {make_api_token(alice, 'ci')}"}
    response = post(Client(), LIST, MANIFEST, headers=headers)
    assert Experiment.objects.get(pk=response.json()["id"]).origin == Experiment.Origin.API


@pytest.mark.parametrize(
    "content_type", ["application/yaml", "text/yaml", "application/x-yaml; charset=utf-8"]
)
def test_a_manifest_in_yaml_becomes_an_experiment(client: Client, content_type: str) -> None:
    text = "# my first\n" + yaml.safe_dump(MANIFEST)
    response = client.post(LIST, text, content_type=content_type)
    assert response.status_code == 201, response.content
    assert Experiment.objects.get(pk=response.json()["id"]).source == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("m.yaml", yaml.safe_dump(MANIFEST)), ("m.json", json.dumps(MANIFEST))],
)
def test_a_manifest_is_uploaded_as_a_file(client: Client, name: str, text: str) -> None:
    response = client.post(LIST, {"file": SimpleUploadedFile(name, text.encode())})
    assert response.status_code == 201, response.content


def test_an_upload_without_a_file_says_which_field(client: Client) -> None:
    response = client.post(LIST, {"manifest": "text"})
    assert response.status_code == 400
    assert list(errors(response)) == ["file"]


def test_all_errors_come_at_once_and_nothing_is_stored(client: Client) -> None:
    manifest = changed(maxTrialNum="50", trialConcurrency=-1, tunr={})
    response = post(client, LIST, manifest)
    assert response.status_code == 400
    answer = response.json()
    paths = {error["path"] for error in answer["errors"]}
    assert {"spec.maxTrialNum", "spec.trialConcurrency", "spec.tunr"} <= paths
    assert all(set(error) <= {"path", "message", "hint", "line"} for error in answer["errors"])
    assert "warnings" in answer
    assert not Experiment.objects.exists()


def test_errors_of_yaml_carry_the_line(client: Client) -> None:
    text = yaml.safe_dump(changed(maxTrialNum="50"), sort_keys=False)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "maxTrialNum" in row)
    response = client.post(LIST, text, content_type="application/yaml")
    (error,) = response.json()["errors"]
    assert (error["path"], error["line"]) == ("spec.maxTrialNum", line)


def test_errors_of_json_carry_the_line_too(client: Client) -> None:
    text = json.dumps(changed(maxTrialNum="50"), indent=1)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "maxTrialNum" in row)
    response = client.post(LIST, text, content_type="application/json")
    (error,) = response.json()["errors"]
    assert (error["path"], error["line"]) == ("spec.maxTrialNum", line)


def test_what_the_forecast_finds_impossible_is_an_error(client: Client) -> None:
    manifest = changed()
    task = manifest["spec"]["trainingConfig"]["tasks"][0]
    task["template"]["spec"]["containers"][0] = {"name": "tensorflow"}
    response = post(client, LIST, manifest)
    assert response.status_code == 400
    (path,) = errors(response)
    assert path.endswith("containers[0].command")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ("", "application/json", 400),
        ('{"a": 1, "a": 2}', "application/json", 400),
        ("[" * 50_000, "application/json", 400),
        ('{"a": NaN}', "application/json", 400),
        (b'{"a": "\xff"}', "application/json", 400),
        ('{"metadata": {"name": "\\ud800"}}', "application/json", 400),
        ("a:\n\t- b", "application/yaml", 400),
        ("a: 1\na: 2", "application/yaml", 400),
        (b"\xff\xfe", "application/yaml", 400),
        ("", "application/yaml", 400),
        ("x: " + "y" * 5_000_000, "application/yaml", 400),
        ('{"x": "' + "y" * 5_000_000 + '"}', "application/json", 400),
        ("x: " + "y" * 9_000_000, "application/yaml", 413),
        ("name=1", "application/x-www-form-urlencoded", 415),
        ("x", "text/plain", 415),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_body_that_is_no_manifest_is_refused_in_the_same_shape(
    client: Client, body: str | bytes, content_type: str, status: int
) -> None:
    for path in (LIST, LIST + "validate/"):
        response = client.post(path, body, content_type=content_type)
        assert response.status_code == status, response.content[:500]
        assert response.json()["errors"][0]["message"]
    assert not Experiment.objects.exists()


def test_an_emoji_escaped_in_json_arrives_whole(client: Client) -> None:
    manifest = changed()
    manifest["metadata"]["annotations"] = {"note": "\N{ROCKET}"}
    text = json.dumps(manifest)
    assert "\\ud83d" in text
    response = client.post(LIST, text, content_type="application/json")
    stored = Experiment.objects.get(pk=response.json()["id"]).manifest
    assert stored["metadata"]["annotations"] == {"note": "\N{ROCKET}"}


def test_a_host_that_runs_no_local_trials_refuses(client: Client, settings: Any) -> None:
    settings.LOCAL_TRIALS = False
    response = post(client, LIST, MANIFEST)
    assert response.status_code == 403
    assert "AUTOTUNE_LOCAL_TRIALS" in errors(response)[""]


def test_who_may_not_run_commands_here_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "may_run_locally", lambda user: False)
    assert post(client, LIST, MANIFEST).status_code == 403
    assert not Experiment.objects.exists()


def test_put_on_the_list_is_a_wrong_method(client: Client) -> None:
    response = client.put(LIST)
    assert response.status_code == 405
    assert "GET" in response["Allow"]
    assert errors(response) == {"": 'Method "PUT" not allowed.'}


# ---- validating


def test_validate_answers_as_create_would_and_stores_nothing(client: Client) -> None:
    response = client.post(
        LIST + "validate/", yaml.safe_dump(MANIFEST), content_type="application/yaml"
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer["errors"] == []
    assert yaml.safe_load(answer["yaml"]) == answer["manifest"]
    assert answer["manifest"]["spec"]["maxTrialNum"] == 4
    assert answer["n_distinct"] is None  # a loguniform has no end
    assert answer["peak"]["pods"] == 2
    assert {"lr", "units"} == set(answer["samples"][0])
    assert not Experiment.objects.exists()
