"""The loop, pass by pass, over real rows and a scripted far side."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments.loop import reconcile
from experiments.manifest.fields import MAX_EXEC_SECONDS
from experiments.models import Artifact, ArtifactPiece, Event, Experiment, Trial
from experiments.services import actions
from experiments.states import Phase, TrialState
from tests.loop.passes import look, report_curve, report_final, states, succeed


def test_a_new_experiment_starts_and_fills_its_places(experiment, backend):
    stored = look(experiment)
    assert stored.phase == Phase.RUNNING
    assert stored.started_at is not None
    assert states(experiment) == ["RUNNING", "RUNNING"]
    assert [launch.trial_number for launch in backend.launches] == [0, 1]
    first = backend.launches[0]
    assert first.framework == "tensorflow"
    assert first.tasks[0].template["spec"]["containers"][0]["command"] == ["python3", "x.py"]
    assert first.parameters == Trial.objects.get(number=0).parameters


def test_it_runs_to_done_with_exactly_max_trials_and_the_best_is_shown(experiment, backend):
    for _ in range(20):
        stored = look(experiment)
        if stored.phase == Phase.DONE:
            break
        for trial in experiment.trials.filter(state=TrialState.RUNNING):
            succeed(backend, trial, trial.number / 10)
    assert stored.phase == Phase.DONE
    assert states(experiment) == ["SUCCEEDED"] * 4
    assert stored.best_trial.number == 3
    assert backend.left == [experiment.pk]
    assert stored.clock_at is None
    assert stored.finished_at is not None
    assert len({launch.name for launch in backend.launches}) == len(backend.launches) == 4


@pytest.mark.parametrize(
    ("exit_code", "has_final", "value", "state", "words"),
    [
        (0, True, 0.5, "SUCCEEDED", ""),
        (0, False, None, "FAILED", "no final result was reported"),
        (0, True, None, "FAILED", "not a finite number"),
        (1, True, 0.5, "FAILED", "exited with code 1"),
        (1, False, None, "FAILED", "exited with code 1"),
    ],
)
def test_how_a_trial_ended_decides_its_state(
    exit_code, has_final, value, state, words, experiment, backend
):
    look(experiment)
    Trial.objects.filter(number=0).update(has_final=has_final, value=value)
    backend.end(0, exit_code=exit_code)
    look(experiment)
    trial = Trial.objects.get(number=0)
    assert trial.state == state
    assert words in trial.reason
    assert trial.exit_code == exit_code
    assert trial.finished_at is not None


def test_a_lost_trial_starts_anew_twice_at_no_cost_and_then_counts_as_finished(experiment, backend):
    look(experiment)
    for attempt in (1, 2, 3):
        trial = Trial.objects.get(number=0)
        assert (trial.state, trial.attempt) == ("RUNNING", attempt)
        assert reconcile.snapshot(experiment).n_finished == 0
        backend.lose(0)
        look(experiment)
    trial = Trial.objects.get(number=0)
    assert (trial.state, trial.reason) == ("LOST", "The node is gone.")
    assert reconcile.snapshot(experiment).n_finished == 1
    assert experiment.trials.filter(state=TrialState.RUNNING).count() == 2
    told = [event.reason for event in Event.objects.filter(trial=trial, data__has_key="was_lost")]
    assert told == ["It was lost and starts anew. The node is gone."] * 2


def test_another_attempt_has_neither_reports_nor_files_of_the_one_before(experiment, backend):
    """They were shown as its own, and counted towards how many files it may have."""
    look(experiment)
    trial = Trial.objects.get(number=0)
    report_curve(trial, [0.5])
    for number in (0, 1):
        file = Artifact.objects.create(
            trial=experiment.trials.get(number=number), experiment=experiment, name="a.png",
            size=1, sha256="0" * 64, complete=True,
        )  # fmt: skip
        ArtifactPiece.objects.create(artifact=file, number=0, data=b"x")
    backend.lose(0)
    look(experiment)
    assert (Trial.objects.get(number=0).attempt, trial.metric_set.count()) == (2, 0)
    assert [file.trial.number for file in Artifact.objects.all()] == [1]
    assert ArtifactPiece.objects.count() == 1


def test_a_trial_that_is_lost_after_its_final_result_has_succeeded(experiment, backend):
    look(experiment)
    Trial.objects.filter(number=0).update(has_final=True, value=0.5)
    backend.lose(0)
    look(experiment)
    trial = Trial.objects.get(number=0)
    assert (trial.state, trial.reason) == ("SUCCEEDED", "Lost after its final result.")


def test_a_trial_that_runs_too_long_is_stopped_and_has_failed(make_experiment, backend):
    experiment = make_experiment({"maxTrialSeconds": 60})
    look(experiment)
    Trial.objects.filter(number=0).update(
        started_at=timezone.now() - timedelta(seconds=61), latest_value=0.4
    )
    look(experiment)
    assert backend.stopped == [backend.launches[0].name]
    look(experiment)
    trial = Trial.objects.get(number=0)
    assert (trial.state, trial.latest_value) == ("FAILED", 0.4)
    assert trial.reason == "It ran longer than maxTrialSeconds=60."


def test_a_machine_s_sleep_is_no_part_of_a_trial_s_time(make_experiment, backend):
    experiment = make_experiment({"maxTrialSeconds": 60})
    look(experiment)
    since = timezone.now() - timedelta(seconds=3630)
    Trial.objects.filter(number=0).update(started_at=since)
    experiment.record("slept", reason="", data={"seconds": 3600})
    look(experiment)
    assert backend.stopped == []
    Trial.objects.filter(number=0).update(started_at=since - timedelta(seconds=40))
    look(experiment)
    assert backend.stopped == [backend.launches[0].name]


def test_time_over_stops_running_trials_and_starts_no_more(experiment, backend):
    look(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(
        clock_at=timezone.now() - timedelta(seconds=601)
    )
    stored = look(experiment)
    assert stored.phase == Phase.TIMEOUT
    assert sorted(backend.stopped) == sorted(launch.name for launch in backend.launches)
    look(experiment)
    assert states(experiment) == ["CANCELED", "CANCELED"]
    assert experiment.pk not in reconcile.unfinished_ids()


def test_only_active_time_counts(experiment, backend):
    look(experiment)
    actions.suspend(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(
        created_at=timezone.now() - timedelta(days=2), started_at=timezone.now() - timedelta(days=2)
    )
    assert look(experiment).phase == Phase.RUNNING
    actions.resume(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(
        clock_at=timezone.now() - timedelta(seconds=100)
    )
    assert 100 <= look(experiment).active_seconds < 102


def test_time_in_which_no_ticker_ran_is_left_out(experiment, backend):
    look(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(clock_at=timezone.now() - timedelta(hours=1))
    reconcile.restart_clocks()
    assert look(experiment).active_seconds < 2


def test_a_suspended_experiment_starts_nothing_and_lets_running_trials_end(experiment, backend):
    look(experiment)
    actions.suspend(experiment)
    succeed(backend, Trial.objects.get(number=0), 1.0)
    look(experiment)
    assert states(experiment) == ["SUCCEEDED", "RUNNING"]
    actions.resume(experiment)
    look(experiment)
    assert states(experiment) == ["SUCCEEDED", "RUNNING", "RUNNING"]


def test_an_experiment_finished_early_is_done_when_its_trials_have_stopped(experiment, backend):
    look(experiment)
    succeed(backend, Trial.objects.get(number=0), 1.0)
    actions.finish(experiment)
    look(experiment)
    stored = look(experiment)
    assert stored.phase == Phase.DONE
    assert states(experiment) == ["SUCCEEDED", "CANCELED"]


def test_a_killed_trial_is_replaced_by_a_new_one(experiment, backend):
    look(experiment)
    actions.kill_trial(Trial.objects.get(number=0))
    look(experiment)
    look(experiment)
    assert states(experiment) == ["CANCELED", "RUNNING", "RUNNING"]
    assert Trial.objects.get(number=0).reason == "Killed by the user."


def test_a_deleted_experiment_goes_when_nothing_of_it_runs(experiment, backend):
    look(experiment)
    actions.delete(experiment)
    for _ in range(3):
        reconcile.reconcile(experiment.pk)
    assert not Experiment.objects.exists()
    assert not Trial.objects.exists()
    assert len(backend.stopped) >= 2
    assert sorted(backend.forgotten) == sorted(launch.name for launch in backend.launches)


def test_more_places_are_filled_when_concurrency_is_raised(experiment, backend):
    look(experiment)
    actions.change_limits(experiment, {"concurrency": 4})
    look(experiment)
    assert states(experiment) == ["RUNNING"] * 4


def test_lowering_the_trial_limit_below_what_runs_lets_those_end(experiment, backend):
    look(experiment)
    actions.change_limits(experiment, {"max_trials": 1})
    look(experiment)
    assert states(experiment) == ["RUNNING"] * 2
    for trial in experiment.trials.all():
        succeed(backend, trial, 1.0)
    assert look(experiment).phase == Phase.DONE


def test_with_an_experiment_goes_what_is_kept_of_every_attempt(make_experiment, backend):
    """Logs and working directories of a lost attempt, and of who waited, stayed for ever."""
    backend.slots = 1
    experiment = make_experiment({"trialConcurrency": 2})
    look(experiment)
    look(experiment)
    assert states(experiment) == ["RUNNING", "WAITING"]
    backend.lose(0)
    look(experiment)
    actions.delete(experiment)
    reconcile.reconcile(experiment.pk)
    reconcile.reconcile(experiment.pk)
    assert not Experiment.objects.exists()
    jobs = [(0, 1), (0, 2), (1, 1)]
    assert sorted(backend.forgotten) == [f"at-{experiment.pk}-{n}-{at}" for n, at in jobs]


@pytest.mark.parametrize(
    "edit",
    [
        lambda experiment: actions.change_limits(experiment, {"max_trials": 2}),
        lambda experiment: actions.custom_trial(experiment, {"lr": 0.1, "units": 16}, force=False),
    ],
    ids=["limit", "trial"],
)
def test_an_edit_in_the_moment_of_the_end_is_not_lost(make_experiment, backend, monkeypatch, edit):
    experiment = make_experiment({"maxTrialNum": 1, "trialConcurrency": 1})
    look(experiment)
    succeed(backend, experiment.trials.get(), 0.5)
    edits = [edit]
    real = reconcile.plan

    def plan_and_edit(now):
        todo = real(now)
        if todo.finish and edits:  # the plan is made, but not carried out yet
            edits.pop()(Experiment.objects.get(pk=experiment.pk))
        return todo

    monkeypatch.setattr(reconcile, "plan", plan_and_edit)
    assert look(experiment).phase == Phase.RUNNING
    assert not edits
    look(experiment)
    assert states(experiment) == ["SUCCEEDED", "RUNNING"]


def test_running_jobs_are_allowed_the_time_that_is_left(make_experiment, backend):
    experiment = make_experiment({"trialConcurrency": 2, "maxExecSeconds": 100})
    look(experiment)
    look(experiment)
    names = [launch.name for launch in backend.launches]
    assert sorted(backend.allowed) == sorted(names)
    assert all(90 < seconds <= 100 for seconds in backend.allowed.values())
    actions.change_limits(experiment, {"max_exec_seconds": 5000})
    actions.suspend(experiment)  # the time that is left does not pass
    actions.kill_trial(experiment.trials.get(number=1))
    look(experiment)
    assert 4990 < backend.allowed[names[0]] <= 5000
    assert backend.allowed[names[1]] <= 100, "it is being stopped"


def test_without_a_number_of_trials_it_goes_on_until_the_time_is_up(make_experiment, backend):
    experiment = make_experiment({"trialConcurrency": 2}, max_trials=None, max_exec_seconds=600)
    for _ in range(6):
        look(experiment)
        for trial in experiment.trials.filter(state=TrialState.RUNNING):
            succeed(backend, trial, 1.0)
    assert states(experiment) == ["SUCCEEDED"] * 10 + ["RUNNING"] * 2
    assert reconcile.time_is_up_in(1000) == pytest.approx({experiment.pk: 600}, abs=60)
    past = timezone.now() - timedelta(seconds=601)
    Experiment.objects.filter(pk=experiment.pk).update(clock_at=past)
    assert look(experiment).phase == Phase.TIMEOUT


def test_without_a_time_limit_only_trials_end_it(make_experiment, backend):
    experiment = make_experiment({"maxExecSeconds": None}, max_exec_seconds=None, max_trials=2)
    past = timezone.now() - timedelta(days=9000)
    look(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(clock_at=past)
    look(experiment)
    assert backend.launches[0].seconds_left is None
    assert set(backend.allowed.values()) == {MAX_EXEC_SECONDS}, "no deadline of before holds"
    assert reconcile.time_is_up_in(1e12) == {}
    for trial in experiment.trials.filter(state=TrialState.RUNNING):
        succeed(backend, trial, 1.0)
    look(experiment)
    assert look(experiment).phase == Phase.DONE


def test_a_command_that_cannot_start_ends_the_experiment_with_the_reason(experiment, backend):
    backend.refuse = "command not found: pyton3"
    stored = look(experiment)
    assert stored.phase == Phase.ERROR
    assert "command not found: pyton3" in stored.message
    assert "FAILED" in states(experiment)
    assert not {"WAITING", "RUNNING"} & set(states(experiment))


@pytest.mark.parametrize("max_trials", [1, 2])
def test_so_does_one_of_fewer_trials_than_it_takes_to_give_up(make_experiment, backend, max_trials):
    experiment = make_experiment(max_trials=max_trials)
    backend.refuse = "command not found: pyton3"
    stored = look(experiment)
    assert stored.phase == Phase.ERROR
    assert "command not found: pyton3" in stored.message


def test_a_launch_refused_later_fails_that_trial_alone(experiment, backend):
    look(experiment)
    backend.refuse = "no such directory"
    succeed(backend, Trial.objects.get(number=0), 1.0)
    look(experiment)
    assert Trial.objects.get(number=2).state == TrialState.FAILED
    assert Experiment.objects.get().phase == Phase.RUNNING


def test_whose_time_is_up_soon_is_known_beforehand(make_experiment):
    now = timezone.now()
    running = {"phase": Phase.RUNNING, "active_seconds": 97.0}
    soon = make_experiment(max_exec_seconds=100, clock_at=now, **running)
    make_experiment(max_exec_seconds=200, clock_at=now, **running)  # later
    make_experiment(max_exec_seconds=100, clock_at=None, suspended=True, **running)
    make_experiment(max_exec_seconds=100, phase=Phase.DONE, active_seconds=97.0)
    assert reconcile.time_is_up_in(2.0) == {}
    found = reconcile.time_is_up_in(4.0)
    assert list(found) == [soon.pk]
    assert 2.0 < found[soon.pk] <= 3.0


def test_an_unreachable_backend_is_said_and_outwaited(experiment, backend):
    look(experiment)
    backend.unreachable = "connection refused"
    stored = look(experiment)
    assert stored.phase == Phase.RUNNING
    assert "connection refused" in stored.message
    backend.unreachable = ""
    assert look(experiment).message == ""
    assert states(experiment) == ["RUNNING"] * 2


def test_a_manifest_that_cannot_run_here_ends_in_error_with_every_reason(make_experiment, backend):
    experiment = make_experiment({"tuner": {"builtinTunerName": "Batch"}})
    stored = look(experiment)
    assert stored.phase == Phase.ERROR
    assert "Batch" in stored.message
    assert not Trial.objects.exists()


def test_a_success_that_came_before_the_stop_took_effect_stands(experiment, backend):
    look(experiment)
    trial = Trial.objects.get(number=0)
    report_final(trial, 0.7)
    backend.end(0)
    actions.kill_trial(trial)
    look(experiment)
    trial.refresh_from_db()
    assert trial.state == TrialState.SUCCEEDED


def test_trials_cut_off_by_the_time_limit_are_made_up_for_when_it_is_raised(experiment, backend):
    look(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(
        clock_at=timezone.now() - timedelta(seconds=601)
    )
    look(experiment)
    assert look(experiment).phase == Phase.TIMEOUT
    stored = Experiment.objects.get()
    actions.change_limits(stored, {"max_exec_seconds": 5000})
    for _ in range(10):
        if look(experiment).phase == Phase.DONE:
            break
        for trial in experiment.trials.filter(state=TrialState.RUNNING):
            succeed(backend, trial, 1.0)
    assert states(experiment) == ["CANCELED"] * 2 + ["SUCCEEDED"] * 4


def test_an_end_without_a_success_says_what_went_wrong(experiment, backend):
    for _ in range(10):
        stored = look(experiment)
        if stored.phase == Phase.DONE:
            break
        for trial in experiment.trials.filter(state=TrialState.RUNNING):
            backend.end(trial.number, exit_code=1, message="ModuleNotFoundError: torch")
    assert stored.phase == Phase.DONE
    assert stored.message == "No trial succeeded. Trial 3: ModuleNotFoundError: torch"
