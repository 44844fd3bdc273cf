"""One reconciler per experiment; a hint during a pass is not lost; a dead holder is outwaited."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.loop import lease
from experiments.loop.lease import Lease


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


@pytest.fixture
def later(monkeypatch):
    """Call it to let seconds pass on the lease's clock."""
    passed = timedelta()
    monkeypatch.setattr(lease, "timezone", SimpleNamespace(now=lambda: timezone.now() + passed))

    def let_pass(seconds):
        nonlocal passed
        passed += timedelta(seconds=seconds)

    return let_pass


def test_the_lease_of_a_dead_holder_runs_out(make_experiment, later):
    pk = make_experiment().pk
    dead = Lease(pk)
    assert dead.take()
    later(59)
    assert not Lease(pk).take()
    later(2)
    heir = Lease(pk)
    assert heir.take()
    assert not dead.renew(), "who lost the lease must not write"
    assert dead.release() is True
    assert heir.renew()


def test_a_lease_that_is_renewed_is_held_for_another_term(make_experiment, later):
    pk = make_experiment().pk
    holder = Lease(pk)
    assert holder.take()
    for _ in range(4):
        later(40)
        assert holder.renew()
        assert not Lease(pk).take()
    with CaptureQueriesContext(connection) as asked:
        later(1)
        assert holder.renew(), "renewed a moment ago"
    assert len(asked) == 0
    later(61)
    assert holder.renew(), "it ran out, but nobody took it"


def test_the_supervisor_forgets_leases_of_the_processes_that_died_before_it(make_experiment):
    pk = make_experiment().pk
    assert Lease(pk).take()
    lease.clear_all()
    assert Lease(pk).take()
