"""This machine's GPUs, cores and memory, and which trials have them: for REST, page and shell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from experiments.models import Experiment
from experiments.trials.backends import backend

_NOTHING: dict[str, Any] = {
    "here": False,
    "problem": "",
    "gpus": [],
    "cpu": None,
    "memory": None,
    "waiting": [],
}


def devices_json(visible: QuerySet[Experiment]) -> dict[str, Any]:
    """What there is and who has it; names of experiments only where they are ``visible``.

    Others on the same machine may be of another server: ``name`` is None then. Raises
    BackendUnavailable.
    """
    found = backend().devices()
    if found is None:
        return dict(_NOTHING)
    trials = [*found["waiting"], *(trial for gpu in found["gpus"] for trial in gpu["trials"])]
    names = _names(visible, {trial["experiment"] for trial in trials})
    for trial in trials:
        trial["name"] = names.get(trial["experiment"])
    return {**_NOTHING, **found, "here": True}


def _names(visible: QuerySet[Experiment], ids: Iterable[str]) -> dict[str, str]:
    return dict(visible.filter(pk__in=ids).order_by().values_list("pk", "name"))
