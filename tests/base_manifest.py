"""The manifest that tests and benchmarks start from, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def base_manifest(
    name: str, command: Sequence[str], framework: str = "pytorch", image: str = "", **spec: Any
) -> dict[str, Any]:
    """A valid experiment of one worker that runs ``command``; keywords replace fields of its spec.

    Every call makes a new one, which its caller may change.
    """
    container: dict[str, Any] = {"name": framework, "command": list(command)}
    if image:
        container["image"] = image
    task = {"type": "worker", "replicas": 1, "template": {"spec": {"containers": [container]}}}
    return {
        "apiVersion": "tensorstack.dev/v1beta1",
        "kind": "AutoTuneExperiment",
        "metadata": {"name": name},
        "spec": {
            "maxExecSeconds": 600,
            "maxTrialNum": 4,
            "trialConcurrency": 2,
            "searchSpace": {"x": {"_type": "uniform", "_value": [0, 1]}},
            "trainingConfig": {"type": framework, "tasks": [task]},
            "tuner": {"builtinTunerName": "Random", "classArgs": {"optimize_mode": "maximize"}},
            **spec,
        },
    }
