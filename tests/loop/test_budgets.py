"""What advisors and population based training add to a trial's parameters, through the loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.loop import reconcile, starting
from experiments.models import Experiment, Metric, Trial
from experiments.states import Phase, TrialState
from experiments.trials import checkpoints
from tests.loop.scripted import ScriptedBackend


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    backend = ScriptedBackend()
    for module in (reconcile, starting):
        monkeypatch.setattr(module, "backend", lambda: backend)
    return backend


def succeed(backend: ScriptedBackend, trial: Trial, value: float) -> None:
    Trial.objects.filter(pk=trial.pk).update(
        value=value, has_final=True, metrics={Metric.DEFAULT_NAME: value}
    )
    backend.end(trial.number)


def run_to_the_end(experiment: Experiment, backend: ScriptedBackend) -> list[Trial]:
    for _ in range(60):
        reconcile.reconcile(experiment.pk)
        for trial in experiment.trials.filter(state=TrialState.RUNNING):
            succeed(backend, trial, trial.parameters["lr"])
        experiment.refresh_from_db()
        if experiment.is_ended:
            break
    assert experiment.phase == Phase.DONE
    return list(experiment.trials.order_by("number"))


def test_an_advisor_gives_budgets_and_promotes(make_experiment, backend):
    advisor = {"builtinAdvisorName": "Hyperband", "classArgs": {"R": 9, "eta": 3}}
    experiment = make_experiment({"tuner": None, "advisor": advisor}, max_trials=13, concurrency=4)
    trials = run_to_the_end(experiment, backend)
    assert len(trials) == 13
    first = [t for t in trials if t.note["bracket"] == 0 and t.note["rung"] == 0]
    assert {t.parameters["TRIAL_BUDGET"] for t in first} == {1}
    promoted = [t for t in trials if t.origin == "promoted"]
    assert {t.parameters["TRIAL_BUDGET"] for t in promoted} <= {3, 9}
    best = max(first, key=lambda t: t.value)
    assert best.number in {t.note["from"] for t in promoted}
    assert all(launch.parameters["TRIAL_BUDGET"] >= 1 for launch in backend.launches)


def test_checkpoint_directories_are_there_when_a_trial_starts(make_experiment, backend, settings):
    settings.TRAINING_ENGINE = "local"
    tuner = {
        "builtinTunerName": "PBTTuner",
        "classArgs": {"population_size": 3, "fraction": 0.34, "resample_probability": 0},
    }
    experiment = make_experiment({"tuner": tuner}, max_trials=9, concurrency=3)
    trials = run_to_the_end(experiment, backend)
    root = checkpoints.directory_of(experiment.pk)
    for trial in trials:
        loads = Path(trial.parameters["load_checkpoint_dir"])
        saves = Path(trial.parameters["save_checkpoint_dir"])
        assert loads.is_relative_to(root)
        assert loads.is_dir()
        assert saves.is_dir()
        if trial.note["parent"] is not None:
            parent = trials[trial.note["parent"]]
            assert parent.parameters["save_checkpoint_dir"] == str(loads)
    assert {t.origin for t in trials} > {"start-up", "continued"}
    assert any(t.origin.startswith("exploit of #") for t in trials)
    Experiment.objects.filter(pk=experiment.pk).update(deleting=True)
    reconcile.reconcile(experiment.pk)
    assert not root.exists(), "checkpoints go with their experiment"


def test_a_directory_that_cannot_be_made_fails_the_trial_with_the_reason(
    make_experiment, backend, settings, tmp_path
):
    settings.TRAINING_ENGINE = "local"
    (tmp_path / "file").write_text("")
    tuner = {
        "builtinTunerName": "PBTTuner",
        "classArgs": {"all_checkpoint_dir": str(tmp_path / "file")},
    }
    experiment = make_experiment({"tuner": tuner}, max_trials=20, concurrency=3)
    reconcile.reconcile(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.phase == Phase.ERROR
    assert "file" in experiment.message
