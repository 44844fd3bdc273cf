"""Phases of an experiment and states of a trial: one table of legal moves, one set of ends.

Nobody else writes a list of finished states. Words are the specification's (phases) and the
design's (trial states); they are stored, sent and shown as they stand here.
"""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"


PHASE_ENDED = frozenset({Phase.DONE, Phase.TIMEOUT, Phase.ERROR})

# Raising a limit on a DONE or TIMEOUT experiment is the one way back.
PHASE_MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.PENDING: frozenset({Phase.RUNNING, Phase.ERROR, Phase.DONE}),
    Phase.RUNNING: frozenset({Phase.DONE, Phase.TIMEOUT, Phase.ERROR}),
    Phase.DONE: frozenset({Phase.RUNNING}),
    Phase.TIMEOUT: frozenset({Phase.RUNNING}),
    Phase.ERROR: frozenset(),
}


class TrialState(StrEnum):
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EARLY_STOPPED = "EARLY_STOPPED"
    CANCELED = "CANCELED"
    LOST = "LOST"


FINISHED = frozenset(
    {
        TrialState.SUCCEEDED,
        TrialState.FAILED,
        TrialState.EARLY_STOPPED,
        TrialState.CANCELED,
        TrialState.LOST,
    }
)

# Ended by no decision of anybody's.
WENT_WRONG = frozenset({TrialState.FAILED, TrialState.LOST})

# May be tried again, as a new trial in its place.
RETRIABLE = FINISHED - {TrialState.SUCCEEDED}

# RUNNING goes back to WAITING only when the server that ran it was shut down on purpose.
MOVES: dict[TrialState, frozenset[TrialState]] = {
    TrialState.WAITING: frozenset({TrialState.RUNNING, TrialState.FAILED, TrialState.CANCELED}),
    TrialState.RUNNING: FINISHED | {TrialState.WAITING},
    **{state: frozenset() for state in FINISHED},
}


class IllegalMove(Exception):
    """A move that no table allows: a defect of ours, never a race."""
