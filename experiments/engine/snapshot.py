"""A frozen picture of one experiment: the only thing ``plan`` looks at.

Made by ``experiments.loop.reconcile`` from rows under the experiment's lease.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments.engine.breaker import Ended
from experiments.states import FINISHED, Phase, TrialState


@dataclass(frozen=True)
class TrialSnapshot:
    """One trial as ``plan`` sees it."""

    number: int
    state: str  # a TrialState
    stopping: bool = False  # a stop was decided; it still runs until the backend says otherwise
    # False for finished trials that do not use up maxTrialNum: those replaced by a retry, and those
    # cut off when the time was up (raise the time, and others run in their place).
    counts: bool = True

    @classmethod
    def of(
        cls,
        number: int,
        state: str,
        *,
        stop_as: str = "",
        cut_off: bool = False,
        superseded: bool = False,
    ) -> TrialSnapshot:
        """Make one from a row's columns.

        ``cut_off``: its stop was decided because the time was up; ``superseded``: a retry of this
        trial exists.
        """
        cut_short = cut_off and state == TrialState.CANCELED  # it may have succeeded all the same
        return cls(
            number,
            state,
            stopping=bool(stop_as) and state not in FINISHED,
            counts=not superseded and not cut_short,
        )

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True)
class Snapshot:
    """One experiment, now. Limits are the present ones; they may have changed while running."""

    phase: str  # a Phase
    max_trials: int | None  # None: as many as the time allows
    concurrency: int
    # of maxExecSeconds; does not shrink while suspended; None: as long as the trials take
    seconds_left: float | None
    trials: tuple[TrialSnapshot, ...] = ()
    suspended: bool = False
    finish_requested: bool = False
    deleting: bool = False
    exhausted: bool = False  # the tuner said it has nothing left
    # For the circuit breaker, see ``breaker.look``.
    ended: tuple[Ended, ...] = ()
    alike: int = 0
    from_start: bool = False

    def __post_init__(self) -> None:
        Phase(self.phase)  # an unknown phase must not look like a running one

    @property
    def active(self) -> tuple[TrialSnapshot, ...]:
        """Waiting and running trials, by number."""
        found = [trial for trial in self.trials if not trial.is_finished]
        return tuple(sorted(found, key=lambda trial: trial.number))

    @property
    def n_finished(self) -> int:
        """Finished trials that count towards maxTrialNum."""
        return sum(trial.is_finished and trial.counts for trial in self.trials)

    @property
    def is_complete(self) -> bool:
        """Whether as many trials have finished as were wanted."""
        return self.max_trials is not None and self.n_finished >= self.max_trials

    @property
    def is_out_of_time(self) -> bool:
        return self.seconds_left is not None and self.seconds_left <= 0

    def n_to_ask(self, free: int) -> int:
        """How many of so many free places new trials may take."""
        if self.max_trials is None:
            return max(0, free)
        return max(0, min(free, self.max_trials - self.n_finished - len(self.active)))
