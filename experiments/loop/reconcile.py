"""The loop: one pass over one experiment. Read this first.

``tasks`` call it for every hint and every tick, as often as they like. A pass takes the
experiment's lease, folds what the backend says into trials, lets the assessor judge new reports,
asks the pure ``plan()`` what to do, and does it. Everything it decides is in a row before it acts,
and every step can be repeated: killed anywhere, the next pass goes on from the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from experiments import counted
from experiments.engine import session
from experiments.engine.plan import plan
from experiments.engine.snapshot import Snapshot, TrialSnapshot
from experiments.loop import assessing, overtime, patience, queueing, starting, trip
from experiments.loop.borrowing import borrowed_by
from experiments.loop.history import trials_so_far
from experiments.loop.lease import Lease
from experiments.manifest.fields import MAX_EXEC_SECONDS
from experiments.manifest.spec import ExperimentSpec
from experiments.models import Experiment, Trial, clock, curves
from experiments.models.leases import LostLease
from experiments.problems import ProblemsError
from experiments.redaction import redact
from experiments.services.intake import obstacles
from experiments.states import (
    FINISHED,
    PHASE_ENDED,
    WENT_WRONG,
    EventKind,
    Phase,
    TrialState,
)
from experiments.training.base import ENDED, BackendRefused, BackendUnavailable, Handle, name_of_job
from experiments.trials import changes, checkpoints
from experiments.trials.backends import backend
from experiments.trials.ends import end_trial
from experiments.trials.launching import launched, sample_launch

logger = logging.getLogger(__name__)

MAX_PASSES = 20  # in a row while hints keep coming; the ticker brings us back anyway
LAUNCHES_PER_PASS = 16  # then look at the world again


def unfinished_ids() -> list[str]:
    """Experiments that a tick must look at."""
    live = Experiment.objects.exclude(phase__in=PHASE_ENDED).values_list("pk", flat=True)
    # ended or being deleted, with trials that have not stopped yet
    closing = (
        Experiment.objects.filter(phase__in=PHASE_ENDED)
        .filter(trials__state__in=[TrialState.WAITING, TrialState.RUNNING])
        .values_list("pk", flat=True)
    )
    deleting = Experiment.objects.filter(deleting=True).values_list("pk", flat=True)
    return sorted({*live, *closing, *deleting})


def waiting_ids() -> list[str]:
    """Experiments with a trial that may start as soon as another one has ended."""
    waiting = Trial.objects.filter(
        state=TrialState.WAITING, experiment__phase=Phase.RUNNING, experiment__suspended=False
    )
    return sorted(set(waiting.values_list("experiment_id", flat=True)))


def time_is_up_in(within_s: float) -> dict[str, float]:
    """Experiments whose active time runs out within ``within_s``, and after how many seconds."""
    now = timezone.now()
    running = Experiment.objects.filter(phase=Phase.RUNNING, max_exec_seconds__isnull=False)
    left = {e.pk: e.seconds_left_at(now) for e in running.exclude(clock_at=None)}
    return {pk: s for pk, s in left.items() if s is not None and 0 < s <= within_s}


def reconcile(experiment_id: str) -> None:
    """Bring one experiment a step further, unless somebody else is at it right now."""
    lease = Lease(experiment_id)
    if not lease.take():
        return
    try:
        with lease.fence(experiment_id):
            for _ in range(MAX_PASSES):
                experiment = (
                    Experiment.objects.select_related("project").filter(pk=experiment_id).first()
                )
                if experiment is None or not lease.renew():
                    return
                with counted.RECONCILES.time(), counted.RECONCILE_FAILURES.count_exceptions():
                    _one_pass(experiment, lease)
                if lease.release():
                    return
        lease.drop()
    except LostLease as lost:
        logger.warning("A pass is left off: %s", lost)
    except BaseException:
        lease.drop()
        raise


def _one_pass(experiment: Experiment, lease: Lease) -> None:
    try:
        if experiment.deleting:
            _remove(experiment)
            return
        if experiment.phase == Phase.PENDING and not _begin(experiment):
            return
        _bank_time(experiment)
        running = _fold(experiment)
        if experiment.suspended and not experiment.is_ended:
            queueing.withdraw(running, backend().stop)
        queueing.set_the_clock(experiment, running)
        if experiment.is_ended:
            _stop_marked(experiment)
            return
        _allow_the_time_left(experiment, running)
        try:
            spec = experiment.spec
        except ProblemsError as error:  # a newer version of ours refuses what an older one took
            fail(experiment, f"The manifest cannot run here: {error}")
            return
        overtime.stop_overdue(experiment, spec, running)
        assessing.assess(experiment, spec)
        _follow_plan(experiment, spec, lease)
        _trouble_over(experiment)
    except BackendUnavailable as error:
        _trouble(experiment, f"The training backend cannot be reached: {error}")
        queueing.set_the_clock(experiment, queueing.launched(experiment), trouble=True)
    except session.AlgorithmError as error:
        fail(experiment, str(error), detail=error.detail)


# ---------------------------------------------------------------- beginning and ending


def _begin(experiment: Experiment) -> bool:
    """PENDING → RUNNING, or ERROR with every reason why it cannot run.

    It was checked when it came, but perhaps by a process with other settings, or before a restart
    with another engine: what can never run here is asked again. What is merely forecast (a
    directory that lacks, a secret) is not: it was warned of, and may have come meanwhile.
    """
    try:
        if problems := obstacles(experiment.spec):
            raise ProblemsError(problems)
    except ProblemsError as error:
        fail(experiment, f"The manifest cannot run here: {error}")
        return False
    now = timezone.now()
    return experiment.move(
        Phase.RUNNING,
        reason="Started.",
        started_at=now,
        **clock.columns(None if experiment.suspended else now),
    )


def fail(experiment: Experiment, message: str, *, detail: str = "") -> None:
    """End the experiment in ERROR; its running trials are stopped."""
    logger.error("Experiment %s: %s %s", experiment.pk, message, detail)
    now = timezone.now()
    with transaction.atomic():
        experiment.move(
            Phase.ERROR,
            reason=message,
            message=message,
            error_detail=detail,
            finished_at=now,
            active_seconds=experiment.active_seconds_at(now),
            **clock.columns(None),
        )
        _mark_all(experiment, "The experiment ended in ERROR.")
    _stop_marked(experiment)
    backend().leave(experiment.pk)


def _finish(experiment: Experiment, phase: Phase, reason: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        # Who raised a limit or added a trial since the plan was made found it running: so it stays.
        Experiment.objects.select_for_update().get(pk=experiment.pk)
        if plan(snapshot(experiment)).finish != phase:
            return
        won = experiment.move(
            phase,
            reason=reason,
            message=_why_nothing_succeeded(experiment),
            finished_at=now,
            active_seconds=experiment.active_seconds_at(now),
            **clock.columns(None),
        )
        if won:
            _mark_all(experiment, reason, cut_off=phase == Phase.TIMEOUT)
    _stop_marked(experiment)
    backend().leave(experiment.pk)


def _why_nothing_succeeded(experiment: Experiment) -> str:
    """Words for an end without a single success; "" where there is one, or nothing failed."""
    if experiment.trials.filter(state=TrialState.SUCCEEDED).exists():
        return ""
    last = experiment.trials.filter(state__in=WENT_WRONG).order_by("number").last()
    if last is None:
        return ""
    return f"No trial succeeded. Trial {last.number}: {last.reason or last.state}"


def _mark_all(experiment: Experiment, reason: str, *, cut_off: bool = False) -> None:
    for trial in experiment.trials.exclude(state__in=FINISHED):
        changes.request_stop(trial, TrialState.CANCELED, reason, cut_off=cut_off)


def _remove(experiment: Experiment) -> None:
    """Delete for good, once nothing of it runs any more, or nobody lets us see to it any more."""
    _mark_all(experiment, "The experiment was deleted.")
    forget = backend().forget
    try:
        _fold(experiment)
        _stop_marked(experiment)
        if experiment.trials.exclude(state__in=FINISHED).exists():
            return
    except BackendRefused as error:
        if not patience.is_over(experiment.pk):
            raise
        logger.error("Experiment %s goes, and its jobs are left: %s", experiment.pk, error)
        forget = backend().abandon
    for trial in experiment.trials.only("number", "attempt", "handle"):
        _forget(experiment.pk, trial, forget)
    checkpoints.forget(experiment.pk)
    backend().leave(experiment.pk)
    experiment.delete()


def _forget(experiment_id: str, trial: Trial, forget: Callable[[Handle], None]) -> None:
    """Remove what is kept for a trial: of every attempt, and of one that only waited to start."""
    names = [name_of_job(experiment_id, trial.number, n + 1) for n in range(trial.attempt)]
    last = trial.handle or {"name": names[-1]}
    for handle in [*({"name": name} for name in names[:-1]), last]:
        forget(handle)


# ---------------------------------------------------------------- time


def _bank_time(experiment: Experiment) -> None:
    """Add the running clock to active_seconds, so that a crash loses at most one tick of it."""
    if experiment.clock_at is None:
        return
    now = timezone.now()
    slept = experiment.slept_seconds
    columns = {"active_seconds": experiment.active_seconds_at(now), **clock.columns(now)}
    with transaction.atomic() if slept else nullcontext():
        won = Experiment.objects.filter(pk=experiment.pk, clock_at=experiment.clock_at).update(
            **columns
        )
        if won and slept:
            long = timedelta(seconds=round(slept))
            words = f"For {long} (h:mm:ss), which do not count as active time."
            experiment.record(EventKind.SLEPT, reason=words, data={"seconds": round(slept, 3)})
    if won:
        for name, value in columns.items():
            setattr(experiment, name, value)
    else:  # suspended or resumed this very moment
        experiment.refresh_from_db()


def restart_clocks() -> None:
    """Leave out the time in which nothing of ours ran; called when the ticker starts."""
    Experiment.objects.exclude(clock_at=None).update(**clock.columns(timezone.now()))


# ---------------------------------------------------------------- what happened


def _fold(experiment: Experiment) -> list[Trial]:
    """Fold what the backend says of launched trials into their rows; returns those that go on."""
    out = queueing.launched(experiment)
    statuses = backend().poll([trial.handle or {} for trial in out])
    for trial, status in zip(out, statuses, strict=True):
        if status.state in ENDED:
            queueing.begun(trial, status)
            end_trial(trial, status)
        elif queueing.follow(trial, status, backend().stop):
            continue
        elif (remark := redact(status.message)) != trial.reason:
            _remark(trial, remark)
    if ended := [trial.pk for trial in out if trial.state in FINISHED]:
        changes.update_best(experiment)
        curves.keep(ended)
    return [t for t in out if t.state not in FINISHED and t.handle is not None]


def _allow_the_time_left(experiment: Experiment, running: Sequence[Trial]) -> None:
    """No backend may end a trial before the experiment's time is up, however it has grown."""
    left = experiment.seconds_left_at(timezone.now())
    seconds = MAX_EXEC_SECONDS if left is None else left  # it may have had a limit at launch
    for trial in running:
        if trial.handle and not trial.stop_as:
            backend().allow(trial.handle, seconds)


def _remark(trial: Trial, remark: str) -> None:
    """Show on a running trial what its backend says of it, e.g. why its pod waits."""
    with transaction.atomic():
        if Trial.objects.filter(pk=trial.pk, state=TrialState.RUNNING).update(reason=remark):
            trial.reason = remark
            trial.experiment.record(EventKind.REMARK, trial=trial, reason=remark)


# ---------------------------------------------------------------- what to do


# What people may change in an experiment's row while it runs, and what the loop itself keeps there.
_PLANNED_BY = [
    *("phase", "suspended", "finish_requested", "deleting", "exhausted", "max_trials"),
    *("concurrency", "max_exec_seconds", "active_seconds", "clock_at", "clock_sleep"),
    *("breaker_trips", "breaker_since"),
]


def snapshot(experiment: Experiment) -> Snapshot:
    """Freeze what ``plan()`` needs to know, as it stands now."""
    experiment.refresh_from_db(fields=_PLANNED_BY)
    trials = list(
        experiment.trials.order_by("number")
        .annotate(placed=queueing.PLACED)
        .values_list("number", "state", "stop_as", "cut_off", "retried", "placed")
    )
    states, alike = [state for _, state, *_ in trials], trip.alike_of(experiment)
    return Snapshot(
        phase=experiment.phase,
        suspended=experiment.suspended,
        finish_requested=experiment.finish_requested,
        deleting=experiment.deleting,
        max_trials=experiment.max_trials,
        concurrency=experiment.concurrency,
        seconds_left=experiment.seconds_left_at(timezone.now()),
        exhausted=experiment.exhausted,
        trials=tuple(
            # What waits with a job of its own is not to be launched, and keeps its place.
            TrialSnapshot.of(
                number,
                TrialState.RUNNING if placed else state,
                stop_as=stop_as,
                cut_off=cut_off,
                superseded=retried,
            )
            for number, state, stop_as, cut_off, retried, placed in trials
        ),
        ended=trip.how_they_ended(experiment, states, alike),
        alike=alike,
        from_start=trip.is_from_start(experiment, states),
    )


def _follow_plan(experiment: Experiment, spec: ExperimentSpec, lease: Lease) -> None:
    now = snapshot(experiment)
    todo = plan(now)
    if todo.finish:
        _finish(experiment, Phase(todo.finish), todo.reason)
        return
    if todo.suspend:
        trip.suspend(experiment, todo.suspend)
        return
    if todo.stop:
        for trial in experiment.trials.filter(number__in=todo.stop):
            changes.request_stop(trial, TrialState.CANCELED, todo.reason)
    if todo.stop or any(trial.stopping for trial in now.active):
        _stop_marked(experiment)
    waiting = experiment.trials.filter(
        number__in=todo.launch, state=TrialState.WAITING, stop_as="", handle__isnull=True
    ).order_by("number")
    outcome = starting.launch(experiment, spec, waiting[:LAUNCHES_PER_PASS], lease)
    if todo.ask and outcome.may_go_on:
        # What must wait is asked for later, when the tuner knows more; but one shows that it does.
        most = min(todo.ask, LAUNCHES_PER_PASS)
        room = backend().room(sample_launch(spec, experiment.pk), most)
        least = 0 if spec.elsewhere else 1  # there nobody is to wait for who may never come
        if count := max(least, room):
            fresh = _ask(experiment, spec, count, lease)
            outcome = starting.launch(experiment, spec, fresh, lease)
    if outcome.never_starts:
        fail(experiment, f"No trial could be started. {outcome.never_starts}")


def _ask(experiment: Experiment, spec: ExperimentSpec, count: int, lease: Lease) -> list[Trial]:
    """Ask the tuner for ``count`` trials and commit their rows; returns them."""
    proposal = session.propose(
        spec,
        trials_so_far(experiment),
        count,
        experiment.seed,
        borrowed_by(experiment, spec),
        experiment.max_trials,
    )
    if not lease.renew():
        logger.warning("Experiment %s: the lease ran out while proposing", experiment.pk)
        return []
    with transaction.atomic():
        trials = [
            changes.add_trial(
                experiment,
                checkpoints.placed(suggestion.parameters, spec.adds, experiment.pk),
                origin=suggestion.origin,
                note=suggestion.note,
                reason=suggestion.remark,
            )
            for suggestion in proposal.suggestions
        ]
        if proposal.exhausted and not experiment.exhausted:
            Experiment.objects.filter(pk=experiment.pk).update(exhausted=True)
            experiment.exhausted = True
            experiment.record(EventKind.EXHAUSTED, reason="The tuner has tried all it can propose.")
            Experiment.objects.filter(pk=experiment.pk).update(wanted=True)
    return trials


def _stop_marked(experiment: Experiment) -> None:
    """Carry out decided stops: waiting trials end at once, running ones are asked to."""
    marked = experiment.trials.exclude(stop_as="").exclude(state__in=FINISHED)
    for trial in marked:
        if trial.state == TrialState.WAITING and trial.handle is None:
            _cancel(trial)
        elif trial.handle:
            backend().stop(trial.handle)


def _cancel(trial: Trial) -> None:
    """End a trial that waits, and the job that somebody launched for it and died before saying so.

    Before the move: while nobody can say whether there is one, the next pass asks again. Who
    launches it only now either moves it first, or finds it ended (``_own_up``) and stops the job.
    """
    handle = launched(trial, backend())
    if handle is not None:
        Trial.objects.filter(pk=trial.pk).update(handle=handle)
        backend().stop(handle)
    trial.move(TrialState.CANCELED, reason=trial.stop_reason, finished_at=timezone.now())


def _trouble(experiment: Experiment, message: str) -> None:
    """Say that something outside is wrong; the experiment goes on when it is well again."""
    if experiment.message == message:
        return
    logger.warning("Experiment %s: %s", experiment.pk, message)
    with transaction.atomic():
        Experiment.objects.filter(pk=experiment.pk).update(message=message)
        experiment.record(EventKind.TROUBLE, reason=message)


def _trouble_over(experiment: Experiment) -> None:
    if experiment.message and not experiment.is_ended:
        with transaction.atomic():
            Experiment.objects.filter(pk=experiment.pk).update(message="")
            experiment.record(EventKind.WELL_AGAIN, reason=experiment.message)
