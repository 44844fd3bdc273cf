"""A pass that dies, is cut off or overtaken: nothing runs twice, nothing is left behind."""

from __future__ import annotations

from contextvars import Context

import pytest

from experiments.embedded import shutdown
from experiments.loop import reconcile
from experiments.models import Experiment, Trial
from experiments.states import TrialState
from experiments.trials import changes
from tests.loop.passes import look, report_curve, states


@pytest.fixture
def unrecorded(experiment, backend, monkeypatch) -> Trial:
    """A trial whose job was started by a pass that died before it wrote that down."""
    with monkeypatch.context() as patch:
        patch.setattr(Trial, "move", lambda *a, **k: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            reconcile.reconcile(experiment.pk)
    trial = experiment.trials.get(number=0)
    assert (trial.state, trial.handle) == ("WAITING", None)
    return trial


def test_nothing_is_launched_twice_when_a_pass_dies_between_launch_and_move(
    experiment, backend, unrecorded
):
    look(experiment)
    assert states(experiment) == ["RUNNING", "RUNNING"]
    assert {launch.name for launch in backend.launches} == {
        f"at-{experiment.pk}-0-1",
        f"at-{experiment.pk}-1-1",
    }


def test_a_trial_cut_off_by_a_shutdown_starts_anew_without_its_old_reports(experiment, backend):
    look(experiment)
    trial = Trial.objects.get(number=0)
    report_curve(trial, [0.1, 0.2])
    backend.stop(trial.handle)
    look(experiment)
    trial.refresh_from_db()
    assert (trial.state, trial.attempt, trial.n_reports) == ("RUNNING", 2, 0)
    assert trial.metric_set.count() == 0
    assert backend.launches[-1].name == f"at-{experiment.pk}-0-2"


def test_a_busy_lease_is_left_alone(experiment, backend):
    busy = reconcile.Lease(experiment.pk)
    assert busy.take()
    look(experiment)
    assert not Trial.objects.exists()


@pytest.fixture
def cut_off(backend, monkeypatch):
    """Call it with a function: the first launch takes so long that another pass does that."""

    def let(meanwhile) -> None:
        launch = backend.launch

        def slow(what):
            handle = launch(what)
            monkeypatch.setattr(backend, "launch", launch)
            Experiment.objects.update(lease_until=None, lease_holder=None, lease_mark=None)
            Context().run(meanwhile)  # another pass, under no fence of ours
            return handle

        monkeypatch.setattr(backend, "launch", slow)

    return let


@pytest.mark.django_db(transaction=True)
def test_a_pass_cut_off_after_a_launch_leaves_the_trial_to_the_next(experiment, backend, cut_off):
    cut_off(lambda: None)
    look(experiment)
    assert states(experiment) == ["WAITING", "WAITING"]
    look(experiment)
    assert states(experiment) == ["RUNNING", "RUNNING"]
    assert len({launch.name for launch in backend.launches}) == 2
    assert backend.stopped == []


@pytest.mark.django_db(transaction=True)
def test_a_pass_cut_off_after_a_launch_ends_the_job_of_a_trial_that_ended(
    experiment, backend, cut_off
):
    def cancel_all() -> None:
        for trial in experiment.trials.all():
            assert changes.request_stop(trial, TrialState.CANCELED, "Killed.")
            assert trial.move(TrialState.CANCELED)

    cut_off(cancel_all)
    look(experiment)
    assert states(experiment) == ["CANCELED", "CANCELED"]
    assert backend.stopped == [f"at-{experiment.pk}-0-1"]


@pytest.mark.django_db(transaction=True)
def test_a_pass_cut_off_after_a_launch_ends_the_job_of_a_deleted_experiment(
    experiment, backend, cut_off
):
    cut_off(Experiment.objects.all().delete)
    reconcile.reconcile(experiment.pk)
    assert backend.stopped == [f"at-{experiment.pk}-0-1"]


def test_killing_a_trial_whose_launch_nobody_recorded_ends_its_job(experiment, backend, unrecorded):
    changes.request_stop(unrecorded, TrialState.CANCELED, "Killed.")
    look(experiment)
    assert backend.stopped == [f"at-{experiment.pk}-0-1"]
    unrecorded.refresh_from_db()
    assert unrecorded.state == TrialState.CANCELED
    assert unrecorded.handle == {"name": backend.stopped[0]}  # its log is found


def test_a_trial_is_not_called_canceled_while_nobody_can_say_whether_it_runs(
    experiment, backend, unrecorded
):
    changes.request_stop(unrecorded, TrialState.CANCELED, "Killed.")
    backend.unreachable = "no route to host"
    look(experiment)
    assert experiment.trials.get(number=0).state == "WAITING"
    backend.unreachable = ""
    look(experiment)
    assert experiment.trials.get(number=0).state == "CANCELED"
    assert backend.stopped == [f"at-{experiment.pk}-0-1"]


def test_a_pass_that_was_overtaken_takes_back_no_judgement(make_experiment, backend, monkeypatch):
    assessor = {"builtinAssessorName": "Medianstop", "classArgs": {"optimize_mode": "maximize"}}
    experiment = make_experiment({"assessor": assessor})
    look(experiment)
    trial = experiment.trials.get(number=0)
    report_curve(trial, [0.1, 0.2])
    real = reconcile.session.assess

    def overtaken(*args):
        Trial.objects.filter(pk=trial.pk).update(judged_sequence=7)
        return real(*args)

    monkeypatch.setattr(reconcile.session, "assess", overtaken)
    look(experiment)
    trial.refresh_from_db()
    assert trial.judged_sequence == 7


def test_a_shutdown_stops_a_job_whose_launch_was_never_written_down(
    experiment, backend, unrecorded
):
    assert "RUNNING" not in states(experiment)
    assert shutdown.requeue_local_trials() == 1
    assert backend.stopped == [f"at-{experiment.pk}-0-1"]
    assert Trial.objects.get(number=0).attempt == 2
