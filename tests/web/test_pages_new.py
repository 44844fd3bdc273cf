"""The new-experiment page: where it starts from, and how it keeps form and manifest in step."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client

from experiments.manifest.spec import parse_text
from experiments.models import Experiment
from experiments.services import samples
from experiments.web.new_page import STARTER


def start_of(page: str, name: str = "start") -> Any:
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def sync(client: Client, **data: Any) -> dict[str, Any]:
    answer = client.post("/experiments/new/sync/", data, content_type="application/json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_the_page_starts_with_a_manifest_that_is_right(client: Client) -> None:
    page = client.get("/experiments/new/").content.decode()
    start = start_of(page)
    assert start["yaml"] == STARTER
    assert start["problems"] == []
    # the one thing left to the user, said before anything fails
    assert [warning["field"] for warning in start["warnings"]] == ["tasks.0.workingDir"]
    assert "does not exist" in start["warnings"][0]["message"]
    assert start["form"]["name"] == "my-experiment"
    catalogue = start_of(page, "catalogue")
    assert {t["name"]: t["available"] for t in catalogue["tuners"]}["TPE"]
    for sample in samples.all_samples():
        assert f'data-template="{sample.name}"' in page
        assert sample.summary, "what it is, for who chooses"
        assert html.escape(sample.summary) in page


@pytest.mark.parametrize("name", [sample.name for sample in samples.all_samples()])
def test_every_template_starts_without_problems(client: Client, name: str) -> None:
    start = start_of(client.get(f"/experiments/new/?template={name}").content.decode())
    assert start["problems"] == []
    assert len(start["forecast"]["samples"]) == 10
    assert client.get(f"/experiments/new/template/{name}/").content.decode() == start["yaml"]


def test_ready_is_not_said_where_no_trial_could_start(client: Client) -> None:
    assert sync(client, yaml=STARTER)["can_start"] is False, "its directory is to be filled in"
    mended = STARTER.replace("/path/to/your/code", "/tmp")
    assert sync(client, yaml=mended)["can_start"] is True


@pytest.mark.parametrize("name", ["nothing", "..%2Fsecret", "%2e%2e", "a%00b"])
def test_an_unknown_template_is_not_found(client: Client, name: str) -> None:
    assert client.get(f"/experiments/new/?template={name}").status_code == 404
    assert client.get(f"/experiments/new/template/{name}/").status_code == 404


def test_a_clone_starts_from_todays_manifest_under_the_next_name(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment()
    Experiment.objects.filter(pk=experiment.pk).update(max_trials=77)
    start = start_of(client.get(f"/experiments/new/?from={experiment.pk}").content.decode())
    assert start["form"]["max_trials"] == "77"
    assert start["form"]["name"] == "sample-2"
    experiment.manifest["metadata"]["name"] = "x" * 60 + "-9"
    Experiment.objects.filter(pk=experiment.pk).update(manifest=experiment.manifest)
    start = start_of(client.get(f"/experiments/new/?from={experiment.pk}").content.decode())
    assert start["form"]["name"] == "x" * 60 + "-10"
    assert start["problems"] == []


def test_a_clone_of_nothing_is_not_found(client: Client) -> None:
    assert client.get("/experiments/new/?from=nosuchid").status_code == 404


def test_sync_and_templates_are_closed_to_strangers(db: None) -> None:
    answer = Client().post("/experiments/new/sync/", {}, content_type="application/json")
    assert answer.status_code == 302
    assert Client().get("/experiments/new/template/digits-mlp/").status_code == 302


def test_editing_the_form_changes_the_text(client: Client) -> None:
    form = sync(client, yaml=STARTER)["form"]
    form["name"] = "other"
    form["max_trials"] = "7"
    answer = sync(client, yaml=STARTER, form=form)
    spec = parse_text(answer["yaml"]).spec
    assert (spec.name, spec.max_trials) == ("other", 7)
    assert answer["problems"] == []
    assert sync(client, yaml=answer["yaml"])["form"] == form


def test_editing_the_text_changes_the_form(client: Client) -> None:
    answer = sync(client, yaml=STARTER.replace("maxTrialNum: 20", "maxTrialNum: 9"))
    assert answer["form"]["max_trials"] == "9"
    assert answer["yaml"] == STARTER.replace("maxTrialNum: 20", "maxTrialNum: 9")


def test_a_form_nobody_touched_leaves_the_text_as_it_is_written(client: Client) -> None:
    text = STARTER.replace("kind:", "kind:   ") + "# the end\n"
    form = sync(client, yaml=text)["form"]
    assert sync(client, yaml=text, form=form)["yaml"] == text


def test_form_and_text_edited_at_once_both_stay(client: Client) -> None:
    first = sync(client, yaml=STARTER)
    form = {**first["form"], "name": "other"}
    text = STARTER.replace("maxTrialNum: 20", "maxTrialNum: 9")
    answer = sync(client, yaml=text, form=form, base=first["base"])
    assert (answer["form"]["name"], answer["form"]["max_trials"]) == ("other", "9")
    spec = parse_text(answer["yaml"]).spec
    assert (spec.name, spec.max_trials) == ("other", 9)


COMMENTED = """\
# who made this
# and why
kind: AutoTuneExperiment   # the order is mine
apiVersion: "tensorstack.dev/v1beta1"
metadata: {name: my-experiment}  # short

spec:
    # limits, ask before you raise them
    maxTrialNum: 20   # a night
    maxExecSeconds: 3600
    trialConcurrency: 2
    tuner:
        builtinTunerName: TPE # the best so far
        classArgs: {"optimize_mode": "maximize"}
    # what is tried
    searchSpace: |-   # log scale
      {
        "lr":    {"_type": "loguniform", "_value": [1e-4, 0.1]},
        "units": {"_type": "choice",
                  "_value": [16, 32]}
      }
    trainingConfig:
        type: pytorch
        tasks:
        # the only task
        - type: worker
          replicas: 1
          template:
            spec:
              containers:
              - name: pytorch
                # without a shell
                command: [python3, train.py,  # the script
                          --fast]
                workingDir: /tmp
# the end
"""


def one_edit(client: Client, change: Any) -> tuple[list[str], list[str]]:
    """Lines of COMMENTED that went, and those that came, when the form was edited."""
    form = sync(client, yaml=COMMENTED)["form"]
    change(form)
    after = sync(client, yaml=COMMENTED, form=form)["yaml"].splitlines()
    before = COMMENTED.splitlines()
    return [row for row in before if row not in after], [row for row in after if row not in before]


@pytest.mark.parametrize(
    ("change", "gone", "come"),
    [
        (
            lambda f: f.update(name="other"),
            ["metadata: {name: my-experiment}  # short"],
            ["metadata: {name: other}  # short"],
        ),
        (
            lambda f: f.update(max_trials="7"),
            ["    maxTrialNum: 20   # a night"],
            ["    maxTrialNum: 7   # a night"],
        ),
        (
            lambda f: f["space"][0].update(values=["0.0001", "0.5"]),
            ['        "lr":    {"_type": "loguniform", "_value": [1e-4, 0.1]},'],
            ['        "lr":    {"_type": "loguniform", "_value": [1e-4, 0.5]},'],
        ),
        (
            lambda f: f["training"]["tasks"][0]["command"].append("--more"),
            ["                          --fast]"],
            ["                          --fast, --more]"],
        ),
        (
            lambda f: f.update(assessor={"name": "Medianstop", "args": {"start_step": "3"}}),
            [],
            [
                "    assessor:",
                "      builtinAssessorName: Medianstop",
                "      classArgs: |-",
                "        {",
                '          "start_step": 3',
                "        }",
            ],
        ),
        (
            lambda f: f["training"]["tasks"][0].update(image="torch:2"),
            [],
            ["                image: torch:2"],
        ),
        (
            lambda f: f["space"].pop(),
            [
                '        "lr":    {"_type": "loguniform", "_value": [1e-4, 0.1]},',
                '        "units": {"_type": "choice",',
                '                  "_value": [16, 32]}',
            ],
            ['        "lr":    {"_type": "loguniform", "_value": [1e-4, 0.1]}'],
        ),
    ],
)
def test_an_edit_of_the_form_leaves_comments_order_and_layout_alone(
    client: Client, change: Any, gone: list[str], come: list[str]
) -> None:
    assert one_edit(client, change) == (gone, come)


def test_rows_of_a_space_written_as_yaml_can_be_moved(client: Client) -> None:
    text = STARTER.replace(
        """ |-
    {
      "learning_rate": {"_type": "loguniform", "_value": [0.0001, 0.1]}
    }
""",
        """
    # the first
    a: {_type: choice, _value: [1, 2]}  # one
    b: {_type: choice, _value: [3, 4]}  # two
""",
    )
    form = sync(client, yaml=text)["form"]
    form["space"].reverse()
    moved = sync(client, yaml=text, form=form)["yaml"]
    assert moved[moved.index("searchSpace") : moved.index("  trainingConfig")] == (
        "searchSpace:\n    b: {_type: choice, _value: [3, 4]}  # two\n    # the first\n"
        "    a: {_type: choice, _value: [1, 2]}  # one\n"
    )


def test_a_problem_names_its_field_and_its_line(client: Client) -> None:
    text = STARTER.replace("[0.0001, 0.1]", "[0.1, 0.0001]").replace("kind: Auto", "kind: auto")
    found = {p["field"]: p for p in sync(client, yaml=text)["problems"]}
    bounds = found["space.0.value"]
    assert text.splitlines()[bounds["line"] - 1].lstrip().startswith('"learning_rate"')
    assert found[""]["line"] == 2


def test_problems_point_at_rows_of_the_form_not_of_the_manifest(client: Client) -> None:
    form = sync(client, yaml=STARTER)["form"]
    bad = {"name": "m", "type": "uniform", "values": ["9", "1"], "options": [], "json": None}
    form["space"] = [{**bad, "name": ""}, form["space"][0], bad]
    fields = [p["field"] for p in sync(client, yaml=STARTER, form=form)["problems"]]
    assert fields == ["space.0.name", "space.2.value"]


def test_broken_yaml_locks_the_form_and_keeps_the_text(client: Client) -> None:
    answer = sync(client, yaml="spec: [\n")
    assert answer["form"] is None
    assert answer["yaml"] == "spec: [\n"
    assert answer["problems"][0]["line"] in (1, 2)
    form = sync(client, yaml=STARTER)["form"]
    again = sync(client, yaml="spec: [\n", form=form)
    assert (again["form"], again["yaml"]) == (None, "spec: [\n")


def test_rows_show_values_even_while_something_else_is_wrong(client: Client) -> None:
    text = STARTER.replace("maxTrialNum: 20", "maxTrialNum: many")
    answer = sync(client, yaml=text)
    assert answer["forecast"] is None
    assert len(answer["previews"]["learning_rate"]) == 4


def test_the_forecast_counts_configurations_and_pods(client: Client) -> None:
    text = STARTER.replace('"loguniform", "_value": [0.0001, 0.1]', '"choice", "_value": [1, 2]')
    answer = sync(client, yaml=text)
    assert answer["forecast"]["n_distinct"] == 2
    assert answer["forecast"]["peak"]["pods"] == 2
    assert "max_trials" in [w["field"] for w in answer["warnings"]]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"nonsense", b"\xff",
        b'{"yaml": 5}', b'{"yaml": "", "form": []}', b'{"yaml": NaN}',
    ],
)  # fmt: skip
def test_a_senseless_question_is_refused_in_words(client: Client, body: bytes) -> None:
    answer = client.post("/experiments/new/sync/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]


def test_a_manifest_of_five_megabytes_is_refused_in_words(client: Client) -> None:
    answer = client.post(
        "/experiments/new/sync/", {"yaml": "x" * 5_000_000}, content_type="application/json"
    )
    assert answer.status_code == 413
    assert "1 MiB" in answer.json()["errors"][0]["message"]


def test_odd_characters_do_not_break_the_page(client: Client) -> None:
    for text in ("name: \ud800", "</script><b>", "a: \x00", "\ufeff" + STARTER, "a: &a [*a]"):
        answer = client.post(
            "/experiments/new/sync/", json.dumps({"yaml": text}), content_type="application/json"
        )
        assert answer.status_code == 200


def test_what_the_page_submits_becomes_an_experiment_of_the_web(client: Client, alice: Any) -> None:
    answer = client.post("/api/v1/experiments/", STARTER, content_type="application/yaml")
    assert answer.status_code == 201
    made = Experiment.objects.get(pk=answer.json()["id"])
    assert (made.origin, made.owner) == ("web", alice)
    assert answer.json()["url"].endswith(f"/experiments/{made.pk}/")
