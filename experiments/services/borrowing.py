"""Which trials of earlier experiments a new one learns from (``spec.warmStart``): found, fitted to
its search space and kept with it when it is made.

Called by ``actions.create_experiment``, which every door uses, and by ``intake`` to say beforehand
what will come of it. What is borrowed never changes afterwards: see ``models.warm_starts``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db.models import QuerySet

from experiments.access import policy
from experiments.algorithms.borrowed.matching import DEAF, Outside, matched, shares_names
from experiments.manifest.reading import at
from experiments.manifest.spec import ExperimentSpec
from experiments.manifest.warm_start_spec import PATH
from experiments.models import Experiment, WarmStart
from experiments.problems import Problem, ProblemsError
from experiments.states import EventKind, TrialState

MOST_BORROWED = 1000  # trials of one experiment: the best half of these, and some of the others
MOST_BYTES = 2_000_000  # of one experiment's, as JSON
MOST_REASONS = 20  # that are kept
REASONS_TOLD = 5  # in the event
_WITH_VALUE = (TrialState.SUCCEEDED, TrialState.EARLY_STOPPED)


@dataclass
class Borrowed:
    """What comes of one earlier experiment."""

    experiment: Experiment
    n_offered: int = 0
    trials: list[tuple[dict[str, Any], float]] = field(default_factory=list)  # best first
    outside: dict[str, int] = field(default_factory=dict)  # why others do not fit: how many

    def sentence(self) -> str:
        """For the timeline and the forecast."""
        name, key = self.experiment.name, self.experiment.pk
        n, offered, others = len(self.trials), self.n_offered, sum(self.outside.values())
        if not others:
            return f"Borrowed {n} of {offered} trials of {name} ({key})."
        told = sorted(self.outside.items(), key=lambda item: -item[1])[:REASONS_TOLD]
        reasons = ", ".join(reason for reason, _ in told)
        return f"Borrowed {n} of {offered} trials of {name} ({key}); {others} outside: {reasons}."


def borrowed(spec: ExperimentSpec, viewer: Any) -> list[Borrowed]:
    """What an experiment would borrow. Raises ProblemsError naming each that cannot be.

    ``viewer``: who makes it; None: nobody in particular, as the operator.
    """
    wanted = spec.warm_start
    if wanted is None:
        return []
    there = {e.pk: e for e in _visible(viewer).filter(pk__in=wanted.experiments)}
    problems, found = [], []
    for place, key in enumerate(wanted.experiments):
        path = at(f"{PATH}.experiments", place)
        experiment = there.get(key)
        if experiment is None:
            hint = "Ids stand on the experiments' pages, and in: ls."
            problems.append(Problem(path, f"There is no experiment '{key}'.", hint))
        elif experiment.optimize_mode != spec.optimize_mode:
            theirs, ours = experiment.optimize_mode, spec.optimize_mode
            message = f"'{key}' has optimize_mode {theirs}, but this experiment has {ours}."
            problems.append(Problem(path, message, "Only results with one direction compare."))
        elif not shares_names(spec.space, experiment.configuration.get("searchSpace") or {}):
            problems.append(Problem(path, f"'{key}' has no parameter of this search space."))
        else:
            found.append(_of(experiment, spec, wanted.top))
    if problems:
        raise ProblemsError(problems)
    return found


def warnings(spec: ExperimentSpec, found: Sequence[Borrowed]) -> list[Problem]:
    """What a person should know of it before it runs."""
    told = []
    chooser = spec.tuner or spec.advisor
    if found and chooser is not None and chooser.name in DEAF:
        message = f"{chooser.name} does not learn from trials: earlier ones change nothing."
        told.append(Problem(PATH, message, "Take Auto, for example."))
    for each in found:
        if not each.trials:
            words = f"No trial of {each.experiment.name} ({each.experiment.pk}) can be borrowed."
            told.append(Problem(PATH, words))
        elif each.outside:
            told.append(Problem(PATH, each.sentence()))
    return told


def keep(experiment: Experiment, found: Sequence[Borrowed]) -> None:
    """Store what is borrowed, and tell it on the timeline; in the transaction that makes it."""
    for place, each in enumerate(found):
        WarmStart.objects.create(
            experiment=experiment,
            place=place,
            source_id=each.experiment.pk,
            source_name=each.experiment.name,
            n_offered=each.n_offered,
            trials=[[parameters, value] for parameters, value in each.trials],
            outside=dict(sorted(each.outside.items(), key=lambda i: -i[1])[:MOST_REASONS]),
        )
        experiment.record(
            EventKind.BORROWED,
            reason=each.sentence(),
            data={"experiment": each.experiment.pk, "trials": len(each.trials)},
        )


def _visible(viewer: Any) -> QuerySet[Experiment]:
    if viewer is not None:
        return policy.visible_experiments(viewer)
    return Experiment.objects.filter(deleting=False)


def _of(experiment: Experiment, spec: ExperimentSpec, top: int | None) -> Borrowed:
    rows = experiment.trials.filter(state__in=_WITH_VALUE, excluded=False, value__isnull=False)
    best_first = rows.order_by("-value" if spec.maximizes else "value", "number")
    pairs = list(best_first.values_list("parameters", "value")[:top])
    found = Borrowed(experiment, n_offered=len(pairs))
    size = 0
    for place, (parameters, value) in enumerate(pairs):
        try:
            # The same for the same trial, whenever it is asked.
            fitted = matched(spec.space, parameters, np.random.default_rng([place, len(pairs)]))
        except Outside as outside:
            reason = str(outside)
            found.outside[reason] = found.outside.get(reason, 0) + 1
            continue
        found.trials.append((fitted, float(value or 0.0)))
    found.trials = _thinned(found.trials)
    for place, (parameters, _) in enumerate(found.trials):
        size += len(json.dumps(parameters))
        if size > MOST_BYTES:
            found.trials = found.trials[:place]
            break
    return found


def _thinned(trials: list[tuple[dict[str, Any], float]]) -> list[tuple[dict[str, Any], float]]:
    """The best ones, and every so many of the others."""
    if len(trials) <= MOST_BORROWED:
        return trials
    half = MOST_BORROWED // 2
    rest = trials[half:]
    places = np.linspace(0, len(rest) - 1, MOST_BORROWED - half).astype(int)
    return [*trials[:half], *(rest[place] for place in places)]
