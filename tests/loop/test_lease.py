"""One reconciler per experiment; a hint during a pass is not lost; a dead holder is outwaited."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from experiments import lease
from experiments.lease import Lease
from experiments.models import Experiment


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


def test_the_lease_of_a_dead_holder_runs_out(make_experiment):
    pk = make_experiment().pk
    dead = Lease(pk)
    assert dead.take()
    Experiment.objects.filter(pk=pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    heir = Lease(pk)
    assert heir.take()
    assert not dead.renew(), "who lost the lease must not write"
    assert dead.release() is True
    assert heir.renew()


def test_the_supervisor_forgets_leases_of_the_processes_that_died_before_it(make_experiment):
    pk = make_experiment().pk
    assert Lease(pk).take()
    lease.clear_all()
    assert Lease(pk).take()
