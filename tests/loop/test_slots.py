"""Trials for which there is no room, or that ran out of memory: what the loop makes of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from experiments.loop import reconcile
from experiments.manifest.spec import parse_manifest
from experiments.models import Experiment, Trial
from experiments.services import actions, intake
from experiments.states import EventKind, Phase
from experiments.training.base import JobState, JobStatus
from experiments.training.local.backend import LocalBackend
from experiments.training.local.gpus import Gpus
from tests.base_manifest import base_manifest
from tests.loop.passes import look, report_curve, states, succeed


def remarks(trial: Trial) -> list[str]:
    events = trial.experiment.events.filter(trial=trial, what=EventKind.REMARK)
    return [event.reason for event in events]


def test_one_trial_waits_and_says_for_what_and_no_more_are_asked_for(make_experiment, backend):
    backend.slots = 2
    experiment = make_experiment({"trialConcurrency": 4, "maxTrialNum": 6})
    look(experiment)
    look(experiment)
    assert states(experiment) == ["RUNNING", "RUNNING", "WAITING"]
    waits = experiment.trials.get(number=2)
    assert waits.reason == "Waits for a GPU: 2 run."
    assert remarks(waits) == ["Waits for a GPU: 2 run."]
    assert experiment.pk in reconcile.waiting_ids()

    succeed(backend, experiment.trials.get(number=0), 1.0)
    look(experiment)
    assert states(experiment) == ["SUCCEEDED", "RUNNING", "RUNNING", "WAITING"]
    waits.refresh_from_db()
    assert waits.reason == "", "it has what it waited for"


def test_the_words_follow_who_holds_what_but_the_timeline_has_them_once(make_experiment, backend):
    backend.slots = 0
    experiment = make_experiment(max_trials=3)
    look(experiment)
    waits = experiment.trials.get()
    seq = waits.seq
    backend.jobs["elsewhere"] = JobStatus(JobState.RUNNING)
    look(experiment)
    waits.refresh_from_db()
    assert waits.reason == "Waits for a GPU: 1 run."
    assert waits.seq > seq, "browsers hear of it"
    assert remarks(waits) == ["Waits for a GPU: 0 run."]


def test_waiting_uses_up_nothing_and_stops_with_the_experiment(make_experiment, backend):
    backend.slots = 0
    experiment = make_experiment(max_trials=1, concurrency=1)
    for _ in range(5):
        assert look(experiment).phase == Phase.RUNNING
    assert states(experiment) == ["WAITING"]
    backend.slots = 1
    look(experiment)
    succeed(backend, experiment.trials.get(), 1.0)
    assert look(experiment).phase == Phase.DONE
    assert states(experiment) == ["SUCCEEDED"]

    other = make_experiment()
    backend.slots = 0
    look(other)
    actions.finish(other)
    look(other)
    assert states(other) == ["CANCELED"]
    assert reconcile.waiting_ids() == []


@pytest.mark.parametrize("whose", ["gpu", "machine"])
def test_who_ran_out_of_memory_runs_once_more_alone_and_costs_no_budget(
    make_experiment, backend, whose
):
    experiment = make_experiment(max_trials=2, concurrency=1)
    look(experiment)
    report_curve(experiment.trials.get(), [0.5])
    backend.run_out(0, whose)
    look(experiment)
    trial = experiment.trials.get()
    assert (trial.state, trial.attempt, trial.n_reports) == ("RUNNING", 2, 0)
    assert [launch.alone for launch in backend.launches] == ["", whose]
    told = experiment.events.filter(trial=trial, to_state="WAITING").last()
    assert told.reason.startswith("It ran out of memory and starts anew, alone on ")
    assert "CUDA out of memory" in told.reason

    backend.run_out(0, whose)
    look(experiment)
    trial.refresh_from_db()
    assert trial.state == "FAILED"
    assert trial.reason.startswith("exit code 1: CUDA out of memory.; ")
    assert states(experiment) == ["FAILED", "RUNNING"]
    assert backend.launches[-1].alone == "", "the next one is not to suffer for it"


def test_who_had_its_gpu_to_itself_is_not_tried_again(make_experiment, backend):
    experiment = make_experiment(max_trials=2, concurrency=1)
    look(experiment)
    slot = {"name": backend.launches[0].name, "slot": {"shares": False, "devices": [["0"]]}}
    experiment.trials.update(handle=slot)
    backend.run_out(0)
    look(experiment)
    trial = experiment.trials.get(number=0)
    assert (trial.state, trial.attempt) == ("FAILED", 1)
    assert trial.reason.endswith("; no other trial was on its GPU")


def test_who_was_to_be_stopped_is_not_started_anew(make_experiment, backend):
    experiment = make_experiment(max_trials=2, concurrency=1)
    look(experiment)
    actions.kill_trial(experiment.trials.get())
    backend.run_out(0)
    look(experiment)
    assert experiment.trials.get(number=0).state == "CANCELED"


def test_whose_time_was_up_has_failed_though_it_ran_out_of_memory_as_well(make_experiment, backend):
    """It began anew with its stop still decided, and was canceled before it started."""
    experiment = make_experiment({"maxTrialSeconds": 60}, max_trials=2, concurrency=1)
    look(experiment)
    since = timezone.now() - timedelta(seconds=61)
    experiment.trials.update(started_at=since, stop_as="FAILED", stop_reason="Too long.")
    backend.run_out(0)
    look(experiment)
    trial = experiment.trials.get(number=0)
    assert (trial.state, trial.attempt, trial.reason) == ("FAILED", 1, "Too long.")


def test_more_gpus_than_there_are_is_refused_before_anything_runs(
    tmp_path: Path, db: None, monkeypatch: pytest.MonkeyPatch
):
    local = LocalBackend(tmp_path, settings.CLIENT_DIR, slots=tmp_path, gpus=Gpus([0, 1]))
    monkeypatch.setattr(intake, "backend", lambda: local)
    manifest = base_manifest("greedy", ["true"], tuner={"builtinTunerName": "Random"})
    (task,) = manifest["spec"]["trainingConfig"]["tasks"]
    (container,) = task["template"]["spec"]["containers"]
    container["resources"] = {"limits": {"nvidia.com/gpu": 2}}
    assert intake.take_in(manifest).problems == ()
    container["resources"] = {"limits": {"nvidia.com/gpu": 4}}
    (problem,) = intake.take_in(manifest).problems
    assert problem.message == "A trial asks for 4 GPUs, but this machine has 2."
    # nor where it came from elsewhere, e.g. before a restart on another machine
    made = actions.create_experiment(parse_manifest(manifest))
    reconcile.reconcile(made.pk)
    made = Experiment.objects.get(pk=made.pk)
    assert made.phase == Phase.ERROR
    assert "4 GPUs, but this machine has 2" in made.message
