"""What can go wrong, in words that say what to do."""

from __future__ import annotations

__all__ = [
    "AutoTuneError",
    "NoServer",
    "Refused",
    "Stopped",
    "StudyEnded",
    "StudySuspended",
    "Unreachable",
]


class AutoTuneError(Exception):
    """Any error of this package."""


class Stopped(AutoTuneError):
    """This trial is to go no further: the assessor, a person or the experiment's end says so.

    Raised by ``trial.report``. An objective lets it pass.
    """


class Refused(AutoTuneError):
    """The server does not take it; ``status`` is HTTP's, ``problems`` what is wrong."""

    def __init__(self, message: str, status: int, problems: list[dict[str, object]]) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems


class Unreachable(AutoTuneError, ConnectionError):
    """The server did not answer for as long as was waited for it."""


class NoServer(AutoTuneError):
    """There is no server, and none can be started here."""


class StudyEnded(AutoTuneError):
    """There are no trials any more; the message says why."""


class StudySuspended(AutoTuneError):
    """Failures alike suspended the study: something is wrong with every trial."""
