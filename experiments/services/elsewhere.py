"""Trials that programs elsewhere run: they ask for some, tell of each, say that they live.

Called by REST. The loop proposes and gives out (``trials.elsewhere``), here is what programs say.
Every request may come again, as its answer may have been lost: the same key is given the same
trials, the same word is taken once, and another word than the first is refused.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone

from experiments import wake
from experiments.access.tokens import TrialClaim
from experiments.manifest.elsewhere_spec import LOST_AFTER_S
from experiments.models import Ask, Experiment, Loan, Trial, curves
from experiments.reports import rows
from experiments.reports.wire import DEFAULT, FINAL, Report
from experiments.services import actions
from experiments.services.actions import Refused
from experiments.states import TrialState
from experiments.training.base import name_of_job
from experiments.trials import changes
from experiments.trials.elsewhere import LOAN, status_of
from experiments.trials.ends import end_trial

WORDS = ("value", "failed", "stopped", "lost")  # of which one is told of a trial
LOOKS_EVERY_S = 0.02  # while a program waits; after a second tenfold
SETTLED_S = 0.1  # without a further trial: no more will come of one pass


@dataclass(frozen=True)
class Given:
    """What came of asking: trials, or why there are none. ``over``: there never will be any."""

    trials: Sequence[tuple[Trial, Loan]] = ()
    reason: str = ""
    over: bool = False


@dataclass(frozen=True)
class Told:
    """What came of telling. ``used``: it is the trial's result; ``reason`` says why not."""

    trial: Trial
    used: bool
    reason: str = ""


def require_elsewhere(experiment: Experiment) -> None:
    """Raise Refused where the server starts the trials itself."""
    if "elsewhere" not in experiment.manifest["spec"]:
        raise Refused(
            "This experiment's trials are started by the server: only one with spec.elsewhere "
            "gives them to programs that ask."
        )


# ---------------------------------------------------------------- asking


def ask(experiment: Experiment, key: str, wanted: int, wait_s: float) -> Given:
    """Up to ``wanted`` trials for who asks by this key; waits for the first up to ``wait_s``.

    Asked by the same key again it gives the same, whatever became of them.
    """
    require_elsewhere(experiment)
    wish = _wish(experiment, key, wanted, wait_s)
    if given := _given(wish):
        return Given(given)
    ended = time.monotonic() + wait_s
    pause, began = LOOKS_EVERY_S, time.monotonic()
    wake.reconcile_soon(experiment.pk, min_gap=0)
    while not (over := _why_never(experiment)) and time.monotonic() < ended:
        if wish.loans.exists():
            _settle(wish, ended)
            break
        time.sleep(min(pause, max(0.0, ended - time.monotonic())))
        if time.monotonic() - began > 1:
            pause = 10 * LOOKS_EVERY_S
    given = _close(wish)
    if given:
        return Given(given)
    return Given(reason=over or _why_not_now(experiment), over=bool(over))


def _wish(experiment: Experiment, key: str, wanted: int, wait_s: float) -> Ask:
    """Its row, which waits from now on unless it was answered with trials before."""
    until = timezone.now() + timedelta(seconds=wait_s + 1)
    try:
        with transaction.atomic():
            return Ask.objects.create(experiment=experiment, key=key, wanted=wanted, until=until)
    except IntegrityError:
        wish = Ask.objects.get(experiment=experiment, key=key)
    with transaction.atomic():
        locked = Ask.objects.select_for_update().get(pk=wish.pk)
        if not locked.loans.exists():
            Ask.objects.filter(pk=wish.pk).update(until=until, wanted=wanted)
    return wish


def _settle(wish: Ask, ended: float) -> None:
    """Wait until it has all that this pass of the loop gives it."""
    n, since = 0, time.monotonic()
    while (now := time.monotonic()) < ended and now - since < SETTLED_S:
        found = wish.loans.filter(trial__handle__isnull=False).count()
        if found == wish.wanted:
            return
        if found > n:
            n, since = found, now
        time.sleep(LOOKS_EVERY_S)


def _close(wish: Ask) -> list[tuple[Trial, Loan]]:
    """What it was given; from now on it gets no more."""
    with transaction.atomic():
        Ask.objects.select_for_update().get(pk=wish.pk)
        Ask.objects.filter(pk=wish.pk).update(until=None)
        loans = list(wish.loans.select_related("trial").order_by("trial__number"))
    Loan.objects.filter(ask=wish, told__isnull=True).update(heard_at=timezone.now())
    return [(loan.trial, loan) for loan in loans]


def _given(wish: Ask) -> list[tuple[Trial, Loan]]:
    return _close(wish) if wish.loans.exists() else []


def _why_never(experiment: Experiment) -> str:
    """Why no trial will ever be given out any more; "" where one may."""
    experiment.refresh_from_db()
    if experiment.is_ended:
        return f"The experiment has ended ({experiment.phase}). {experiment.message}".strip()
    if experiment.finish_requested:
        return "The experiment is being finished."
    return "The experiment is being deleted." if experiment.deleting else ""


def _why_not_now(experiment: Experiment) -> str:
    if experiment.suspended:
        why = (experiment.breaker or {}).get("reason", "")
        return f"The experiment is suspended. {why}".strip()
    counts = dict(experiment.trials.values_list("state").annotate(n=Count("id")))
    n_out = counts.get(TrialState.RUNNING, 0)
    if n_out >= experiment.concurrency:
        return f"{n_out} trials run, and trialConcurrency is {experiment.concurrency}."
    limit = experiment.max_trials
    if limit is not None and actions.n_in_budget(experiment) >= limit:
        return f"All of maxTrialNum={limit} trials were given out; {n_out} run yet."
    if experiment.exhausted:
        return f"The tuner has nothing left to try; {n_out} trials run yet."
    return experiment.message or "The tuner has not proposed a trial yet."


# ---------------------------------------------------------------- a sign of life


def heartbeat(experiment: Experiment, number: int, attempt: int) -> Told:
    """Note that a trial's program lives. ``used`` is False where it had better stop."""
    require_elsewhere(experiment)
    trial, loan = _lent(experiment, number, attempt)
    Loan.objects.filter(pk=loan.pk).update(heard_at=timezone.now())
    if trial.stop_as or trial.is_finished:
        return Told(trial, False, trial.stop_reason or trial.reason or _over(trial))
    if trial.attempt != attempt and not _waits_again(trial, attempt):
        return Told(trial, False, _taken(attempt))
    return Told(trial, True)


def _lent(experiment: Experiment, number: int, attempt: int) -> tuple[Trial, Loan]:
    loan = Loan.objects.filter(
        trial__experiment=experiment, trial__number=number, attempt=attempt
    ).first()
    if loan is None:
        raise Refused(f"Attempt {attempt} of trial {number} was given to nobody.")
    # Trials first, then experiments: as everybody locks.
    trial = Trial.objects.select_related("experiment").get(pk=loan.trial_id)
    return trial, loan


def _over(trial: Trial) -> str:
    return f"The trial has ended ({trial.state})."


def _taken(attempt: int) -> str:
    return (
        f"Attempt {attempt} was lost, as nothing was heard of it, and another program has "
        "started the trial anew."
    )


def _waits_again(trial: Trial, attempt: int) -> bool:
    """Whether it was lost, and nobody has taken it since."""
    is_next = trial.state == TrialState.WAITING and trial.attempt == attempt + 1
    return is_next and not trial.loans.filter(attempt=trial.attempt).exists()


# ---------------------------------------------------------------- telling


def tell(experiment: Experiment, number: int, attempt: int, word: Mapping[str, Any]) -> Told:
    """Take the word of what came of a trial: one of WORDS with its value or the reason.

    Raises Refused: another word was told of this attempt before.
    """
    require_elsewhere(experiment)
    trial, loan = _lent(experiment, number, attempt)
    with transaction.atomic():
        trial = Trial.objects.select_for_update(of=("self",)).get(pk=trial.pk)
        trial.experiment = experiment
        loan.refresh_from_db()
        if loan.told is not None:
            return _told_again(trial, loan, word)
        if trial.retried or (trial.attempt != attempt and not _waits_again(trial, attempt)):
            return Told(trial, False, _taken(attempt))
        Loan.objects.filter(pk=loan.pk).update(told=dict(word), heard_at=timezone.now())
        if trial.state == TrialState.LOST and "lost" not in word:
            trial = _in_place_of(trial)
        if not trial.is_finished and not trial.stop_as:
            _end(trial, loan, word)
    if trial.is_finished:
        changes.update_best(experiment)
        curves.keep([trial.pk])
    wake.reconcile_soon(experiment.pk, min_gap=0)
    return _outcome(trial, word)


def _outcome(trial: Trial, word: Mapping[str, Any]) -> Told:
    trial.refresh_from_db()
    is_result = trial.state in (TrialState.SUCCEEDED, TrialState.FAILED) and not trial.stop_as
    used = (is_result and "lost" not in word) or (
        "stopped" in word and trial.state == TrialState.EARLY_STOPPED
    )
    return Told(trial, used, trial.stop_reason or trial.reason)


def _told_again(trial: Trial, loan: Loan, word: Mapping[str, Any]) -> Told:
    if loan.told != dict(word):
        raise Refused(
            f"Of attempt {loan.attempt} of trial {trial.number} something else was told before: "
            f"{_shown(loan.told)}. What is told first stands."
        )
    return _outcome(trial.retries.order_by("number").last() or trial, word)


def _shown(told: Any) -> str:
    (what,) = [name for name in WORDS if name in told]
    return f"{what} {told[what]}"[:200]


def _in_place_of(lost: Trial) -> Trial:
    """A retry of a trial that was lost for good, for the result that came all the same."""
    trial = actions.retry_trial(lost)
    trial.experiment = lost.experiment
    return trial


def _run(trial: Trial, ask: Ask, word: Mapping[str, Any]) -> None:
    """WAITING → RUNNING, for a trial whose program is heard of before the loop has said so.

    The pass that gave it out is not through yet; or it was lost, and ran all the time.
    """
    own = {"ask": ask, "told": dict(word)}
    loan, _ = Loan.objects.get_or_create(trial=trial, attempt=trial.attempt, defaults=own)
    elsewhere = trial.experiment.spec.elsewhere
    handle = {
        "name": name_of_job(trial.experiment_id, trial.number, trial.attempt),
        LOAN: loan.pk,
        "lost_after_s": elsewhere.lost_after_s if elsewhere else LOST_AFTER_S,
    }
    trial.move(TrialState.RUNNING, handle=handle, started_at=timezone.now())


def _end(trial: Trial, loan: Loan, word: Mapping[str, Any]) -> None:
    if trial.state == TrialState.WAITING:
        _run(trial, loan.ask, word)
    if "value" in word:
        claim = TrialClaim(trial.pk, trial.key, trial.number, trial.experiment_id)
        values = {DEFAULT: _number(word["value"])}
        values |= {name: _number(value) for name, value in (word.get("metrics") or {}).items()}
        rows.write([(claim, Report(trial.key, FINAL, 0, None, values))])
    if "stopped" in word:
        changes.request_stop(trial, TrialState.EARLY_STOPPED, word["stopped"])
    end_trial(trial, status_of(word))


def _number(shown: Any) -> float:
    return float(shown)  # "NaN", "Infinity" and "-Infinity" too
