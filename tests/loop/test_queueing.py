"""Trials that wait for a place in the cluster: no time passes, none is launched twice or lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from experiments.models import Experiment, Trial
from experiments.services import actions
from experiments.states import TrialState
from experiments.training.base import QUEUED, Handle, JobState, JobStatus, Launch
from experiments.trials import changes
from tests.loop.passes import look, states, succeed
from tests.loop.scripted import ScriptedBackend

HELD = JobStatus(JobState.PENDING, message="It waits in the queue 'a'.", queued=True)
RUNS = JobStatus(JobState.RUNNING)
DAY = timedelta(days=1)


@pytest.fixture
def held(backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    """A queue that holds every job until the test lets it go."""
    launch = backend.launch

    def launch_held(what: Launch) -> Handle:
        found = launch(what)
        backend.jobs[what.name] = HELD
        return {**found, QUEUED: HELD.message}

    monkeypatch.setattr(backend, "launch", launch_held)
    return backend


def jobs(backend: ScriptedBackend, status: JobStatus) -> None:
    backend.jobs = dict.fromkeys(backend.jobs, status)


def test_what_a_queue_holds_waits_with_its_words_and_costs_no_time(
    held: ScriptedBackend, experiment: Experiment
):
    for _ in range(3):
        row = look(experiment)
    assert states(row) == ["WAITING"] * row.concurrency
    assert len(held.launches) == row.concurrency, "each was launched once, and keeps its place"
    trial = row.trials.first()
    assert (trial.reason, trial.started_at) == (HELD.message, None)
    assert row.events.filter(trial=trial, what="remark").count() == 1
    assert row.active_seconds_at(timezone.now() + DAY) < 60

    jobs(held, RUNS)
    row = look(experiment)
    assert states(row) == ["RUNNING"] * row.concurrency
    assert row.trials.first().started_at is not None
    assert row.active_seconds_at(timezone.now() + DAY) > 80_000


def test_one_that_runs_makes_time_pass_while_others_wait(
    held: ScriptedBackend, experiment: Experiment
):
    look(experiment)
    look(experiment)
    held.jobs[held.launches[0].name] = RUNS
    row = look(experiment)
    assert states(row).count("RUNNING") == 1
    assert row.clock_at is not None


def test_a_queue_that_takes_a_place_away_costs_no_trial(
    held: ScriptedBackend, experiment: Experiment
):
    look(experiment)
    jobs(held, RUNS)
    row = look(experiment)
    first = row.trials.first()
    held.jobs[held.launches[0].name] = replace(HELD, disrupted=True)
    row = look(experiment)
    again = Trial.objects.get(pk=first.pk)
    assert again.attempt == 2
    assert held.launches[0].name in held.stopped, "the old job does not go on beside the new one"
    assert held.launches[-1].name.endswith("-0-2")
    assert row.events.filter(data__was_disrupted=True).count() == 1
    assert row.trials.count() == row.concurrency


def test_what_was_suspended_by_hand_goes_on_as_the_same_attempt(
    backend: ScriptedBackend, experiment: Experiment
):
    row = look(experiment)
    jobs(backend, HELD)
    row = look(experiment)
    assert states(row) == ["WAITING"] * row.concurrency
    assert row.clock_at is None
    jobs(backend, RUNS)
    row = look(experiment)
    assert set(row.trials.values_list("state", "attempt")) == {("RUNNING", 1)}
    assert len(backend.launches) == row.concurrency


def test_a_suspended_experiment_starts_nothing_that_waits_in_a_queue(
    held: ScriptedBackend, experiment: Experiment
):
    row = look(experiment)
    actions.suspend(row)
    row = look(experiment)
    first = [launch.name for launch in held.launches]
    assert held.stopped == first, "else the queue would start them"
    assert row.trials.filter(state="WAITING", handle__isnull=True).count() == row.concurrency
    assert row.trials.first().reason == "It has left its queue, as the experiment is suspended."
    actions.resume(row)
    row = look(experiment)
    again = [launch.name for launch in held.launches[len(first) :]]
    assert again == [f"{name[:-1]}2" for name in first], "they queue up anew"
    assert row.trials.count() == row.concurrency


def test_a_part_without_a_place_waits_only_before_the_first_report(
    backend: ScriptedBackend, experiment: Experiment
):
    look(experiment)
    Trial.objects.filter(number=0).update(n_reports=1)
    jobs(backend, replace(RUNS, incomplete=True, message="worker-1: Unschedulable: 0/1 nodes"))
    row = look(experiment)
    assert states(row)[:2] == ["RUNNING", "WAITING"]


def test_a_job_that_ran_and_ended_between_two_looks_has_its_result(
    held: ScriptedBackend, experiment: Experiment
):
    row = look(experiment)
    succeed(held, row.trials.first(), 0.5)
    row = look(experiment)
    assert row.trials.first().state == TrialState.SUCCEEDED
    assert row.best_trial == row.trials.first()


def test_one_that_waits_in_a_queue_can_be_stopped(held: ScriptedBackend, experiment: Experiment):
    row = look(experiment)
    changes.request_stop(row.trials.first(), TrialState.CANCELED, "Killed.")
    look(experiment)
    name = held.launches[0].name
    assert held.stopped == [name]
    held.jobs[name] = JobStatus(JobState.STOPPED)
    assert look(experiment).trials.first().state == TrialState.CANCELED


def test_while_nothing_can_be_started_at_all_no_time_passes(
    backend: ScriptedBackend, experiment: Experiment
):
    backend.unreachable = "exceeded quota"
    look(experiment)
    row = look(experiment)
    assert "exceeded quota" in row.message
    assert row.clock_at is None
    backend.unreachable = ""
    look(experiment)
    assert look(experiment).clock_at is not None
