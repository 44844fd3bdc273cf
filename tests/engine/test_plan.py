from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.engine.plan import TIME_UP, Plan, plan
from experiments.engine.snapshot import Snapshot, TrialSnapshot
from experiments.states import FINISHED, PHASE_ENDED, Phase, TrialState

W, R = TrialState.WAITING, TrialState.RUNNING
OK, FAILED = TrialState.SUCCEEDED, TrialState.FAILED
EARLY, CANCELED, LOST = TrialState.EARLY_STOPPED, TrialState.CANCELED, TrialState.LOST


def now(*states: TrialState, **changes: object) -> Snapshot:
    """Return a running experiment of 10 trials, 3 at once, with trials in these states."""
    trials = tuple(TrialSnapshot(number, state) for number, state in enumerate(states))
    base = Snapshot(
        phase=Phase.RUNNING, max_trials=10, concurrency=3, seconds_left=100.0, trials=trials
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        # filling the free places
        (now(), Plan(ask=3)),
        (now(R), Plan(ask=2)),
        (now(R, R, R), Plan()),
        (now(W), Plan(ask=2, launch=(0,))),
        (now(W, W, W, W, W), Plan(launch=(0, 1, 2))),
        (now(R, R, W, W), Plan(launch=(2,))),
        (now(OK, FAILED, EARLY, CANCELED, LOST), Plan(ask=3)),
        (now(max_trials=2), Plan(ask=2)),
        (now(OK, R, max_trials=3), Plan(ask=1)),
        (now(OK, R, R, max_trials=3), Plan()),
        (now(OK, R, W, max_trials=3), Plan(launch=(2,))),
        # without a limit of trials, and without one of time
        (now(*[OK] * 500, R, max_trials=None), Plan(ask=2)),
        (now(*[OK] * 500, R, max_trials=None, seconds_left=0.0),
         Plan(stop=(500,), finish="TIMEOUT", reason=TIME_UP)),
        (now(OK, max_trials=None, exhausted=True),
         Plan(finish="DONE", reason="The tuner has nothing left to try.")),
        (now(OK, seconds_left=None), Plan(ask=3)),
        (now(*[OK] * 10, seconds_left=None),
         Plan(finish="DONE", reason="10 trials have finished.")),
        # every way to end counts, good or bad
        (now(*[OK] * 9), Plan(ask=1)),
        (now(*[OK] * 4, *[FAILED] * 6), Plan(finish="DONE", reason="10 trials have finished.")),
        (
            now(OK, FAILED, EARLY, CANCELED, LOST, max_trials=5),
            Plan(finish="DONE", reason="5 trials have finished."),
        ),
        (now(*[OK] * 9, R), Plan()),
        # limits lowered below what exists: what exists runs, nothing is asked for
        (now(R, R, R, R, concurrency=1), Plan()),
        (now(R, W, W, concurrency=1), Plan()),
        (now(OK, OK, OK, R, R, max_trials=2), Plan()),
        (now(OK, OK, OK, W, max_trials=2), Plan(launch=(3,))),
        (now(OK, OK, OK, max_trials=2), Plan(finish="DONE", reason="3 trials have finished.")),
        # raised again
        (now(OK, OK, OK, max_trials=4), Plan(ask=1)),
        # the tuner has nothing left
        (now(OK, R, exhausted=True), Plan()),
        (now(OK, W, exhausted=True), Plan(launch=(1,))),
        (
            now(OK, OK, exhausted=True),
            Plan(finish="DONE", reason="The tuner has nothing left to try."),
        ),
        (
            now(exhausted=True),
            Plan(finish="DONE", reason="The tuner has nothing left to try."),
        ),
        # time is up
        (now(OK, seconds_left=0.0), Plan(finish="TIMEOUT", reason=TIME_UP)),
        (now(seconds_left=-5.0), Plan(finish="TIMEOUT", reason=TIME_UP)),
        (
            now(OK, R, W, seconds_left=0.0),
            Plan(stop=(1, 2), finish="TIMEOUT", reason=TIME_UP),
        ),
        (now(R, suspended=True, seconds_left=0.0),
         Plan(stop=(0,), finish="TIMEOUT", reason=TIME_UP)),
        (now(*[OK] * 10, seconds_left=0.0), Plan(finish="DONE", reason="10 trials have finished.")),
        (now(*[OK] * 9, R, seconds_left=0.0),
         Plan(stop=(9,), finish="TIMEOUT", reason=TIME_UP)),
        (now(R, seconds_left=0.01), Plan(ask=2)),
        # suspended: nothing new starts, what runs goes on
        (now(suspended=True), Plan()),
        (now(R, W, suspended=True), Plan()),
        (now(OK, suspended=True, max_trials=1),
         Plan(finish="DONE", reason="1 trial has finished.")),
        # finished early: stop, then DONE
        (now(OK, R, W, finish_requested=True),
         Plan(stop=(1, 2), reason="The experiment was finished early.")),
        (now(OK, CANCELED, finish_requested=True),
         Plan(finish="DONE", reason="The experiment was finished early.")),
        (now(OK, finish_requested=True, seconds_left=-1.0),
         Plan(finish="DONE", reason="The experiment was finished early.")),
        (now(R, finish_requested=True, suspended=True),
         Plan(stop=(0,), reason="The experiment was finished early.")),
        (now(phase=Phase.PENDING, finish_requested=True),
         Plan(finish="DONE", reason="The experiment was finished early.")),
        # not started yet
        (now(phase=Phase.PENDING), Plan()),
        (now(W, phase=Phase.PENDING), Plan()),
        (now(phase=Phase.PENDING, seconds_left=0.0), Plan()),
        # ended: stop what still runs, and nothing else ever
        (now(OK, R, phase=Phase.ERROR), Plan(stop=(1,), reason="The experiment has ended.")),
        (now(OK, phase=Phase.TIMEOUT), Plan()),
        (now(phase=Phase.DONE), Plan()),
        # being deleted
        (now(R, W, deleting=True), Plan(stop=(0, 1), reason="The experiment is being deleted.")),
        (now(OK, deleting=True), Plan()),
        (now(*[OK] * 10, deleting=True), Plan()),
    ],
)  # fmt: skip
def test_what_happens_next(snapshot: Snapshot, expected: Plan) -> None:
    assert plan(snapshot) == expected


def test_a_trial_being_stopped_keeps_its_place_and_is_not_stopped_twice() -> None:
    stopping = TrialSnapshot(0, R, stopping=True)
    assert plan(now(trials=(stopping,))) == Plan(ask=2)
    assert plan(now(trials=(stopping,), concurrency=1)) == Plan()
    assert plan(now(trials=(stopping,), finish_requested=True)) == Plan()
    assert plan(now(trials=(stopping,), deleting=True)) == Plan()
    timed_out = plan(now(trials=(stopping,), seconds_left=0.0))
    assert timed_out == Plan(finish="TIMEOUT", reason=TIME_UP)


def test_a_waiting_trial_that_is_to_be_stopped_is_not_launched() -> None:
    assert plan(now(trials=(TrialSnapshot(0, W, stopping=True), TrialSnapshot(1, W)))) == Plan(
        ask=1, launch=(1,)
    )


def test_a_trial_replaced_by_its_retry_does_not_count() -> None:
    failed = TrialSnapshot(0, FAILED, counts=False)
    assert plan(now(trials=(failed, TrialSnapshot(1, OK)), max_trials=2)) == Plan(ask=1)
    both = (failed, TrialSnapshot(1, OK), TrialSnapshot(2, OK))
    assert plan(now(trials=both, max_trials=2)).finish == "DONE"


def test_trials_cut_off_by_the_time_limit_are_made_up_for_once_time_is_raised() -> None:
    trials = tuple(
        TrialSnapshot.of(number, CANCELED, stop_as="CANCELED", cut_off=True) for number in range(2)
    )
    assert plan(now(trials=trials, max_trials=2)) == Plan(ask=2)


@pytest.mark.parametrize("state", list(TrialState))
def test_a_rows_columns_become_a_trials_snapshot(state: TrialState) -> None:
    plain = TrialSnapshot.of(3, str(state))
    assert plain == TrialSnapshot(3, state)
    stopped = TrialSnapshot.of(3, state, stop_as="CANCELED")
    assert stopped.stopping == (state not in FINISHED)
    assert stopped.counts
    assert not TrialSnapshot.of(3, state, superseded=True).counts
    assert TrialSnapshot.of(3, state, cut_off=True).counts == (state != CANCELED)


def test_plain_strings_do_as_well_as_the_enums() -> None:
    snapshot = now(phase="RUNNING", trials=(TrialSnapshot(0, "WAITING"), TrialSnapshot(1, "LOST")))
    assert plan(snapshot) == Plan(ask=2, launch=(0,))
    assert plan(now(phase="TIMEOUT", trials=(TrialSnapshot(0, "RUNNING"),))).stop == (0,)


def test_an_unknown_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="PAUSED"):
        now(phase="PAUSED")


def test_no_plan_ever_oversteps_the_limits() -> None:
    """Run through all small pictures there are."""
    n_seen = 0
    choices = [W, R, OK, FAILED]
    for code in range(5**4):
        states = [(code // 5**place) % 5 for place in range(4)]
        trials = tuple(
            TrialSnapshot(number, choices[state])
            for number, state in enumerate(states)
            if state < 4
        )
        for max_trials in (1, 2, 4):
            for concurrency in (1, 3):
                for phase in Phase:
                    for seconds_left in (0.0, 9.0):
                        snapshot = Snapshot(phase, max_trials, concurrency, seconds_left, trials)
                        _check_limits(snapshot, plan(snapshot))
                        n_seen += 1
    assert n_seen == 5**4 * 3 * 2 * 5 * 2


def _check_limits(snapshot: Snapshot, todo: Plan) -> None:
    n_running = sum(trial.state == R for trial in snapshot.trials)
    n_exist = len(snapshot.trials)
    assert todo.ask >= 0
    if todo.ask:
        assert n_exist + todo.ask <= snapshot.max_trials
    if todo.ask or todo.launch:
        assert n_running + len(todo.launch) + todo.ask <= snapshot.concurrency
        assert (snapshot.phase, todo.finish, todo.stop) == (Phase.RUNNING, "", ())
    if todo.finish:
        assert snapshot.phase not in PHASE_ENDED
        assert todo.reason
    if todo.finish == Phase.DONE:
        assert not snapshot.active
    assert bool(todo.stop) <= bool(todo.reason)
