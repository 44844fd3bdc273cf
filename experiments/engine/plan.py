"""What happens next in an experiment: a pure function of its Snapshot.

Called by ``loop.reconcile`` on every pass, which does what the Plan says and nothing else.
Asked twice about the same picture it gives the same plan; a plan carried out half is made whole by
the next pass, so every answer is about the present picture, never about what was decided before.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments.engine import breaker
from experiments.engine.breaker import Tripped
from experiments.engine.snapshot import Snapshot
from experiments.states import PHASE_ENDED, Phase, TrialState

TIME_UP = "maxExecSeconds of active time have passed."  # said to people, never compared


@dataclass(frozen=True)
class Plan:
    """``ask`` the tuner for so many new trials, then ``launch``, ``stop``, ``finish``.

    ``launch`` holds waiting trials, lowest number first, as many as there are free places; there is
    room for the trials that ``ask`` brings besides.
    ``stop`` holds the waiting and running trials to cancel that are not being stopped already.
    ``finish`` is "" or the phase to move to now. For TIMEOUT trials may still be running: they are
    in ``stop``, and end after the phase has moved.
    ``suspend``: failures alike show that going on makes no sense; nothing else is planned then.
    ``reason`` says why trials are stopped or the experiment is finished.
    """

    ask: int = 0
    launch: tuple[int, ...] = ()
    stop: tuple[int, ...] = ()
    finish: str = ""
    suspend: Tripped | None = None
    reason: str = ""


def plan(now: Snapshot) -> Plan:
    """Decide. Order matters: being deleted, being ended, complete, out of time, at work."""
    if now.deleting:
        return _stop_all(now, "The experiment is being deleted.")
    if now.phase in PHASE_ENDED:
        return _stop_all(now, "The experiment has ended.")
    if now.finish_requested:
        reason = "The experiment was finished early."
        return _stop_all(now, reason) if now.active else Plan(finish=Phase.DONE, reason=reason)
    if not now.active and now.is_complete:
        return Plan(finish=Phase.DONE, reason=finished(now.n_finished))
    if not now.active and now.exhausted:
        return Plan(finish=Phase.DONE, reason="The tuner has nothing left to try.")
    if now.phase == Phase.PENDING:
        return Plan()
    if now.is_out_of_time:
        return Plan(stop=_stoppable(now), finish=Phase.TIMEOUT, reason=TIME_UP)
    if now.suspended:
        return Plan()
    tripped = breaker.look(now.ended, now.alike, from_start=now.from_start)
    return _work(now) if tripped is None else Plan(suspend=tripped)


def finished(n_finished: int) -> str:
    """Why a complete experiment has ended, in words."""
    if n_finished == 1:
        return "1 trial has finished."
    return f"{n_finished} trials have finished."


def _stoppable(now: Snapshot) -> tuple[int, ...]:
    return tuple(trial.number for trial in now.active if not trial.stopping)


def _stop_all(now: Snapshot, reason: str) -> Plan:
    stop = _stoppable(now)
    return Plan(stop=stop, reason=reason if stop else "")


def _work(now: Snapshot) -> Plan:
    """Fill the free places: first with trials that wait, then with new ones.

    A trial being stopped keeps its place until it has ended: its processes are still there.
    What exists always runs, even when a limit was lowered below it meanwhile: only asking stops.
    """
    waiting = [
        trial.number
        for trial in now.active
        if trial.state == TrialState.WAITING and not trial.stopping
    ]
    n_running = len(now.active) - len(waiting)
    free = max(0, now.concurrency - n_running)
    launch = tuple(waiting[:free])
    if now.exhausted:
        return Plan(launch=launch)
    return Plan(ask=now.n_to_ask(free - len(waiting)), launch=launch)
