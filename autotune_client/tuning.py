"""``tune``: three lines from an objective to its best parameters."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from autotune_client import showing, worker
from autotune_client.client import Client, TrialInfo
from autotune_client.errors import AutoTuneError, StudySuspended
from autotune_client.space import Space
from autotune_client.study import Algorithm, Study

__all__ = ["Best", "tune"]


@dataclass(frozen=True)
class Best:
    """What came of tuning."""

    parameters: dict[str, Any]
    value: float
    trial: TrialInfo
    study: Study

    def __repr__(self) -> str:
        return f"Best(value={self.value!r}, parameters={self.parameters!r})"

    def _repr_html_(self) -> str:
        return self.study._repr_html_()


def tune(
    objective: worker.Objective,
    space: Space | None = None,
    *,
    trials: int = 100,
    mode: Literal["minimize", "maximize"] = "maximize",
    seconds: float | None = None,
    tuner: Algorithm = "Auto",
    assessor: Algorithm | None = None,
    concurrency: int | None = None,
    workers: Literal["threads", "processes"] = "threads",
    server: str | None = None,
    token: str | None = None,
    data: os.PathLike[str] | None = None,
    name: str | None = None,
    lost_after: int | None = None,
    quiet: bool = False,
) -> Best:
    """Find the best parameters for an objective; returns once all trials have ended.

    Args:
        objective: called with a ``Trial``; returns its value, or ``(value, {"metric": number})``.
            It may ``trial.report(value, step)``, which raises ``Stopped`` where the assessor says
            so. An exception fails the trial; failures alike end the search.
        space: ``{"lr": loguniform(1e-5, 0.1), …}``; None: the objective suggests parameters as it
            goes, as Optuna's do.
        trials: how many, good or bad.
        mode: whether the smallest or the largest value is the best.
        seconds: at most.
        concurrency: trials at once, here and anywhere; 1 if not given, or with processes as many
            as there are processors.
        workers: run them in threads of this process, or each in a process of its own.
        server: the address of a running server, with ``token``; without one AUTOTUNE_URL, else
            that of the data directory, which is started for as long as it is needed.
        name: of the study. An unfinished one of this name and space is gone on with: after a crash
            the same call runs the trials that are left, and several machines may make it at once.
        lost_after: seconds of silence after which a trial is given to another program.
        quiet: whether to print nothing.

    Raises:
        StudySuspended: failures alike show that something is wrong with every trial.
        StudyEnded: no trial succeeded.
    """
    if workers not in ("threads", "processes"):
        raise ValueError(f'workers must be "threads" or "processes", but got {workers!r}.')
    at_once = concurrency or (1 if workers == "threads" else _processors())
    if at_once < 1:
        raise ValueError(f"concurrency must be at least 1, but got {at_once}.")
    study = Study.create(
        space, trials=trials, mode=mode, seconds=seconds, tuner=tuner, assessor=assessor,
        concurrency=at_once if name is None else None, lost_after=lost_after, name=name,
        called=getattr(objective, "__name__", ""), client=Client(server, token, data=data),
    )  # fmt: skip
    with showing.shown(study, quiet=quiet):
        _run(study, objective, workers, min(at_once, trials))
        study.experiment.wait(0.1)
    best = study.require_best()
    assert best.value is not None
    return Best(best.parameters, best.value, best, study)


def _run(study: Study, objective: worker.Objective, workers: str, n: int) -> None:
    if workers == "threads":
        worker.run_threads(study, objective, n)
        return
    gave_up = worker.run_processes(study, objective, n)
    if gave_up is None:
        return
    if tripped := study.experiment.refresh().raw.get("breaker"):
        raise StudySuspended(f"The study is suspended. {tripped['reason']}")
    raise AutoTuneError(gave_up)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
