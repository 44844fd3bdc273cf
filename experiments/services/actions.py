"""What a person can do to an experiment or a trial: one function each, for pages, REST and CLI.

Callers have authorised already. Each function checks, writes rows and events in one transaction
and hints the loop; none waits for a backend. What cannot be done raises ``Refused`` or
``ProblemsError`` with words for the user.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments import wake
from experiments.manifest.fields import EITHER, NO_END, NO_END_HINT, SPEC
from experiments.manifest.spec import Parsed, to_manifest
from experiments.models import Experiment, Project, Trial, clock, tags
from experiments.problems import Problem, ProblemsError
from experiments.services import borrowing
from experiments.states import RETRIABLE, WENT_WRONG, EventKind, Phase, TrialState
from experiments.trials.backends import namespace_of
from experiments.trials.changes import add_trial, request_stop, update_best

# Editable while it runs: column, path in the manifest.
LIMITS = {
    "max_exec_seconds": "spec.maxExecSeconds",
    "max_trials": "spec.maxTrialNum",
    "concurrency": "spec.trialConcurrency",
}
LIMIT_HIGHEST = {name: SPEC.whole(path.removeprefix("spec.")).high for name, path in LIMITS.items()}
# One of these may be None: no such limit.
MAY_LACK = tuple(name for name, path in LIMITS.items() if path.removeprefix("spec.") in EITHER)

MOST_PROBLEMS = 50  # told at once
MOST_QUOTED = 60  # characters of notes in a message
KILLED = "Killed by the user."


class Refused(Exception):
    """The action makes no sense in the present state; the message says why."""


def create_experiment(
    parsed: Parsed,
    *,
    owner: Any = None,
    origin: str = Experiment.Origin.API,
    source: str = "",
    project: Project | None = None,
    notes: str = "",
) -> Experiment:
    """Store a parsed manifest as a PENDING experiment; the loop takes it from there.

    Raises ProblemsError where an experiment that it is to learn from is not there for ``owner``.
    """
    spec = parsed.spec
    found = borrowing.borrowed(spec, owner)
    with transaction.atomic():
        experiment = Experiment.objects.create(
            project=project or _project_of(parsed),
            owner=owner,
            name=spec.name,
            notes=notes,
            manifest=to_manifest(spec),
            source=source,
            origin=origin,
            optimize_mode=spec.optimize_mode,
            max_exec_seconds=spec.max_exec_seconds,
            max_trials=spec.max_trials,
            concurrency=spec.concurrency,
            **({} if spec.seed is None else {"seed": spec.seed}),
        )
        experiment.record(
            EventKind.CREATED,
            new=Phase.PENDING,
            data={"warnings": [w.as_dict() for w in parsed.warnings]},
        )
        borrowing.keep(experiment, found)
    _wake(experiment)
    return experiment


def _project_of(parsed: Parsed) -> Project:
    """Of the namespace that a manifest names, which intake has found to be served."""
    namespace = namespace_of(parsed.spec)
    return Project.of_namespace(namespace) if namespace else Project.default()


def _check_limits(experiment: Experiment, limits: Mapping[str, Any]) -> None:
    problems = []
    for name, value in limits.items():
        if value is None and name in MAY_LACK:
            continue
        highest = LIMIT_HIGHEST[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
            problems.append(
                Problem(name, f"must be a whole number from 1 to {highest}, but got {value!r}.")
            )
    after = {name: limits.get(name, getattr(experiment, name)) for name in MAY_LACK}
    for name in (name for name, value in after.items() if value is None):
        if experiment.link is not None:
            wrong = "is required: its AutoTuneExperiment in the cluster must have it."
            problems.append(Problem(name, wrong))
    if all(value is None for value in after.values()):
        problems.append(Problem("max_trials", NO_END, NO_END_HINT))
    if problems:
        raise ProblemsError(problems)


def edit(
    experiment: Experiment,
    changes: Mapping[str, Any],
    *,
    expected: Mapping[str, Any] | None = None,
) -> None:
    """Change limits, ``suspended``, ``name``, ``notes``, ``tags``: all that was asked, or nothing.

    ``expected`` holds the values that the person saw: where somebody else changed one meanwhile
    nothing is written and Refused says so, so that of two people editing at once neither loses
    unawares. This is the one such check.
    """
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _refuse_if_changed(locked, expected or {})
        if limits := {name: changes[name] for name in LIMITS if name in changes}:
            change_limits(locked, limits)
        if "suspended" in changes:
            _set_suspended(locked, changes["suspended"])
        update_details(
            locked,
            name=changes.get("name"),
            notes=changes.get("notes"),
            tagged=changes.get("tags"),
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}…"


def _refuse_if_changed(locked: Experiment | Trial, expected: Mapping[str, Any]) -> None:
    for name, wanted in expected.items():
        found = getattr(locked, "tag_list" if name == "tags" else name)
        if found != wanted:
            present, seen = _short(found), _short(wanted)
            raise Refused(
                f"{name} is {present} by now, not {seen}: somebody else changed it "
                "meanwhile. Look again before you change it."
            )


def edit_trial(
    trial: Trial, changes: Mapping[str, str], *, expected: Mapping[str, Any] | None = None
) -> None:
    """Write a trial's ``notes``, with the same check as ``edit``."""
    with transaction.atomic():
        locked = Trial.objects.select_for_update().get(pk=trial.pk)
        _refuse_if_changed(locked, expected or {})
        if changes.get("notes", locked.notes) == locked.notes:
            return
        Trial.objects.filter(pk=trial.pk).update(notes=changes["notes"])
        trial.notes = changes["notes"]
        trial.experiment.record(EventKind.DETAILS, trial=trial, data={"changed": ["notes"]})


def change_limits(experiment: Experiment, limits: Mapping[str, int | None]) -> None:
    """Set limits; raising one on a DONE or TIMEOUT experiment makes it run again.

    None takes one of ``MAY_LACK`` away.
    """
    if experiment.is_imported:
        raise Refused("The experiment was imported, and cannot go on here: it has no limits.")
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _check_limits(locked, limits)
        changes = {
            name: [getattr(locked, name), value]
            for name, value in limits.items()
            if getattr(locked, name) != value
        }
        if not changes:
            return
        Experiment.objects.filter(pk=experiment.pk).update(
            **{name: new for name, (_, new) in changes.items()}
        )
        for name, (_, new) in changes.items():
            setattr(locked, name, new)
            setattr(experiment, name, new)
        words = ", ".join(f"{n} {old or '–'} → {new or '–'}" for n, (old, new) in changes.items())
        locked.record(EventKind.LIMITS, reason=words, data={"changes": changes})
        _resume_if_raised(locked, changes)
        experiment.phase = locked.phase
    _wake(experiment)


def _resume_if_raised(experiment: Experiment, changes: Mapping[str, list[int | None]]) -> None:
    raised = {name for name, (old, new) in changes.items() if _or_endless(new) > _or_endless(old)}
    if experiment.phase not in (Phase.DONE, Phase.TIMEOUT) or not raised:
        return
    now = timezone.now()
    time_left = experiment.active_seconds < _or_endless(experiment.max_exec_seconds)
    trials_left = n_in_budget(experiment) < _or_endless(experiment.max_trials)
    if time_left and trials_left and not experiment.exhausted:
        experiment.move(
            Phase.RUNNING,
            reason="A limit was raised.",
            finished_at=None,
            finish_requested=False,
            **clock.columns(None if experiment.suspended else now),
            message="",
        )


def _or_endless(limit: int | None) -> float:
    return math.inf if limit is None else limit


def n_in_budget(experiment: Experiment) -> int:
    """Trials that count against max_trials, by the rule of ``engine.snapshot.TrialSnapshot.of``:

    not those replaced by a retry, nor those cut off when the time was up.
    """
    return (
        experiment.trials.filter(retried=False)
        .exclude(state=TrialState.CANCELED, cut_off=True)
        .count()
    )


def suspend(experiment: Experiment) -> None:
    """Start no further trials and stop the clock at once; trials that run go on, untimed."""
    _set_suspended(experiment, True)


def resume(experiment: Experiment) -> None:
    _set_suspended(experiment, False)


def _set_suspended(experiment: Experiment, suspended: bool) -> None:
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if locked.is_ended:
            phase = locked.phase
            raise Refused(
                f"The experiment has ended ({phase}); there is nothing to suspend."
                if suspended
                else f"The experiment has ended ({phase}); there is nothing to resume."
            )
        if locked.suspended == suspended:
            return
        now = timezone.now()
        Experiment.objects.filter(pk=locked.pk).update(
            suspended=suspended,
            active_seconds=locked.active_seconds_at(now),
            **clock.columns(None if suspended or locked.phase != Phase.RUNNING else now),
            # Who goes on takes the failures for what they are: from now on others count.
            **({"breaker": None, "breaker_since": now} if locked.breaker else {}),
        )
        locked.record(EventKind.SUSPENDED if suspended else EventKind.RESUMED)
    experiment.suspended = suspended
    experiment.breaker = None
    _wake(experiment)


def finish(experiment: Experiment) -> None:
    """End early: running trials are stopped and keep what they reported; the end is DONE."""
    with transaction.atomic():
        won = (
            Experiment.objects.filter(pk=experiment.pk, finish_requested=False)
            .exclude(phase__in=[Phase.DONE, Phase.TIMEOUT, Phase.ERROR])
            .update(finish_requested=True)
        )
        if not won:
            experiment.refresh_from_db()
            if experiment.is_ended:
                raise Refused(f"The experiment has ended already ({experiment.phase}).")
            return
        experiment.finish_requested = True
        experiment.record(EventKind.FINISH, reason="Finished early by the user.")
    _wake(experiment)


def delete(experiment: Experiment) -> None:
    """Hide it at once; its trials are stopped, then rows and logs are removed by the loop."""
    Experiment.objects.filter(pk=experiment.pk).update(deleting=True)
    experiment.deleting = True
    _wake(experiment)


def update_details(
    experiment: Experiment,
    *,
    name: str | None,
    notes: str | None,
    tagged: Sequence[str] | None = None,
) -> None:
    """Rename, write notes, or tag."""
    columns: dict[str, str] = {}
    if name is not None:
        if not name.strip() or len(name) > 63:
            raise ProblemsError([Problem("name", f"must have 1 to 63 characters, got {name!r}.")])
        columns["name"] = name.strip()
    if notes is not None:
        columns["notes"] = notes
    if tagged is not None:
        kept, wrong = tags.read(tagged)
        if wrong:
            raise ProblemsError([Problem("tags", wrong)])
        columns["tags"] = tags.joined(kept)
    if columns:
        Experiment.objects.filter(pk=experiment.pk).update(**columns)
        for key, value in columns.items():
            setattr(experiment, key, value)
        experiment.record(EventKind.DETAILS, data={"changed": sorted(columns)})


def kill_trial(trial: Trial, *, reason: str = KILLED) -> None:
    """Stop one trial; it ends as CANCELED once its processes are gone."""
    request_stop(trial, TrialState.CANCELED, reason)
    _wake(trial.experiment)


def open_for_trials(experiment: Experiment) -> None:
    """Refuse new trials where nothing would ever run them."""
    if experiment.is_imported:
        raise Refused(
            "The experiment was imported, and cannot go on here: clone it, and let the new one "
            "learn from its trials."
        )
    if experiment.phase == Phase.ERROR or experiment.phase == Phase.TIMEOUT:
        raise Refused(f"The experiment has ended ({experiment.phase}); raise a limit first.")
    if experiment.finish_requested and experiment.phase != Phase.DONE:
        raise Refused("The experiment is being finished.")


def make_room(experiment: Experiment) -> None:
    """Raise the budget where trials were asked for on top of it."""
    if (n := n_in_budget(experiment)) > _or_endless(experiment.max_trials):
        change_limits(experiment, {"max_trials": n})


def reopen(experiment: Experiment) -> None:
    """A DONE experiment runs again for a trial somebody asked for."""
    if experiment.phase == Phase.DONE:
        experiment.move(
            Phase.RUNNING,
            reason="A trial was added.",
            finished_at=None,
            finish_requested=False,
            **clock.columns(None if experiment.suspended else timezone.now()),
        )


def custom_trial(experiment: Experiment, parameters: Mapping[str, Any], *, force: bool) -> Trial:
    """Try the user's own parameters. Outside the search space only with ``force``.

    Raises ProblemsError naming each parameter that does not fit.
    """
    return custom_trials(experiment, [parameters], force=force, paths=["parameters"])[0]


def custom_trials(
    experiment: Experiment,
    many: Sequence[Mapping[str, Any]],
    *,
    force: bool,
    paths: Sequence[str] | None = None,
) -> list[Trial]:
    """The same for several at once: all of them, or none.

    ``paths`` are what problems of each are called by; by default ``trials[0]`` and so on.
    """
    open_for_trials(experiment)
    names = paths or [f"trials[{place}]" for place in range(len(many))]
    problems: list[Problem] = []
    wanted: list[Mapping[str, Any]] = []
    for path, parameters in zip(names, many, strict=True):
        found, checked = _checked(experiment, parameters, path)
        problems += found
        wanted.append(checked)
    if problems and not force:
        raise ProblemsError(problems[:MOST_PROBLEMS])
    with transaction.atomic():
        trials = [add_trial(experiment, checked, origin="custom") for checked in wanted]
        make_room(experiment)
        experiment.refresh_from_db()
        reopen(experiment)
    _wake(experiment)
    return trials


def _checked(
    experiment: Experiment, parameters: Mapping[str, Any], path: str
) -> tuple[list[Problem], Mapping[str, Any]]:
    """What is wrong with parameters, and they as the space writes them where nothing is."""
    spec = experiment.spec
    searched = {name: value for name, value in parameters.items() if name not in spec.adds}
    problems = spec.space.contains(searched, path)
    if problems:
        return problems, parameters
    added = {name: value for name, value in parameters.items() if name in spec.adds}
    return [], spec.space.configuration(searched) | added


def retry_trial(trial: Trial) -> Trial:
    """Try the same parameters again as a new trial that replaces this one in the budget."""
    experiment = trial.experiment
    open_for_trials(experiment)
    if trial.state not in RETRIABLE:
        raise Refused(
            f"Trial {trial.number} is {trial.state}; only one that ended without success can be "
            "retried."
        )
    with transaction.atomic():
        locked = Trial.objects.select_for_update().get(pk=trial.pk)
        if locked.retried:
            raise Refused(f"Trial {trial.number} has been retried already.")
        again = add_trial(
            experiment,
            trial.parameters,
            origin="retry",
            note=trial.note,
            retry_of=trial,
            reason=f"Retry of trial {trial.number}.",
        )
        Trial.objects.filter(pk=trial.pk).update(retried=True)
        trial.retried = True
        experiment.record(EventKind.RETRIED, trial=trial, reason=f"As trial {again.number}.")
        reopen(experiment)
    _wake(experiment)
    return again


def retry_failed(experiment: Experiment, numbers: Collection[int] | None = None) -> list[Trial]:
    """Retry every FAILED or LOST trial that was not retried yet, or of them those with ``numbers``.

    A number of any other trial is passed over: it may have been retried a moment ago.
    """
    open_for_trials(experiment)
    failed = experiment.trials.filter(state__in=WENT_WRONG, retried=False).order_by("number")
    wanted = None if numbers is None else set(numbers)
    return [retry_trial(trial) for trial in failed if wanted is None or trial.number in wanted]


def set_excluded(trial: Trial, excluded: bool, *, reason: str = "") -> None:
    """Leave a trial out of the best, the charts' best line and the tuner's history; or back in."""
    with transaction.atomic():
        won = Trial.objects.filter(pk=trial.pk, excluded=not excluded).update(excluded=excluded)
        if not won:
            return
        trial.excluded = excluded
        what = EventKind.EXCLUDED if excluded else EventKind.RESTORED
        trial.experiment.record(what, trial=trial, reason=reason)
        update_best(trial.experiment)
    _wake(trial.experiment)


def _wake(experiment: Experiment) -> None:
    """Make the loop look at it sooner than the ticker would."""
    transaction.on_commit(lambda: wake.reconcile_soon(experiment.pk))
