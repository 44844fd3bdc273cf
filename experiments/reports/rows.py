"""One transaction of reports: what each may change, and the answer that each gets.

Called by store.py's writer alone, with everything that waited. Guarantees: a report answered
200 is in the database once the transaction is; the first FINAL of a trial stands; reports of an
ended trial are kept and change nothing that a tuner reads.

Plain SQL (both SQLite and PostgreSQL take it), because this path carries every number of every
trial and the ORM would cost more than the database does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from experiments.access.tokens import TrialClaim
from experiments.models import Curve, Event, Experiment, Metric, TrackedTrial, Trial, raise_seq
from experiments.reports import tracked_rows
from experiments.reports.tracking import Tracked
from experiments.reports.wire import DEFAULT, FINAL, PERIODICAL, Report, json_number
from experiments.states import FINISHED, EventKind

KEPT_TEXTS = 20  # bad or late reports per trial that are kept as Events
KEPT_FINALS = 5
KEPT_LENGTH = 500  # characters of each
_UNUSED = (EventKind.BAD_REPORT, EventKind.LATE_FINAL)

_TRIAL = Trial._meta.db_table
_METRIC = Metric._meta.db_table

_UPSERT = (
    f"INSERT INTO {_METRIC}"
    " (trial_id, experiment_id, kind, sequence, step, name, value, nonfinite, time, seq)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (trial_id, kind, sequence, name) DO UPDATE SET step = excluded.step,"
    " value = excluded.value, nonfinite = excluded.nonfinite, time = excluded.time,"
    " seq = excluded.seq"
)


class Answer(NamedTuple):
    """Status and the one line that the trial's log will show."""

    status: int
    line: str
    stop: bool = False  # the trial is being stopped, or has ended: go no further


STORED = Answer(200, "ok")


class BadText(NamedTuple):
    """A report that could not be read: the line answered, and what came."""

    line: str
    text: str
    is_final: bool = False  # it meant to be the trial's result: its end will tell of it


Item = Report | Tracked | BadText


@dataclass(slots=True)
class Written:
    """What a committed batch did: an answer per item, and who should be told."""

    answers: list[Answer]
    reported: set[str] = field(default_factory=set)  # experiment ids


@dataclass(slots=True)
class _TrialRow:
    """A trial as it stands in this transaction, and what the batch changes in it."""

    id: int
    experiment_id: str
    number: int
    state: str
    has_final: bool
    latest_sequence: int | None
    latest_value: float | None
    stop_as: str
    attempt: int
    logged_by: str
    n_new: int = 0
    final: dict[str, float | str] | None = None  # set once a FINAL of this batch counts
    is_touched: bool = False
    stored: set[int] = field(default_factory=set)  # sequences of this batch

    @property
    def is_ended(self) -> bool:
        return self.state in FINISHED

    def note_latest(self, sequence: int, value: float) -> None:
        """Keep it as the latest value, unless a later report came before it."""
        if self.latest_sequence is None or sequence >= self.latest_sequence:
            self.latest_sequence = sequence
            self.latest_value = value if math.isfinite(value) else None


def write(items: Sequence[tuple[TrialClaim, Item]]) -> Written:
    """Store every item in one transaction; nothing is stored if it raises."""
    with transaction.atomic():
        batch = _Batch(items)
        answers = [batch.take(claim, item) for claim, item in items]
        batch.flush()
    return Written(answers, batch.reported)


class _Batch:
    def __init__(self, items: Sequence[tuple[TrialClaim, Item]]) -> None:
        self._now = connection.ops.adapt_datetimefield_value(timezone.now())
        self.reported: set[str] = set()
        self._metrics: list[tuple[Any, ...]] = []
        self._finals: dict[int, dict[str, float | str]] = {}  # trial id -> FINAL that stands
        self._notes: list[tuple[_TrialRow, EventKind, str, dict[str, Any]]] = []
        self._cursor = connection.cursor()
        self._tracked: dict[int, TrackedTrial] = {}  # trial id -> what it logged
        self._told: dict[int, dict[str, Any]] = {}  # trial id -> what else changes in its row
        self._trials = self._lock_trials(items)
        self._seqs = self._raise_seqs(
            {
                self._trials[claim.trial_id].experiment_id
                for claim, item in items
                if not isinstance(item, BadText) and claim.trial_id in self._trials
            }
        )

    # ---- before

    def _lock_trials(self, items: Sequence[tuple[TrialClaim, Any]]) -> dict[int, _TrialRow]:
        """Rows of the trials that still exist, by id."""
        keys = {claim.trial_id: claim.key for claim, _ in items}
        marks = ", ".join(["%s"] * len(keys))
        # Trials first, then experiments, as everybody does who moves a trial: no deadlock.
        lock = " FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
        self._cursor.execute(
            "SELECT id, experiment_id, number, state, has_final, latest_sequence, latest_value,"
            f" stop_as, attempt, logged_by, key FROM {_TRIAL} WHERE id IN ({marks})"
            f" ORDER BY id{lock}",
            sorted(keys),
        )
        # The key guards against a token that outlived its database.
        return {
            row[0]: _TrialRow(row[0], row[1], row[2], row[3], bool(row[4]), *row[5:10])
            for row in self._cursor.fetchall()
            if keys[row[0]] == row[10]
        }

    def _raise_seqs(self, experiment_ids: set[str]) -> dict[str, int]:
        """The batch's ``seq`` in each experiment, locked in order."""
        return {each: raise_seq(self._cursor, each) for each in sorted(experiment_ids)}

    # ---- each item

    def take(self, claim: TrialClaim, item: Item) -> Answer:
        """Note what the item changes, and answer it."""
        trial = self._trials.get(claim.trial_id)
        if trial is None:
            return unknown_trial(claim.key)
        if claim.attempt not in (0, trial.attempt):
            line = f"not stored: attempt {claim.attempt} was lost, and the trial starts anew"
            return Answer(410, line)
        if isinstance(item, BadText):
            text = item.text[:KEPT_LENGTH].replace("\0", "\ufffd")
            data = {"text": text, **({"final": True} if item.is_final else {})}
            self._notes.append((trial, EventKind.BAD_REPORT, item.line, data))
            return Answer(400, item.line)
        if isinstance(item, Tracked):
            return self._take_tracked(trial, item)
        answer = self._final(trial, item) if item.kind == FINAL else self._periodical(trial, item)
        if item.remark and answer is STORED:
            answer = Answer(200, f"ok, but {item.remark}")
        return answer._replace(stop=True) if trial.stop_as or trial.is_ended else answer

    def _periodical(self, trial: _TrialRow, report: Report) -> Answer:
        if trial.logged_by:
            return Answer(200, f"not used: the trial's values come by {trial.logged_by}")
        if not self._is_stored(trial, report.sequence):
            trial.n_new += 1
        trial.stored.add(report.sequence)
        self._add_rows(trial, report)
        if trial.is_ended:
            return Answer(200, f"stored, but not used: the trial has ended as {trial.state}")
        if trial.has_final:
            return Answer(200, "stored, but not used: the trial has reported its FINAL result")
        trial.note_latest(report.sequence, report.values[DEFAULT])
        self.reported.add(trial.experiment_id)
        return STORED

    def _final(self, trial: _TrialRow, report: Report) -> Answer:
        values = {name: json_number(value) for name, value in report.values.items()}
        first = self._first_final(trial)
        if first is not None:
            if first == values:  # its answer was lost, and it was sent again
                return STORED
            line = f"not used: the first FINAL result, {first.get(DEFAULT)}, stands"
            self._notes.append((trial, EventKind.LATE_FINAL, line, {"values": values}))
            return Answer(200, line)
        self._finals[trial.id] = values
        self._add_rows(trial, report)
        if trial.is_ended:
            return Answer(200, f"stored, but not used: the trial has ended as {trial.state}")
        trial.has_final = True
        trial.final = values
        self.reported.add(trial.experiment_id)
        return STORED

    def _take_tracked(self, trial: _TrialRow, item: Tracked) -> Answer:
        """What a tracker's client sent: numbers are reports, of each metric a curve."""
        row = self._tracked.get(trial.id)
        if row is None:
            row = tracked_rows.row_of(trial.id, trial.experiment_id)
        self._tracked[trial.id] = row
        n_before = tracked_rows.longest(row)
        may_decide = bool(trial.logged_by) or trial.latest_sequence is None
        for point in tracked_rows.merge(row, item, may_decide=may_decide):
            self._add_row(trial, PERIODICAL, point.sequence, point.step, point.name, point.value)
            if point.name == DEFAULT:
                trial.logged_by = item.door
                if not trial.is_ended and not trial.has_final:
                    trial.note_latest(point.sequence, point.value)
            self.reported.add(trial.experiment_id)
        trial.n_new += tracked_rows.longest(row) - n_before
        trial.is_touched = True
        told = self._told.setdefault(trial.id, {})
        if item.progress is not None:
            told["progress"] = item.progress
        if item.seconds_left is not None:
            told["expected_end"] = tracked_rows.expected_end(item, timezone.now())
        return STORED

    def _add_rows(self, trial: _TrialRow, report: Report) -> None:
        trial.is_touched = True
        for name, value in report.values.items():
            self._add_row(trial, report.kind, report.sequence, report.step, name, value)

    def _add_row(
        self, trial: _TrialRow, kind: str, sequence: int, step: float | None, name: str,
        value: float,
    ) -> None:  # fmt: skip
        shown = json_number(value)
        is_named = isinstance(shown, str)
        self._metrics.append(
            (
                trial.id, trial.experiment_id, kind, sequence, step, name,
                None if is_named else value, shown if is_named else "", self._now,
                self._seqs[trial.experiment_id],
            )
        )  # fmt: skip

    def _is_stored(self, trial: _TrialRow, sequence: int) -> bool:
        """Is there a report of this sequence already?"""
        if sequence in trial.stored:
            return True
        is_live = not trial.is_ended and not trial.has_final
        if is_live and (trial.latest_sequence is None or sequence > trial.latest_sequence):
            return False
        self._cursor.execute(
            f"SELECT 1 FROM {_METRIC} WHERE trial_id = %s AND kind = %s AND sequence = %s LIMIT 1",
            [trial.id, PERIODICAL, sequence],
        )
        return self._cursor.fetchone() is not None

    def _first_final(self, trial: _TrialRow) -> dict[str, float | str] | None:
        if trial.id in self._finals:
            return self._finals[trial.id]
        if not trial.has_final and not trial.is_ended:
            return None
        self._cursor.execute(
            f"SELECT name, value, nonfinite FROM {_METRIC} WHERE trial_id = %s AND kind = %s",
            [trial.id, FINAL],
        )
        rows = self._cursor.fetchall()
        return {name: nonfinite or value for name, value, nonfinite in rows} or None

    # ---- after

    def flush(self) -> None:
        """Write what the items changed."""
        if self._metrics:
            self._cursor.executemany(_UPSERT, self._metrics)
        for row in self._tracked.values():
            row.save()
        self._update_trials()
        for trial, what, line, data in self._notes:
            self._record(trial, what, line, data)

    def _update_trials(self) -> None:
        touched = [trial for trial in self._trials.values() if trial.is_touched]
        if late := [trial.id for trial in touched if trial.is_ended]:
            Curve.objects.filter(
                trial__in=late
            ).delete()  # made without these; made anew when asked
        if touched:
            self._cursor.executemany(
                f"UPDATE {_TRIAL} SET latest_value = %s, latest_sequence = %s,"
                " n_reports = n_reports + %s, seq = %s WHERE id = %s",
                [
                    (t.latest_value, t.latest_sequence, t.n_new, self._seqs[t.experiment_id], t.id)
                    for t in touched
                ],
            )
        for pk, told in self._told.items():
            Trial.objects.filter(pk=pk).update(logged_by=self._trials[pk].logged_by, **told)
        for trial in touched:
            if trial.final is None:
                continue
            value = trial.final[DEFAULT]
            Trial.objects.filter(pk=trial.id).update(
                has_final=True,
                value=None if isinstance(value, str) else value,
                metrics=trial.final,
            )

    def _record(self, trial: _TrialRow, what: EventKind, line: str, data: dict[str, Any]) -> None:
        """Keep a report that counts for nothing; so many per trial, as any client can send them."""
        kept = Event.objects.filter(trial_id=trial.id, what__in=_UNUSED)
        # a refused result has places of its own: it is why the trial fails
        is_final, final = bool(data.get("final")), Q(data__has_key="final")
        kept = kept.filter(final) if is_final else kept.exclude(final)
        if kept.count() < (KEPT_FINALS if is_final else KEPT_TEXTS):
            Experiment(pk=trial.experiment_id).record(
                what, trial=Trial(pk=trial.id), reason=line, data=data
            )


def unknown_trial(key: str) -> Answer:
    return Answer(404, f"unknown trial {key}")
