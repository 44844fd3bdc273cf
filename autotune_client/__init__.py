"""Tune from Python: three lines, on any machine, with AutoTune Web's tuners and pages.

    import autotune_client as at

    def objective(trial):
        return (trial.parameters["x"] - 0.3) ** 2

    best = at.tune(objective, {"x": at.uniform(-1, 1)}, trials=20, mode="minimize")

With a running server (``autotune up``, or ``server=`` and ``token=``), else with one that is
started for as long as it is needed, on the data directory that ``autotune up`` opens later.
Standard library only: this package may be copied to where the product is not installed. See
docs/python.md.
"""

from autotune_client.client import Client, Experiment, ExperimentInfo, MetricPoint, TrialInfo
from autotune_client.errors import (
    AutoTuneError,
    NoServer,
    Refused,
    Stopped,
    StudyEnded,
    StudySuspended,
    Unreachable,
)
from autotune_client.space import (
    branch,
    choice,
    input_choice,
    layer_choice,
    lognormal,
    loguniform,
    normal,
    qlognormal,
    qloguniform,
    qnormal,
    quniform,
    randint,
    uniform,
)
from autotune_client.study import Study, Trial
from autotune_client.tuning import Best, tune

__all__ = [
    "AutoTuneError",
    "Best",
    "Client",
    "Experiment",
    "ExperimentInfo",
    "MetricPoint",
    "NoServer",
    "Refused",
    "Stopped",
    "Study",
    "StudyEnded",
    "StudySuspended",
    "Trial",
    "TrialInfo",
    "Unreachable",
    "branch",
    "choice",
    "input_choice",
    "layer_choice",
    "lognormal",
    "loguniform",
    "normal",
    "qlognormal",
    "qloguniform",
    "qnormal",
    "quniform",
    "randint",
    "tune",
    "uniform",
]
