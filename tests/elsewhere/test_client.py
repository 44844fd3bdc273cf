"""autotune_client against a served product: studies, trials, experiments."""

from __future__ import annotations

import http.client
import math
import re
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import pandas
import pytest
import yaml

import autotune_client as at
from autotune_client import finding
from autotune_client.study import manifest_of
from autotune_client.wire import Wire
from experiments import owner_key, places
from experiments.algorithms.space.reading import TYPES
from experiments.algorithms.space.search_space import SearchSpace
from experiments.models import Experiment, Loan, Metric
from experiments.services import actions
from tests.elsewhere.conftest import manifest

pytestmark = pytest.mark.long  # each starts programs of its own

X = {"x": at.uniform(-1, 1)}


def study_of(client: at.Client, space: Any = X, **more: Any) -> at.Study:
    options = {"trials": 4, "mode": "minimize", "tuner": "Random", **more}
    return at.Study.create(space, client=client, **options)


def tuned(client: at.Client, objective: Any, space: Any = X, **more: Any) -> at.Best:
    place = client.wire.place
    options = {"trials": 4, "mode": "minimize", "tuner": "Random", "quiet": True, **more}
    return at.tune(objective, space, server=place._url, token=place._token, **options)


def test_three_lines(at_work: at.Client) -> None:
    seen = []

    def objective(trial: at.Trial) -> float:
        seen.append(trial.parameters["x"])
        return (trial.parameters["x"] - 0.3) ** 2

    best = tuned(at_work, objective, trials=6)
    assert len(seen) == 6
    assert best.value == min((x - 0.3) ** 2 for x in seen)
    assert (best.parameters["x"] - 0.3) ** 2 == best.value
    info = best.study.experiment.refresh()
    assert (info.phase, info.n_trials, info.name) == ("DONE", 6, "objective")


@pytest.mark.long
def test_threads_run_at_once(at_work: at.Client) -> None:
    together = threading.Barrier(2, timeout=30)

    def objective(trial: at.Trial) -> float:
        together.wait()
        return 1.0

    best = tuned(at_work, objective, concurrency=2)
    assert Experiment.objects.get(pk=best.study.experiment.id).trials.count() == 4


def test_reports_draw_curves_and_a_verdict_raises(at_work: at.Client) -> None:
    study = study_of(at_work)
    trial = study.ask()
    assert trial is not None
    trial.report(3.0)
    trial.report(2.0, step=10, metrics={"loss": math.nan})
    row = Experiment.objects.get(pk=study.experiment.id).trials.get()
    actions.kill_trial(row)
    with pytest.raises(at.Stopped, match="Killed by the user"):
        trial.report(1.0)
    assert study.tell(trial, stopped="it is over") is False
    points = study.experiment.metrics(0)
    assert [(p.sequence, p.step, p.name, p.value) for p in points[:2]] == [
        (0, 0.0, "default", 3.0), (1, 10.0, "default", 2.0)
    ]  # fmt: skip
    assert math.isnan(points[2].value)
    assert study.experiment.trial(0).state == "CANCELED"


@pytest.mark.long
def test_an_assessor_stops_a_trial_and_its_last_report_counts(at_work: at.Client) -> None:
    def objective(trial: at.Trial) -> float:
        is_good = trial.number < 3
        for step in range(3 if is_good else 400):  # the loop looks twice a second
            trial.report(0.0 if is_good else 5.0, step)
            time.sleep(0.0 if is_good else 0.05)
        return 0.0

    assessor = {"name": "Medianstop", "classArgs": {"start_step": 1}}
    best = tuned(at_work, objective, assessor=assessor, trials=5)
    states = [trial.state for trial in best.study.experiment.trials()]
    assert states[:3] == ["SUCCEEDED"] * 3
    assert states[3:] == ["EARLY_STOPPED"] * 2
    assert best.study.experiment.trial(4).value == 5.0


@pytest.mark.long
def test_exceptions_fail_trials_and_failures_alike_end_it(at_work: at.Client, capfd: Any) -> None:
    def objective(trial: at.Trial) -> float:
        raise ValueError(f"no data for {trial.parameters['x']}")

    words = r"first 3 trials failed alike.*ValueError: no data"
    with pytest.raises(at.StudySuspended, match=words):
        tuned(at_work, objective, trials=9)
    assert "ValueError: no data" in capfd.readouterr().err


@pytest.mark.parametrize("returned", [None, "0.5", [1], (1, 2)])
def test_an_objective_must_return_a_number(at_work: at.Client, returned: Any) -> None:
    with pytest.raises(at.StudyEnded, match="The objective returned no result"):
        tuned(at_work, lambda trial: returned, trials=1)


def test_what_is_told_twice_counts_once(at_work: at.Client) -> None:
    study = study_of(at_work)
    trial = study.ask()
    assert trial is not None
    assert study.tell(trial, 0.5) is True
    assert study.tell(trial, 0.5) is True
    assert study.tell(0, 0.5) is True
    with pytest.raises(at.Refused, match=r"told before: value 0.5"):
        study.tell(trial, 0.6)
    with pytest.raises(TypeError, match="one of a value"):
        study.tell(trial, 0.5, failed="x")


def test_answers_that_are_lost_change_nothing(
    at_work: at.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every first answer of creating, asking, telling never arrives."""
    attempt, lost = Wire._attempt, set()

    def unlucky(self: Wire, method: str, path: str, raw: Any, headers: Any) -> Any:
        found = attempt(self, method, path, raw, headers)
        if method == "POST" and (path, raw) not in lost:
            lost.add((path, raw))
            raise http.client.RemoteDisconnected("the answer is lost")
        return found

    monkeypatch.setattr(Wire, "_attempt", unlucky)
    best = tuned(at_work, lambda trial: trial.number, trials=3)
    assert len(lost) >= 8
    assert Experiment.objects.count() == 1
    row = Experiment.objects.get()
    assert list(row.trials.order_by("number").values_list("state", "value")) == [
        ("SUCCEEDED", 0.0), ("SUCCEEDED", 1.0), ("SUCCEEDED", 2.0)
    ]  # fmt: skip
    assert Loan.objects.count() == Metric.objects.filter(kind="FINAL").count() == 3
    assert best.value == 0


def test_a_name_goes_on_with_what_is_unfinished(at_work: at.Client) -> None:
    first = study_of(at_work, name="My Study")
    again = study_of(at_work, name="My Study")
    assert again.experiment.id == first.experiment.id
    with pytest.raises(ValueError, match="of another kind or space"):
        study_of(at_work, {"y": at.uniform(0, 1)}, name="My Study")
    first.experiment.finish()
    assert first.experiment.wait(0.05).phase == "DONE"
    other = study_of(at_work, name="My Study")
    assert other.experiment.id != first.experiment.id
    assert at.Study.open("my-study", client=at_work).experiment.id == other.experiment.id


def test_asking_says_why_there_is_none(at_work: at.Client) -> None:
    study = study_of(at_work, trials=1)
    assert study.ask() is not None
    with pytest.raises(TimeoutError, match="1 trials run, and trialConcurrency is 1"):
        study.ask(wait=0.1)
    study.tell(0, 1.0)
    assert study.ask() is None


@pytest.mark.long
def test_experiments_are_typed(at_work: at.Client, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(yaml.safe_dump(manifest()))
    made = at_work.create(file)
    assert (made.info.phase, made.info.max_trials, made.info.tags) == ("RUNNING", 4, [])
    assert at_work.create(manifest(), key="once").id == at_work.create(manifest(), key="once").id
    assert at_work.get("outside").id != made.id, "the newest of that name"
    assert at_work.get(made.id).change(tags=["a"], trialConcurrency=1).tags == ["a"]
    assert len(list(at_work.experiments(search="outside"))) == 2
    with pytest.raises(KeyError, match="'nobody'"):
        at_work.get("nobody")
    study = at.Study(made)
    for _ in range(4):
        trial = study.ask()
        assert trial is not None
        study.tell(trial, trial.number, metrics={"loss": math.inf})
    assert [info.phase for info in made.watch(0.01)][-1] == "DONE"
    assert [t.value for t in made.trials(where="value > 1")] == [2.0, 3.0]
    (last,) = [t for t in made.trials() if t.number == 3]
    assert last.duration is not None
    assert last.duration >= 0
    frame = made.to_pandas()
    assert list(frame["value"]) == [0.0, 1.0, 2.0, 3.0]
    assert list(frame["metrics_loss"]) == [math.inf] * 4
    assert "params_x" in frame
    assert isinstance(frame, pandas.DataFrame)
    made.delete()
    with pytest.raises(KeyError):
        at_work.get(made.id)


def test_a_picture_of_a_study_is_escaped_and_offline(at_work: at.Client) -> None:
    name = "<script>alert(1)</script>"
    study = study_of(at_work, {name: at.choice("<img src=x onerror=1>", "b")}, trials=3)
    empty = study._repr_html_()
    assert "No trial has succeeded yet" in empty
    while (trial := study.ask()) is not None:
        for step in range(3):
            trial.report(float(step), step)
        study.tell(trial, trial.number)
    shown = study._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert shown.count("<svg") == 2, "history and curves"
    assert shown.count("<circle") == 3
    assert "Best (lowest): <strong>0</strong>" in shown
    assert "3 of 3 trials" in shown
    assert not [word for word in ("<link", "@import", "url(", "javascript:") if word in shown]
    assert set(re.findall('https?://[^/"]*', shown)) == {at_work.url}, "its page, as a link"


@pytest.mark.long
def test_a_notebook_shows_it_live(
    at_work: at.Client, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """By the display handle of IPython, as a kernel's; in a terminal's nothing is drawn."""
    shell = types.SimpleNamespace()
    drawn: list[str] = []
    handle = types.SimpleNamespace(update=lambda each: drawn.append(each._repr_html_()))

    def display(each: Any, display_id: bool) -> Any:
        drawn.append(each._repr_html_())
        return handle

    fake = types.ModuleType("IPython")
    fake.get_ipython = lambda: shell  # type: ignore[attr-defined]
    module = types.ModuleType("IPython.display")
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("autotune_client.showing.EVERY_S", 0.05)
    tuned(at_work, lambda trial: 1.0, trials=1, quiet=False)
    assert drawn == []
    assert "Study lambda" in capfd.readouterr().err
    shell.kernel = object()

    def slow(trial: at.Trial) -> float:
        if trial.number == 1:
            seen = len(drawn)
            until = time.monotonic() + 30
            while len(drawn) < seen + 2 and time.monotonic() < until:
                time.sleep(0.02)
        return 1.0

    tuned(at_work, slow, trials=2, quiet=False)
    assert "0 of 2 trials" in drawn[0]
    assert any("1 of 2 trials" in each for each in drawn[1:-1]), "while it runs"
    assert "2 of 2 trials" in drawn[-1]


def test_space_helpers_are_the_specifications_types() -> None:
    space = {
        "choice": at.choice("a", 1),
        "nested": at.choice([at.branch("sgd", momentum=at.uniform(0, 1)), at.branch("adam")]),
        "uniform": at.uniform(0, 1),
        "quniform": at.quniform(0, 1, 0.1),
        "loguniform": at.loguniform(1e-3, 1),
        "qloguniform": at.qloguniform(1, 100, 1),
        "normal": at.normal(0, 1),
        "qnormal": at.qnormal(0, 1, 0.5),
        "lognormal": at.lognormal(0, 1),
        "qlognormal": at.qlognormal(0, 1, 0.5),
        "randint": at.randint(1, 5),
        "layer_choice": at.layer_choice("conv", "pool"),
        "input_choice": at.input_choice(["a", "b"]),
    }
    parsed = SearchSpace.parse(space)
    assert {parameter.type for parameter in parsed.parameters.values()} == set(TYPES)
    assert parsed.as_json()["nested"] == space["nested"]


def test_bad_arguments_are_named(at_work: at.Client) -> None:
    with pytest.raises(at.Refused, match=r"spec.maxTrialNum"):
        study_of(at_work, trials=0)
    with pytest.raises(at.Refused, match=r"spec.searchSpace.x"):
        study_of(at_work, {"x": {"_type": "unform", "_value": [0, 1]}})
    with pytest.raises(ValueError, match=r'mode must be "minimize" or "maximize", but got .min.'):
        study_of(at_work, mode="min")
    with pytest.raises(ValueError, match="workers must be"):
        at.tune(lambda trial: 0, X, workers="fibres")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a token"):
        at.Client("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="must be http"):
        at.Client("localhost:8080", "t")


def test_an_owner_is_known_by_the_directorys_key(tmp_path: Path) -> None:
    owner_key.make(tmp_path)
    assert owner_key.is_genuine(tmp_path, finding.Directory(tmp_path).bearer())


@pytest.mark.parametrize("given", ["", "~/runs", "/srv/runs"])
@pytest.mark.parametrize("home", ["", "relative", "/srv/xdg"])
@pytest.mark.parametrize("installed", [False, True])
def test_it_means_the_data_directory_that_the_product_means(
    given: str, home: str, installed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may stand alone, so it has a rule of its own, which must be that of ``places``."""
    monkeypatch.setenv("AUTOTUNE_DATA", given)
    monkeypatch.setenv("XDG_DATA_HOME", home)
    monkeypatch.setattr(places, "INSTALLED", installed)
    if installed:
        monkeypatch.setattr(finding, "_HERE", tmp_path)
    assert finding.data_directory() == places.data_directory()


def test_a_server_that_is_away_is_waited_for_only_so_long() -> None:
    with pytest.raises(at.Unreachable, match="was not answered"):
        at.Client("http://127.0.0.1:9", "token", patience=0.2).get("x")


def test_a_manifest_says_what_was_asked_for() -> None:
    made = manifest_of(
        X, trials=5, mode="minimize", seconds=1.5, tuner={"name": "TPE", "classArgs": {"seed": 1}},
        assessor="Medianstop", concurrency=2, lost_after=9, name="A b!",
    )  # fmt: skip
    assert made["metadata"] == {"name": "a-b"}
    assert made["spec"]["maxExecSeconds"] == 2
    assert made["spec"]["tuner"] == {
        "builtinTunerName": "TPE", "classArgs": {"optimize_mode": "minimize", "seed": 1}
    }  # fmt: skip
    assert made["spec"]["elsewhere"] == {"lostAfterSeconds": 9}
