"""State: experiments, trials, metrics, events.

Rows change state only through ``move()``, which compares, sets and writes the Event in one
transaction. Everything a browser can see carries ``seq``: one counter per experiment, raised in
the transaction that writes the rows it numbers, so seq order is commit order and a cursor misses
nothing.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from experiments import counted, hints
from experiments.actor import actor
from experiments.manifest.spec import ExperimentSpec
from experiments.manifest.stored import configuration, stored_spec
from experiments.models import clock, leases, notices, tags, uploads
from experiments.models.project import Project
from experiments.states import (
    FINISHED,
    MOVES,
    PHASE_ENDED,
    PHASE_MOVES,
    RETRIABLE,
    EventKind,
    IllegalMove,
    Phase,
    TrialState,
)

if TYPE_CHECKING:
    from experiments.models.cluster_objects import ClusterObject

_Read = TypeVar("_Read")
_ALPHANUMERIC = string.ascii_lowercase + string.digits


def new_experiment_id() -> str:
    """8 of [a-z0-9], a letter first: it becomes part of Kubernetes names."""
    return secrets.choice(string.ascii_lowercase) + "".join(
        secrets.choice(_ALPHANUMERIC) for _ in range(7)
    )


def new_trial_key() -> str:
    """5 of [a-z0-9], as T9k and NNI name trials."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(5))


def new_seed() -> int:
    return secrets.randbelow(2**31)


def raise_seq(cursor: Any, experiment_id: str, by: int = 1) -> int:
    """Raise an experiment's counter, and return the highest of its ``by`` new numbers.

    Call inside the transaction of the rows that they number. It locks the experiment's row, so
    whoever gets a higher number also commits later. Plain SQL: every change and every report goes
    through here. A pass of the loop that lost its lease gets no number, and so changes nothing.

    Raises:
        Experiment.DoesNotExist: it was deleted.
        LostLease: somebody else works at it; only inside ``Lease.fence``.
    """
    table = Experiment._meta.db_table
    sql = f"UPDATE {table} SET last_seq = last_seq + {by:d} WHERE id = %s"
    holder = leases.fence_of(experiment_id)
    if holder is None:
        cursor.execute(sql, [experiment_id])
    else:
        fenced = f"{sql} AND lease_holder = %s AND lease_mark = lease_until"
        cursor.execute(fenced, [experiment_id, holder])
        if not cursor.rowcount:
            raise leases.LostLease(f"Experiment {experiment_id} is worked at by somebody else.")
    cursor.execute(f"SELECT last_seq FROM {table} WHERE id = %s", [experiment_id])
    row = cursor.fetchone()
    if row is None:
        raise Experiment.DoesNotExist(f"Experiment {experiment_id} was deleted.")
    return int(row[0])


class Experiment(models.Model):
    """One AutoTuneExperiment. Limits are columns because they may change while it runs."""

    class Origin(models.TextChoices):
        WEB = "web"
        API = "api"
        CLI = "cli"
        KUBERNETES = "kubernetes"
        SAMPLE = "sample"
        IMPORTED = "imported"  # its trials were run elsewhere: it cannot go on here

    id = models.CharField(primary_key=True, max_length=8, default=new_experiment_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="experiments")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    name = models.CharField(max_length=63)
    notes = models.TextField(blank=True, default="")  # Markdown
    tags = models.TextField(blank=True, default="", db_default="")  # see tags.py
    manifest = models.JSONField()  # what manifest.spec.to_manifest gives; read by ``spec`` below
    source = models.TextField(blank=True, default="")  # the text as given: what a clone starts from
    origin = models.CharField(max_length=12, choices=Origin.choices, default=Origin.API)
    # Of an imported one: {product, whence, left}, see services/imports.py.
    imported = models.JSONField(null=True, blank=True)

    optimize_mode = models.CharField(max_length=8, default="maximize")
    max_exec_seconds = models.PositiveBigIntegerField(null=True, blank=True)  # one of these two
    max_trials = models.PositiveIntegerField(null=True, blank=True)  # may be None: no such limit
    concurrency = models.PositiveIntegerField()

    phase = models.CharField(
        max_length=8, choices=[(p.value, p.value) for p in Phase], default=Phase.PENDING
    )
    suspended = models.BooleanField(default=False)
    finish_requested = models.BooleanField(default=False)
    exhausted = models.BooleanField(default=False)  # the tuner has nothing left to propose
    deleting = models.BooleanField(default=False)  # hidden; rows go when its trials have ended
    message = models.TextField(blank=True, default="")
    error_detail = models.TextField(blank=True, default="")  # traceback, for the ERROR phase
    seed = models.PositiveBigIntegerField(default=new_seed)
    # The circuit breaker: why it suspended the experiment ({trials, reason, log}) until somebody
    # goes on; how often it did; and since when failures count.
    breaker = models.JSONField(null=True, blank=True)
    breaker_trips = models.PositiveSmallIntegerField(default=0, db_default=0)
    breaker_since = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    active_seconds = models.FloatField(default=0.0)  # banked up to clock_at
    clock_at = models.DateTimeField(null=True, blank=True)  # set while the clock runs
    clock_sleep = models.JSONField(null=True, blank=True)  # set with it; see clock.py

    last_seq = models.PositiveBigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)  # see leases.py, as the next two
    lease_holder = models.CharField(max_length=120, null=True, blank=True)
    lease_mark = models.DateTimeField(null=True, blank=True)
    wanted = models.BooleanField(default=False)  # a hint came while the lease was held
    best_trial = models.ForeignKey(
        "Trial", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [
            # the ticker: everything unfinished
            models.Index(fields=["phase", "deleting"], name="experiment_phase"),
            # the list page, newest first
            models.Index(fields=["project", "-created_at"], name="experiment_newest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(phase__in=[p.value for p in Phase]), name="experiment_phase_known"
            ),
            models.CheckConstraint(
                condition=Q(max_trials__gte=1) & Q(concurrency__gte=1) & Q(max_exec_seconds__gte=1),
                name="experiment_limits_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"

    @property
    def spec(self) -> ExperimentSpec:
        """The parsed manifest; limits in it are those of creation, today's are columns.

        Raises ProblemsError where this version does not take it any more.
        """
        return self._read("spec", stored_spec)

    @property
    def configuration(self) -> dict[str, Any]:
        """The manifest's ``spec`` as data, read leniently: for showing."""
        return self._read("configuration", configuration)

    def _read(self, what: str, reader: Callable[[dict[str, Any]], _Read]) -> _Read:
        """What ``reader`` makes of the manifest, kept as long as this object has that manifest."""
        kept = self.__dict__.setdefault("_kept_readings", {})
        if what not in kept or kept[what][0] is not self.manifest:
            kept[what] = (self.manifest, reader(self.manifest))
        found: _Read = kept[what][1]
        return found

    @property
    def tag_list(self) -> list[str]:
        return tags.parted(self.tags)

    @property
    def is_ended(self) -> bool:
        return self.phase in PHASE_ENDED

    @property
    def is_imported(self) -> bool:
        return self.origin == self.Origin.IMPORTED

    def active_seconds_at(self, now: datetime) -> float:
        """Seconds spent running, not suspended and awake, up to ``now``."""
        if self.clock_at is None:
            return self.active_seconds
        passed = (now - self.clock_at).total_seconds() - self.slept_seconds
        return self.active_seconds + max(0.0, passed)

    def seconds_left_at(self, now: datetime) -> float | None:
        """Active seconds until the time is up, below 0 beyond it; None where there is no limit."""
        if self.max_exec_seconds is None:
            return None
        return self.max_exec_seconds - self.active_seconds_at(now)

    @property
    def slept_seconds(self) -> float:
        """Seconds that this machine slept since the clock was set."""
        return clock.slept_since(self.clock_at, self.clock_sleep)

    @property
    def link(self) -> ClusterObject | None:
        """What is known of its object in the cluster; None where it has none."""
        return getattr(self, "cluster_object", None)

    def next_seq(self) -> int:
        """Raise the counter and return it; see ``raise_seq``."""
        with connection.cursor() as cursor:
            self.last_seq = raise_seq(cursor, self.pk)
        return self.last_seq

    def announce(self) -> None:
        """Make the browsers look again: something they show has changed that is no Event."""
        with transaction.atomic(savepoint=False):
            self.next_seq()
            hints.hint_on_commit(self.pk)

    def record(
        self,
        what: EventKind,
        *,
        trial: Trial | None = None,
        old: str = "",
        new: str = "",
        reason: str = "",
        data: dict[str, Any] | None = None,
        seq: int | None = None,
    ) -> Event:
        """Write one Event, and hint the browsers once it is committed.

        Who asked for it (``actor.acting_as``) is kept in ``data["user"]``. ``seq`` is given where
        this transaction raised the counter already, and the trial's row has it. Raises
        ValueError for a kind of event that there is not.
        """
        what = EventKind(what)
        data = dict(data or {})
        if who := actor():
            data["user"] = who
        with transaction.atomic(savepoint=False):
            if seq is None:
                seq = self.next_seq()
                if trial is not None:
                    Trial.objects.filter(pk=trial.pk).update(seq=seq)
                    trial.seq = seq
            event = Event.objects.create(
                experiment_id=self.pk, seq=seq, trial=trial, what=what,
                from_state=old, to_state=new, reason=reason, data=data,
            )  # fmt: skip
            hints.hint_on_commit(self.pk)
        return event

    def move(
        self, to: Phase, *, reason: str = "", data: dict[str, Any] | None = None, **columns: Any
    ) -> bool:
        """Change phase and record it; False if another process got there first.

        ``columns`` are set in the same update. Raises IllegalMove.
        """
        if to not in PHASE_MOVES[Phase(self.phase)]:
            raise IllegalMove(f"Experiment {self.pk}: cannot go from {self.phase} to {to}")
        old = self.phase
        with transaction.atomic(savepoint=False):
            won = Experiment.objects.filter(pk=self.pk, phase=old).update(phase=to, **columns)
            if not won:
                return False
            for name, value in columns.items():
                setattr(self, name, value)
            self.phase = to
            uploads.phase_changed(self)
            notices.phase_changed(self, reason)
            self.record(EventKind.PHASE, old=old, new=to, reason=reason, data=data)
        return True


# The trials among which an experiment's best is.
MAY_BE_BEST = models.Q(state=TrialState.SUCCEEDED, excluded=False, value__isnull=False)


class Trial(models.Model):
    """One set of parameters, tried. Its row, parameters and note are committed before launch."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="trials")
    key = models.CharField(max_length=5, unique=True, default=new_trial_key, editable=False)
    number = models.PositiveIntegerField()  # from 0, per experiment
    parameters = models.JSONField()
    note = models.JSONField(default=dict)  # what the tuner needs to rebuild its state
    origin = models.CharField(max_length=20, default="")  # start-up, model, grid, custom, retry …
    retry_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries"
    )
    retried = models.BooleanField(default=False)  # a retry of it exists, and counts in its place
    excluded = models.BooleanField(default=False)
    notes = models.TextField(blank=True, default="", db_default="")  # a person's; Markdown

    state = models.CharField(
        max_length=13, choices=[(s.value, s.value) for s in TrialState], default=TrialState.WAITING
    )
    reason = models.TextField(blank=True, default="")  # why it ended
    # Set when somebody decided to stop it; becomes its state once the backend says it has ended.
    stop_as = models.CharField(max_length=13, blank=True, default="")
    stop_reason = models.TextField(blank=True, default="")
    # That was decided because the time was up: a CANCELED one does not use up max_trials.
    cut_off = models.BooleanField(default=False, db_default=False)

    value = models.FloatField(null=True, blank=True)  # finite final value (or last one, if stopped)
    metrics = models.JSONField(default=dict)  # every final metric; non-finite ones as strings
    latest_value = models.FloatField(null=True, blank=True)  # of the newest intermediate report
    latest_sequence = models.IntegerField(null=True, blank=True)
    n_reports = models.PositiveIntegerField(default=0)  # intermediate reports stored
    judged_sequence = models.IntegerField(default=-1)  # the assessor has seen reports up to here
    has_final = models.BooleanField(default=False)
    logged_by = models.CharField(max_length=12, blank=True, default="", db_default="")  # tracked.py
    progress = models.FloatField(null=True, blank=True)  # 0 to 1, where its script tells
    expected_end = models.DateTimeField(null=True, blank=True)  # and when it will be done
    asked_at = models.DateTimeField(null=True, blank=True)  # unused: to be dropped next release

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)  # raised when it is launched anew
    handle = models.JSONField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    seq = models.PositiveBigIntegerField(default=0)  # of its newest change

    class Meta:
        ordering = ["number"]
        indexes = [
            models.Index(fields=["experiment", "seq"], name="trial_cursor"),  # the hub
            # the loop; and ``count_trials``, without reading a row of the table
            models.Index(
                fields=["experiment", "state", "retried", "cut_off"], name="trial_counted"
            ),
            # the table by value, without reading the rows that are not shown; the best one
            models.Index(fields=["experiment", "value", "number"], name="trial_value"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "number"], name="trial_number_unique"),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in TrialState]), name="trial_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} #{self.number}"

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def may_be_best(self) -> bool:
        """As MAY_BE_BEST."""
        is_well = self.state == TrialState.SUCCEEDED and self.value is not None
        return is_well and not self.excluded

    @property
    def is_retriable(self) -> bool:
        return self.state in RETRIABLE and not self.retried

    @property
    def duration(self) -> timedelta | None:
        """From launch to end, or to now while it runs."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    def move(
        self,
        to: TrialState,
        *,
        reason: str = "",
        data: dict[str, Any] | None = None,
        **columns: Any,
    ) -> bool:
        """Change state and record it; False if another process got there first.

        ``columns`` are set in the same update. Raises IllegalMove.
        """
        if to not in MOVES[TrialState(self.state)]:
            raise IllegalMove(f"Trial {self}: cannot go from {self.state} to {to}")
        old = self.state
        if reason or TrialState.RUNNING in (old, to):  # what was said of it till now is over
            columns["reason"] = reason
        with transaction.atomic(savepoint=False):
            won = Trial.objects.filter(pk=self.pk, state=old).update(state=to, **columns)
            if not won:
                return False
            for name, value in columns.items():
                setattr(self, name, value)
            self.state = to
            if to in FINISHED:
                uploads.trial_ended(self)
                transaction.on_commit(counted.TRIALS_ENDED.labels(to.value).inc)
            self.experiment.record(
                EventKind.STATE, trial=self, old=old, new=to, reason=reason, data=data
            )
        return True


class Metric(models.Model):
    """One number of one report. A repeated report overwrites its row, never doubles it."""

    class Kind(models.TextChoices):
        PERIODICAL = "PERIODICAL"
        FINAL = "FINAL"

    DEFAULT_NAME: ClassVar[str] = "default"

    # No index of their own: each is the first column of one below, and every report pays for each.
    trial = models.ForeignKey(
        Trial, on_delete=models.CASCADE, related_name="metric_set", db_index=False
    )
    # of the trial, repeated so that the hub reads its news from one index
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    sequence = models.IntegerField()
    step = models.FloatField(null=True, blank=True)
    name = models.CharField(max_length=200, default=DEFAULT_NAME)
    value = models.FloatField(null=True, blank=True)  # null: see nonfinite (SQLite stores no NaN)
    nonfinite = models.CharField(max_length=9, blank=True, default="")  # NaN, Infinity, -Infinity
    time = models.DateTimeField()
    seq = models.PositiveBigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["experiment", "seq"], name="metric_cursor")]  # the hub
        constraints = [
            models.UniqueConstraint(
                fields=["trial", "kind", "sequence", "name"], name="metric_report_unique"
            ),
            models.CheckConstraint(
                condition=Q(value__isnull=False, nonfinite="")
                | Q(value__isnull=True, nonfinite__in=["NaN", "Infinity", "-Infinity"]),
                name="metric_finite_or_named",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.trial_id} {self.kind} {self.sequence} {self.name}"

    @property
    def json_value(self) -> float | str:
        """The number, or the name of what is not one."""
        return self.nonfinite if self.value is None else self.value


class Event(models.Model):
    """One change or decision: audit log, timeline and websocket feed in one."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    trial = models.ForeignKey(Trial, null=True, blank=True, on_delete=models.CASCADE)
    what = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in EventKind])
    from_state = models.CharField(max_length=13, blank=True, default="")
    to_state = models.CharField(max_length=13, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    data = models.JSONField(default=dict)
    time = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["seq"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "seq"], name="event_seq_unique")
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} {self.seq} {self.what}"
