"""Manifest to form and back: what the form leaves alone stays, what it changes arrives."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from django.utils.translation import override

from experiments.algorithms.space.reading import TYPES
from experiments.manifest.spec import parse_manifest
from experiments.manifest.yaml_text import load_yaml
from experiments.services import samples
from experiments.web.form_fields import (
    EXPLANATIONS,
    field_of,
    form_problems,
    parameter_types,
    steps,
)
from experiments.web.form_values import as_text, as_value
from experiments.web.manifest_form import ARGUMENTS, form_from_manifest, merge_form

SECRET = {"secretKeyRef": {"name": "s"}}
RICH: dict[str, Any] = {
    "apiVersion": "tensorstack.dev/v1beta1",
    "kind": "AutoTuneExperiment",
    "metadata": {"name": "rich", "labels": {"team": "a"}},
    "spec": {
        "maxExecSeconds": 5400,
        "maxTrialNum": 10,
        "trialConcurrency": 2,
        "storage": "1Gi",
        "aistore": {"folder": "f1", "secret": "s1"},
        "initial": [{"lr": 0.01, "opt": 1.0}, '{"lr": 1e-3}'],
        "searchSpace": {
            "lr": {"_type": "loguniform", "_value": [1e-5, 1.0]},
            "opt": {"_type": "choice", "_value": ["sgd", 1.0, True, None]},
            "net": {
                "_type": "choice",
                "_value": [{"_name": "mlp", "units": {"_type": "randint", "_value": [1, 9]}}],
            },
            "skip": {
                "_type": "input_choice", "_value": {"candidates": ["a", "b"], "n_chosen": 1},
            },
        },
        "trainingConfig": {
            "type": "tensorflow",
            "tasks": [
                {
                    "type": "worker",
                    "replicas": 2,
                    "template": {
                        "spec": {
                            "securityContext": {"runAsUser": 1000},
                            "volumes": [{"name": "data", "emptyDir": {}}],
                            "containers": [
                                {"name": "sidecar", "image": "log:1"},
                                {
                                    "name": "tensorflow",
                                    "image": "tf:2",
                                    "command": ["sh", "-c", "a\nb"],
                                    "env": [
                                        {"name": "A", "value": "1"},
                                        {"name": "KEY", "valueFrom": SECRET},
                                    ],
                                    "resources": {"requests": {"cpu": "2"}},
                                },
                            ],
                        }
                    },
                },
                {"type": "ps", "template": {"spec": {"containers": [{"name": "tensorflow"}]}}},
            ],
            "scheduler": {"t9kScheduler": {"queue": "q", "priority": 5}},
        },
        "tuner": {
            "builtinTunerName": "TPE",
            "classArgs": {"optimize_mode": "minimize", "constant_liar_type": "mean"},
        },
        "assessor": {"builtinAssessorName": "Medianstop", "classArgs": '{"start_step": 3}'},
    },
}  # fmt: skip


def edited(change: Any, manifest: dict[str, Any] = RICH) -> dict[str, Any]:
    """The manifest after a person changed something in its form, by way of the browser's JSON."""
    form = json.loads(json.dumps(form_from_manifest(manifest)))
    change(form)
    return merge_form(manifest, form)


def without(path: str, manifest: dict[str, Any]) -> dict[str, Any]:
    left = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    inner = left
    for key in parents:
        inner = inner[int(key)] if key.isdigit() else inner[key]
    inner.pop(int(last) if last.isdigit() else last)
    return left


AWKWARD: list[dict[str, Any]] = [
    {},
    {"spec": None},
    {"spec": {"searchSpace": "{", "tuner": "TPE", "trainingConfig": {"tasks": "x"}}},
    {"spec": {"searchSpace": {"a": 1, "b": {"_type": 5}, "c": {"_value": [1]}, "": {}}}},
    {"spec": {"maxExecSeconds": "1h", "maxTrialNum": [1], "trainingConfig": {"tasks": [{}]}}},
    {"spec": {"tuner": {"builtinTunerName": "tpe", "classArgs": "nonsense"}}},
    {"metadata": [], "spec": {"trainingConfig": {"tasks": [{"template": {"spec": []}}]}}},
]


@pytest.mark.parametrize("manifest", [RICH, *AWKWARD])
def test_a_form_nobody_touched_changes_nothing(manifest: dict[str, Any]) -> None:
    assert edited(lambda form: None, manifest) == manifest


@pytest.mark.parametrize("name", [sample.name for sample in samples.all_samples()])
def test_the_examples_pass_through_the_form_unchanged(name: str) -> None:
    manifest = load_yaml(samples.load(name)).data
    assert edited(lambda form: None, manifest) == manifest
    renamed = edited(lambda form: form.update(name="other"), manifest)
    manifest["metadata"]["name"] = "other"
    assert renamed == manifest


def test_the_form_shows_what_the_manifest_says() -> None:
    form = form_from_manifest(RICH)
    assert form["time"] == {"amount": "90", "unit": "m"}
    assert form["optimize_mode"] == "minimize"
    assert form["tuner"] == {"name": "TPE", "args": {"constant_liar_type": "mean"}}
    assert form["space"][0]["values"] == ["0.00001", "1.0"]
    assert form["space"][1]["options"] == ["sgd", 1.0, True, None]
    assert json.loads(form["space"][2]["json"])[0]["_name"] == "mlp"
    task = form["training"]["tasks"][0]
    assert (task["container"], task["image"], task["command"]) == (1, "tf:2", ["sh", "-c", "a\nb"])
    assert task["env"][1] == {"name": "KEY", "value": "", "reference": True}


def test_an_edit_touches_its_field_alone() -> None:
    merged = edited(lambda form: form["training"]["tasks"][0].update(image="tf:3"))
    container = merged["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"][1]
    assert container["image"] == "tf:3"
    container["image"] = "tf:2"
    assert merged == RICH


def test_limits_are_numbers_where_they_can_be() -> None:
    def change(form: dict[str, Any]) -> None:
        form.update(max_trials="30", concurrency="many", time={"amount": "1.5", "unit": "h"})

    spec = edited(change)["spec"]
    assert (spec["maxTrialNum"], spec["trialConcurrency"]) == (30, "many")
    assert spec["maxExecSeconds"] == 5400
    assert "maxTrialNum" not in edited(lambda form: form.update(max_trials=""))["spec"]


def test_rows_are_added_renamed_moved_and_removed() -> None:
    def change(form: dict[str, Any]) -> None:
        space = form["space"]
        space[0]["name"] = "rate"
        space.insert(0, space.pop(1))
        space.pop()
        space.append(
            {"name": "n", "type": "quniform", "values": ["1", "1e1", ".5"], "options": [],
             "json": None}
        )  # fmt: skip

    space = edited(change)["spec"]["searchSpace"]
    assert list(space) == ["opt", "rate", "net", "n"]
    assert space["opt"] is not RICH["spec"]["searchSpace"]["opt"]
    assert space["opt"] == RICH["spec"]["searchSpace"]["opt"]
    assert space["rate"] == {"_type": "loguniform", "_value": [1e-5, 1.0]}
    assert space["n"] == {"_type": "quniform", "_value": [1, 10.0, 0.5]}


def test_options_keep_their_kind_through_the_browser() -> None:
    # A browser sends 1.0 as 1: that is no edit, and an added option does not change the others.
    def add(form: dict[str, Any]) -> None:
        form["space"][1]["options"] = ["sgd", 1, True, None, 2, "2"]

    value = edited(add)["spec"]["searchSpace"]["opt"]["_value"]
    assert [repr(v) for v in value] == ["'sgd'", "1.0", "True", "None", "2", "'2'"]

    def untrue(form: dict[str, Any]) -> None:
        form["space"][1]["options"] = ["sgd", 1, 1, None]

    value = edited(untrue)["spec"]["searchSpace"]["opt"]["_value"]
    assert value[2] is not True


def test_broken_json_of_a_row_stays_for_the_parser_to_refuse() -> None:
    merged = edited(lambda form: form["space"][2].update(json="[1, "))
    assert merged["spec"]["searchSpace"]["net"]["_value"] == "[1, "


def test_a_text_search_space_stays_text_with_one_parameter_a_line() -> None:
    manifest = load_yaml(samples.load("specification")).data
    merged = edited(lambda form: form["space"][0].update(name="batch"), manifest)
    text = merged["spec"]["searchSpace"]
    assert isinstance(text, str)
    assert text.splitlines()[1].startswith('  "batch": {"_type": "choice"')


def test_a_search_space_that_cannot_be_read_is_never_overwritten() -> None:
    manifest = {"spec": {"searchSpace": '{"lr": '}}
    merged = edited(lambda form: form.update(name="x"), manifest)
    assert form_from_manifest(manifest)["space"] is None
    assert merged["spec"]["searchSpace"] == '{"lr": '


def test_another_tuner_keeps_the_direction_and_drops_settings_it_lacks() -> None:
    def change(form: dict[str, Any]) -> None:
        form["tuner"] = {"name": "GridSearch", "args": {}}

    assert edited(change)["spec"]["tuner"] == {
        "builtinTunerName": "GridSearch",
        "classArgs": {"optimize_mode": "minimize"},
    }


def test_settings_are_written_in_their_type_and_blank_ones_removed() -> None:
    def change(form: dict[str, Any]) -> None:
        form["tuner"]["args"]["constant_liar_type"] = ""
        form["assessor"]["args"] = {"start_step": "7", "optimize_mode": "minimize"}

    spec = edited(change)["spec"]
    assert spec["tuner"]["classArgs"] == {"optimize_mode": "minimize"}
    assert json.loads(spec["assessor"]["classArgs"]) == {
        "start_step": 7,
        "optimize_mode": "minimize",
    }


def test_no_assessor_means_no_section() -> None:
    merged = edited(lambda form: form.update(assessor={"name": "", "args": {}}))
    assert merged == without("spec.assessor", RICH)


def test_direction_is_the_tuners_setting() -> None:
    merged = edited(lambda form: form.update(optimize_mode="maximize"))
    assert merged["spec"]["tuner"]["classArgs"]["optimize_mode"] == "maximize"


def test_a_tasks_unknown_fields_follow_it_when_tasks_are_moved_or_removed() -> None:
    merged = edited(lambda form: form["training"]["tasks"].reverse())
    tasks = RICH["spec"]["trainingConfig"]["tasks"]
    assert merged["spec"]["trainingConfig"]["tasks"] == [tasks[1], tasks[0]]
    merged = edited(lambda form: form["training"]["tasks"].pop(0))
    assert merged["spec"]["trainingConfig"]["tasks"] == [tasks[1]]


def test_a_new_task_has_a_container_named_for_the_framework() -> None:
    def change(form: dict[str, Any]) -> None:
        form["training"]["tasks"].append(
            {"origin": None, "type": "evaluator", "replicas": "1", "command": ["python3", "e.py"]}
        )

    task = edited(change)["spec"]["trainingConfig"]["tasks"][2]
    assert task["type"] == "evaluator"
    assert task["template"]["spec"]["containers"] == [
        {"name": "tensorflow", "command": ["python3", "e.py"]}
    ]


def test_another_framework_renames_its_container() -> None:
    merged = edited(lambda form: form["training"].update(type="pytorch"))
    containers = merged["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["sidecar", "pytorch"]


def test_references_in_the_environment_survive_an_edit() -> None:
    def change(form: dict[str, Any]) -> None:
        env = form["training"]["tasks"][0]["env"]
        env[0]["value"] = "2"
        env.append({"name": "B", "value": "", "reference": False})

    task = edited(change)["spec"]["trainingConfig"]["tasks"][0]
    assert task["template"]["spec"]["containers"][1]["env"] == [
        {"name": "A", "value": "2"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}},
        {"name": "B", "value": ""},
    ]


def test_an_emptied_store_is_removed() -> None:
    merged = edited(lambda form: form.update(aistore={"folder": "", "secret": ""}))
    assert merged == without("spec.aistore", RICH)


def test_a_form_alone_makes_a_manifest_that_parses() -> None:
    form = json.loads(json.dumps(form_from_manifest(RICH)))
    for task in form["training"]["tasks"]:
        task["origin"] = None
        task["env"] = [row for row in task["env"] if not row["reference"]]
    form["space"] = [row for row in form["space"] if row["name"] != "skip"]
    spec = parse_manifest(merge_form({}, form)).spec
    assert (spec.name, spec.max_exec_seconds, spec.optimize_mode) == ("rich", 5400, "minimize")
    assert [task.type for task in spec.training.tasks] == ["worker", "ps"]


@pytest.mark.parametrize(
    "form",
    [
        {"space": 5, "tuner": "x", "assessor": [], "training": 1, "aistore": None, "time": []},
        {"space": [1, None, {"name": {}, "options": 3, "json": 7}], "name": ["a"]},
        {"tuner": {"name": ["a"], "args": [1]}, "training": {"tasks": [5, {"origin": -1}]}},
        {"training": {"type": {}, "tasks": [{"origin": 0, "env": 3, "command": {"a": 1}}]}},
        {"time": {"amount": [], "unit": {}}, "optimize_mode": {"a": 1}},
    ],
)
def test_a_senseless_form_is_merged_without_falling_over(form: dict[str, Any]) -> None:
    assert merge_form(RICH, form)["kind"] == "AutoTuneExperiment"
    assert isinstance(form_problems(form), list)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), (" -3 ", -3), ("1e-3", 0.001), (".5", 0.5), ("1.", 1.0), ("", ""), ("x", "x"),
        ("1e999", "1e999"), ("0x10", "0x10"), ("nan", "nan"), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_numbers_are_read_where_there_are_numbers(text: str, value: object) -> None:
    assert as_value(text) == value
    assert type(as_value(text)) is type(value)


@pytest.mark.parametrize("value", [0.1, 1e-05, 3.0, 1e300, 123456789, -0.0, 1e-300, 2**60])
def test_a_number_shown_and_read_again_is_the_same(value: float) -> None:
    assert as_value(as_text(value)) == value
    assert type(as_value(as_text(value))) is type(value)


def test_every_type_of_the_search_space_has_fields_and_words() -> None:
    assert set(ARGUMENTS) == set(TYPES) == set(EXPLANATIONS)
    assert [t["name"] for t in parameter_types()] == list(ARGUMENTS)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("metadata.name", "name"),
        ("spec.maxExecSeconds", "time"),
        ("spec.maxTrialNum", "max_trials"),
        ("spec.trialConcurrency", "concurrency"),
        ("spec.searchSpace", "space"),
        ("spec.searchSpace.lr._type", "space.0.type"),
        ("spec.searchSpace.lr._value", "space.0.value"),
        ("spec.searchSpace.lr._value[1]", "space.0.value.1"),
        ("spec.searchSpace.opt._value[2]", "space.1.options"),
        ("spec.searchSpace.net._value[0].units._value", "space.2.json"),
        ("spec.searchSpace.nobody._type", "space"),
        ("spec.tuner.builtinTunerName", "tuner.name"),
        ("spec.tuner.classArgs.optimize_mode", "optimize_mode"),
        ("spec.tuner.classArgs.constant_liar_type", "tuner.args.constant_liar_type"),
        ("spec.assessor.classArgs", "assessor.name"),
        ("spec.assessor.classArgs.start_step", "assessor.args.start_step"),
        ("spec.trainingConfig.type", "training.type"),
        ("spec.trainingConfig.tasks", "tasks"),
        ("spec.trainingConfig.tasks[1].type", "tasks.1.type"),
        ("spec.trainingConfig.tasks[9].type", "tasks"),
        ("spec.trainingConfig.tasks[0].template.spec.containers[1].command[0]", "tasks.0.command"),
        ("spec.trainingConfig.tasks[0].template.spec.containers[0].command", "tasks.0"),
        ("spec.trainingConfig.tasks[0].template.spec.containers[1].env[0].name", "tasks.0.env.0"),
        ("spec.trainingConfig.tasks[0].template.spec.volumes", "tasks.0"),
        ("spec.aistore.secret", "aistore.secret"),
        ("spec.storage", ""),
        ("kind", ""),
        ("", ""),
    ],
)
def test_a_path_of_the_manifest_leads_to_a_field(path: str, field: str) -> None:
    assert field_of(path, form_from_manifest(RICH)) == field


def test_names_with_dots_and_quotes_are_found() -> None:
    name = 'a.b["c\\'
    form = form_from_manifest({"spec": {"searchSpace": {name: {"_type": "uniform"}}}})
    path = f"spec.searchSpace[{json.dumps(name)}]._type"
    assert steps(path) == ["spec", "searchSpace", name, "_type"]
    assert field_of(path, form) == "space.0.type"


def test_without_a_form_no_field_is_named() -> None:
    assert field_of("metadata.name", None) == ""


def test_rows_that_a_manifest_cannot_hold_are_told() -> None:
    row = {"type": "uniform", "values": [], "options": [], "json": None}
    form = {"space": [{**row, "name": "a"}, {**row, "name": " "}, {**row, "name": "a"},
                      {**row, "name": "b", "json": "[NaN]"}]}  # fmt: skip
    assert [p["field"] for p in form_problems(form)] == [
        "space.1.name",
        "space.2.name",
        "space.3.json",
    ]
    with override("zh-hans"):
        assert form_problems(form)[0]["message"] == "请给这个参数命名，或删除它。"


def test_an_advisor_is_chosen_in_place_of_the_tuner_and_keeps_its_direction() -> None:
    manifest = copy.deepcopy(RICH)
    manifest["spec"].pop("advisor", None)
    form = form_from_manifest(manifest)
    assert form["advisor"] == {"name": "", "args": {}}
    form["tuner"] = {"name": "", "args": {}}
    form["advisor"] = {"name": "Hyperband", "args": {"optimize_mode": "minimize", "R": "27"}}
    merged = merge_form(manifest, form)
    assert "tuner" not in merged["spec"]
    assert merged["spec"]["advisor"]["builtinAdvisorName"] == "Hyperband"
    again = form_from_manifest(merged)
    assert again["optimize_mode"] == "minimize"
    assert again["advisor"]["args"]["R"] == "27"
    assert merge_form(merged, again) == merged


def test_a_problem_of_an_advisor_s_setting_stands_at_its_field() -> None:
    assert field_of("spec.advisor.classArgs.eta", {}) == "advisor.args.eta"
    assert field_of("spec.advisor.builtinAdvisorName", {}) == "advisor.name"


def test_what_is_tried_first_is_a_line_of_json_each() -> None:
    form = form_from_manifest(RICH)
    assert form["initial"] == '{"lr": 0.01, "opt": 1.0}\n{"lr": 1e-3}'
    edited = merge_form(RICH, {**form, "initial": '{"lr": 1e-3}\n\n {"opt": "sgd"}\n{"lr"'})
    assert edited["spec"]["initial"] == ['{"lr": 1e-3}', {"opt": "sgd"}, '{"lr"']
    assert field_of("spec.initial[1].lr", form) == "initial"
    assert "initial" not in merge_form(RICH, {**form, "initial": " \n"})["spec"]
