"""Manifests for the engine's tests: the specification's own, a small one, and random ones."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.base_manifest import base_manifest

SPECIFICATION = Path(__file__).parents[2] / "examples" / "specification.yaml"

ABSENT = object()


def small(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the small manifest with values set (or, by ABSENT, removed) at dotted paths."""
    manifest = base_manifest(
        "small",
        ["python3"],
        image="python:3.11",
        maxTrialNum=10,
        searchSpace={"lr": {"_type": "loguniform", "_value": [0.0001, 0.1]}},
        tuner={"builtinTunerName": "TPE"},
    )
    for path, value in (changes or {}).items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        inner: Any = manifest
        for part in parents:
            inner = inner[part] if isinstance(part, int) else inner.setdefault(part, {})
        if value is ABSENT:
            del inner[last]
        else:
            inner[last] = value
    return manifest


TASK = "spec.trainingConfig.tasks.0"
CONTAINER = f"{TASK}.template.spec.containers.0"


def at_random(seed: int) -> dict[str, Any]:
    """Return a valid manifest that uses whatever the seed draws from everything there is."""
    rng = random.Random(seed)

    def maybe(value: Any, chance: float = 0.5) -> Any:
        return value if rng.random() < chance else None

    framework = rng.choice(["tensorflow", "pytorch", "xgboost"])
    types = {
        "tensorflow": ["chief", "worker", "ps", "evaluator"],
        "pytorch": ["worker", "node", "ps"],
        "xgboost": ["master", "worker"],
    }[framework]
    tasks = [
        {
            "type": kind,
            "replicas": maybe(1 if kind in ("chief", "master") else rng.randint(1, 4)),
            "restartPolicy": maybe(rng.choice(["Always", "OnFailure", "Never", "ExitCode"])),
            "template": _template(rng, framework),
        }
        for kind in types[: rng.randint(1, len(types))]
    ]
    mode = {"optimize_mode": rng.choice(["minimize", "maximize"])}
    space = _space(rng)
    tuner_args: Any = rng.choice([None, {}, mode, {**mode, "constant_liar_type": "mean"}])
    as_text = rng.random() < 0.5
    manifest = {
        "apiVersion": "tensorstack.dev/v1beta1",
        "kind": "AutoTuneExperiment",
        "metadata": {
            "name": rng.choice(["a", "exp-1", "my.exp-2", "x" * 63]),
            "namespace": maybe("team-a"),
            "labels": maybe({"team": "a", "example.com/stage": ""}),
            "annotations": maybe({"note": "several\nlines: of #text\n", "number": "1e-4"}),
            "uid": maybe("0b7c"),
        },
        "spec": {
            "maxExecSeconds": rng.randint(1, 10**9),
            "maxTrialNum": rng.randint(1, 10**6),
            "trialConcurrency": rng.randint(1, 100),
            "searchSpace": json.dumps(space, indent=rng.choice([None, 2])) if as_text else space,
            "storage": maybe(rng.choice(["1Gi", "500M", "1.5Ti", 1000, "2e3"])),
            rng.choice(["aistore", "aimd", "em"]): maybe({"folder": "f-1", "secret": "key"}),
            "trainingConfig": {
                "type": framework,
                "tasks": tasks,
                "scheduler": maybe(
                    {"t9kScheduler": {"queue": "q", "priority": rng.randint(0, 100)}}
                ),
            },
            "tuner": {
                "builtinTunerName": rng.choice(["Random", "Anneal", "TPE"]),
                "classArgs": json.dumps(tuner_args) if tuner_args and as_text else tuner_args,
            },
            "maxTrialSeconds": maybe(rng.randint(1, 100_000)),
            "local": maybe(
                {
                    "python": maybe("/srv/env/bin/python"),
                    "trialsPerGpu": maybe(rng.randint(1, 4)),
                    "gpuMemory": maybe("measured"),
                    "useActiveGpu": maybe(rng.random() < 0.5),
                    "gpuIndices": maybe([0, 2]),
                    "preload": maybe(["torch", "a.b_1"]),
                }
            ),
            "assessor": maybe(
                {"builtinAssessorName": "Medianstop", "classArgs": {**mode, "start_step": 3}}
            ),
        },
        "status": maybe({"phase": "DONE"}),
    }
    return _without_some_nulls(manifest, rng)


def _template(rng: random.Random, framework: str) -> dict[str, Any]:
    odd = [
        "yes",
        "1e-4",
        "0644",
        "null",
        "~",
        "a: b",
        "#x",
        "é 中文",
        "tab\there",
        " ends ",
        "1:30",
    ]
    container: dict[str, Any] = {
        "name": framework,
        "image": "registry/it:1",
        "command": ["python3", "train.py"],
        "args": rng.sample(odd, rng.randint(0, len(odd))),
        "env": [{"name": f"V{i}", "value": value} for i, value in enumerate(rng.sample(odd, 3))],
        "resources": {"limits": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": 1}},
    }
    if rng.random() < 0.5:
        container["workingDir"] = "/srv/it"
    pod = {
        "containers": [container],
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    return {"metadata": {"labels": {"a": "b"}}, "spec": pod}


def _space(rng: random.Random) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        {"_type": "choice", "_value": [16, 0.5, "adam", True]},
        {"_type": "randint", "_value": [1, 10]},
        {"_type": "uniform", "_value": [0, 1.5]},
        {"_type": "quniform", "_value": [2, 10, 5]},
        {"_type": "loguniform", "_value": [1e-7, 1e-1]},
        {"_type": "qloguniform", "_value": [1, 100, 2]},
        {"_type": "normal", "_value": [0, 1]},
        {"_type": "qnormal", "_value": [0, 10, 2]},
        {"_type": "lognormal", "_value": [0, 1]},
        {"_type": "qlognormal", "_value": [0, 1, 1]},
        {
            "_type": "choice",
            "_value": [
                {"_name": "none"},
                {"_name": "conv", "kernel": {"_type": "choice", "_value": [3, 5]}},
            ],
        },
    ]
    chosen = rng.sample(entries, rng.randint(1, len(entries)))
    names = ["lr", "batch_size", "层数", "with.dot", "a b"]
    return {names[i] if i < len(names) else f"p{i}": entry for i, entry in enumerate(chosen)}


def _without_some_nulls(data: Any, rng: random.Random) -> Any:
    if isinstance(data, dict):
        return {
            key: _without_some_nulls(value, rng)
            for key, value in data.items()
            if value is not None or rng.random() < 0.5
        }
    if isinstance(data, list):
        return [_without_some_nulls(value, rng) for value in data]
    return data
