"""Manifest files on their way in: working directories, and what stands beside an experiment."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from experiments.aistore import vault
from experiments.management.commands.run import Command as Run
from experiments.manifest.files import read_contents
from experiments.manifest.working_dir import resolved
from experiments.manifest.yaml_text import dump_yaml, load_yaml
from experiments.models import Experiment, Project, Secret
from experiments.services import samples
from experiments.services.intake import take_in_file
from experiments.trials.backends import backend
from tests.conftest import MANIFEST
from tests.manifest.test_files import CONFIG, EXPERIMENT, KEY, SECRET

LIST = "/api/v1/experiments/"
YAML = dump_yaml(MANIFEST)
STORED = YAML.replace("spec:\n", "spec:\n  aistore: {folder: f, secret: my-key}\n", 1)
WITH_DIR = YAML.replace("command:", "workingDir: {}\n                command:", 1)


def working_dir(text: str) -> Any:
    task = load_yaml(text).data["spec"]["trainingConfig"]["tasks"][0]
    return task["template"]["spec"]["containers"][0]["workingDir"]


# ---- a relative working directory


FOLDERS = ["run #1", "a: b", "- x", "it's", 'two "words"', "é", "{x}", "#"]
WRITTEN = [
    (".", ""), ('"."', ""), ("'./'", ""), ("sub", "sub"), ("sub/../x", "x"), ("./a #b", "a"),
    ("!!str .", ""), ('"./a #b"', "a #b"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "written", "below"),
    [(folder, *WRITTEN[0]) for folder in FOLDERS]
    + [(folder, *written) for folder in FOLDERS[:2] for written in WRITTEN[1:]],
)
def test_a_relative_working_directory_is_the_files_whatever_it_is_called(
    tmp_path: Path, folder: str, written: str, below: str
) -> None:
    (tmp_path / "run").mkdir()
    directory = tmp_path / folder
    directory.mkdir(exist_ok=True)
    file = directory / "m.yaml"
    file.write_text(WITH_DIR.format(written))
    found = take_in_file(file.read_bytes(), directory=directory)
    assert found.problems == ()
    ((given, intake),) = found.experiments
    assert working_dir(given.text) == str(directory / below)
    assert intake.parsed is not None
    template = intake.parsed.spec.training.tasks[0].template
    assert template["spec"]["containers"][0]["workingDir"] == str(directory / below)


@pytest.mark.parametrize(
    "text",
    [
        YAML.replace("containers:\n", "containers: [{workingDir: ., command: [a, b]}]\n#", 1)
        .partition("#")[0] + "  tuner: {builtinTunerName: Random}  # chosen\n",
        json.dumps(json.loads(json.dumps(MANIFEST)) | {"status": None}).replace(
            '"command"', '"workingDir": ".", "command"'
        ),
        json.dumps(MANIFEST).replace('"command"', 'workingDir: ".",  # here\n command', 1),
        json.dumps(MANIFEST, indent=1).replace('"command"', '"workingDir": ".", "command"', 1)
        .replace('"metadata": {', '"metadata": {"annotations": {"a": "\\u00e9"},', 1),
    ],
    ids=["flow", "json", "braces", "escaped"],
)  # fmt: skip
def test_other_styles_are_resolved_too(tmp_path: Path, text: str) -> None:
    (given,) = read_contents(text).manifests
    found = resolved(given, tmp_path)
    assert working_dir(found.text) == str(tmp_path)
    assert found.text.replace(str(tmp_path), ".") == text


def test_text_that_looks_like_it_is_left_alone(tmp_path: Path) -> None:
    script = "args:\n                - |\n                  workingDir: .  # of another tool\n"
    text = WITH_DIR.format("./code  # ours").replace(
        "command:", f"{script}                command:"
    )
    (given,) = read_contents(text).manifests
    found = resolved(given, tmp_path)
    assert found.text == text.replace("./code  # ours", f"{tmp_path}/code  # ours")


@pytest.mark.parametrize("written", ["/abs/./x", "~", "~/code", "5", "[.]", "''"])
def test_what_is_not_relative_stays(tmp_path: Path, written: str) -> None:
    text = WITH_DIR.format(written)
    (given,) = read_contents(text).manifests
    assert resolved(given, tmp_path) is given


@pytest.mark.parametrize("written", ["a\0b", "\ud800"])
def test_what_no_path_can_hold_is_refused_with_its_field(tmp_path: Path, written: str) -> None:
    manifest = json.loads(json.dumps(MANIFEST))
    task = manifest["spec"]["trainingConfig"]["tasks"][0]
    task["template"]["spec"]["containers"][0]["workingDir"] = written
    found = take_in_file(json.dumps(manifest).encode(), is_json=True, directory=tmp_path)
    assert [problem.path.rpartition(".")[2] for problem in found.problems] == ["workingDir"]
    assert "must not hold NUL characters" in found.problems[0].message


def test_a_link_to_itself_is_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    found = take_in_file(WITH_DIR.format("loop/x").encode(), directory=tmp_path)
    assert found.problems == ()
    told = [w.message for w in found.warnings if w.path.endswith("workingDir")]
    assert told == [f"directory {tmp_path}/loop/x does not exist"]


def test_examples_run_where_they_are() -> None:
    assert working_dir(samples.load("digits-mlp")) == str(samples.directory())


# ---- several objects: command line


def validated(file: Path) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("validate", str(file), stdout=out, stderr=err)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_validate_takes_a_file_as_kubectl_does(tmp_path: Path, db: None, settings: Any) -> None:
    settings.AISTORE_HOST = "https://aistore.example"
    file = tmp_path / "all.yaml"
    second = EXPERIMENT.replace("name: small", "name: second")
    file.write_text(f"{STORED}---\n{SECRET}---\n{CONFIG}---\n{second}")
    code, out, err = validated(file)
    assert (code, out.splitlines()) == (
        0,
        [
            f"{file}: sample is valid.",
            f"{file}: second is valid.",
            f"{file}: the secret my-key would be set.",
        ],
    )
    line = STORED.count("\n") + SECRET.count("\n") + 3
    assert f"{file}:{line}: warning: ConfigMap 'settings' is left out" in err
    assert "no secret 'my-key'" not in err  # it comes along
    assert not Secret.objects.exists()
    assert KEY not in out + err


def test_validate_names_the_line_of_a_mistake_in_a_later_document(tmp_path: Path, db: None) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(f"{SECRET}---\n{EXPERIMENT.replace('maxTrialNum: 10', 'maxTrialNum: many')}")
    code, _, err = validated(file)
    number = next(i for i, row in enumerate(file.read_text().splitlines(), 1) if "many" in row)
    assert code == 2
    assert f"{file}:{number}: error: spec.maxTrialNum: must be a whole number" in err


def test_validate_reads_json_as_json(tmp_path: Path, db: None) -> None:
    file = tmp_path / "all.JSON"
    manifest = MANIFEST | {"metadata": {"name": "x", "annotations": {"a": "😀"}}}
    file.write_text(json.dumps({"kind": "List", "items": [manifest]}))
    code, out, err = validated(file)
    assert (code, out) == (0, f"{file}: x is valid.\n")
    assert err.startswith("python3 is /")  # which one its trials would run, and nothing else
    assert len(err.splitlines()) == 1


def test_run_creates_all_and_keeps_the_secret(tmp_path: Path, alice: Any) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(f"{SECRET}---\n{STORED}---\n{EXPERIMENT}")
    command = Run(stdout=StringIO(), stderr=StringIO())
    made = command._create(take_in_file(file.read_bytes(), directory=tmp_path), elsewhere=False)
    assert [each.name for each in made] == ["sample", "small"]
    assert vault.reveal_key(made[0]) == KEY
    assert [KEY in each.source for each in made] == [False, False]
    assert made[0].source == STORED


# ---- several objects: REST and the form


def post(client: Client, url: str, text: str) -> Any:
    return client.post(url, text, content_type="application/yaml")


def test_rest_takes_a_secret_along_and_stores_it_apart(client: Client, alice: Any) -> None:
    answer = post(client, LIST, f"{STORED}---\n{SECRET}---\n{CONFIG}")
    assert answer.status_code == 201, answer.content
    assert [w["message"][:20] for w in answer.json()["warnings"] if not w["path"]] == [
        "ConfigMap 'settings'"
    ]
    assert answer.json()["more"] == []
    made = Experiment.objects.get()
    assert made.source == STORED
    assert vault.reveal_key(made) == KEY
    assert KEY not in client.get(f"{LIST}{made.pk}/manifest/").content.decode()


def test_rest_makes_all_experiments_of_a_file_or_none(client: Client) -> None:
    good = EXPERIMENT.replace("image: python:3.11", "image: python:3.11  # the usual")
    bad = YAML.replace("maxTrialNum: 4", "maxTrialNum: 0")
    answer = post(client, LIST, f"{SECRET}---\n{good}---\n{bad}")
    assert answer.status_code == 400
    assert [e["path"] for e in answer.json()["errors"]] == ["spec.maxTrialNum"]
    assert not Experiment.objects.exists()
    assert not Secret.objects.exists()
    answer = post(client, LIST, f"{good}---\n{YAML}")
    assert answer.status_code == 201
    assert [answer.json()["name"], *(e["name"] for e in answer.json()["more"])] == [
        "small", "sample",
    ]  # fmt: skip
    assert Experiment.objects.count() == 2
    checked = post(client, f"{LIST}validate/", f"{good}---\n{YAML}").json()
    assert [checked["manifest"]["metadata"]["name"], len(checked["more"])] == ["small", 1]


def test_on_a_cluster_secrets_are_the_clusters(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend(), "has_cluster_secrets", True, raising=False)
    found = take_in_file(f"{EXPERIMENT}---\n{SECRET}".encode())
    assert found.secrets == ()
    assert [(w.message.split(":")[0], w.hint) for w in found.warnings if not w.path] == [
        ("Secret 'my-key' is left out", "Apply it with kubectl.")
    ]


def sync(client: Client, **body: Any) -> Any:
    return client.post(
        "/experiments/new/sync/", json.dumps(body), content_type="application/json"
    ).json()


def test_the_form_edits_the_experiment_beside_other_objects(client: Client) -> None:
    text = f"{SECRET}---\n# ours\n{YAML}---\n{CONFIG}"
    first = sync(client, yaml=text)
    assert first["problems"] == []
    assert [w["message"][:20] for w in first["warnings"] if not w["path"]] == [
        "ConfigMap 'settings'"
    ]
    form = {**first["form"], "max_trials": "9"}
    answer = sync(client, yaml=text, form=form, base=first["base"])
    assert answer["yaml"] == text.replace("maxTrialNum: 4", "maxTrialNum: 9")
    assert answer["form"]["max_trials"] == "9"


def test_the_form_works_on_the_one_experiment_of_a_list(client: Client) -> None:
    text = json.dumps({"kind": "List", "items": [MANIFEST, {"kind": "Job"}]})
    answer = sync(client, yaml=text)
    assert answer["form"]["name"] == "sample"
    assert load_yaml(answer["yaml"]).data == MANIFEST


def test_the_form_says_that_it_edits_one_experiment(client: Client) -> None:
    text = f"{EXPERIMENT}---\n{YAML}"
    answer = sync(client, yaml=text)
    assert (answer["form"], answer["yaml"]) == (None, text)
    assert "holds 2 experiments" in answer["problems"][0]["message"]
    assert Project.objects.count() <= 1
