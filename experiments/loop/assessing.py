"""Let the assessor judge what running trials have reported since it last looked.

Called by ``reconcile`` in every pass. Every report is judged once, in order, whatever dies in
between; a verdict is only written down here (``changes.request_stop``), and carried out later.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.engine import session
from experiments.loop.history import trials_so_far
from experiments.manifest.spec import ExperimentSpec
from experiments.models import Experiment, Trial
from experiments.states import REPEAT, EventKind, TrialState
from experiments.trials import changes


def assess(experiment: Experiment, spec: ExperimentSpec) -> None:
    """Let the assessor judge each report that it has not seen, in order."""
    if spec.assessor is None:
        return
    fresh = [
        trial
        for trial in experiment.trials.filter(state=TrialState.RUNNING, stop_as="").exclude(
            origin=REPEAT  # it is to tell what its parameters give in the end
        )
        if trial.latest_sequence is not None and trial.latest_sequence > trial.judged_sequence
    ]
    if not fresh:
        return
    records = {record.number: record for record in trials_so_far(experiment)}
    let_go = _let_go(experiment)
    for trial in fresh:
        if trial.number not in let_go:
            apart = {trial.number, *let_go}
            others = [other for number, other in records.items() if number not in apart]
            _judge(experiment, spec, trial, records[trial.number], others)
        # Never back, nor into another attempt, by a pass that lost its lease meanwhile.
        Trial.objects.filter(
            pk=trial.pk, attempt=trial.attempt, judged_sequence__lt=trial.latest_sequence
        ).update(judged_sequence=trial.latest_sequence)


def _judge(
    experiment: Experiment,
    spec: ExperimentSpec,
    trial: Trial,
    record: session.TrialSoFar,
    others: Sequence[session.TrialSoFar],
) -> None:
    for prefix in session.unjudged(record, trial.judged_sequence):
        verdict = session.assess(spec, prefix, others)
        if verdict.stop and session.lets_finish(spec, trial.number, experiment.seed):
            experiment.record(
                EventKind.LET_FINISH, trial=trial, new=TrialState.EARLY_STOPPED,
                reason=verdict.reason, data=dict(verdict.data),
            )  # fmt: skip
            return
        if verdict.stop:
            changes.request_stop(trial, TrialState.EARLY_STOPPED, verdict.reason, **verdict.data)
            return
        if verdict.reason:
            _say_unjudged(trial, verdict.reason)


def _let_go(experiment: Experiment) -> set[int]:
    """Numbers of the trials that the assessor would have stopped and that run on.

    It judges them no more, nor others by them: what it does to the rest is as if they were stopped.
    """
    found = experiment.events.filter(what=EventKind.LET_FINISH, trial__isnull=False)
    return set(found.values_list("trial__number", flat=True))


def _say_unjudged(trial: Trial, reason: str) -> None:
    """Record why a report of it could not be judged; once a trial, for the next ones are alike."""
    if not trial.experiment.events.filter(trial=trial, what=EventKind.NOT_JUDGED).exists():
        trial.experiment.record(EventKind.NOT_JUDGED, trial=trial, reason=reason)
