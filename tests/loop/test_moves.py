"""States and phases move by compare-and-set, and every move leaves an event."""

from __future__ import annotations

import itertools

import pytest

from experiments.models import Event, Experiment, Trial
from experiments.states import FINISHED, MOVES, PHASE_MOVES, IllegalMove, Phase, TrialState


@pytest.mark.parametrize(("old", "new"), list(itertools.product(TrialState, TrialState)))
def test_a_trial_makes_exactly_the_moves_of_the_table(old, new, make_experiment, make_trial):
    trial = make_trial(make_experiment(), state=old)
    if new not in MOVES[old]:
        with pytest.raises(IllegalMove):
            trial.move(new)
        assert Trial.objects.get().state == old
        assert not Event.objects.exists()
        return
    assert trial.move(new, reason="because", exit_code=3)
    stored = Trial.objects.get()
    event = Event.objects.get()
    assert (stored.state, stored.reason, stored.exit_code) == (new, "because", 3)
    assert (event.from_state, event.to_state, event.reason) == (old, new, "because")
    assert stored.seq == event.seq == Experiment.objects.get().last_seq


@pytest.mark.parametrize(("old", "new"), list(itertools.product(Phase, Phase)))
def test_an_experiment_makes_exactly_the_moves_of_the_table(old, new, make_experiment):
    experiment = make_experiment(phase=old)
    if new not in PHASE_MOVES[old]:
        with pytest.raises(IllegalMove):
            experiment.move(new)
        assert Experiment.objects.get().phase == old
        return
    assert experiment.move(new, reason="because")
    assert Experiment.objects.get().phase == new
    assert Event.objects.get().to_state == new


def test_who_loses_the_race_for_a_move_writes_nothing(make_experiment, make_trial):
    trial = make_trial(make_experiment(), state=TrialState.RUNNING)
    stale = Trial.objects.get(pk=trial.pk)
    assert trial.move(TrialState.SUCCEEDED)
    assert stale.move(TrialState.FAILED, reason="too late") is False
    assert Trial.objects.get().state == TrialState.SUCCEEDED
    assert Event.objects.count() == 1


def test_only_a_trial_that_has_not_finished_may_move_at_all():
    assert all(not MOVES[state] for state in FINISHED)
    assert {state for state in TrialState if MOVES[state]} == set(TrialState) - FINISHED


def test_sequence_numbers_of_an_experiment_rise_by_one_and_are_never_shared(make_experiment):
    first, second = make_experiment(), make_experiment()
    for experiment in (first, second, first):
        experiment.record("remark")
    assert list(first.events.values_list("seq", flat=True)) == [1, 2]
    assert list(second.events.values_list("seq", flat=True)) == [1]
