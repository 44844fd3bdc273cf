"""Imported experiments in the database: by command and by REST, whole or not at all."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from experiments.earlier.reading import Given, read_files
from experiments.earlier.study import Wanted
from experiments.models import Curve, Event, Experiment, Metric, Trial
from experiments.selectors.export import export
from experiments.services import actions, imports
from experiments.services.generated.rows import generate
from experiments.services.generated.wish import Wish
from experiments.states import EventKind, Phase, TrialState
from tests.earlier.given import FILES, SWEEP, WANDB, nni_file, optuna_file, written

pytestmark = pytest.mark.django_db


def stored(*files: Path, **wanted: Any) -> Experiment:
    (study,) = imports.read([(file.name, file) for file in files], Wanted(**wanted))
    return imports.store(study, owner=None)


def test_an_imported_study_is_a_finished_experiment(tmp_path: Path) -> None:
    experiment = stored(optuna_file("5.0.0", "db", tmp_path), studies=("ünï study",))
    assert (experiment.phase, experiment.is_imported) == (Phase.DONE, True)
    assert experiment.imported["whence"] == (
        "study 'ünï study' of study.db (Optuna 5.0.0, schema 12)"
    )
    trials = list(experiment.trials.all())
    assert {t.origin for t in trials} == {"imported"}
    values = [t.value for t in trials if t.state == TrialState.SUCCEEDED]
    experiment.refresh_from_db()
    assert experiment.best_trial is not None
    assert experiment.best_trial.value == min(values)
    for trial in trials:
        rows = Metric.objects.filter(trial=trial, kind="PERIODICAL")
        assert rows.count() == trial.n_reports
        assert Event.objects.filter(trial=trial, what=EventKind.STATE).count() == 1
    assert Metric.objects.filter(experiment=experiment, nonfinite="NaN").exists()
    assert Curve.objects.filter(experiment=experiment).count() == sum(
        t.n_reports > 0 for t in trials
    )
    seqs = [event.seq for event in experiment.events.all()]
    assert seqs == list(range(1, experiment.last_seq + 1))
    assert "Imported from Optuna" in experiment.events.all()[0].reason


def test_it_cannot_go_on_but_be_cloned(tmp_path: Path, client: Client, alice: Any) -> None:
    experiment = stored(nni_file(tmp_path))
    failed = experiment.trials.filter(state=TrialState.FAILED).first()
    assert failed is not None
    for attempt in (
        lambda: actions.retry_trial(failed),
        lambda: actions.custom_trial(experiment, failed.parameters, force=False),
        lambda: actions.change_limits(experiment, {"max_trials": 100}),
    ):
        with pytest.raises(actions.Refused, match="was imported, and cannot go on here"):
            attempt()
    answer = client.post(f"/api/v1/experiments/{experiment.pk}/clone/", {},
                         content_type="application/json")  # fmt: skip
    assert answer.status_code == 201
    copy = Experiment.objects.get(pk=answer.json()["id"])
    words = copy.manifest["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"]
    assert words[0]["command"] == ["sh", "-c", "python3 trial.py"]


def told(experiment: Experiment) -> dict[str, Any]:
    """Its export, but for what an import cannot keep."""
    found = json.loads(export(experiment, "json"))
    for trial in [*found["trials"], found["best"]]:
        for name in ("id", "origin"):
            del trial[name]
    return {
        "trials": found["trials"], "best": found["best"],
        "manifest": found["experiment"]["manifest"],
    }  # fmt: skip


@pytest.mark.parametrize("format", ["json", "yaml", "csv"])
def test_our_own_exports_come_back_as_they_went(format: str, tmp_path: Path) -> None:
    made = generate(
        Wish(space="nested", trials=30, points=4, metrics=3, failed=0.1, diverged=0.1,
             stopped=0.2, excluded=0.1, retried=0.5)
    )  # fmt: skip
    made = Experiment.objects.get(pk=made.pk)
    file = tmp_path / f"export.{format}"
    file.write_bytes(export(made, format))
    beside = []
    if format == "csv":  # neither curves nor a space are in it
        Metric.objects.filter(experiment=made, kind="PERIODICAL").delete()
        beside = written(tmp_path, space__json=json.dumps(made.spec.space.as_json()))
    experiment = stored(file, *beside, mode=made.optimize_mode if format == "csv" else "")
    before, after = told(made), told(experiment)
    if format == "csv":
        del before["manifest"], after["manifest"]
    assert after == before
    assert set(experiment.trials.values_list("origin", flat=True)) == {"imported"}


def test_nothing_stays_of_an_import_that_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(imports, "update_best", fail)
    with pytest.raises(RuntimeError):
        stored(nni_file(tmp_path))
    for model in (Experiment, Trial, Metric, Event, Curve):
        assert not model.objects.exists(), model


def test_the_command_imports_and_says_what_is_not_as_it_was(tmp_path: Path) -> None:
    table, sweep = written(tmp_path, runs__csv=WANDB, sweep__yaml=SWEEP)
    out, err = StringIO(), StringIO()
    call_command("import", str(table), str(sweep), "--json", stdout=out, stderr=err)
    (head,) = json.loads(out.getvalue())
    experiment = Experiment.objects.get(pk=head["id"])
    assert (head["n_trials"], experiment.trials.count()) == (3, 3)
    assert "not as it was: W&B's table has no curves" in err.getvalue()
    err = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("import", str(table), stdout=out, stderr=err)
    assert ended.value.code == 2
    assert "runs.csv: error: W&B's table does not say which" in err.getvalue()
    for words, said in (
        (["mysql://root:secret@db/x"], "A storage at mysql:// is not read here"),
        (["postgresql://me:secret@127.0.0.1:1/x"], "postgresql://127.0.0.1:1/x cannot be reached"),
        ([str(tmp_path / "gone.db")], "No such file or directory"),
    ):
        err = StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("import", *words, stdout=out, stderr=err)
        assert ended.value.code == 2
        assert said in err.getvalue()
        assert "secret" not in err.getvalue()
    assert Experiment.objects.count() == 1


def test_rest_takes_uploads(tmp_path: Path, client: Client, alice: Any) -> None:
    route = "/api/v1/experiments/import/"

    def post(query: str, *files: Path) -> Any:
        uploads = [SimpleUploadedFile(file.name, file.read_bytes()) for file in files]
        return client.post(route + query, {"file": uploads})

    storage = optuna_file("4.5.0", "db", tmp_path)
    assert Client().post(route, {}).status_code == 401
    answer = post("", storage)
    assert answer.status_code == 400
    assert "3 studies" in answer.json()["errors"][0]["message"]
    answer = post("?study=%22second%22", storage)
    assert answer.status_code == 201
    (made,) = answer.json()["experiments"]
    assert (made["name"], made["n_trials"], made["phase"]) == ("second", 11, "DONE")
    assert "not ended" in made["left"][0]["message"]
    assert Experiment.objects.get(pk=made["id"]).owner == alice
    table, sweep = written(tmp_path, runs__csv=WANDB, sweep__yaml=SWEEP)
    assert post("", table, sweep).status_code == 201
    assert post("?mode=best", table).status_code == 400
    assert client.post(route, {}).json()["errors"][0]["path"] == "file"
    assert read_files([Given("a", FILES / "nni-export.json")], Wanted())
