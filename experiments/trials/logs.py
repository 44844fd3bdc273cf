"""What trials printed, as it may be shown and sent: without the tokens that they report with.

The one way from a backend's log files to REST (and with it the pages) and to AIStore. The files on
the server stay as they were written; control characters are the reader's business.
"""

from __future__ import annotations

from experiments.models import Trial
from experiments.redaction import LONGEST_TOKEN, redact_tokens
from experiments.training.base import LogFile
from experiments.trials.backends import backend


def log_files(trial: Trial) -> list[LogFile]:
    """The logs kept for a trial, the deciding replica's first; none before it was launched."""
    return backend().logs(trial.handle) if trial.handle else []


def read_log(trial: Trial, log: LogFile, start: int, limit: int) -> bytes:
    """Up to ``limit`` bytes of a log from byte ``start`` on (negative: from its end).

    A token that lies across either end is starred out too: the bytes around are read with it.
    """
    if start < 0:
        start = max(0, log.size + start)
    before = min(start, LONGEST_TOKEN - 1)
    around = backend().read_log(
        trial.handle or {}, log.name, start - before, before + limit + LONGEST_TOKEN - 1
    )
    return redact_tokens(around)[before : before + limit]
