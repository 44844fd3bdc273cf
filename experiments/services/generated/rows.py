"""Writes a made-up experiment: every row as the loop and the trial API would have left it.

Called by ``./autotune manage generate``. What has ended is written first, in transactions of a
second or so; the last one adds what still runs and sets the phase, so that a loop beside it finds
a finished experiment until then, and nothing to do. Where it breaks off, nothing stays.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.utils import timezone

from experiments.engine.plan import TIME_UP, finished
from experiments.manifest.spec import to_manifest
from experiments.models import (
    Event,
    Experiment,
    Metric,
    Project,
    Trial,
    clock,
    curves,
    new_trial_key,
)
from experiments.reports.wire import json_number
from experiments.services.generated.course import N_STARTUP, Course, Ints, course
from experiments.services.generated.wish import ENDED, Wish
from experiments.states import FINISHED, EventKind, Phase, TrialState
from experiments.trials.changes import update_best

_CHUNK = 50_000  # numbers reported, in one transaction
_BATCH = 500  # rows of other tables, in one statement
_PHASES = {"done": Phase.DONE, "timeout": Phase.TIMEOUT, "error": Phase.ERROR}
_REASONS = {
    "timeout": TIME_UP,
    "error": "The tuner failed (made up).",
}
_METRIC_COLUMNS = (
    "trial_id", "experiment_id", "kind", "sequence", "step", "name", "value", "nonfinite", "time",
    "seq",
)  # fmt: skip
# What happens to a trial, in the order in which it does where moments are the same.
_CREATED, _STARTED, _REPORT, _FINAL, _STOPPING, _END, _RETRIED, _EXCLUDED = range(8)


@dataclass(frozen=True, eq=False)
class _Story:
    """Everything that happened, in order; the n-th has seq ``FIRST_SEQ + n``."""

    FIRST_SEQ = 3  # after "created" and "started"

    what: Ints
    trial: Ints
    nth: Ints  # which of the trial's reports; 0 for the others
    at: Ints  # microseconds


def generate(
    wish: Wish, project: Project | None = None, *, until: datetime | None = None
) -> Experiment:
    """Make what is wished for; it ended, or is, at ``until`` (now).

    Raises ProblemsError where the wish makes no sense.
    """
    wish.check()
    gone = course(wish, wish.manifest(1).spec.space)
    story = _story(gone)
    lasted = timedelta(microseconds=int(gone.finished.max(initial=0)) + 2_000_000)
    until = until or timezone.now()
    n_counted = int(wish.trials - gone.retried.sum() - gone.cut_off.sum())
    n_more = 0 if wish.phase == "done" else max(10, wish.trials // 4)
    parsed = wish.manifest(max(1, n_counted + n_more))
    experiment = _experiment(wish, parsed.spec, project, until - lasted)
    try:
        _Writer(wish, gone, story, experiment).write(until)
    except BaseException:
        Metric.objects.filter(experiment=experiment).delete()
        experiment.delete()
        raise
    return experiment


def _experiment(wish: Wish, spec: Any, project: Project | None, created: datetime) -> Experiment:
    """The experiment as it stands until the last transaction: over, and without trials."""
    return Experiment.objects.create(
        project=project or Project.default(),
        name=wish.name,
        manifest=to_manifest(spec),
        origin=Experiment.Origin.CLI,
        optimize_mode=spec.optimize_mode,
        max_exec_seconds=spec.max_exec_seconds,
        max_trials=spec.max_trials,
        concurrency=spec.concurrency,
        seed=wish.seed,
        phase=Phase.DONE,
        created_at=created,
        started_at=created + timedelta(seconds=1),
        finished_at=created + timedelta(seconds=1),
    )


def _story(gone: Course) -> _Story:
    n = len(gone.states)
    every = np.arange(n)
    is_over = np.array([state in FINISHED for state in gone.states], dtype=bool)
    stopped = np.array(
        [s in (TrialState.EARLY_STOPPED, TrialState.CANCELED) for s in gone.states], dtype=bool
    )
    again = gone.retry_of >= 0
    reporting = np.repeat(every, gone.n_points)
    parts: list[tuple[int, Ints, Ints]] = [
        (_CREATED, every, gone.created),
        (_STARTED, every, gone.started),
        (_REPORT, reporting, gone.report_at),
        (_FINAL, every[_has_final(gone)], gone.finished[_has_final(gone)] - 2),
        (_STOPPING, every[stopped], gone.finished[stopped] - 1),
        (_END, every[is_over], gone.finished[is_over]),
        (_RETRIED, gone.retry_of[again], gone.created[again] + 1),
        (_EXCLUDED, every[gone.excluded], gone.finished[gone.excluded] + 1),
    ]
    what = np.concatenate([np.full(trial.size, kind) for kind, trial, _ in parts])
    trial = np.concatenate([trial for _, trial, _ in parts])
    at = np.concatenate([at for *_, at in parts])
    nth = np.zeros(what.size, dtype=np.int64)
    nth[what == _REPORT] = np.arange(reporting.size) - gone.first[reporting]
    order = np.lexsort((what, at))
    return _Story(what[order], trial[order], nth[order], at[order])


def _has_final(gone: Course) -> Any:
    return gone.diverged | np.array([s == TrialState.SUCCEEDED for s in gone.states], dtype=bool)


class _Writer:
    def __init__(self, wish: Wish, gone: Course, story: _Story, experiment: Experiment) -> None:
        self.wish, self.gone, self.story, self.experiment = wish, gone, story, experiment
        self.names = wish.metric_names
        self.running = np.array([s not in FINISHED for s in gone.states], dtype=bool)
        self.start = experiment.created_at
        seqs = np.arange(story.what.size) + story.FIRST_SEQ
        self.last_seqs = np.zeros(len(gone.states), dtype=np.int64)
        np.maximum.at(self.last_seqs, story.trial, seqs)
        self.last_seq = int(story.what.size) + story.FIRST_SEQ - 1
        self.ids = np.zeros(len(gone.states), dtype=np.int64)

    def write(self, until: datetime) -> None:
        keys = free_keys(len(self.gone.states))
        over, unfinished = np.flatnonzero(~self.running), np.flatnonzero(self.running)
        for part in _chunks(over.tolist(), 10 * _BATCH):
            with transaction.atomic():
                self._trials(part, keys)
        with transaction.atomic():
            self._link_retries()
        for trials in (over, unfinished):
            rows = self._metrics(trials)
            if trials is over:
                while part := list(islice(rows, _CHUNK)):
                    with transaction.atomic():
                        _copy(part)
        for part in _chunks(list(self._events(over)), 10 * _BATCH):
            with transaction.atomic():
                Event.objects.bulk_create(part, batch_size=_BATCH)
        curves.keep(self.ids[over].tolist())
        with transaction.atomic():
            self._trials(unfinished.tolist(), keys)
            _copy(list(self._metrics(unfinished)))
            Event.objects.bulk_create(self._events(unfinished), batch_size=_BATCH)
            self._finish(until)

    # ---- trials

    def _trials(self, numbers: Sequence[int], keys: Sequence[str]) -> None:
        made = Trial.objects.bulk_create(
            [self._trial(number, keys[number]) for number in numbers], batch_size=_BATCH
        )
        self.ids[list(numbers)] = [trial.pk for trial in made]

    def _trial(self, number: int, key: str) -> Trial:
        gone, state = self.gone, self.gone.states[number]
        n_points, is_over = int(gone.n_points[number]), state in FINISHED
        latest = gone.values[0, gone.of(number)][-1:]
        latest_value = float(latest[0]) if latest.size and np.isfinite(latest[0]) else None
        has_final = state == TrialState.SUCCEEDED or bool(gone.diverged[number])
        metrics, value = {}, None
        if has_final:
            finals = gone.finals[:, number].tolist()
            metrics = {n: json_number(v) for n, v in zip(self.names, finals, strict=True)}
            value = None if gone.diverged[number] else finals[0]
        elif state == TrialState.EARLY_STOPPED:
            value = latest_value
        reason, exit_code = self._end(number)
        is_stop = state in (TrialState.EARLY_STOPPED, TrialState.CANCELED)
        origin = "start-up" if number < N_STARTUP else "model"
        return Trial(
            experiment=self.experiment,
            key=key,
            number=number,
            parameters=gone.parameters[number],
            origin="retry" if gone.retry_of[number] >= 0 else origin,
            retried=bool(gone.retried[number]),
            excluded=bool(gone.excluded[number]),
            state=state,
            reason=reason,
            stop_as=state if is_stop else "",
            stop_reason=reason if is_stop else "",
            cut_off=bool(gone.cut_off[number]),
            value=value,
            metrics=metrics,
            latest_value=latest_value,
            latest_sequence=n_points - 1 if n_points else None,
            n_reports=n_points,
            judged_sequence=n_points - 1 if self.wish.stopped else -1,
            has_final=has_final,
            created_at=self._time(gone.created[number]),
            started_at=self._time(gone.started[number]),
            finished_at=self._time(gone.finished[number]) if is_over else None,
            exit_code=exit_code,
            seq=int(self.last_seqs[number]),
        )

    def _end(self, number: int) -> tuple[str, int | None]:
        """Why the trial ended so, and with which code."""
        state = self.gone.states[number]
        if self.gone.diverged[number]:
            shown = json_number(float(self.gone.finals[0, number]))
            return f"The final result is {shown}, not a finite number.", 0
        if state == TrialState.FAILED:
            code = (1, 1, 2, 137)[number % 4]
            return f"It exited with code {code}.", code
        if state == TrialState.EARLY_STOPPED:
            return "Its best value is worse than the median of the others by then (made up).", None
        if state == TrialState.CANCELED:
            cut_off = self.gone.cut_off[number]
            return (TIME_UP if cut_off else "Killed by the user."), None
        if state == TrialState.LOST:
            return "The backend lost it.", None
        return "", (0 if state == TrialState.SUCCEEDED else None)

    def _link_retries(self) -> None:
        found = np.flatnonzero(self.gone.retry_of >= 0).tolist()
        again = [
            Trial(pk=int(self.ids[n]), retry_of_id=int(self.ids[self.gone.retry_of[n]]))
            for n in found
        ]
        Trial.objects.bulk_update(again, ["retry_of"], batch_size=_BATCH)

    # ---- what they reported

    def _metrics(self, trials: Ints) -> Iterator[tuple[Any, ...]]:
        """Rows of these trials' reports, in the order in which they came."""
        story, gone = self.story, self.gone
        mine = np.zeros(len(gone.states), dtype=bool)
        mine[trials] = True
        reported = (story.what == _REPORT) | (story.what == _FINAL)
        places = np.flatnonzero(reported & mine[story.trial])
        for start in range(0, places.size, 10_000):
            yield from self._rows_at(places[start : start + 10_000])

    def _rows_at(self, places: Ints) -> Iterator[tuple[Any, ...]]:
        story, gone = self.story, self.gone
        trial, nth = story.trial[places], story.nth[places]
        is_final = story.what[places] == _FINAL
        report = np.where(is_final, 0, gone.first[trial] + nth)
        values = [
            np.where(is_final, gone.finals[m, trial], gone.values[m, report])
            if gone.values.shape[1]
            else gone.finals[m, trial]
            for m in range(len(self.names))
        ]
        pk = self.experiment.pk
        shared = zip(
            self.ids[trial].tolist(), is_final.tolist(), nth.tolist(),
            _texts(self.start, story.at[places]), (places + story.FIRST_SEQ).tolist(),
            zip(*(v.tolist() for v in values), strict=True), strict=True,
        )  # fmt: skip
        for trial_id, final, sequence, time, seq, numbers in shared:
            kind = Metric.Kind.FINAL.value if final else Metric.Kind.PERIODICAL.value
            step = None if final else float(sequence)
            for name, number in zip(self.names, numbers, strict=True):
                shown = json_number(number)
                value, odd = (None, shown) if isinstance(shown, str) else (shown, "")
                yield trial_id, pk, kind, sequence, step, name, value, odd, time, seq

    # ---- what happened

    def _events(self, trials: Ints) -> Iterator[Event]:
        story, gone = self.story, self.gone
        mine = np.zeros(len(gone.states), dtype=bool)
        mine[trials] = True
        told = (story.what != _REPORT) & (story.what != _FINAL) & mine[story.trial]
        for place in np.flatnonzero(told).tolist():
            number = int(story.trial[place])
            what, old, new, reason = self._happened(int(story.what[place]), number)
            yield Event(
                experiment=self.experiment, trial_id=int(self.ids[number]), what=what,
                from_state=old, to_state=new, reason=reason, data={},
                time=self._time(story.at[place]), seq=place + story.FIRST_SEQ,
            )  # fmt: skip

    def _happened(self, what: int, number: int) -> tuple[EventKind, str, str, str]:
        state, (reason, _) = self.gone.states[number], self._end(number)
        repeats = int(self.gone.retry_of[number])
        words = f"Retry of trial {repeats}." if repeats >= 0 else ""
        later = np.flatnonzero(self.gone.retry_of == number) if what == _RETRIED else ()
        told: dict[int, tuple[EventKind, str, str, str]] = {
            _CREATED: (EventKind.STATE, "", TrialState.WAITING, words),
            _STARTED: (EventKind.STATE, TrialState.WAITING, TrialState.RUNNING, ""),
            _STOPPING: (EventKind.STOPPING, "", state, reason),
            _END: (EventKind.STATE, TrialState.RUNNING, state, reason),
            _RETRIED: (EventKind.RETRIED, "", "", f"As trial {', '.join(map(str, later))}."),
            _EXCLUDED: (EventKind.EXCLUDED, "", "", "Made up."),
        }
        return told[what]

    # ---- the end

    def _finish(self, until: datetime) -> None:
        """The phase that was wished for, with its events; from here on the loop may come."""
        experiment, wish = self.experiment, self.wish
        started = self.start + timedelta(seconds=1)
        ended = wish.phase in ENDED
        events: list[tuple[int, EventKind, str, str, str, datetime]] = [
            (1, EventKind.CREATED, "", Phase.PENDING, "", self.start),
            (2, EventKind.PHASE, Phase.PENDING, Phase.RUNNING, "Started.", started),
        ]
        last_seq = self.last_seq
        if ended or wish.phase == "suspended":
            last_seq += 1
            end: tuple[EventKind, str, str, str] = (EventKind.SUSPENDED, "", "", "")
            if ended:
                n_over = int((~self.gone.retried & ~self.gone.cut_off).sum())
                reason = _REASONS.get(wish.phase, finished(n_over))
                end = (EventKind.PHASE, Phase.RUNNING, _PHASES[wish.phase], reason)
            events.append((last_seq, *end, until))
        Event.objects.bulk_create(
            Event(
                experiment=experiment, seq=seq, what=what, from_state=old, to_state=new,
                reason=reason, time=time,
                data={"warnings": []} if what == EventKind.CREATED else {},
            )
            for seq, what, old, new, reason, time in events
        )  # fmt: skip
        experiment.phase = _PHASES.get(wish.phase, Phase.RUNNING)
        experiment.suspended = wish.phase == "suspended"
        experiment.message = _REASONS["error"] if wish.phase == "error" else ""
        experiment.finished_at = until if ended else None
        experiment.active_seconds = (until - started).total_seconds()
        experiment.last_seq = last_seq
        for name, value in clock.columns(until if wish.phase == "running" else None).items():
            setattr(experiment, name, value)
        experiment.save()
        update_best(experiment)

    def _time(self, microseconds: Any) -> datetime:
        return self.start + timedelta(microseconds=int(microseconds))


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def free_keys(n: int) -> list[str]:
    """So many keys that no trial has."""
    found: dict[str, None] = {}
    while len(found) < n:
        drawn = {new_trial_key() for _ in range(min(_BATCH, n - len(found)))}
        drawn -= set(Trial.objects.filter(key__in=drawn).values_list("key", flat=True))
        found.update(dict.fromkeys(drawn))
    keys = list(found)[:n]
    secrets.SystemRandom().shuffle(keys)
    return keys


def _texts(start: datetime, microseconds: Ints) -> list[str]:
    """Moments as the database takes them, many at once."""
    first = np.datetime64(start.replace(tzinfo=None), "us")  # Django's times are UTC
    texts: list[str] = np.datetime_as_string(first + microseconds.astype("m8[us]")).tolist()
    if connection.vendor == "sqlite":
        return [text.replace("T", " ") for text in texts]
    return [f"{text}+00:00" for text in texts]


def _copy(rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows of metrics by the quickest way that the database has."""
    table, columns = Metric._meta.db_table, ", ".join(_METRIC_COLUMNS)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(_METRIC_COLUMNS))
        cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
