"""Files of other products at every door: converted by command and page, recognised elsewhere."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from experiments.manifest.spec import parse_text
from experiments.services.intake import take_in_file
from tests.convert.given import KATIB, NNI_2, SPACE, SWEEP


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "nni").mkdir()
    (tmp_path / "nni" / "config.yml").write_text(NNI_2)
    (tmp_path / "nni" / "search_space.json").write_text(SPACE)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "bad.yaml").write_text(SWEEP.replace("program: train.py", "x: 1"))
    return tmp_path


def convert(*words: object) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("convert", *map(str, words), stdout=out, stderr=err)
    except SystemExit as error:
        code = int(error.code or 0)
    return code, out.getvalue(), err.getvalue()


def working_dir(text: str) -> str:
    (task,) = parse_text(text).spec.training.tasks
    return str(task.template["spec"]["containers"][0]["workingDir"])


def test_the_command_prints_a_manifest_and_says_both_sides(project: Path) -> None:
    code, out, err = convert(project / "nni" / "config.yml")
    assert code == 0
    assert working_dir(out) == str(project / "nni" / "code")
    assert "    7  maxTrialNumber: 10" in err
    assert "spec.maxTrialNum: 10" in err


def test_a_dash_is_the_standard_output(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    said = convert(project / "nni" / "config.yml", project / "sweep.yaml", "-o", "-")
    assert said == convert(project / "nni" / "config.yml", project / "sweep.yaml")
    assert not (project / "-").exists()


def test_a_file_that_is_written_names_directories_from_where_it_is(project: Path) -> None:
    target = project / "out" / "mnist.yaml"
    code, out, err = convert(project / "nni" / "config.yml", "-o", target)
    assert (code, out) == (0, "")
    assert working_dir(target.read_text()) == "../nni/code"
    found = take_in_file(target.read_bytes(), directory=target.parent)
    assert found.experiments[0][0].data["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"][
        "containers"][0]["workingDir"] == str(project / "nni" / "code")  # fmt: skip


def test_of_several_files_those_that_can_be_are_converted_and_the_others_listed(
    project: Path,
) -> None:
    files = [project / "bad.yaml", project / "sweep.yaml", project / "none.yml"]
    code, _, err = convert(*files, "-o", project / "out")
    assert code == 2
    assert "bad.yaml" in err
    assert "error: There is no program." in err
    assert "none.yml: error: No such file or directory." in err
    assert [each.name for each in (project / "out").iterdir()] == ["sweep.autotune.yaml"]
    code, out, _ = convert(*files, "--json")
    answers = json.loads(out)
    assert code == 2
    assert [bool(answer["errors"]) for answer in answers] == [True, False, True]
    assert answers[1]["origin"] == "W&B"
    with pytest.raises(CommandError, match="name another file"):
        convert(project / "sweep.yaml", "-o", project / "sweep.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NNI_2, "This is an NNI configuration, not a manifest."),
        (KATIB, "This is a Katib Experiment, not a manifest."),
        (SWEEP, "This is a W&B sweep, not a manifest."),
    ],
)
@pytest.mark.django_db
def test_where_a_manifest_is_wanted_the_file_is_recognised(
    client: Client, text: str, words: str
) -> None:
    (problem,) = take_in_file(text.encode()).problems
    assert problem.message == words
    assert "convert FILE" in problem.hint
    answer = client.post("/api/v1/experiments/", text, content_type="application/yaml")
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, words)
    sync = client.post("/experiments/new/sync/", {"yaml": text}, content_type="application/json")
    assert (sync.json()["form"], sync.json()["problems"][0]["message"]) == (None, words)


def imported(client: Client, *files: tuple[str, str], **data: Any) -> tuple[int, Any]:
    rows = [{"name": name, "text": text} for name, text in files]
    answer = client.post(
        "/experiments/new/import/", {"files": rows, **data}, content_type="application/json"
    )
    return answer.status_code, answer.json()


@pytest.mark.django_db
def test_the_page_imports_a_configuration_with_what_it_names(client: Client) -> None:
    status, found = imported(client, ("search_space.json", SPACE), ("config.yml", NNI_2))
    assert status == 200
    assert found["origin"] == "NNI"
    assert parse_text(found["text"]).spec.max_trials == 10
    assert found["rows"][0]["line"] == 1
    client.cookies["autotune_language"] = "zh-hans"
    status, found = imported(client, ("sweep.yaml", SWEEP))
    assert (
        "W&B 在 Hyperband 的档位处停止较差的运行。这里由 Medianstop 停止在同一步差于中位数的试验。"
        in [left["message"] for left in found["left"]]
    )
    del client.cookies["autotune_language"]
    status, found = imported(client, ("a.py", "print(1)"), ("sweep.yaml", SWEEP))
    assert (status, found["origin"]) == (200, "W&B")
    status, found = imported(client, ("config.yml", NNI_2))
    assert status == 400
    assert "was not chosen with the configuration" in found["errors"][0]["message"]


@pytest.mark.parametrize(
    "data",
    [{"files": 1}, {"files": []}, {"files": [1]}, {"files": [{"name": "x"}]}, [], {},
     {"files": [{"name": "x", "text": "y"}] * 21}],
)  # fmt: skip
@pytest.mark.django_db
def test_what_is_no_import_is_refused(client: Client, data: Any) -> None:
    answer = client.post("/experiments/new/import/", data, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]
