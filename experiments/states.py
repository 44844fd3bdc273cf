"""Phases of an experiment, states of a trial, kinds of events: every word that is stored.

One table of legal moves, one set of ends; nobody else writes a list of finished states. Words are
the specification's (phases) and the design's (trial states, events); they are stored and sent as
they stand here. How they look to a person stands in ``looks``.
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

# The origin of a trial that runs the parameters of another again, to see how much was luck.
REPEAT = "repeat"

# Ended by no decision of anybody's.
WENT_WRONG = frozenset({TrialState.FAILED, TrialState.LOST})

# May be tried again, as a new trial in its place.
RETRIABLE = FINISHED - {TrialState.SUCCEEDED}

# RUNNING goes back to WAITING when it ended through no fault of its own: the server that ran it was
# shut down on purpose, its machine or job was lost, others had the memory.
MOVES: dict[TrialState, frozenset[TrialState]] = {
    TrialState.WAITING: frozenset({TrialState.RUNNING, TrialState.FAILED, TrialState.CANCELED}),
    TrialState.RUNNING: FINISHED | {TrialState.WAITING},
    **{state: frozenset() for state in FINISHED},
}


class EventKind(StrEnum):
    """What an Event tells of. New kinds may come: whoever reads events lets unknown ones pass."""

    CREATED = "created"
    BORROWED = "borrowed"  # trials of an earlier experiment, for the tuner to learn from
    PHASE = "phase"  # of the experiment; from_state, to_state
    STATE = "state"  # of a trial; without a from_state it is new
    STOPPING = "stopping"  # it was decided to stop a trial; to_state is what it will end as
    LIMITS = "limits"
    DETAILS = "details"  # name, notes, tags; or a trial's notes
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    FINISH = "finish"  # somebody asked for the end
    EXHAUSTED = "exhausted"  # the tuner has nothing left
    RETRIED = "retried"  # the trial was; a new one stands in its place
    EXCLUDED = "excluded"
    RESTORED = "restored"
    REMARK = "remark"  # what the backend says of a running trial
    NOT_JUDGED = "not judged"  # the assessor could not compute
    LET_FINISH = (
        "let finish"  # it would have stopped the trial, which runs on to see if it is right
    )
    BAD_REPORT = "bad report"
    LATE_FINAL = "late final"  # a second FINAL, other than the first
    TROUBLE = "trouble"
    WELL_AGAIN = "well again"
    SLEPT = "slept"  # the machine; that time does not count
    UPLOAD_FAILED = "upload failed"
    UPLOAD_WELL_AGAIN = "upload well again"
    UPLOADED = "uploaded"
    ATTACHED = "attached"  # a file, by the trial; data has its size
    DETACHED = "detached"  # somebody deleted it
    FIGURE_KEPT = "figure kept"  # a figure of somebody's own, new or anew; reason is its name
    FIGURE_DELETED = "figure deleted"


class IllegalMove(Exception):
    """A move that no table allows: a defect of ours, never a race."""
