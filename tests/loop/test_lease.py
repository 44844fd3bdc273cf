"""One reconciler per experiment; a hint during a pass is not lost; a dead holder is outwaited."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.aistore import outbox
from experiments.loop import reconcile
from experiments.loop.lease import Lease
from experiments.models import Experiment, Trial, Upload, leases
from experiments.models.leases import PATIENCE_S, TERM_S, LostLease
from experiments.states import TrialState
from experiments.trials import changes

ELSEWHERE = "0b0e5d0e-0000-4000-8000-000000000000/4026531836/1/7/0123456789abcdef"


def test_only_one_holder_at_a_time(make_experiment):
    pk = make_experiment().pk
    first, second = Lease(pk), Lease(pk)
    assert first.take()
    assert not second.take()
    first.drop()
    assert second.take()


def test_a_hint_during_a_pass_makes_the_holder_go_round_once_more(make_experiment):
    pk = make_experiment().pk
    holder = Lease(pk)
    assert holder.take()
    assert not Lease(pk).take()
    assert holder.release() is False
    assert not Lease(pk).take(), "the lease is still held"
    assert holder.release() is False
    assert holder.release() is True
    assert Lease(pk).take()


def let_pass(pk: str, seconds: float) -> None:
    """Let so much time pass for the lease on this row."""
    earlier = F("lease_until") - timedelta(seconds=seconds)
    Experiment.objects.filter(pk=pk).update(lease_until=earlier, lease_mark=earlier)


def test_a_holder_elsewhere_is_outwaited(make_experiment):
    pk = make_experiment().pk
    dead = Lease(pk)
    assert dead.take()
    Experiment.objects.filter(pk=pk).update(lease_holder=ELSEWHERE)
    let_pass(pk, TERM_S - 1)
    assert not Lease(pk).take()
    let_pass(pk, 1)
    heir = Lease(pk)
    assert heir.take()
    assert not dead._beat(), "who lost the lease must not write"
    assert dead.renew() is False
    assert dead.release() is True
    assert heir._beat()


def test_a_living_holder_of_this_machine_gets_more_patience(make_experiment):
    pk = make_experiment().pk
    slow = Lease(pk)
    assert slow.take()
    let_pass(pk, TERM_S + PATIENCE_S - 1)
    assert not Lease(pk).take()
    let_pass(pk, 1)
    assert Lease(pk).take()


def test_what_a_thread_of_this_process_left_behind_is_taken_at_once(make_experiment):
    pk = make_experiment().pk
    assert Lease(pk).take()  # and nobody holds it any more
    assert Lease(pk).take()


def test_the_clock_is_the_databases(make_experiment, monkeypatch):
    pk = make_experiment().pk
    ahead = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: ahead)
    holder = Lease(pk)
    assert holder.take()
    until = Experiment.objects.get(pk=pk).lease_until
    assert ahead - until > timedelta(minutes=59)
    assert not Lease(pk).take()


def test_renewing_a_moment_later_costs_nothing(make_experiment):
    holder = Lease(make_experiment().pk)
    assert holder.take()
    with CaptureQueriesContext(connection) as asked:
        assert holder.renew()
    assert len(asked) == 0


def test_the_release_before_this_one_may_work_beside_us(make_experiment):
    """It knows lease_until alone; the name beside it is that of a holder of long ago."""
    pk = make_experiment().pk
    Experiment.objects.filter(pk=pk).update(
        lease_holder=Lease(pk)._holder, lease_mark=timezone.now() - timedelta(days=1)
    )
    ours = Lease(pk)
    assert ours.take()
    ours.drop()
    stale = Lease(pk)
    assert stale.take()
    until = timezone.now() + timedelta(seconds=60)
    Experiment.objects.filter(pk=pk).update(lease_until=until)  # as the old one takes it
    assert not Lease(pk).take()
    assert not stale._beat()
    with stale.fence(pk), pytest.raises(LostLease), transaction.atomic():
        Experiment.objects.get(pk=pk).announce()
    Experiment.objects.filter(pk=pk).update(lease_until=None)  # as it gives it back
    assert Lease(pk).take()


def test_who_lost_the_lease_changes_nothing(make_experiment):
    experiment = make_experiment(phase="RUNNING")
    trial = changes.add_trial(experiment, {"lr": 0.1, "units": 16}, origin="random")
    stopped = Lease(experiment.pk)
    assert stopped.take()
    let_pass(experiment.pk, 3600)
    heir = Lease(experiment.pk)
    assert heir.take()
    with stopped.fence(experiment.pk):
        for change in (
            lambda: changes.add_trial(experiment, {"lr": 0.2, "units": 16}, origin="random"),
            lambda: changes.request_stop(trial, TrialState.CANCELED, "late"),
            lambda: Trial.objects.get(pk=trial.pk).move(TrialState.RUNNING),
            lambda: reconcile.fail(experiment, "late"),
            experiment.announce,
        ):
            with pytest.raises(LostLease), transaction.atomic():
                change()
    stored = Experiment.objects.get(pk=experiment.pk)
    assert stored.phase == "RUNNING"
    assert [(t.state, t.stop_as) for t in stored.trials.all()] == [("WAITING", "")]
    with heir.fence(experiment.pk):
        assert Trial.objects.get(pk=trial.pk).move(TrialState.RUNNING)
    other = make_experiment()
    with stopped.fence(experiment.pk):
        other.announce()  # of another experiment nothing was promised


@pytest.mark.long
@pytest.mark.parametrize("fails_at", ["take", "drop"])
@pytest.mark.django_db(transaction=True)
def test_a_lease_left_by_a_database_that_went_away_is_free_soon(
    make_experiment, monkeypatch, fails_at
):
    pk = make_experiment().pk
    holder = Lease(pk)
    if fails_at == "drop":
        assert holder.take()

    def gone(self, **columns):
        raise OperationalError("the server was restarted")

    def take_and_lose(columns):
        assert real(columns)
        raise OperationalError("the server was restarted")

    real = holder._take
    with monkeypatch.context() as patch:
        if fails_at == "take":
            patch.setattr(holder, "_take", take_and_lose)
            with pytest.raises(OperationalError):
                holder.take()
        else:
            patch.setattr(Lease, "give_back", gone)
            holder.drop()
    deadline = time.monotonic() + 10
    while Experiment.objects.get(pk=pk).lease_until is not None:
        assert time.monotonic() < deadline, "the keeper did not give it back"
        time.sleep(0.1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_the_keeper_renews_while_a_step_lasts_but_not_for_ever(make_experiment, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.1)
    pk = make_experiment().pk
    holder = Lease(pk)
    assert holder.take()
    begun = Experiment.objects.get(pk=pk).lease_until
    time.sleep(2.5)  # a tuner at work
    later = Experiment.objects.get(pk=pk).lease_until
    assert later - begun > timedelta(seconds=0.5)
    monkeypatch.setattr(leases, "LONGEST_STEP_S", 0.01)  # it hangs
    time.sleep(0.5)
    last = Experiment.objects.get(pk=pk).lease_until
    time.sleep(0.5)
    assert Experiment.objects.get(pk=pk).lease_until == last
    holder.drop()


def test_the_supervisor_forgets_leases_of_a_database_of_its_own(make_experiment):
    experiment = make_experiment()
    folder = Upload.objects.create(experiment=experiment, kind=Upload.Kind.FOLDER)
    loop, uploader = Lease(experiment.pk), outbox.lease_of(experiment.pk)
    assert loop.take()
    assert uploader.take()
    leases.forget_all(Experiment, Upload)
    experiment.refresh_from_db()
    folder.refresh_from_db()
    is_ours = connection.vendor == "sqlite"  # PostgreSQL may serve other machines
    assert (experiment.lease_until is None, folder.lease_until is None) == (is_ours, is_ours)
