"""Whose configuration a file is. Called before a file is converted, and where one was given that is
no manifest, so that people are told what they have in hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.manifest.fields import KIND

NNI, KATIB, WANDB, OPTUNA, OURS = "NNI", "Katib", "W&B", "Optuna", "AutoTune"
WHAT = {
    NNI: "an NNI configuration",
    KATIB: "a Katib Experiment",
    WANDB: "a W&B sweep",
    OPTUNA: "an Optuna search space",
    OURS: "an AutoTuneExperiment",
}
_OF_NNI = frozenset(
    {
        "trialcommand", "searchspacefile", "searchspacepath", "trainingservice",
        "trainingserviceplatform", "maxtrialnumber", "trialcodedirectory", "trialgpunumber",
    }
)  # fmt: skip
_OF_WANDB = {"method", "program", "metric", "job", "command", "early_terminate", "run_cap"}
_LAUNCHED = ({"job", "scheduler"}, {"job", "metric"}, {"program", "method", "metric"})


def origin_of(data: Any) -> str | None:
    """The product that the data was written for; None where it is none that we know."""
    if not isinstance(data, Mapping):
        return None
    if data.get("kind") == KIND:
        return OURS
    if str(data.get("apiVersion", "")).startswith("kubeflow.org/"):
        return KATIB if data.get("kind") == "Experiment" else None
    if "apiVersion" in data and "kind" in data:
        return None
    names = {str(name).lower().replace("_", "") for name in data}
    if names & _OF_NNI or {"trial", "tuner"} <= names or {"trial", "advisor"} <= names:
        return NNI
    has_parameters = isinstance(data.get("parameters"), Mapping)
    if (has_parameters and _OF_WANDB & set(data)) or any(each <= set(data) for each in _LAUNCHED):
        return WANDB
    if data and all(_is_distribution(value) for value in data.values()):
        return OPTUNA
    return None


def _is_distribution(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and str(value.get("name", "")).endswith("Distribution")
        and isinstance(value.get("attributes"), Mapping)
    )
