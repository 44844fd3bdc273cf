"""A manifest as a row holds it: read once, whatever its age, and given back as it was written."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from django.test import Client

from experiments.loop import reconcile
from experiments.manifest import stored
from experiments.manifest.spec import parse_manifest, to_manifest
from experiments.manifest.yaml_text import load_yaml
from experiments.models import Experiment
from experiments.problems import ProblemsError
from experiments.selectors.manifest import manifest_text
from experiments.services import actions
from experiments.services.intake import take_in
from experiments.trials.backends import backend
from tests.conftest import MANIFEST
from tests.loop.scripted import ScriptedBackend

TEXT = """\
# why we do this
kind: AutoTuneExperiment
apiVersion: tensorstack.dev/v1beta1
metadata: {name: sample}   # a name
status: {phase: DONE}
spec:
  maxTrialNum: 4  # for a start
  maxExecSeconds: 600
  trialConcurrency: 2
  tuner: {builtinTunerName: Random}
  searchSpace:
    # the order is ours
    units: {_type: choice, _value: [16, 32]}
    lr: {_type: loguniform, _value: [1e-4, 1.0]}
  trainingConfig:
    type: tensorflow
    tasks:
      - type: worker  # one is enough
        replicas: 1
        template: {spec: {containers: [{name: tensorflow, command: [python3, x.py]}]}}
"""


def create(source: str, manifest: Any = None) -> Experiment:
    intake = take_in(manifest if manifest is not None else source.encode())
    assert intake.parsed is not None, intake.problems
    return actions.create_experiment(intake.parsed, source=source)


def test_rows_of_any_age_are_read_alike(db: None) -> None:
    as_data = copy.deepcopy(MANIFEST)
    as_text = to_manifest(parse_manifest(as_data).spec)
    assert isinstance(as_text["spec"]["searchSpace"], str)
    assert isinstance(as_text["spec"]["tuner"]["classArgs"], str)
    rows = [Experiment(manifest=as_data), Experiment(manifest=as_text)]
    assert rows[0].spec == rows[1].spec
    assert rows[0].configuration["searchSpace"] == rows[1].configuration["searchSpace"]
    assert rows[1].configuration["searchSpace"] == MANIFEST["spec"]["searchSpace"]
    assert rows[1].configuration["tuner"]["classArgs"] == {"optimize_mode": "maximize"}


def test_order_and_kind_of_numbers_survive_the_database(db: None) -> None:
    made = create(TEXT.replace("[16, 32]", "[16, 1e25, 2.0]"))
    row = Experiment.objects.get(pk=made.pk)
    assert list(row.spec.space.as_json()) == ["units", "lr"]
    assert list(row.configuration["searchSpace"]) == ["units", "lr"]
    assert repr(row.configuration["searchSpace"]["units"]["_value"]) == "[16, 1e+25, 2.0]"


def test_a_manifest_that_is_not_taken_any_more_is_still_shown(client: Client, alice: Any) -> None:
    made = create(TEXT)
    made.manifest["spec"]["tuner"]["builtinTunerName"] = "Gone"
    made.manifest["spec"]["searchSpace"] = "{"
    Experiment.objects.filter(pk=made.pk).update(manifest=made.manifest, owner=alice)
    made = Experiment.objects.get(pk=made.pk)
    with pytest.raises(ProblemsError):
        made.spec  # noqa: B018
    for path in ("/", f"/experiments/{made.pk}/", f"/experiments/new/?from={made.pk}"):
        assert client.get(path).status_code == 200


def test_a_manifest_is_parsed_once_in_a_process(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = create(TEXT)
    n_parsed = 0

    def parse(data: Any) -> Any:
        nonlocal n_parsed
        n_parsed += 1
        return parse_manifest(data)

    monkeypatch.setattr(stored, "parse_manifest", parse)
    stored._parsed.cache_clear()
    for _ in range(3):
        found = Experiment.objects.get(pk=made.pk)
        assert found.spec is found.spec
    reconcile._begin(found)
    assert n_parsed == 1


# ---- beginning: what is asked again


def test_what_was_only_forecast_does_not_keep_an_experiment_from_beginning(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(TEXT.replace("name: tensorflow,", "name: tensorflow, workingDir: /not/yet,"))
    monkeypatch.setattr(backend(), "forecast", lambda launch: pytest.fail("it was told before"))
    assert reconcile._begin(made)
    assert made.phase == "RUNNING"


def test_what_can_not_run_here_any_more_ends_it_with_the_reason(db: None, settings: Any) -> None:
    made = create(TEXT)
    settings.LOCAL_TRIALS = False
    assert not reconcile._begin(made)
    assert made.phase == "ERROR"
    assert "AUTOTUNE_LOCAL_TRIALS" in made.message


def test_a_running_experiment_whose_manifest_is_not_taken_any_more_ends_with_the_reason(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(TEXT)
    assert reconcile._begin(made)
    made.manifest["spec"]["tuner"]["builtinTunerName"] = "Gone"
    Experiment.objects.filter(pk=made.pk).update(manifest=made.manifest)
    monkeypatch.setattr(reconcile, "backend", ScriptedBackend)
    reconcile.reconcile(made.pk)
    made = Experiment.objects.get(pk=made.pk)
    assert made.phase == "ERROR"
    assert "'Gone'" in made.message


# ---- as it was written


def test_the_text_comes_back_as_it_was_written_with_todays_limits(client: Client) -> None:
    made = create(TEXT)
    unstatused = TEXT.replace("status: {phase: DONE}\n", "")
    url = f"/api/v1/experiments/{made.pk}/manifest/"
    answer = client.get(url)
    assert answer.content.decode() == unstatused
    assert 'filename="sample.yaml"' in answer["Content-Disposition"]
    actions.change_limits(made, {"max_trials": 9})
    assert client.get(url).content.decode() == unstatused.replace(
        "maxTrialNum: 4  # for", "maxTrialNum: 9  # for"
    )
    html = client.get(f"/api/v1/experiments/{made.pk}/export/?format=html").content.decode()
    assert "# why we do this" in html


def test_a_clone_starts_from_the_text(client: Client) -> None:
    made = create(TEXT)
    page = client.get(f"/experiments/new/?from={made.pk}").content.decode()
    start = json.loads(page.split('id="start" type="application/json">')[1].split("</script>")[0])
    assert start["problems"] == []
    assert start["yaml"] == TEXT.replace("name: sample", "name: sample-2").replace(
        "status: {phase: DONE}\n", ""
    )
    url = f"/api/v1/experiments/{made.pk}/clone/"
    answer = client.post(url, {"name": "other"}, content_type="application/json")
    clone = Experiment.objects.get(pk=answer.json()["id"])
    assert clone.source == start["yaml"].replace("sample-2", "other")
    assert clone.spec.space == made.spec.space


def test_json_is_shown_as_yaml_in_its_own_words(db: None) -> None:
    manifest = copy.deepcopy(MANIFEST)
    made = create(json.dumps(manifest), manifest)
    text = manifest_text(made)
    assert text.startswith("apiVersion: tensorstack")
    assert load_yaml(text).data == manifest


def test_yaml_in_braces_is_no_json_and_keeps_its_comments(db: None) -> None:
    manifest = copy.deepcopy(MANIFEST)
    text = json.dumps(manifest).replace('"spec": {', "spec: {  # in braces\n", 1)
    made = create(text, manifest)
    actions.change_limits(made, {"max_trials": 9})
    assert manifest_text(made) == text.replace('"maxTrialNum": 4', '"maxTrialNum": 9')


@pytest.mark.parametrize("source", ["", "kind: [", TEXT.replace("1e-4", "1e-3"), "a: 1"])
def test_a_text_that_is_not_this_experiments_is_not_shown(db: None, source: str) -> None:
    made = create(TEXT)
    made.source = source
    found = load_yaml(manifest_text(made)).data
    assert found == {**made.manifest, "spec": {**made.manifest["spec"]}}
