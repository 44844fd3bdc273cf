"""Active time: what counts, and that a machine's sleep does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments.loop import reconcile, starting
from experiments.models import Experiment, clock
from experiments.services import actions
from experiments.training.local import processes
from tests.loop.scripted import ScriptedBackend

NIGHT_S = 8 * 3600.0


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    scripted = ScriptedBackend()
    for module in (reconcile, starting):
        monkeypatch.setattr(module, "backend", lambda: scripted)
    return scripted


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch):
    """Close the lid for so long: the wall clock and the sleep counter go on, nothing else."""
    real_now, real_slept = timezone.now, clock.slept_s
    slept = 0.0

    def close_lid(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    monkeypatch.setattr(timezone, "now", lambda: real_now() + timedelta(seconds=slept))
    monkeypatch.setattr(clock, "slept_s", lambda: real_slept() + slept)
    return close_lid


def look(pk: str) -> Experiment:
    reconcile.reconcile(pk)
    return Experiment.objects.get(pk=pk)


def test_a_night_with_a_closed_lid_does_not_end_the_run(make_experiment, backend, sleep):
    pk = make_experiment(max_exec_seconds=600).pk
    look(pk)
    sleep(NIGHT_S)
    assert Experiment.objects.get(pk=pk).active_seconds_at(timezone.now()) < 60
    assert reconcile.time_is_up_in(600)[pk] > 540
    found = look(pk)
    assert found.phase == "RUNNING"
    assert found.active_seconds < 60
    told = found.events.get(what="slept")
    assert told.reason == "For 8:00:00 (h:mm:ss), which do not count as active time."
    assert told.data["seconds"] == pytest.approx(NIGHT_S, abs=1)
    look(pk)
    assert found.events.filter(what="slept").count() == 1, "one night is told once"


def test_time_awake_counts_beside_a_sleep(make_experiment, backend, sleep):
    pk = make_experiment(max_exec_seconds=600).pk
    look(pk)
    since = timezone.now() - timedelta(seconds=100)
    Experiment.objects.filter(pk=pk).update(**clock.columns(since))
    sleep(NIGHT_S)
    assert look(pk).active_seconds == pytest.approx(100, abs=20)
    sleep(NIGHT_S)
    actions.suspend(Experiment.objects.get(pk=pk))
    found = Experiment.objects.get(pk=pk)
    assert found.active_seconds == pytest.approx(100, abs=20)
    assert (found.clock_at, found.clock_sleep) == (None, None)


def test_without_a_sleep_all_time_counts_and_nothing_is_told(make_experiment, backend):
    pk = make_experiment(max_exec_seconds=600).pk
    look(pk)
    Experiment.objects.filter(pk=pk).update(
        **clock.columns(timezone.now() - timedelta(seconds=100))
    )
    found = look(pk)
    assert found.active_seconds == pytest.approx(100, abs=20)
    assert not found.events.filter(what="slept").exists()


def test_nothing_is_left_out_that_this_machine_cannot_know(make_experiment, backend, sleep):
    now = timezone.now()
    known = clock.columns(now)["clock_sleep"]
    sleep(NIGHT_S)
    assert clock.slept_since(now, known) == pytest.approx(NIGHT_S, abs=1)
    assert clock.slept_since(now, None) == 0
    assert clock.slept_since(now, {**known, "boot": "another"}) == 0
    later = now + timedelta(seconds=5)  # set by a release that knows clock_at alone
    assert clock.slept_since(later, known) == 0
    assert clock.slept_since(None, known) == 0


@pytest.mark.parametrize("asleep", ["suspended", "no server"])
def test_a_trial_is_not_stopped_for_a_sleep_of_which_no_event_tells(
    make_experiment, backend, sleep, asleep: str
):
    """A suspended experiment's clock stands still, so nobody noticed the sleep."""
    experiment = make_experiment({"maxTrialSeconds": 60}, concurrency=1)
    look(experiment.pk)
    trial = experiment.trials.get()
    trial.handle |= {"boot": processes.boot_id(), "slept": clock.slept_s()}  # as local jobs have it
    trial.save()
    if asleep == "suspended":
        actions.suspend(Experiment.objects.get(pk=experiment.pk))
    sleep(NIGHT_S)
    reconcile.restart_clocks()
    look(experiment.pk)
    assert not experiment.events.filter(what="slept").exists()
    assert backend.stopped == []
    experiment.trials.update(started_at=trial.started_at - timedelta(seconds=61))
    look(experiment.pk)
    look(experiment.pk)
    assert backend.stopped == [trial.handle["name"]], "what it ran awake counts"


def test_two_readings_a_moment_apart_are_no_sleep():
    readings = [clock.slept_s() for _ in range(1000)]
    assert max(readings) - min(readings) < clock.LEAST_S
    assert min(readings) >= 0
