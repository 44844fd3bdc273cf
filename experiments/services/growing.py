"""A search space that grows as programs meet parameters: Optuna's define-by-run.

Called by REST. A program says which parameters its trial met; those that the space lacks are added,
wider bounds and further options too, and the trial gets a value for each that it has none for. The
tuner is rebuilt from the history at its next question and searches what stands there then
(``engine.session`` fills in what earlier trials never had).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.db import transaction

from experiments import hints
from experiments.algorithms.space.parameters import freeze, join
from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest.json_text import pretty_json
from experiments.manifest.spec import parse_manifest
from experiments.models import Experiment, Trial
from experiments.problems import Problem, ProblemsError
from experiments.services.actions import Refused
from experiments.states import EventKind

_PATH = "space"
_BOUNDED = {"uniform": 2, "loguniform": 2, "quniform": 3, "qloguniform": 3, "randint": 2}


def grow(
    experiment: Experiment, number: int, attempt: int, met: Mapping[str, Any]
) -> dict[str, Any]:
    """Take in what a trial met; returns the trial's parameters, with a value for each of these.

    Raises:
        ProblemsError: a parameter is none, or is another one in the space already.
        Refused: the experiment's space does not grow, or the trial is somebody else's by now.
    """
    elsewhere = experiment.spec.elsewhere
    if elsewhere is None or not elsewhere.grows:
        raise Refused("The search space is fixed: only with spec.elsewhere.grows it may grow.")
    alone = SearchSpace.parse(met, _PATH)  # each must be sound by itself, whatever is there
    with transaction.atomic():
        trial = Trial.objects.select_for_update().get(experiment=experiment, number=number)
        if trial.attempt != attempt or trial.is_finished:
            raise Refused(f"Attempt {attempt} of trial {number} is over ({trial.state}).")
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _widen(locked, met)
        values = _with_values(locked, trial, alone)
        if values != trial.parameters:
            seq = locked.next_seq()
            Trial.objects.filter(pk=trial.pk).update(parameters=values, seq=seq)
            hints.hint_on_commit(locked.pk)
    return {name: values[name] for name in met}


def keep_used(trial: Trial, names: list[str]) -> None:
    """Leave to an ended trial the parameters that its program used: others meant nothing to it."""
    elsewhere = trial.experiment.spec.elsewhere
    kept = {name: value for name, value in trial.parameters.items() if name in names}
    if elsewhere is None or not elsewhere.grows or kept == trial.parameters:
        return
    with transaction.atomic():
        Trial.objects.select_for_update().get(pk=trial.pk)
        seq = trial.experiment.next_seq()
        Trial.objects.filter(pk=trial.pk).update(parameters=kept, seq=seq)
        hints.hint_on_commit(trial.experiment_id)


def _widen(experiment: Experiment, met: Mapping[str, Any]) -> None:
    """Add to the stored search space what it lacks."""
    space = dict(experiment.configuration["searchSpace"])
    changed = {}
    for name, entry in met.items():
        wider = entry if name not in space else _wider(space[name], entry, join(_PATH, name))
        if freeze(wider) != freeze(space.get(name)):
            changed[name] = space[name] = wider
    if not changed:
        return
    manifest = {
        **experiment.manifest,
        "spec": {**experiment.manifest["spec"], "searchSpace": pretty_json(space)},
    }
    parse_manifest(manifest)  # the tuner may not search what came
    Experiment.objects.filter(pk=experiment.pk).update(manifest=manifest)
    experiment.manifest = manifest
    experiment.record(
        EventKind.DETAILS,
        reason=f"The search space grew: {', '.join(sorted(changed))}.",
        data={"changed": ["searchSpace"], "searchSpace": changed},
    )


def _wider(here: Mapping[str, Any], met: Mapping[str, Any], path: str) -> dict[str, Any]:
    """One entry that holds what either does. Raises ProblemsError where there is none."""
    kind, ours, theirs = here["_type"], here["_value"], met["_value"]
    if met["_type"] == kind and kind == "choice":
        known = {freeze(option) for option in ours}
        return {**here, "_value": [*ours, *(o for o in theirs if freeze(o) not in known)]}
    if met["_type"] == kind and kind in _BOUNDED and ours[2:] == theirs[2:]:
        bounds = [min(ours[0], theirs[0]), max(ours[1], theirs[1])]
        return {**here, "_value": [*bounds, *ours[2:]]}
    if freeze(here) == freeze(met):
        return dict(here)
    is_now, came = f"{here['_type']} {ours}", f"{met['_type']} {theirs}"
    message = f"is {is_now} in the search space already, but got {came}."
    hint = "Bounds may widen and options be added; another kind of parameter needs another name."
    raise ProblemsError([Problem(path, message, hint)])


def _with_values(experiment: Experiment, trial: Trial, alone: SearchSpace) -> dict[str, Any]:
    """The trial's parameters, with a value within ``alone`` for each parameter of it."""
    values = dict(trial.parameters)
    for name, parameter in alone.parameters.items():
        if name not in values or not parameter.contains(values[name]):
            # The same trial draws the same, however often it asks.
            seeds = [experiment.seed, trial.number, zlib.crc32(name.encode())]
            values[name] = parameter.sample(np.random.default_rng(seeds))
    return values
